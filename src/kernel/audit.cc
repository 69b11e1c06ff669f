#include "kernel/audit.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>

#include "base/async.h"
#include "base/id.h"
#include "base/log.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::kernel {

namespace {

constexpr std::string_view kLog = "audit";
constexpr size_t kBatch = 512;
constexpr size_t kTrimStep = 1000;
constexpr Micros kGather{100'000};     // calls within this time share a commit
constexpr size_t kMostScanned = 20'000;  // per page, wanted or not

std::string count_key() { return std::move(kv::KeyWriter("audit").text("count")).take(); }

std::string_view type_of(const Principal& p) {
  switch (p.kind) {
    case Principal::Kind::kRoot: return "Root";
    case Principal::Kind::kUser: return "IAMUser";
    case Principal::Kind::kRoleSession: return "AssumedRole";
    case Principal::Kind::kService: return "AWSService";
    case Principal::Kind::kAnonymous: return "AWSAccount";
  }
  return "";
}

}  // namespace

AuditRecord audit_record(const Ctx& ctx) {
  AuditRecord r;
  r.time = ctx.now();
  r.principal_type = type_of(ctx.principal);
  r.principal_arn = ctx.principal.arn;
  r.principal_id = ctx.principal.user_id;
  r.access_key = ctx.principal.access_key;
  r.account = ctx.account;
  r.region = ctx.region;
  r.request_id = ctx.request_id;
  r.source_ip = ctx.source_ip;
  r.user_agent = ctx.user_agent;
  return r;
}

bool is_read_only(std::string_view operation) {
  for (std::string_view verb : {"Get", "List", "Describe", "Head", "Lookup", "Search", "Simulate", "BatchGet", "Query", "Scan",
                                "Test", "Validate", "Filter", "Estimate", "Select"}) {
    if (operation.starts_with(verb)) return true;
  }
  return false;
}

struct Audit::State {
  State(kv::Db& db, const Clock& clock, AuditLimits limits) : db(db), clock(clock), limits(limits) {}
  kv::Db& db;
  const Clock& clock;
  const AuditLimits limits;

  std::mutex mutex;
  std::deque<AuditRecord> waiting;
  std::atomic<uint64_t> dropped = 0;
  std::atomic<bool> stopping = false;
  bool looping = false;
  Event something, ended;

  std::vector<AuditRecord> take();
  Task<void> write(std::vector<AuditRecord> records);
  Task<void> loop();
};

std::vector<AuditRecord> Audit::State::take() {
  std::lock_guard lock(mutex);
  const size_t n = std::min(kBatch, waiting.size());
  std::vector<AuditRecord> out(std::make_move_iterator(waiting.begin()), std::make_move_iterator(waiting.begin() + static_cast<long>(n)));
  waiting.erase(waiting.begin(), waiting.begin() + static_cast<long>(n));
  return out;
}

Task<void> Audit::State::write(std::vector<AuditRecord> records) {
  co_await db.transact([&](kv::Txn& tx) -> Task<void> {
    const auto counted = co_await tx.get(count_key());
    uint64_t count = (counted ? kv::decode<uint64_t>(*counted) : 0) + records.size();
    for (const AuditRecord& r : records) tx.append(kLog, kv::encode(r));
    const auto oldest = co_await tx.read_log(kLog, {}, 1);
    const bool old = !oldest.empty() && kv::decode<AuditRecord>(oldest[0].value).time < clock.now() - limits.oldest;
    if (count > limits.most + kTrimStep || old) {
      kv::LogPosition last;
      for (const kv::LogRecord& r : co_await tx.read_log(kLog, {}, kTrimStep)) {
        if (count <= limits.most && kv::decode<AuditRecord>(r.value).time >= clock.now() - limits.oldest) break;
        last = r.position;
        --count;
      }
      tx.trim_log(kLog, last);
    }
    tx.put(count_key(), kv::encode(count));
  });
}

Task<void> Audit::State::loop() {
  while (!stopping) {
    co_await something.wait();
    if (stopping) break;
    co_await sleep_for(kGather);
    something.reset();
    for (auto batch = take(); !batch.empty(); batch = take()) {
      auto written = co_await as_result(write(std::move(batch)));
      if (!written) log_error("audit", "calls could not be recorded", {{"why", describe(written.error())}});
    }
  }
  looping = false;
  ended.set();
}

Audit::Audit(kv::Db& db, const Clock& clock, AuditLimits limits) : state_(std::make_shared<State>(db, clock, limits)) {}
Audit::~Audit() = default;

void Audit::record(AuditRecord record) {
  if (record.id.empty()) record.id = uuid();
  {
    std::lock_guard lock(state_->mutex);
    if (state_->waiting.size() >= state_->limits.most_waiting) {
      state_->dropped.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    state_->waiting.push_back(std::move(record));
  }
  if (!state_->something.is_set()) state_->something.set();
}

uint64_t Audit::dropped() const { return state_->dropped.load(std::memory_order_relaxed); }

void Audit::start() {
  state_->looping = true;
  start_background("audit", [](std::shared_ptr<State> state) -> Task<void> { co_await state->loop(); }(state_));
}

Task<void> Audit::stop() {
  state_->stopping = true;
  state_->something.set();
  if (state_->looping) co_await state_->ended.wait();
  co_await flush();
}

Task<void> Audit::flush() {
  const auto state = state_;
  for (auto batch = state->take(); !batch.empty(); batch = state->take()) co_await state->write(std::move(batch));
}

Task<Audit::Page> Audit::find(std::string account, std::string region, Time from, Time to,
                              std::function<bool(const AuditRecord&)> wanted, std::string next, size_t limit) {
  const std::string prefix = kv::log_prefix(kLog);
  kv::Range range = kv::prefix_range(prefix);
  if (!next.empty()) range.end = prefix + next;  // exclusive: the last one seen
  Page page;
  auto view = state_->db.snapshot();
  for (size_t scanned = 0; scanned < kMostScanned;) {
    const auto entries = co_await view->scan(range, {.limit = 500, .reverse = true});
    if (entries.empty()) {
      page.next.clear();
      co_return page;
    }
    for (const kv::Entry& entry : entries) {
      page.next = entry.key.substr(prefix.size());
      AuditRecord r = kv::decode<AuditRecord>(entry.value);
      ++scanned;
      if (r.account != account || r.region != region || (from.micros && r.time < from) || (to.micros && r.time > to)) continue;
      if (wanted && !wanted(r)) continue;
      page.records.push_back(std::move(r));
      if (page.records.size() >= limit) co_return page;
    }
    range.end = entries.back().key;
  }
  co_return page;
}

}  // namespace virga::kernel
