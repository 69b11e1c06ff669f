#include "services/events/store.h"

#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"

namespace virga::events {

namespace {

constexpr size_t kScanPage = 5'000;

// A point in an archive: before every event of that time.
std::string point(Time time) {
  std::string out;
  append_be64(out, static_cast<uint64_t>(time.micros));
  return out;
}

}  // namespace

std::string Store::part(std::string_view name) {
  // What a key's part looks like on its own: the writer's tag is a part like any other.
  return kv::KeyWriter(name).take();
}

std::string Store::prefix_of(std::string_view tag, std::string_view scope) const {
  kv::KeyWriter key("evt");
  key.raw(tag).text(home_.account).text(home_.region);
  if (tag == RuleRecord::kTag) key.text(scope);
  return key.take();
}

std::string Store::archive_prefix(std::string_view archive) const {
  return kv::KeyWriter("evt").raw("e").text(home_.account).text(home_.region).text(archive).take();
}

Task<std::string> Store::generation(std::string bus) const {
  co_return (co_await reader_.get(prefix_of("g", "") + part(bus))).value_or("");
}

Task<std::vector<Home>> homes_with_rules(kv::Reader& reader) {
  const std::string all = kv::KeyWriter("evt").raw("g").take();
  kv::Range range = kv::prefix_range(all);
  std::vector<Home> out;
  while (true) {
    const auto next = co_await reader.scan(range, {.limit = 1});
    if (next.empty()) co_return std::move(out);
    kv::KeyReader key(std::string_view(next.front().key).substr(all.size()));
    Home home;
    home.account = key.text();
    home.region = key.text();
    if (!(co_await Store(reader, home).generation("default")).empty()) out.push_back(home);
    range.begin = kv::prefix_end(kv::KeyWriter("evt").raw("g").text(home.account).text(home.region).take());
  }
}

Task<std::vector<Archived>> Store::read_archive(std::string archive, std::string after, Time from, Time to,
                                                size_t limit) const {
  const std::string prefix = archive_prefix(archive);
  kv::Range range{prefix + point(from), prefix + point(to)};
  if (!after.empty()) range.begin = kv::prefix_end(prefix + after);
  std::vector<Archived> out;
  for (kv::Entry& entry : co_await reader_.scan(range, {.limit = limit, .byte_limit = 4 << 20})) {
    out.push_back({entry.key.substr(prefix.size()), std::move(entry.value)});
  }
  co_return out;
}

Task<Store::Sum> Store::sum_archive(std::string archive) const {
  Sum sum;
  kv::Range range = kv::prefix_range(archive_prefix(archive));
  while (true) {
    const auto page = co_await reader_.scan(range, {.limit = kScanPage, .byte_limit = 8 << 20});
    for (const kv::Entry& entry : page) {
      ++sum.events;
      sum.bytes += static_cast<int64_t>(entry.value.size());
    }
    if (page.empty()) co_return sum;
    range.begin = page.back().key + '\0';
  }
}

void WriteStore::change(const std::string& bus) { tx_.put(prefix_of("g", "") + part(bus), uuid()); }

void WriteStore::archive(const std::string& archive, Time time, std::string event) {
  tx_.put_ordered(archive_prefix(archive) + point(time), std::move(event));
}

void WriteStore::expire_archive(const std::string& archive, Time before) {
  const std::string prefix = archive_prefix(archive);
  tx_.erase_range({prefix, prefix + point(before)});
}

void WriteStore::erase_archive(const std::string& archive) {
  tx_.erase_range(kv::prefix_range(archive_prefix(archive)));
}

}  // namespace virga::events
