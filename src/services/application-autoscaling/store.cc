#include "services/application-autoscaling/store.h"

#include "kv/key.h"
#include "kv/record.h"

namespace virga::applicationautoscaling {

std::string Store::prefix(std::string_view kind, std::string_view space) const {
  return kv::KeyWriter("aas").text(kind).text(home_.account).text(home_.region).text(space).take();
}
std::string Store::key(std::string_view kind, const Scalable& what) const {
  return prefix(kind, what.space) + kv::KeyWriter(what.resource).text(what.dimension).take();
}
std::string Store::id_key(std::string_view id) const { return prefix("n", id); }
std::string Store::activity_key(const ActivityRecord& activity) const {
  return prefix("a", activity.what.space) +
         kv::KeyWriter("").u64(~static_cast<uint64_t>(activity.start.micros)).text(activity.id).take();
}

template <class R>
Task<std::optional<R>> Store::find(std::string key) const {
  const auto bytes = co_await reader_.get(key);
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<R>(*bytes);
}

template <class R>
Task<Store::Page<R>> Store::list(std::string prefix, std::string after, size_t limit) const {
  kv::Range range = kv::prefix_range(prefix);
  if (!after.empty()) range.begin = kv::prefix_end(prefix + after);
  Page<R> page;
  for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit})) {
    page.emplace_back(entry.key.substr(prefix.size()), kv::decode<R>(entry.value));
  }
  co_return page;
}

Task<std::optional<TargetRecord>> Store::find_target(Scalable what) const {
  co_return co_await find<TargetRecord>(key("t", what));
}
Task<std::optional<TargetRecord>> Store::find_target_by_id(std::string id) const {
  const auto what = co_await find<Scalable>(id_key(id));
  if (!what) co_return std::nullopt;
  co_return co_await find_target(*what);
}
Task<std::optional<ActionRecord>> Store::find_action(Scalable what, std::string name) const {
  co_return co_await find<ActionRecord>(key("s", what) + kv::KeyWriter(name).take());
}
Task<std::optional<PolicyRecord>> Store::find_policy(Scalable what, std::string name) const {
  co_return co_await find<PolicyRecord>(key("p", what) + kv::KeyWriter(name).take());
}

Task<Store::Page<TargetRecord>> Store::list_targets(std::string space, std::string after, size_t limit) const {
  co_return co_await list<TargetRecord>(prefix("t", space), after, limit);
}
Task<Store::Page<ActionRecord>> Store::list_actions(std::string space, std::string after, size_t limit) const {
  co_return co_await list<ActionRecord>(prefix("s", space), after, limit);
}
Task<Store::Page<PolicyRecord>> Store::list_policies(std::string space, std::string after, size_t limit) const {
  co_return co_await list<PolicyRecord>(prefix("p", space), after, limit);
}
Task<Store::Page<ActivityRecord>> Store::list_activities(std::string space, std::string after, size_t limit) const {
  co_return co_await list<ActivityRecord>(prefix("a", space), after, limit);
}
Task<Store::Page<ActionRecord>> Store::actions_of(Scalable what) const {
  co_return co_await list<ActionRecord>(key("s", what), "", SIZE_MAX);
}
Task<Store::Page<PolicyRecord>> Store::policies_of(Scalable what) const {
  co_return co_await list<PolicyRecord>(key("p", what), "", SIZE_MAX);
}

void WriteStore::put(const TargetRecord& target) {
  tx_.put(key("t", target.what), kv::encode(target));
  tx_.put(id_key(target.id), kv::encode(target.what));
}
void WriteStore::erase(const TargetRecord& target) {
  tx_.erase(key("t", target.what));
  tx_.erase(id_key(target.id));
}
void WriteStore::put(const ActionRecord& action) {
  tx_.put(key("s", action.what) + kv::KeyWriter(action.name).take(), kv::encode(action));
}
void WriteStore::erase(const ActionRecord& action) {
  tx_.erase(key("s", action.what) + kv::KeyWriter(action.name).take());
}
void WriteStore::put(const PolicyRecord& policy) {
  tx_.put(key("p", policy.what) + kv::KeyWriter(policy.name).take(), kv::encode(policy));
}
void WriteStore::erase(const PolicyRecord& policy) {
  tx_.erase(key("p", policy.what) + kv::KeyWriter(policy.name).take());
}
void WriteStore::put(const ActivityRecord& activity) { tx_.put(activity_key(activity), kv::encode(activity)); }

Task<void> WriteStore::forget_activities(std::string space, Time since) {
  ActivityRecord oldest;
  oldest.what.space = space;
  oldest.start = since;
  const kv::Range old{activity_key(oldest), kv::prefix_end(prefix("a", space))};
  for (const kv::Entry& entry : co_await reader_.scan(old, {.limit = 100})) tx_.erase(entry.key);
}

}  // namespace virga::applicationautoscaling
