#include "services/logs/store.h"

#include <algorithm>
#include <tuple>

#include "base/encoding.h"
#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/logs/limits.h"

namespace virga::logs {
namespace {

// Past every position of a real time.
std::string end_of(std::string_view prefix) { return kv::prefix_end(prefix); }

constexpr size_t kPage = 1'000;                      // streams read together
constexpr size_t kErasedTogether = 4 * 1024 * 1024;  // bytes of batches

// What the events of a batch count as.
int64_t bytes_of(const BatchRecord& batch) {
  size_t bytes = batch.message.size() + kEventOverhead;
  for (const auto& [after, message] : batch.more) bytes += message.size() + kEventOverhead;
  return static_cast<int64_t>(bytes);
}

Time time_of(std::string_view position) { return Time::from_millis(static_cast<int64_t>(read_be64(position.data()))); }

}  // namespace

EventPosition first_position(Time time) {
  std::string position;
  append_be64(position, static_cast<uint64_t>(time.millis()));
  return position;
}

std::string event_id(const EventPosition& position) {
  // Milliseconds, commit version, order within the commit and within the batch, each at its full decimal width.
  const auto padded = [](uint64_t value, size_t width) {
    const std::string digits = cat(value);
    return digits.size() < width ? std::string(width - digits.size(), '0') + digits : digits;
  };
  return cat(padded(read_be64(position.data()), 19), padded(read_be64(position.data() + 8), 20),
             padded(read_be16(position.data() + 16), 5), padded(read_be16(position.data() + kBatchPosition), 5),
             "0000000");
}

std::string Store::group_key(std::string_view name) const {
  return kv::KeyWriter("logs").raw("g").text(home_.account).text(home_.region).text(name).take();
}
std::string Store::stream_key(std::string_view group, std::string_view stream) const {
  return kv::KeyWriter("logs").raw("s").text(home_.account).text(home_.region).text(group).text(stream).take();
}
std::string Store::event_prefix(std::string_view group, std::string_view stream) const {
  return kv::KeyWriter("logs").raw("e").text(home_.account).text(home_.region).text(group).text(stream).take();
}

std::string Store::policy_key(std::string_view group, std::string_view name) const {
  return kv::KeyWriter("logs").raw("p").text(home_.account).text(home_.region).text(group).text(name).take();
}

Task<std::optional<Group>> Store::find_group(std::string name) const {
  const auto bytes = co_await reader_.get(group_key(name));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<Group>(*bytes);
}

Task<std::vector<Group>> Store::list_groups(std::string prefix, std::string after, size_t limit) const {
  const std::string all = kv::KeyWriter("logs").raw("g").text(home_.account).text(home_.region).take();
  kv::Range range{all + prefix, end_of(all + prefix)};
  if (!after.empty()) range.begin = end_of(group_key(after));
  std::vector<Group> groups;
  for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit}))
    groups.push_back(kv::decode<Group>(entry.value));
  co_return groups;
}

Task<std::optional<Stream>> Store::find_stream(std::string group, std::string stream) const {
  const auto bytes = co_await reader_.get(stream_key(group, stream));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<Stream>(*bytes);
}

Task<std::vector<Stream>> Store::list_streams(std::string group, std::string prefix, std::string after, size_t limit,
                                              bool reverse) const {
  const std::string all = kv::KeyWriter("logs").raw("s").text(home_.account).text(home_.region).text(group).take();
  kv::Range range{all + prefix, end_of(all + prefix)};
  if (!after.empty() && !reverse) range.begin = end_of(stream_key(group, after));
  if (!after.empty() && reverse) range.end = stream_key(group, after);
  std::vector<Stream> streams;
  for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit, .reverse = reverse})) {
    streams.push_back(kv::decode<Stream>(entry.value));
  }
  co_return streams;
}

// Times change with each event, so they have no index: all streams are looked at, and the best of them kept.
Task<std::vector<Stream>> Store::list_streams_by_time(std::string group, std::optional<StreamPlace> after, size_t limit,
                                                      bool reverse) const {
  const auto before = [reverse](const auto& a, const auto& b) {
    const auto one = std::tie(a.last_event, a.name), other = std::tie(b.last_event, b.name);
    return reverse ? other < one : one < other;
  };
  std::vector<Stream> best, page;
  do {
    page = co_await list_streams(group, "", page.empty() ? "" : page.back().name, kPage, false);
    for (const Stream& stream : page) {
      if (!after || before(*after, stream)) best.push_back(stream);
    }
    std::ranges::sort(best, before);
    if (best.size() > limit) best.resize(limit);
  } while (page.size() == kPage);
  co_return best;
}

Task<std::optional<Policy>> Store::find_policy(std::string group, std::string name) const {
  const auto bytes = co_await reader_.get(policy_key(group, name));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<Policy>(*bytes);
}

Task<std::vector<Policy>> Store::list_policies(std::optional<Policy> after, size_t limit) const {
  kv::Range range = kv::prefix_range(kv::KeyWriter("logs").raw("p").text(home_.account).text(home_.region).take());
  if (after) range.begin = end_of(policy_key(after->group, after->name));
  std::vector<Policy> policies;
  for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit}))
    policies.push_back(kv::decode<Policy>(entry.value));
  co_return policies;
}

Task<std::vector<Policy>> Store::account_policies() const {
  auto policies = co_await list_policies({}, kMaxPolicies);
  std::erase_if(policies, [](const Policy& policy) { return !policy.group.empty(); });
  co_return policies;
}

