#include "services/lambda/durable/store.h"

#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/lambda/model.h"

namespace virga::lambda::durable {
namespace {

kv::KeyWriter writer(const Home& home, std::string_view kind) {
  kv::KeyWriter key("durable");
  key.u8(static_cast<uint8_t>(kind[0])).text(home.account).text(home.region);
  return key;
}

std::string list_prefix(const Home& home, std::string_view function) { return writer(home, "l").text(function).take(); }
std::string list_key_of(const Home& home, std::string_view function, Time start, std::string_view id) {
  return writer(home, "l").text(function).time(start).text(id).take();
}

template <class T>
Task<std::optional<T>> read(kv::Reader& reader, std::string key) {
  const auto bytes = co_await reader.get(std::move(key));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<T>(*bytes);
}

template <class T>
std::vector<T> decoded(const std::vector<kv::Entry>& entries) {
  std::vector<T> out;
  for (const kv::Entry& entry : entries) out.push_back(kv::decode<T>(entry.value));
  return out;
}

}  // namespace

std::string Execution::function_arn() const {
  return cat("arn:aws:lambda:", region, ":", account, ":function:", function, ":", version_name(version));
}
std::string Execution::arn() const { return cat(function_arn(), "/durable-execution/", name, "/", id); }

std::string Reads::key(std::string_view kind, std::string_view id) const { return writer(home_, kind).text(id).take(); }

Task<std::optional<Execution>> Reads::find(std::string id) const { return read<Execution>(reader_, key("x", id)); }
Task<std::optional<std::string>> Reads::input(std::string id) const { return reader_.get(key("i", id)); }
Task<std::optional<Outcome>> Reads::outcome(std::string id) const { return read<Outcome>(reader_, key("r", id)); }

Task<std::optional<Operation>> Reads::operation(std::string id, std::string operation) const {
  const auto sequence = co_await reader_.get(writer(home_, "k").text(id).text(operation).take());
  if (!sequence) co_return std::nullopt;
  co_return co_await read<Operation>(reader_, writer(home_, "o").text(id).u64(kv::decode<uint64_t>(*sequence)).take());
}

Task<std::vector<Operation>> Reads::operations(std::string id, uint64_t from, size_t limit, size_t bytes) const {
  kv::Range range = kv::prefix_range(key("o", id));
  range.begin = writer(home_, "o").text(id).u64(from).take();
  co_return decoded<Operation>(co_await reader_.scan(std::move(range), {.limit = limit, .byte_limit = bytes}));
}

Task<std::vector<std::pair<Time, std::string>>> Reads::due(std::string id, size_t limit) const {
  const std::string prefix = key("d", id);
  std::vector<std::pair<Time, std::string>> out;
  for (const kv::Entry& entry : co_await reader_.scan(kv::prefix_range(prefix), {.limit = limit})) {
    kv::KeyReader rest(std::string_view(entry.key).substr(prefix.size()));
    const Time time = rest.time();
    out.emplace_back(time, rest.text());
  }
  co_return out;
}

Task<std::vector<Change>> Reads::changes(std::string id, uint64_t after) const {
  const std::string prefix = key("c", id);
  kv::Range range = kv::prefix_range(prefix);
  range.begin = writer(home_, "c").text(id).u64(after + 1).take();
  std::vector<Change> out;
  for (const kv::Entry& entry : co_await reader_.scan(std::move(range))) {
    out.push_back({kv::KeyReader(std::string_view(entry.key).substr(prefix.size())).u64(), entry.value});
  }
  co_return out;
}

Task<std::vector<HistoryEvent>> Reads::history(std::string id, uint64_t from, bool downwards, size_t limit,
                                               size_t bytes) const {
  kv::Range range = kv::prefix_range(key("h", id));
  if (downwards) {
    if (from != UINT64_MAX) range.end = writer(home_, "h").text(id).u64(from + 1).take();
  } else {
    range.begin = writer(home_, "h").text(id).u64(from).take();
  }
  co_return decoded<HistoryEvent>(
      co_await reader_.scan(std::move(range), {.limit = limit, .byte_limit = bytes, .reverse = downwards}));
}

Task<std::optional<std::string>> Reads::named(std::string function, std::string name) const {
  return reader_.get(writer(home_, "n").text(function).text(name).take());
}

Task<std::vector<Listed>> Reads::list(std::string function, const Listed* after, bool downwards, size_t limit) const {
  kv::Range range = kv::prefix_range(list_prefix(home_, function));
  if (after) {
    std::string at = list_key_of(home_, function, after->start, after->id);
    (downwards ? range.end : range.begin) = downwards ? std::move(at) : kv::prefix_end(at);
  }
  co_return decoded<Listed>(co_await reader_.scan(std::move(range), {.limit = limit, .reverse = downwards}));
}

Task<bool> Reads::any_running(std::string function, std::optional<uint64_t> version) const {
  kv::KeyWriter prefix = writer(home_, "w");
  prefix.text(function);
  if (version) prefix.u64(*version);
  co_return !(co_await reader_.scan(kv::prefix_range(prefix.take()), {.limit = 1})).empty();
}

std::string Writes::due_key(const std::string& id, Time time, const std::string& operation) const {
  return writer(home_, "d").text(id).time(time).text(operation).take();
}
std::string Writes::list_key(const Execution& x) const { return list_key_of(home_, x.function, x.start, x.id); }
std::string Writes::name_key(const Execution& x) const {
  return writer(home_, "n").text(x.function).text(x.name).take();
}
std::string Writes::running_key(const Execution& x) const {
  return writer(home_, "w").text(x.function).u64(x.version).text(x.id).take();
}

void Writes::put(const Execution& x) { tx_.put(key("x", x.id), kv::encode(x)); }

void Writes::begin(const Execution& x, const std::optional<std::string>& input) {
  if (input) tx_.put(key("i", x.id), *input);
  tx_.put(name_key(x), x.id);
  tx_.put(list_key(x), kv::encode(Listed{x.id, x.name, x.version, x.status, x.start, x.end}));
  tx_.put(running_key(x), "");
}

void Writes::end(const Execution& x, const Outcome& outcome) {
  tx_.put(key("r", x.id), kv::encode(outcome));
  tx_.put(list_key(x), kv::encode(Listed{x.id, x.name, x.version, x.status, x.start, x.end}));
  tx_.erase(running_key(x));
  erase_due(x.id);
}

void Writes::put(const std::string& id, const Machine& machine, const std::map<std::string, Operation>& before) {
  for (const std::string& name : machine.changed()) {
    const Operation& now = *machine.find(name);
    const auto former = before.find(name);
    tx_.put(writer(home_, "o").text(id).u64(now.sequence).take(), kv::encode(now));
    if (former == before.end()) {
      tx_.put(writer(home_, "k").text(id).text(name).take(), kv::encode(now.sequence));
    } else if (const auto due = former->second.next_due()) {
      tx_.erase(due_key(id, *due, name));
    }
    if (const auto due = now.next_due()) tx_.put(due_key(id, *due, name), "");
  }
  for (const HistoryEvent& event : machine.events())
    tx_.put(writer(home_, "h").text(id).u64(event.id).take(), kv::encode(event));
}

void Writes::put_change(const std::string& id, uint64_t number, const std::string& operation) {
  tx_.put(writer(home_, "c").text(id).u64(number).take(), operation);
}

void Writes::erase_changes(const std::string& id, uint64_t up_to) {
  tx_.erase_range({key("c", id), writer(home_, "c").text(id).u64(up_to + 1).take()});
}

void Writes::erase_due(const std::string& id) { tx_.erase_range(kv::prefix_range(key("d", id))); }

void Writes::erase(const Execution& x) {
  for (const std::string_view kind : {"x", "i", "r"}) tx_.erase(key(kind, x.id));
  for (const std::string_view kind : {"o", "k", "d", "c", "h"}) tx_.erase_range(kv::prefix_range(key(kind, x.id)));
  // The name may be another execution's by now, of another function of the same name.
  tx_.erase(list_key(x));
  tx_.erase(running_key(x));
}

void Writes::erase_name(const Execution& x) { tx_.erase(name_key(x)); }

void Writes::forget_function(const std::string& function) {
  for (const std::string_view kind : {"n", "l"})
    tx_.erase_range(kv::prefix_range(writer(home_, kind).text(function).take()));
}

}  // namespace virga::lambda::durable
