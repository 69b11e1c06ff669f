#include "services/sqs/desk.h"

#include <aws/sqs/errors.h>

#include <algorithm>
#include <utility>

#include "services/sqs/limits.h"

namespace virga::sqs {
namespace {

using std::chrono::steady_clock;
// How late a jump of the clock is noticed by those who wait for a message that will be visible.
constexpr auto kLongestSleep = std::chrono::milliseconds(500);

template <class J>
std::vector<J*> as(const std::vector<Job*>& batch) {
  std::vector<J*> out;
  out.reserve(batch.size());
  for (Job* job : batch) out.push_back(static_cast<J*>(job));
  return out;
}

}  // namespace

void GroupLoad::add(const std::string& group, int64_t count) {
  std::lock_guard lock(mutex_);
  auto found = in_flight_.find(group);
  if (found == in_flight_.end()) {
    if (count <= 0 || in_flight_.size() >= kMostGroups) return;
    found = in_flight_.emplace(group, 0).first;
  }
  total_ += count;
  found->second += count;
  if (found->second > 0) return;
  total_ -= found->second;
  in_flight_.erase(found);
}

bool GroupLoad::is_noisy(const std::string& group) const {
  std::lock_guard lock(mutex_);
  const auto found = in_flight_.find(group);
  if (found == in_flight_.end() || found->second <= kQuietGroup) return false;
  const auto groups = static_cast<int64_t>(in_flight_.size());
  return found->second * 2 > total_ || found->second * groups * 2 > total_ * 3;
}

Desk::Desk(kv::Db& db, const Clock& clock, Desks& desks, QueueName queue, std::shared_ptr<GroupLoad> load)
    : db_(db), clock_(clock), desks_(desks), queue_(std::move(queue)), load_(std::move(load)) {}
Desk::~Desk() { desks_.forget(keys::queue(queue_)); }

size_t Desk::lane_of(const Job& job) const {
  if (queue_.fifo()) return 0;
  const auto first = static_cast<size_t>(job.kind);
  if (job.kind == Job::Kind::kReceive || !lanes_[first].running) return first;
  const size_t second = first + kKinds;
  return !lanes_[second].running || lanes_[second].waiting.size() < lanes_[first].waiting.size() ? second : first;
}

Task<void> Desk::run(Job& job) {
  const std::shared_ptr<Desk> self = shared_from_this();
  size_t lane = 0;
  bool full = false;
  co_await suspend_until([&, this](Resume resume) -> bool {
    {
      std::lock_guard lock(mutex_);
      lane = lane_of(job);
      full = lanes_[lane].waiting.size() >= kMostJobs;
      if (full) return false;
      job.resume.emplace(resume);
      lanes_[lane].waiting.push_back(&job);
      if (std::exchange(lanes_[lane].running, true)) return true;
    }
    start_background("sqs", work_off(self, lane));
    return true;
  });
  if (full) co_await fail(err::RequestThrottled("The rate of requests for this queue is too high."));
  if (job.failure) co_await fail_with(std::move(*job.failure));
}

Task<void> Desk::work_off(std::shared_ptr<Desk> self, size_t lane) {
  while (true) {
    const std::vector<Job*> batch = self->take(lane);
    if (batch.empty()) co_return;
    const Result<Worked> result = co_await as_result(self->work(lane, batch));
    self->settle(lane, batch, result);
  }
}

std::vector<Job*> Desk::take(size_t lane) {
  std::vector<Job*> batch;
  size_t bytes = 0;
  std::lock_guard lock(mutex_);
  Lane& line = lanes_[lane];
  if (lane == receive_lane() && std::exchange(woken_, false)) {
    while (!parked_.empty() && batch.size() < kLaneJobs) {
      batch.push_back(parked_.begin()->second);
      parked_.erase(parked_.begin());
    }
  }
  while (!line.waiting.empty() && batch.size() < kLaneJobs && bytes < kLaneBytes) {
    bytes += line.waiting.front()->bytes;
    batch.push_back(line.waiting.front());
    line.waiting.pop_front();
  }
  if (batch.empty()) line.running = false;
  return batch;
}

Task<Worked> Desk::work(size_t lane, const std::vector<Job*>& batch) {
  const Work work{db_, clock_, desks_, queue_, load_, lane < kKinds ? '0' : '1'};
  if (queue_.fifo()) co_return co_await work_fifo(work, batch);
  switch (static_cast<Job::Kind>(lane % kKinds)) {
    case Job::Kind::kSend:
      co_await work_sends(work, as<SendJob>(batch));
      break;
    case Job::Kind::kReceive:
      co_return co_await work_receives(work, as<ReceiveJob>(batch));
    case Job::Kind::kEdit:
      co_await work_edits(work, as<EditJob>(batch));
      break;
  }
  co_return Worked{};
}

void Desk::settle(size_t lane, const std::vector<Job*>& batch, const Result<Worked>& result) {
  std::vector<Job*> done;
  done.reserve(batch.size());
  const SteadyTime now = steady_clock::now();
  {
    std::lock_guard lock(mutex_);
    bool unserved = false, receives = false;
    for (Job* job : batch) {
      if (!result) job->failure = result.error();
      auto* receive = job->kind == Job::Kind::kReceive ? static_cast<ReceiveJob*>(job) : nullptr;
      receives |= receive != nullptr;
      const bool empty = result && receive && receive->items.empty() && !receive->refused &&
                         receive->move_task.empty() && !receive->sweep;
      if (empty && result->again && !desks_.stopped()) {
        lanes_[lane].waiting.push_front(job);
      } else if (empty && receive->until > now && parked_.size() < kMostPolls && !desks_.stopped()) {
        parked_.emplace(receive->until, receive);
        unserved = true;
      } else {
        unserved |= empty;
        done.push_back(job);
      }
    }
    if (result && receives) {
      next_ = result->next;
      // Whoever else waits may find more.
      if (!unserved && !parked_.empty()) woken_ = true;
    }
    if (!parked_.empty()) arm(parked_.begin()->first);
    if (!parked_.empty() && next_) {
      const auto wait = std::clamp<Micros>(*next_ - clock_.now(), Micros(500), kLongestSleep);
      arm(now + wait);
    }
  }
  for (Job* job : done) {
    const Resume resume = *job->resume;  // the job is gone as soon as its caller goes on
    resume.later();
  }
}

void Desk::arm(SteadyTime at) {
  if (armed_ && *armed_ <= at) return;
  armed_ = at;
  Executor* const executor = Executor::current();
  if (!executor) return;
  const auto delay = std::max<Micros>(std::chrono::ceil<Micros>(at - steady_clock::now()), Micros(0));
  executor->post_after(delay, [weak = weak_from_this(), at] {
    if (const auto self = weak.lock()) self->on_timer(at);
  });
}

void Desk::on_timer(SteadyTime at) {
  std::vector<Resume> over;
  bool look = false;
  {
    std::lock_guard lock(mutex_);
    if (armed_ != at) return;  // another one was set for earlier
    armed_.reset();
    const SteadyTime now = steady_clock::now();
    while (!parked_.empty() && parked_.begin()->first <= now) {
      over.push_back(*parked_.begin()->second->resume);
      parked_.erase(parked_.begin());
    }
    if (!parked_.empty()) {
      arm(parked_.begin()->first);
      if (next_) {
        look = clock_.now() >= *next_;
        if (!look) arm(now + std::clamp<Micros>(*next_ - clock_.now(), Micros(500), kLongestSleep));
      }
    }
  }
  if (look) wake();
  for (const Resume& resume : over) resume.later();
}

void Desk::wake() {
  const size_t lane = receive_lane();
  {
    std::lock_guard lock(mutex_);
    if (lanes_[lane].running) {
      woken_ = true;
      return;
    }
    if (parked_.empty()) return;
    woken_ = true;
    lanes_[lane].running = true;
  }
  start_background("sqs", work_off(shared_from_this(), lane));
}

void Desk::stop(std::string_view request) {
  std::vector<Resume> over;
  {
    std::lock_guard lock(mutex_);
    std::erase_if(parked_, [&](const auto& entry) {
      const bool ends = request.empty() || entry.second->request == request;
      if (ends) over.push_back(*entry.second->resume);
      return ends;
    });
  }
  for (const Resume& resume : over) resume.later();
}

std::shared_ptr<Desk> Desks::at(const QueueName& queue) {
  const std::string key = keys::queue(queue);
  std::shared_ptr<Desk> made;
  std::lock_guard lock(mutex_);
  std::weak_ptr<Desk>& slot = desks_[key];
  if (auto desk = slot.lock()) return desk;
  made = std::make_shared<Desk>(db_, clock_, *this, queue, load_of(key));
  slot = made;
  return made;
}

std::shared_ptr<GroupLoad> Desks::load_of(const std::string& key) {
  auto& [turn, load] = loads_[key];
  turn = ++turn_;
  if (!load) load = std::make_shared<GroupLoad>();
  auto found = load;
  if (loads_.size() > kMostLoads) {
    loads_.erase(std::ranges::min_element(loads_, {}, [](const auto& entry) { return entry.second.first; }));
  }
  return found;
}

void Desks::forget(const std::string& key) {
  std::lock_guard lock(mutex_);
  const auto found = desks_.find(key);
  if (found != desks_.end() && found->second.expired()) desks_.erase(found);
}

std::shared_ptr<Desk> Desks::find(const QueueName& queue) {
  std::lock_guard lock(mutex_);
  const auto found = desks_.find(keys::queue(queue));
  return found == desks_.end() ? nullptr : found->second.lock();
}

void Desks::wake(const QueueName& queue) {
  if (const auto desk = find(queue)) desk->wake();
}

void Desks::stop(const QueueName& queue, std::string_view request) {
  if (const auto desk = find(queue)) desk->stop(request);
}

void Desks::stop() {
  stopped_ = true;
  std::vector<std::shared_ptr<Desk>> all;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [key, weak] : desks_) {
      if (auto desk = weak.lock()) all.push_back(std::move(desk));
    }
  }
  for (const auto& desk : all) desk->stop();
}

}  // namespace virga::sqs
