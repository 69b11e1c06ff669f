#include "services/lambda/store.h"

#include "kv/key.h"
#include "kv/record.h"
#include "services/lambda/catalog.h"

namespace virga::lambda {
namespace {

template <class T>
Task<std::optional<T>> find(kv::Reader& reader, std::string key) {
  const auto bytes = co_await reader.get(std::move(key));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<T>(*bytes);
}

template <class T>
Task<std::vector<T>> list(kv::Reader& reader, kv::Range range, size_t limit, bool reverse = false) {
  std::vector<T> records;
  for (const kv::Entry& entry : co_await reader.scan(std::move(range), {.limit = limit, .reverse = reverse})) {
    records.push_back(kv::decode<T>(entry.value));
  }
  co_return records;
}

struct ReservedRecord {
  std::string function;
  int32_t reserved = 0;
  template <class A>
  void fields(A& a) {
    a(1, function), a(2, reserved);
  }
};

struct SignedRecord {
  std::string function, config;
  template <class A>
  void fields(A& a) {
    a(1, function), a(2, config);
  }
};

std::string url_id_key(std::string_view id) { return kv::KeyWriter("lambda").raw("i").text(id).take(); }

// What follows the key `after` in the folder `prefix`; all of it when `after` is empty.
kv::Range following(const std::string& prefix, const std::string& after) {
  kv::Range range = kv::prefix_range(prefix);
  if (!after.empty()) range.begin = kv::prefix_end(after);
  return range;
}

}  // namespace

std::string Store::all(std::string_view kind) const {
  return kv::KeyWriter("lambda").raw(kind).text(home_.account).text(home_.region).take();
}
std::string Store::key(std::string_view kind, std::string_view name) const {
  return kv::KeyWriter("lambda").raw(kind).text(home_.account).text(home_.region).text(name).take();
}
std::string Store::version_key(std::string_view kind, std::string_view name, uint64_t version) const {
  return kv::KeyWriter("lambda").raw(kind).text(home_.account).text(home_.region).text(name).u64(version).take();
}
std::string Store::text_key(std::string_view kind, std::string_view name, std::string_view part) const {
  return kv::KeyWriter("lambda").raw(kind).text(home_.account).text(home_.region).text(name).text(part).take();
}

Task<std::optional<FunctionRecord>> Store::find_function(std::string name) const {
  return find<FunctionRecord>(reader_, key("f", name));
}
Task<std::vector<FunctionRecord>> Store::list_functions(std::string after, size_t limit) const {
  return list<FunctionRecord>(reader_, following(all("f"), after.empty() ? "" : key("f", after)), limit);
}
Task<std::optional<VersionRecord>> Store::find_version(std::string function, uint64_t version) const {
  return find<VersionRecord>(reader_, version_key("v", function, version));
}
Task<std::vector<VersionRecord>> Store::list_versions(std::string function, uint64_t from, size_t limit) const {
  kv::Range range = kv::prefix_range(key("v", function));
  range.begin = version_key("v", function, from);
  return list<VersionRecord>(reader_, std::move(range), limit);
}
Task<std::optional<AliasRecord>> Store::find_alias(std::string function, std::string alias) const {
  return find<AliasRecord>(reader_, text_key("a", function, alias));
}
Task<std::vector<AliasRecord>> Store::list_aliases(std::string function, std::string after, size_t limit) const {
  return list<AliasRecord>(reader_, following(key("a", function), after.empty() ? "" : text_key("a", function, after)),
                           limit);
}
Task<std::optional<PolicyRecord>> Store::find_policy(std::string function, std::string qualifier) const {
  return find<PolicyRecord>(reader_, text_key("p", function, qualifier));
}
Task<std::optional<EventInvokeRecord>> Store::find_event_invoke(std::string function, std::string qualifier) const {
  return find<EventInvokeRecord>(reader_, text_key("e", function, qualifier));
}
Task<std::vector<EventInvokeRecord>> Store::list_event_invokes(std::string function, std::string after,
                                                               size_t limit) const {
  return list<EventInvokeRecord>(
      reader_, following(key("e", function), after.empty() ? "" : text_key("e", function, after)), limit);
}
Task<std::optional<LayerRecord>> Store::find_layer(std::string name) const {
  return find<LayerRecord>(reader_, key("n", name));
}
Task<std::vector<LayerRecord>> Store::list_layers(std::string after, size_t limit) const {
  return list<LayerRecord>(reader_, following(all("n"), after.empty() ? "" : key("n", after)), limit);
}
Task<std::optional<LayerVersionRecord>> Store::find_layer_version(std::string layer, uint64_t version) const {
  return find<LayerVersionRecord>(reader_, version_key("l", layer, version));
}
Task<std::vector<LayerVersionRecord>> Store::list_layer_versions(std::string layer) const {
  return list<LayerVersionRecord>(reader_, kv::prefix_range(key("l", layer)), SIZE_MAX, true);
}
Task<std::optional<PolicyRecord>> Store::find_layer_policy(std::string layer, uint64_t version) const {
  return find<PolicyRecord>(reader_, version_key("q", layer, version));
}

Task<std::map<std::string, int32_t>> Store::list_reserved() const {
  std::map<std::string, int32_t> reserved;
  for (const ReservedRecord& record : co_await list<ReservedRecord>(reader_, kv::prefix_range(all("r")), SIZE_MAX))
    reserved.emplace(record.function, record.reserved);
  co_return reserved;
}
Task<std::optional<ProvisionedRecord>> Store::find_provisioned(std::string function, std::string qualifier) const {
  return find<ProvisionedRecord>(reader_, text_key("c", function, qualifier));
}
Task<std::vector<ProvisionedRecord>> Store::list_provisioned(std::string function) const {
  return list<ProvisionedRecord>(reader_, kv::prefix_range(function.empty() ? all("c") : key("c", function)), SIZE_MAX);
}
Task<std::optional<UrlRecord>> Store::find_url(std::string function, std::string qualifier) const {
  return find<UrlRecord>(reader_, text_key("u", function, qualifier));
}
Task<std::vector<UrlRecord>> Store::list_urls(std::string function) const {
  return list<UrlRecord>(reader_, kv::prefix_range(key("u", function)), SIZE_MAX);
}
Task<std::optional<UrlRecord>> Store::find_url_by_id(kv::Reader& reader, std::string id) {
  return find<UrlRecord>(reader, url_id_key(id));
}
Task<std::optional<CodeSigningRecord>> Store::find_code_signing(std::string id) const {
  return find<CodeSigningRecord>(reader_, key("g", id));
}
Task<std::vector<CodeSigningRecord>> Store::list_code_signing(std::string after, size_t limit) const {
  return list<CodeSigningRecord>(reader_, following(all("g"), after.empty() ? "" : key("g", after)), limit);
}
Task<std::map<std::string, std::string>> Store::list_signed_functions() const {
  std::map<std::string, std::string> out;
  for (const SignedRecord& record : co_await list<SignedRecord>(reader_, kv::prefix_range(all("s")), SIZE_MAX))
    out.emplace(record.function, record.config);
  co_return out;
}
Task<std::optional<std::string>> Store::code_signing_of(std::string function) const {
  auto record = co_await find<SignedRecord>(reader_, key("s", function));
  co_return record ? std::optional(std::move(record->config)) : std::nullopt;
}
Task<RuntimeManagementRecord> Store::runtime_management(std::string function, uint64_t version) const {
  auto record = co_await find<RuntimeManagementRecord>(reader_, version_key("m", function, version));
  co_return record ? std::move(*record) : RuntimeManagementRecord{};
}
Task<int32_t> Store::set_aside(std::string but_function) const {
  const auto reserved = co_await list_reserved();
  int32_t sum = 0;
  for (const auto& [function, value] : reserved) sum += function == but_function ? 0 : value;
  // What is provisioned counts towards its function's reservation where there is one.
  for (const ProvisionedRecord& record : co_await list_provisioned({})) {
    if (record.function != but_function && !reserved.contains(record.function)) sum += record.wanted;
  }
  co_return sum;
}

void WriteStore::set_aside_changed() {
  tx_.on_commit([&catalog = catalog_, home = home_] { catalog.forget_set_aside(home); });
}

void WriteStore::put_reserved(const std::string& function, std::optional<int32_t> reserved) {
  set_aside_changed();
  if (reserved) {
    tx_.put(key("r", function), kv::encode(ReservedRecord{function, *reserved}));
  } else {
    tx_.erase(key("r", function));
  }
}
void WriteStore::put_provisioned(const ProvisionedRecord& record) {
  set_aside_changed();
  tx_.put(text_key("c", record.function, record.qualifier), kv::encode(record));
}
void WriteStore::erase_provisioned(const std::string& function, const std::string& qualifier) {
  set_aside_changed();
  tx_.erase(text_key("c", function, qualifier));
}

void WriteStore::put_url(const UrlRecord& record) {
  tx_.put(text_key("u", record.function, record.qualifier), kv::encode(record));
  tx_.put(url_id_key(record.id), kv::encode(record));
}
void WriteStore::erase_url(const UrlRecord& record) {
  tx_.erase(text_key("u", record.function, record.qualifier));
  UrlRecord gone;
  gone.id = record.id;
  tx_.put(url_id_key(record.id), kv::encode(gone));
}
void WriteStore::put_code_signing(const CodeSigningRecord& record) { tx_.put(key("g", record.id), kv::encode(record)); }
void WriteStore::erase_code_signing(const std::string& id) { tx_.erase(key("g", id)); }
void WriteStore::put_code_signing_of(const std::string& function, const std::string& id) {
  if (id.empty()) {
    tx_.erase(key("s", function));
  } else {
    tx_.put(key("s", function), kv::encode(SignedRecord{function, id}));
  }
}
Task<std::optional<CapacityProviderRecord>> Store::find_capacity_provider(std::string name) const {
  co_return co_await find<CapacityProviderRecord>(reader_, key("k", name));
}
Task<std::vector<CapacityProviderRecord>> Store::list_capacity_providers(std::string after, size_t limit) const {
  co_return co_await list<CapacityProviderRecord>(
      reader_, following(all("k"), after.empty() ? std::string() : key("k", after)), limit);
}
void WriteStore::put_capacity_provider(const CapacityProviderRecord& record) {
  tx_.put(key("k", record.name), kv::encode(record));
}
void WriteStore::erase_capacity_provider(const std::string& name) { tx_.erase(key("k", name)); }

void WriteStore::put_runtime_management(const std::string& function, uint64_t version,
                                        const RuntimeManagementRecord& record) {
  tx_.put(version_key("m", function, version), kv::encode(record));
}

void WriteStore::changed(const std::string& function) {
  if (std::exchange(changed_, function) == function) return;
  tx_.on_commit([&catalog = catalog_, home = home_, function] { catalog.forget(home, function); });
}

void WriteStore::put_function(const FunctionRecord& record) {
  changed(record.name);
  tx_.put(key("f", record.name), kv::encode(record));
}
void WriteStore::put_version(const std::string& function, const VersionRecord& record) {
  changed(function);
  tx_.put(version_key("v", function, record.version), kv::encode(record));
}
void WriteStore::put_alias(const std::string& function, const AliasRecord& record) {
  changed(function);
  tx_.put(text_key("a", function, record.name), kv::encode(record));
}
void WriteStore::put_policy(const std::string& function, const std::string& qualifier, const PolicyRecord& record) {
  changed(function);
  tx_.put(text_key("p", function, qualifier), kv::encode(record));
}
void WriteStore::put_event_invoke(const std::string& function, const EventInvokeRecord& record) {
  tx_.put(text_key("e", function, record.qualifier), kv::encode(record));
}
void WriteStore::put_layer(const LayerRecord& record) { tx_.put(key("n", record.name), kv::encode(record)); }
void WriteStore::put_layer_version(const std::string& layer, const LayerVersionRecord& record) {
  tx_.put(version_key("l", layer, record.version), kv::encode(record));
}
void WriteStore::put_layer_policy(const std::string& layer, uint64_t version, const PolicyRecord& record) {
  tx_.put(version_key("q", layer, version), kv::encode(record));
}
void WriteStore::erase_function(const std::string& name) {
  changed(name);
  tx_.erase(key("f", name));
  put_reserved(name, std::nullopt);
  put_code_signing_of(name, {});
  for (const std::string_view kind : {"v", "a", "p", "c", "e", "m"}) tx_.erase_range(kv::prefix_range(key(kind, name)));
}
void WriteStore::erase_version(const std::string& function, uint64_t version) {
  changed(function);
  tx_.erase(version_key("v", function, version));
  erase_event_invoke(function, std::to_string(version));
}
void WriteStore::erase_alias(const std::string& function, const std::string& alias) {
  changed(function);
  tx_.erase(text_key("a", function, alias));
  erase_event_invoke(function, alias);
}
void WriteStore::erase_policy(const std::string& function, const std::string& qualifier) {
  changed(function);
  tx_.erase(text_key("p", function, qualifier));
}
void WriteStore::erase_event_invoke(const std::string& function, const std::string& qualifier) {
  tx_.erase(text_key("e", function, qualifier));
}
void WriteStore::erase_layer_version(const std::string& layer, uint64_t version) {
  tx_.erase(version_key("l", layer, version));
  tx_.erase(version_key("q", layer, version));
}
void WriteStore::erase_layer_policy(const std::string& layer, uint64_t version) {
  tx_.erase(version_key("q", layer, version));
}

}  // namespace virga::lambda