Task<Store::Sum> Store::sum_bytes(std::string group) const {
  Sum sum;
  std::vector<Stream> page;
  do {
    page = co_await list_streams(group, "", page.empty() ? "" : page.back().name, kPage, false);
    for (const Stream& stream : page) sum.bytes += stream.bytes;
    sum.streams += page.size();
  } while (page.size() == kPage);
  co_return sum;
}

// A batch is found by its first event, and may reach as far as kBatchSpan behind that: batches overlap, and an event is
// in its place once no batch that is still to be read can have one before it.
Task<std::vector<Event>> Store::read_events(std::string group, std::string stream, EventPosition from, EventPosition to,
                                            size_t limit, size_t bytes, bool reverse) const {
  const std::string prefix = event_prefix(group, stream);
  kv::Range left{prefix, to.empty() ? end_of(prefix) : prefix + to};
  if (!from.empty()) left.begin += first_position(std::max(time_of(from) - kBatchSpan, Time{}));
  std::vector<Event> events;
  while (true) {
    const auto batches = co_await reader_.scan(left, {.limit = limit, .byte_limit = bytes, .reverse = reverse});
    size_t read = 0;
    for (const kv::Entry& entry : batches) {
      read += entry.key.size() + entry.value.size();
      const std::string_view batch = std::string_view(entry.key).substr(prefix.size());
      auto record = kv::decode<BatchRecord>(entry.value);
      const auto take = [&](int64_t after, uint16_t index, std::string message) {
        Event event;
        event.time = time_of(batch) + Millis(after);
        event.position = cat(first_position(event.time), batch.substr(sizeof(uint64_t)));
        append_be16(event.position, index);
        if (event.position < from || (!to.empty() && event.position >= to)) return;
        event.stream = stream;
        event.message = std::move(message);
        event.ingested = record.ingested;
        events.push_back(std::move(event));
      };
      take(0, 0, std::move(record.message));
      for (uint16_t index = 1; auto& [after, message] : record.more) take(after, index++, std::move(message));
    }
    std::ranges::sort(events, [&](const Event& a, const Event& b) {
      return reverse ? b.position < a.position : a.position < b.position;
    });
    const bool all = batches.size() < limit && read < bytes;
    const std::string last = all ? std::string() : batches.back().key.substr(prefix.size());
    const auto in_place = [&](const Event& event) {
      if (all) return true;
      return reverse ? event.time > time_of(last) + kBatchSpan : event.position.substr(0, kBatchPosition) <= last;
    };
    size_t count = 0, told = 0;
    while (count < events.size() && count < limit && told < bytes && in_place(events[count]))
      told += events[count++].message.size();
    if (all || count == limit || told >= bytes) {
      events.resize(count);
      co_return events;
    }
    (reverse ? left.end : left.begin) = reverse ? prefix + last : prefix + last + '\0';
  }
}

void WriteStore::put_group(const Group& group) { tx_.put(group_key(group.name), kv::encode(group)); }

void WriteStore::put_stream(const std::string& group, const Stream& stream) {
  tx_.put(stream_key(group, stream.name), kv::encode(stream));
}

void WriteStore::add_events(const std::string& group, const std::string& stream, const std::vector<NewEvent>& events,
                            Time ingested) {
  const std::string prefix = event_prefix(group, stream);
  for (auto next = events.begin(); next != events.end();) {
    const Time first = next->time;
    BatchRecord batch{.message = std::string(next->message), .ingested = ingested};
    size_t bytes = next->message.size();
    for (++next; next != events.end() && next->time <= first + kBatchSpan; ++next) {
      bytes += next->message.size() + kEventOverhead;
      if (bytes > kBatchBytes) break;
      batch.more.emplace_back(next->time.millis() - first.millis(), next->message);
    }
    tx_.put_ordered(prefix + first_position(first), kv::encode(batch));
  }
}

void WriteStore::put_policy(const Policy& policy) {
  tx_.put(policy_key(policy.group, policy.name), kv::encode(policy));
}

void WriteStore::erase_policy(const Policy& policy) { tx_.erase(policy_key(policy.group, policy.name)); }

void WriteStore::erase_group(const std::string& name) {
  tx_.erase(group_key(name));
  tx_.erase(policy_key(name, ""));
  for (const char kind : {'s', 'e'}) {
    tx_.erase_range(kv::prefix_range(kv::KeyWriter("logs")
                                         .raw(std::string_view(&kind, 1))
                                         .text(home_.account)
                                         .text(home_.region)
                                         .text(name)
                                         .take()));
  }
}

void WriteStore::erase_stream(const std::string& group, const std::string& stream) {
  tx_.erase(stream_key(group, stream));
  tx_.erase_range(kv::prefix_range(event_prefix(group, stream)));
}

Task<std::optional<int64_t>> WriteStore::erase_events_before(const std::string& group, const std::string& stream,
                                                             Time cutoff) {
  const std::string prefix = event_prefix(group, stream);
  const auto batches =
      co_await tx_.scan({prefix, prefix + first_position(cutoff - kBatchSpan)}, {.byte_limit = kErasedTogether});
  if (batches.empty()) co_return std::nullopt;
  tx_.erase_range({prefix, batches.back().key + '\0'});
  int64_t bytes = 0;
  for (const kv::Entry& entry : batches) bytes += bytes_of(kv::decode<BatchRecord>(entry.value));
  co_return bytes;
}

}  // namespace virga::logs
