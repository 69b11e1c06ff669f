#include "kv/db.h"

#include <algorithm>

#include "base/id.h"
#include "base/str.h"
#include "kv/key.h"
#include "kv/write_set.h"

namespace virga::kv {

std::string prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<uint8_t>(end.back()) + 1);
  return end;
}

Range prefix_range(std::string_view prefix) { return {std::string(prefix), prefix_end(prefix)}; }

std::string log_prefix(std::string_view log) { return std::move(KeyWriter("log").text(log)).take(); }

Task<std::vector<LogRecord>> Reader::read_log(std::string_view log, LogPosition after, size_t limit) {
  const std::string prefix = log_prefix(log);
  Range range = prefix_range(prefix);
  if (!after.empty()) range.begin = key_after(cat(prefix, after));
  auto entries = co_await scan(std::move(range), {.limit = limit});
  std::vector<LogRecord> records;
  records.reserve(entries.size());
  for (Entry& entry : entries) records.push_back({entry.key.substr(prefix.size()), std::move(entry.value)});
  co_return records;
}

void Txn::trim_log(std::string_view log, const LogPosition& position) {
  if (position.empty()) return;
  const std::string prefix = log_prefix(log);
  erase_range({prefix, key_after(cat(prefix, position))});
}

Task<bool> Db::wait_log(std::string_view log, Version since, Micros timeout) {
  return wait_change(log_prefix(log), since, timeout);
}

Task<void> Db::back_off(int attempt) {
  if (attempt + 1 >= kMaxAttempts) co_await fail(conflict_error());
  // The first tries go again at once: whoever won has committed. Later ones spread out, each at a random moment, so
  // that many writers of one key get through one after the other.
  const int64_t most = attempt < 2 ? 0 : std::min<int64_t>(200ll << std::min(attempt - 2, 10), 20'000);
  const Micros delay(most == 0 ? 0 : static_cast<int64_t>(random_u64() % static_cast<uint64_t>(most)));
  if (Executor::current()) co_await sleep_for(delay);
}

namespace {
constexpr ErrorShape kConflict{.code = "TransactionConflict", .status = 409};
}

Error conflict_error() {
  return {&kConflict, "The request conflicts with others that keep changing the same data. Try it again.", nullptr, ""};
}

bool is_conflict(const Failure& failure) {
  const Error* error = error_of(failure);
  return error && error->shape == &kConflict;
}

}  // namespace virga::kv
