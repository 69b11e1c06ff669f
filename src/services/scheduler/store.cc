#include "services/scheduler/store.h"

#include "kv/key.h"
#include "kv/record.h"

namespace virga::scheduler {

std::string Store::prefix_of(std::string_view tag) const {
  return kv::KeyWriter("sch").raw(tag).text(home_.account).text(home_.region).take();
}
std::string Store::group_key(std::string_view name) const { return prefix_of("g") + kv::KeyWriter(name).take(); }

std::string Store::position(const ScheduleRecord& schedule) {
  return kv::KeyWriter(schedule.group).text(schedule.name).take();
}

Task<std::optional<GroupRecord>> Store::find_group(std::string name) const {
  const auto bytes = co_await reader_.get(group_key(name));
  if (bytes) co_return kv::decode<GroupRecord>(*bytes);
  if (name != "default") co_return std::nullopt;
  GroupRecord group;
  group.name = name;
  co_return group;
}

Task<std::vector<GroupRecord>> Store::list_groups(std::string prefix, std::string after, size_t limit) const {
  const std::string all = prefix_of("g");
  kv::Range range{all + prefix, kv::prefix_end(all + prefix)};
  if (!after.empty()) range.begin = kv::prefix_end(group_key(after));
  std::vector<GroupRecord> out;
  for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit})) {
    out.push_back(kv::decode<GroupRecord>(entry.value));
  }
  co_return out;
}

Task<std::optional<ScheduleRecord>> Store::find(std::string group, std::string name) const {
  const auto bytes = co_await reader_.get(prefix_of("s") + kv::KeyWriter(group).text(name).take());
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<ScheduleRecord>(*bytes);
}

Task<std::vector<ScheduleRecord>> Store::list(std::string group, std::string prefix, std::string after,
                                              size_t limit) const {
  const std::string all = prefix_of("s") + (group.empty() ? "" : kv::KeyWriter(group).take() + prefix);
  kv::Range range{all, kv::prefix_end(all)};
  if (!after.empty()) range.begin = kv::prefix_end(prefix_of("s") + after);
  std::vector<ScheduleRecord> out;
  for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit, .byte_limit = 4 << 20})) {
    out.push_back(kv::decode<ScheduleRecord>(entry.value));
  }
  co_return out;
}

void WriteStore::put(const GroupRecord& group) { tx_.put(group_key(group.name), kv::encode(group)); }
void WriteStore::erase_group(const std::string& name) { tx_.erase(group_key(name)); }
void WriteStore::put(const ScheduleRecord& schedule) {
  tx_.put(prefix_of("s") + position(schedule), kv::encode(schedule));
}
void WriteStore::erase(const ScheduleRecord& schedule) { tx_.erase(prefix_of("s") + position(schedule)); }

}  // namespace virga::scheduler
