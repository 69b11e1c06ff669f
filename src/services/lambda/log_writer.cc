#include "services/lambda/log_writer.h"

#include <aws/logs/ops.h>

#include "base/executor.h"
#include "base/log.h"
#include "base/str.h"

namespace virga::lambda {
namespace {
constexpr size_t kMostWaiting = 4 << 20;   // bytes of lines not yet written, and of what keeps them
constexpr size_t kMostInOnePut = 900'000;  // bytes, under PutLogEvents's 1 MiB
constexpr size_t kMostLines = 5'000;       // of one PutLogEvents, under its 10,000
constexpr size_t kLineOverhead = 26;
// Lines wait this long for more: calls in a row share one write, and writing stays out of a call's way.
constexpr Micros kGather{50'000};
constexpr Micros kGatherMany{200'000};  // after as many as kMany: what they share counts for more than the wait
constexpr size_t kMany = 30;
constexpr size_t kLongestLine = 256 * 1024;
}  // namespace

LogWriter::LogWriter(kernel::Cloud& cloud, std::string account, std::string region, std::string group,
                     std::string stream)
    : cloud_(cloud),
      account_(std::move(account)),
      region_(std::move(region)),
      group_(std::move(group)),
      stream_(std::move(stream)) {}

void LogWriter::act_as(kernel::Principal role) {
  std::lock_guard lock(mutex_);
  role_ = std::move(role);
  if (!waiting_.empty()) plan();
}

void LogWriter::add(std::string_view text) {
  if (text.empty()) return;
  {
    std::lock_guard lock(mutex_);
    if (waiting_bytes_ + text.size() + sizeof(Line) > kMostWaiting) {
      ++dropped_;
      return;
    }
    const auto keep = [&](std::string line) {
      waiting_bytes_ += line.size() + sizeof(Line);
      waiting_.push_back({cloud_.clock().now(), std::move(line)});
    };
    if (dropped_) keep(cat("[", std::exchange(dropped_, 0), " lines were dropped: too many at once]"));
    keep(std::string(text.substr(0, kLongestLine)));
    plan();
  }
}

// With the lock held.
void LogWriter::plan() {
  Executor* const executor = Executor::current();
  if (planned_ || !executor || !role_) return;
  planned_ = true;
  executor->post_after(many_ ? kGatherMany : kGather,
                       [self = shared_from_this()] { start_background("lambda logs", self->write_all()); });
}

Task<void> LogWriter::flush() {
  const auto self = shared_from_this();
  while (true) {
    bool running;
    {
      std::lock_guard lock(mutex_);
      running = running_;
      if (!running && (waiting_.empty() || !role_)) co_return;
    }
    if (running) {
      co_await sleep_for(Micros(1000));
    } else {
      co_await write_all();
    }
  }
}

Task<void> LogWriter::write_all() {
  const auto self = shared_from_this();
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(running_, true)) co_return;  // that one takes these lines along
  }
  for (size_t batches = 0;; ++batches) {
    std::vector<Line> batch;
    {
      std::lock_guard lock(mutex_);
      // Few lines that came meanwhile gather anew.
      if (waiting_.empty() || (batches > 0 && waiting_.size() < kMostLines)) {
        planned_ = running_ = false;
        if (!waiting_.empty()) plan();
        co_return;
      }
      size_t bytes = 0, count = 0;
      while (count < waiting_.size() && count < kMostLines && bytes < kMostInOnePut)
        bytes += waiting_[count++].text.size() + kLineOverhead;
      if (bytes >= 1'000'000 && count > 1) --count;
      many_ = count >= kMany;
      batch.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(waiting_.begin() + count));
      waiting_.erase(waiting_.begin(), waiting_.begin() + count);
      for (const Line& line : batch) waiting_bytes_ -= line.text.size() + sizeof(Line);
    }
    Result<void> written = co_await as_result(put(std::move(batch)));
    // A role without permission to write logs is the user's choice, as on AWS: the function runs, unlogged.
    if (!written)
      log_debug("lambda", "log lines were refused", {{"group", group_}, {"error", describe(written.error())}});
  }
}

Task<void> LogWriter::put(std::vector<Line> lines) {
  if (!created_) co_await create();
  logs::PutLogEventsRequest request;
  request.log_group_name = group_;
  request.log_stream_name = stream_;
  for (Line& line : lines) {
    logs::InputLogEvent event;
    event.timestamp = line.time.millis();
    event.message = std::move(line.text);
    request.log_events.push_back(std::move(event));
  }
  kernel::Ctx ctx = cloud_.internal_context(*role_, account_, region_);
  co_await cloud_.call<logs::op::PutLogEvents>(ctx, std::move(request));
}

Task<void> LogWriter::create() {
  // Existing already is what both want; any other refusal shows in the put that follows.
  kernel::Ctx ctx = cloud_.internal_context(*role_, account_, region_);
  logs::CreateLogGroupRequest group;
  group.log_group_name = group_;
  (void)co_await as_result(cloud_.call<logs::op::CreateLogGroup>(ctx, std::move(group)));
  logs::CreateLogStreamRequest stream;
  stream.log_group_name = group_;
  stream.log_stream_name = stream_;
  (void)co_await as_result(cloud_.call<logs::op::CreateLogStream>(ctx, std::move(stream)));
  created_ = true;
}

}  // namespace virga::lambda
