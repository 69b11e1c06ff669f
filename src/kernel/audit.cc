#include "kernel/audit.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "base/async.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::kernel {

namespace {

constexpr std::string_view kLog = "audit";
constexpr size_t kBatch = 2048;     // records of one commit
constexpr size_t kChunk = 64;       // records of one entry of the log: it is entries that cost
constexpr size_t kTold = 4 << 20;   // bytes of told calls of one commit
constexpr size_t kTrimStep = 1000;  // records
constexpr size_t kTrimEntries = 64;
constexpr Micros kGather{100'000};       // calls within this time share a commit
constexpr size_t kMostScanned = 20'000;  // per page, wanted or not

std::string count_key() { return std::move(kv::KeyWriter("audit").text("count")).take(); }

// The oldest record of an entry of the log.
AuditRecord first_of(std::string_view entry) {
  const auto records = kv::decode<std::vector<std::string>>(entry);
  return records.empty() ? AuditRecord{} : kv::decode<AuditRecord>(records.front());
}

// Equal for calls that differ in time and request alone. `parts`: caller, key, account, region, service, operation,
// address and program.
size_t same_call(const std::array<std::string_view, 8>& parts) {
  size_t hash = 0;
  for (const std::string_view part : parts) hash = (hash ^ std::hash<std::string_view>()(part)) * 0x9E3779B97F4A7C15u;
  return hash;
}
size_t same_call(const AuditRecord& r) {
  return same_call(
      {r.principal_arn, r.access_key, r.account, r.region, r.service, r.operation, r.source_ip, r.user_agent});
}

std::string_view type_of(const Principal& p) {
  switch (p.kind) {
    case Principal::Kind::kRoot:
      return "Root";
    case Principal::Kind::kUser:
      return "IAMUser";
    case Principal::Kind::kRoleSession:
      return "AssumedRole";
    case Principal::Kind::kService:
      return "AWSService";
    case Principal::Kind::kAnonymous:
      return "AWSAccount";
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
  r.source_ip = ctx.source_ip.empty() ? ctx.via : ctx.source_ip;
  r.user_agent = ctx.user_agent;
  return r;
}

bool is_read_only(std::string_view operation) {
  for (std::string_view verb : {"Get", "List", "Describe", "Head", "Lookup", "Search", "Simulate", "BatchGet", "Query",
                                "Scan", "Test", "Validate", "Filter", "Estimate", "Select"}) {
    if (operation.starts_with(verb)) return true;
  }
  return false;
}

struct Audit::State {
  State(kv::Db& db, const Clock& clock, AuditLimits limits) : db(db), clock(clock), limits(limits) {}
  kv::Db& db;
  const Clock& clock;
  const AuditLimits limits;
  AuditListener* listener = nullptr;

  std::mutex mutex;
  std::deque<std::string> waiting;  // encoded: a tenth of the memory
  std::deque<std::string> told;     // ToldCalls, encoded; their records are not in `waiting`
  size_t told_bytes = 0;
  std::unordered_map<size_t, AuditRecord>
      reads;  // successful ones, by who did what from where; they join `waiting` next
  std::atomic<uint64_t> dropped = 0;
  std::atomic<bool> stopping = false;
  std::atomic<bool> looping = false;
  std::atomic<bool> gathering = false;
  Event something, ended;

  struct Batch {
    std::vector<std::string> records;
    std::vector<ToldCall> told;  // their records are the last ones
    bool empty() const { return records.empty(); }
  };
  Batch take();
  Task<void> write(Batch batch);
  Task<void> loop();
  static void gather(const std::shared_ptr<State>& state);
};

Audit::State::Batch Audit::State::take() {
  std::lock_guard lock(mutex);
  for (const auto& [caller, record] : reads) waiting.push_back(kv::encode(record));
  reads.clear();
  Batch out;
  const auto end = waiting.begin() + static_cast<long>(std::min(kBatch, waiting.size()));
  out.records.assign(std::make_move_iterator(waiting.begin()), std::make_move_iterator(end));
  waiting.erase(waiting.begin(), end);
  for (size_t bytes = 0; !told.empty() && bytes < kTold; told.pop_front()) {
    bytes += told.front().size();
    told_bytes -= told.front().size();
    out.told.push_back(kv::decode<ToldCall>(told.front()));
    out.records.push_back(kv::encode(out.told.back().record));
  }
  return out;
}

// An entry of the log is a vector of records, oldest first.
Task<void> Audit::State::write(Batch batch) {
  const std::vector<std::string>& records = batch.records;
  co_await db.transact([&](kv::Txn& tx) -> Task<void> {
    if (!batch.told.empty()) co_await listener->tell(tx, batch.told);
    const auto counted = co_await tx.get(count_key());
    uint64_t count = (counted ? kv::decode<uint64_t>(*counted) : 0) + records.size();
    for (size_t from = 0; from < records.size(); from += kChunk) {
      const auto begin = records.begin() + static_cast<long>(from);
      const auto end = begin + static_cast<long>(std::min(kChunk, records.size() - from));
      tx.append(kLog, kv::encode(std::vector<std::string>(begin, end)));
    }
    const Time keep_from = clock.now() - limits.oldest;
    const auto oldest = co_await tx.read_log(kLog, {}, 1);
    const bool old = !oldest.empty() && first_of(oldest[0].value).time < keep_from;
    if (count > limits.most + kTrimStep || old) {
      kv::LogPosition last;
      for (const kv::LogRecord& entry : co_await tx.read_log(kLog, {}, kTrimEntries)) {
        const size_t size = kv::decode<std::vector<std::string>>(entry.value).size();
        if (count < limits.most + size && first_of(entry.value).time >= keep_from) break;
        last = entry.position;
        count -= std::min<uint64_t>(count, size);
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
    something.reset();
    gathering = false;
    for (auto batch = take(); !batch.empty(); batch = take()) {
      auto written = co_await as_result(write(std::move(batch)));
      if (!written) log_error("audit", "calls could not be recorded", {{"why", describe(written.error())}});
    }
  }
  looping = false;
  ended.set();
}

// A call that is being answered is not to wake another thread.
void Audit::State::gather(const std::shared_ptr<State>& state) {
  if (state->gathering.load(std::memory_order_relaxed) || state->gathering.exchange(true)) return;
  if (Executor* const here = Executor::current()) {
    here->post_after(kGather, [state] { state->something.set(); });
  } else {
    state->something.set();
  }
}

Audit::Audit(kv::Db& db, const Clock& clock, AuditLimits limits) : state_(std::make_shared<State>(db, clock, limits)) {}
Audit::~Audit() = default;

bool Audit::repeat(const Ctx& ctx, std::string_view service, std::string_view operation) {
  const Principal& p = ctx.principal;
  const size_t call =
      same_call({p.arn, p.access_key, ctx.account, ctx.region, service, operation, ctx.source_ip, ctx.user_agent});
  std::lock_guard lock(state_->mutex);
  const auto found = state_->reads.find(call);
  if (found == state_->reads.end()) return false;
  ++found->second.count;
  return true;
}

void Audit::record(AuditRecord record) {
  const bool repeats = record.read_only && record.error_code.empty();
  std::string encoded;
  if (!repeats) {
    if (record.id.empty()) record.id = uuid();
    encoded = kv::encode(record);
  }
  {
    std::lock_guard lock(state_->mutex);
    if (repeats) {
      const auto found = state_->reads.find(same_call(record));
      if (found != state_->reads.end()) {
        ++found->second.count;
        return;
      }
    }
    if (state_->waiting.size() + state_->reads.size() >= state_->limits.most_waiting) {
      state_->dropped.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    if (repeats) {
      if (record.id.empty()) record.id = uuid();
      state_->reads.emplace(same_call(record), std::move(record));
    } else {
      state_->waiting.push_back(std::move(encoded));
    }
  }
  State::gather(state_);
}

void Audit::record_and_tell(ToldCall call) {
  if (call.record.id.empty()) call.record.id = uuid();
  std::string encoded = kv::encode(call);
  {
    std::lock_guard lock(state_->mutex);
    if (state_->told_bytes + encoded.size() <= state_->limits.most_told) {
      state_->told_bytes += encoded.size();
      state_->told.push_back(std::move(encoded));
    }
  }
  if (!encoded.empty()) return record(std::move(call.record));  // there is no room to tell of it
  State::gather(state_);
}

bool Audit::is_wanted(const Ctx& ctx, bool read_only) const {
  return state_->listener && state_->listener->wants(ctx, read_only);
}

void Audit::set_listener(AuditListener* listener) { state_->listener = listener; }

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
  // Where a page ended: how many of an entry's newest records were seen, two bytes, then where the entry is.
  size_t seen = 0;
  if (next.size() > 2) {
    seen = static_cast<unsigned char>(next[0]) * 256u + static_cast<unsigned char>(next[1]);
    range.end = cat(prefix, std::string_view(next).substr(2), '\0');
  }
  Page page;
  auto view = state_->db.snapshot();
  for (size_t scanned = 0; scanned < kMostScanned;) {
    const auto entries = co_await view->scan(range, {.limit = 16, .reverse = true});
    if (entries.empty()) {
      page.next.clear();
      co_return page;
    }
    for (const kv::Entry& entry : entries) {
      const auto records = kv::decode<std::vector<std::string>>(entry.value);
      for (; seen < records.size(); ++scanned) {
        AuditRecord r = kv::decode<AuditRecord>(records[records.size() - ++seen]);
        if (r.account != account || r.region != region || (from.micros && r.time < from) || (to.micros && r.time > to))
          continue;
        if (wanted && !wanted(r)) continue;
        page.records.push_back(std::move(r));
        if (page.records.size() < limit) continue;
        page.next = cat(static_cast<char>(seen / 256), static_cast<char>(seen % 256),
                        std::string_view(entry.key).substr(prefix.size()));
        co_return page;
      }
      seen = 0;
    }
    range.end = entries.back().key;
  }
  // All of that entry was seen.
  page.next = cat('\xFF', '\xFF', std::string_view(range.end).substr(prefix.size()));
  co_return page;
}

}  // namespace virga::kernel
