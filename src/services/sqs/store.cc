#include "services/sqs/store.h"

#include <algorithm>

#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::sqs {

std::string QueueName::arn() const { return cat("arn:aws:sqs:", region, ':', account, ':', name); }

std::optional<QueueName> queue_of_arn(std::string_view text) {
  const auto arn = kernel::parse_arn(text);
  if (!arn || arn->service != "sqs" || arn->account.empty() || arn->region.empty()) return std::nullopt;
  return QueueName{arn->account, arn->region, arn->resource};
}

namespace keys {
namespace {

kv::KeyWriter of(char kind) { return std::move(kv::KeyWriter("sqs").u8(static_cast<uint8_t>(kind))); }
kv::KeyWriter of(char kind, uint64_t contents) { return std::move(of(kind).u64(contents)); }
kv::KeyWriter of(char kind, const QueueName& q) {
  return std::move(of(kind).text(q.account).text(q.region).text(q.name));
}

}  // namespace

std::string queue(const QueueName& q) { return of('q', q).take(); }
std::string queues(const std::string& account, const std::string& region) {
  return of('q').text(account).text(region).take();
}
std::string deleted(const QueueName& q) { return of('z', q).take(); }
std::string dead_letter_sources(const QueueName& target) { return of('w', target).take(); }
std::string dead_letter_source(const QueueName& target, const QueueName& source) {
  return of('w', target).text(source.account).text(source.name).take();
}

std::string fresh(uint64_t contents) { return of('b', contents).raw("n").take(); }
std::string message(uint64_t contents, std::string_view place) { return of('b', contents).raw(place).take(); }
std::string delayed(uint64_t contents) { return of('y', contents).take(); }
std::string delayed(uint64_t contents, Time due) { return of('y', contents).time(due).take(); }
std::string in_flight(uint64_t contents) { return of('f', contents).take(); }
std::string in_flight(uint64_t contents, Time deadline, std::string_view place) {
  return of('f', contents).time(deadline).raw(place).take();
}
std::string recorded(uint64_t contents, std::string_view place) { return of('c', contents).raw(place).take(); }
std::string set_aside(uint64_t contents) { return of('n', contents).take(); }
std::string tally(uint64_t contents, std::string_view writer) { return of('k', contents).raw(writer).take(); }
std::string tallies(uint64_t contents) { return of('k', contents).take(); }

std::string group(uint64_t contents, std::string_view group) { return of('g', contents).text(group).take(); }
std::string group_messages(uint64_t contents, std::string_view group) { return of('b', contents).text(group).take(); }
std::string group_message(uint64_t contents, std::string_view group, uint64_t sequence) {
  return of('b', contents).text(group).u64(sequence).take();
}
std::string turns(uint64_t contents) { return of('x', contents).take(); }
std::string turns_until(uint64_t contents, Time now) { return of('x', contents).time({now.micros + 1}).take(); }
std::string turn(uint64_t contents, const Turn& turn) {
  return of('x', contents).time(turn.ready).u64(turn.sequence).raw(turn.group).take();
}
Turn parse_turn(std::string_view key) {
  kv::KeyReader reader(key);
  reader.text();
  reader.u8();
  reader.u64();
  const Time ready = reader.time();
  const uint64_t sequence = reader.u64();
  return {ready, sequence, std::string(reader.rest())};
}

std::string buckets(uint64_t queue) { return of('d', queue).take(); }
std::string buckets_before(uint64_t queue, int64_t bucket) {
  return of('d', queue).u64(static_cast<uint64_t>(bucket)).take();
}
std::string sent(uint64_t queue, int64_t bucket, std::string_view group, std::string_view deduplication) {
  return of('d', queue).u64(static_cast<uint64_t>(bucket)).raw("s").text(group).raw(deduplication).take();
}
std::string attempt(uint64_t queue, int64_t bucket, std::string_view id) {
  return of('d', queue).u64(static_cast<uint64_t>(bucket)).raw("a").raw(id).take();
}

std::string move_task(const QueueName& source, std::string_view id) { return of('t', source).raw(id).take(); }
std::string move_tasks(const QueueName& source) { return of('t', source).take(); }

}  // namespace keys

Task<std::optional<QueueRecord>> find_queue(kv::Reader& reader, QueueName name) {
  const auto bytes = co_await reader.get(keys::queue(name));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<QueueRecord>(*bytes);
}

Task<Tally> read_tally(kv::Reader& reader, uint64_t contents, std::string writer) {
  const auto bytes = co_await reader.get(keys::tally(contents, writer));
  co_return bytes ? kv::decode<Tally>(*bytes) : Tally{};
}

int64_t in_flight_at(const Group& group, Time now) {
  return std::ranges::count_if(group.touched, [&](const Group::Touched& touched) { return touched.deadline > now; });
}

void erase_contents(kv::Txn& tx, uint64_t contents) {
  for (const char kind : {'b', 'y', 'f', 'c', 'n', 'k', 'g', 'x'}) {
    tx.erase_range(kv::prefix_range(keys::of(kind, contents).view()));
  }
}

}  // namespace virga::sqs
