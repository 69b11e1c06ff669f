#include "services/logs/store.h"

#include "base/encoding.h"
#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::logs {
namespace {

// Past every position of a real time.
std::string end_of(std::string_view prefix) { return kv::prefix_end(prefix); }

}  // namespace

EventPosition first_position(Time time) {
  std::string position;
  append_be64(position, static_cast<uint64_t>(time.millis()));
  return position;
}

std::string event_id(const EventPosition& position) {
  // Milliseconds, commit version and order within the commit, each at its full decimal width.
  const auto padded = [](uint64_t value, size_t width) {
    const std::string digits = cat(value);
    return digits.size() < width ? std::string(width - digits.size(), '0') + digits : digits;
  };
  return cat(padded(read_be64(position.data()), 19), padded(read_be64(position.data() + 8), 20),
             padded(read_be16(position.data() + 16), 5), "000000000000");
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

Task<std::vector<Event>> Store::read_events(std::string group, std::string stream, EventPosition from, EventPosition to,
                                            size_t limit, size_t bytes, bool reverse) const {
  const std::string prefix = event_prefix(group, stream);
  const kv::Range range{prefix + from, to.empty() ? end_of(prefix) : prefix + to};
  std::vector<Event> events;
  for (const kv::Entry& entry :
       co_await reader_.scan(range, {.limit = limit, .byte_limit = bytes, .reverse = reverse})) {
    Event event;
    event.position = entry.key.substr(prefix.size());
    event.stream = stream;
    event.time = Time::from_millis(static_cast<int64_t>(read_be64(event.position.data())));
    EventRecord record = kv::decode<EventRecord>(entry.value);
    event.message = std::move(record.message);
    event.ingested = record.ingested;
    events.push_back(std::move(event));
  }
  co_return events;
}

void WriteStore::put_group(const Group& group) { tx_.put(group_key(group.name), kv::encode(group)); }

void WriteStore::put_stream(const std::string& group, const Stream& stream) {
  tx_.put(stream_key(group, stream.name), kv::encode(stream));
}

void WriteStore::add_event(const std::string& group, const std::string& stream, Time time, const EventRecord& record) {
  tx_.put_ordered(event_prefix(group, stream) + first_position(time), kv::encode(record));
}

void WriteStore::erase_group(const std::string& name) {
  tx_.erase(group_key(name));
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

void WriteStore::erase_events_before(const std::string& group, const std::string& stream, Time cutoff) {
  const std::string prefix = event_prefix(group, stream);
  tx_.erase_range({prefix, prefix + first_position(cutoff)});
}

}  // namespace virga::logs
