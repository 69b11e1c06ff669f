#include "services/cloudformation/store.h"

#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/cloudformation/limits.h"

namespace virga::cloudformation {

namespace {

kv::KeyWriter key(std::string_view kind) { return std::move(kv::KeyWriter("cfn").text(kind)); }
kv::KeyWriter placed(std::string_view kind, const std::string& account, const std::string& region) {
  return std::move(key(kind).text(account).text(region));
}

template <class T>
Task<std::optional<T>> find(kv::Reader& reader, std::string key) {
  const auto bytes = co_await reader.get(std::move(key));
  if (!bytes) co_return std::optional<T>();
  co_return std::optional<T>(kv::decode<T>(*bytes));
}

template <class T>
Task<std::vector<T>> all(kv::Reader& reader, kv::Range range, size_t limit) {
  std::vector<T> out;
  for (const kv::Entry& entry : co_await reader.scan(std::move(range), {.limit = limit}))
    out.push_back(kv::decode<T>(entry.value));
  co_return std::move(out);
}

// What follows `prefix`, after the entry whose last part is `after` (empty: from the first).
kv::Range following(const kv::KeyWriter& prefix, const std::string& after) {
  kv::Range range = kv::prefix_range(prefix.view());
  if (!after.empty()) range.begin = kv::prefix_end(kv::KeyWriter(prefix).text(after).view());
  return range;
}

}  // namespace

ActorRecord actor_of(const kernel::Ctx& ctx) {
  const kernel::Principal& p = ctx.principal;
  return {.kind = static_cast<uint8_t>(p.kind),
          .account = p.account,
          .arn = p.arn,
          .user_id = p.user_id,
          .access_key = p.access_key,
          .role_arn = p.role_arn,
          .service = p.service,
          .base_url = ctx.base_url,
          .session_policies = p.session_policies,
          .session_tags = p.session_tags,
          .issued = p.issued};
}

kernel::Principal principal_of(const ActorRecord& actor) {
  kernel::Principal p;
  p.kind = static_cast<kernel::Principal::Kind>(actor.kind);
  p.account = actor.account;
  p.arn = actor.arn;
  p.user_id = actor.user_id;
  p.access_key = actor.access_key;
  p.role_arn = actor.role_arn;
  p.service = actor.service;
  p.session_policies = actor.session_policies;
  p.session_tags = actor.session_tags;
  p.issued = actor.issued;
  return p;
}

Task<std::optional<std::string>> Store::find_name(std::string account, std::string region, std::string name) {
  return reader_.get(placed("name", account, region).text(name));
}
void Store::put_name(const StackRecord& s) { tx_->put(placed("name", s.account, s.region).text(s.name), s.id); }
void Store::drop_name(const StackRecord& s) { tx_->erase(placed("name", s.account, s.region).text(s.name)); }

Task<std::optional<StackRecord>> Store::find_stack(std::string account, std::string region, std::string id) {
  return find<StackRecord>(reader_, placed("stack", account, region).text(id));
}
void Store::put_stack(const StackRecord& s) {
  tx_->put(placed("stack", s.account, s.region).text(s.id), kv::encode(s));
}
Task<std::vector<StackRecord>> Store::stacks(std::string account, std::string region, std::string after, size_t limit) {
  return all<StackRecord>(reader_, following(placed("stack", account, region), after), limit);
}

Task<std::optional<ResourceRecord>> Store::find_resource(std::string stack_id, std::string logical_id) {
  return find<ResourceRecord>(reader_, key("resource").text(stack_id).text(logical_id));
}
Task<std::vector<ResourceRecord>> Store::resources(std::string stack_id) {
  return all<ResourceRecord>(reader_, kv::prefix_range(key("resource").text(stack_id).view()), SIZE_MAX);
}
void Store::put_resource(const std::string& stack_id, const ResourceRecord& r) {
  tx_->put(key("resource").text(stack_id).text(r.logical_id), kv::encode(r));
}
void Store::drop_resource(const std::string& stack_id, const std::string& logical_id) {
  tx_->erase(key("resource").text(stack_id).text(logical_id));
}

Task<std::vector<std::pair<uint32_t, TrashRecord>>> Store::trash(std::string stack_id) {
  std::vector<std::pair<uint32_t, TrashRecord>> out;
  for (const kv::Entry& entry : co_await reader_.scan(kv::prefix_range(key("trash").text(stack_id).view()))) {
    kv::KeyReader k(entry.key);
    k.text();
    k.text();
    k.text();
    out.emplace_back(k.u32(), kv::decode<TrashRecord>(entry.value));
  }
  co_return std::move(out);
}
void Store::put_trash(const std::string& stack_id, uint32_t order, const TrashRecord& trash) {
  tx_->put(key("trash").text(stack_id).u32(order), kv::encode(trash));
}
void Store::drop_trash(const std::string& stack_id, uint32_t order) {
  tx_->erase(key("trash").text(stack_id).u32(order));
}

void Store::add_event(StackRecord& stack, EventRecord event) {
  const uint64_t number = stack.next_event++;
  tx_->put(key("event").text(stack.id).u64(number), kv::encode(event));
  if (number >= kEventsMost) tx_->erase(key("event").text(stack.id).u64(number - kEventsMost));
}
Task<std::vector<std::pair<uint64_t, EventRecord>>> Store::events(std::string stack_id, uint64_t before, size_t limit) {
  const kv::KeyWriter prefix = std::move(key("event").text(stack_id));
  kv::Range range = kv::prefix_range(prefix.view());
  if (before != UINT64_MAX) range.end = std::string(kv::KeyWriter(prefix).u64(before));
  std::vector<std::pair<uint64_t, EventRecord>> out;
  for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit, .reverse = true})) {
    kv::KeyReader k(entry.key);
    k.text();
    k.text();
    k.text();
    out.emplace_back(k.u64(), kv::decode<EventRecord>(entry.value));
  }
  co_return std::move(out);
}

