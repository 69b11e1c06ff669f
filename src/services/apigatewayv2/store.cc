#include "services/apigatewayv2/store.h"

#include "kv/key.h"
#include "kv/record.h"

namespace virga::apigatewayv2 {
namespace {

std::string api_key(std::string_view id) { return kv::KeyWriter("apigw2").raw("a").text(id).take(); }
std::string list_prefix(std::string_view account, std::string_view region) {
  return kv::KeyWriter("apigw2").raw("l").text(account).text(region).take();
}

}  // namespace

Task<std::optional<ApiRecord>> find_api(kv::Reader& reader, std::string id) {
  const auto bytes = co_await reader.get(api_key(id));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<ApiRecord>(*bytes);
}

Task<std::vector<ApiRecord>> list_apis(kv::Reader& reader, std::string account, std::string region, std::string after,
                                       size_t limit) {
  const std::string prefix = list_prefix(account, region);
  kv::Range range = kv::prefix_range(prefix);
  if (!after.empty()) range.begin = prefix + after + '\0';
  std::vector<ApiRecord> apis;
  for (const kv::Entry& entry : co_await reader.scan(range, {.limit = limit})) {
    if (auto api = co_await find_api(reader, entry.key.substr(prefix.size()))) apis.push_back(std::move(*api));
  }
  co_return apis;
}

void put_api(kv::Txn& tx, const ApiRecord& api) {
  tx.put(api_key(api.id), kv::encode(api));
  tx.put(list_prefix(api.account, api.region) + api.id, "");
}

void erase_api(kv::Txn& tx, const ApiRecord& api) {
  tx.erase(api_key(api.id));
  tx.erase(list_prefix(api.account, api.region) + api.id);
}

}  // namespace virga::apigatewayv2