Task<std::optional<ChangeSetRecord>> Store::find_change_set(std::string stack_id, std::string name) {
  return find<ChangeSetRecord>(reader_, key("changeset").text(stack_id).text(name));
}
Task<std::vector<ChangeSetRecord>> Store::change_sets(std::string stack_id) {
  return all<ChangeSetRecord>(reader_, kv::prefix_range(key("changeset").text(stack_id).view()), SIZE_MAX);
}
Task<std::optional<std::string>> Store::find_change_set_stack(std::string id) {
  return reader_.get(key("changesetid").text(id));
}
void Store::put_change_set(const ChangeSetRecord& c) {
  tx_->put(key("changeset").text(c.stack_id).text(c.name), kv::encode(c));
  tx_->put(key("changesetid").text(c.id), c.stack_id);
}
void Store::drop_change_set(const ChangeSetRecord& c) {
  tx_->erase(key("changeset").text(c.stack_id).text(c.name));
  tx_->erase(key("changesetid").text(c.id));
}

Task<std::vector<ExportRecord>> Store::exports(std::string account, std::string region, std::string after,
                                               size_t limit) {
  return all<ExportRecord>(reader_, following(placed("export", account, region), after), limit);
}
Task<std::optional<ExportRecord>> Store::find_export(std::string account, std::string region, std::string name) {
  return find<ExportRecord>(reader_, placed("export", account, region).text(name));
}
void Store::put_export(const StackRecord& s, const ExportRecord& e) {
  tx_->put(placed("export", s.account, s.region).text(e.name), kv::encode(e));
}
void Store::drop_export(const StackRecord& s, const std::string& name) {
  tx_->erase(placed("export", s.account, s.region).text(name));
}
Task<std::vector<std::string>> Store::importers(std::string account, std::string region, std::string name) {
  std::vector<std::string> out;
  for (const kv::Entry& entry :
       co_await reader_.scan(kv::prefix_range(placed("import", account, region).text(name).view()))) {
    kv::KeyReader k(entry.key);
    for (int i = 0; i < 5; ++i) k.text();
    out.push_back(k.text());
  }
  co_return std::move(out);
}
void Store::put_import(const StackRecord& s, const std::string& name) {
  tx_->put(placed("import", s.account, s.region).text(name).text(s.id), "");
}
void Store::drop_import(const StackRecord& s, const std::string& name) {
  tx_->erase(placed("import", s.account, s.region).text(name).text(s.id));
}

std::string Store::running_key(const std::string& stack_id) { return key("running").text(stack_id); }
void Store::set_running(const StackRecord& s, bool running) {
  if (running) {
    tx_->put(running_key(s.id), std::string(kv::KeyWriter(s.account).text(s.region)));
  } else {
    tx_->erase(running_key(s.id));
  }
}
Task<std::vector<Store::Running>> Store::running() {
  std::vector<Running> out;
  for (const kv::Entry& entry : co_await reader_.scan(kv::prefix_range(key("running").view()))) {
    kv::KeyReader k(entry.key), v(entry.value);
    k.text();
    k.text();
    Running one;
    one.stack_id = k.text();
    one.account = v.text();
    one.region = v.text();
    out.push_back(std::move(one));
  }
  co_return std::move(out);
}

}  // namespace virga::cloudformation
