// Policies of tables: who else may use them.
#include <aws/dynamodb/errors.h>

#include "base/id.h"
#include "base/str.h"
#include "kernel/policy.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/service.h"

namespace virga::dynamodb {

namespace {

constexpr size_t kMaxPolicyBytes = 20 * 1024;
constexpr std::string_view kNoPolicy = "NO_POLICY";

Error no_policy() {
  return err::PolicyNotFoundException("Resource-based policy not found for the provided ResourceArn");
}

TableName policied_table(const Ctx& ctx, const std::string& arn) {
  if (arn.find("/stream/") != std::string::npos) throw validation("Policies of streams are not supported here yet.");
  if (!arn.starts_with("arn:")) throw validation(cat("Invalid ResourceArn: ", arn));
  return table_named(ctx, arn);
}

void check_document(const std::string& document) {
  if (document.size() > kMaxPolicyBytes) {
    throw validation(cat("Resource policy exceeds the maximum size of ", kMaxPolicyBytes, " bytes"));
  }
  try {
    kernel::policy::parse(document, kernel::policy::Type::kResource);
  } catch (const std::invalid_argument& fault) {
    throw validation(cat("Invalid policy document: ", fault.what()));
  }
}

Error no_resource(const std::string& arn) {
  return err::ResourceNotFoundException(cat("Requested resource not found: ResourceArn: ", arn, " not found"));
}

}  // namespace

void set_policy(Table& table, const std::string& document) {
  check_document(document);
  table.policy = document;
  table.policy_revision = uuid();
}

Task<std::optional<std::string>> DynamoService::resource_policy(Ctx& ctx, std::string resource) {
  const auto arn = kernel::parse_arn(resource);
  if (!arn || !arn->resource.starts_with("table/")) co_return std::nullopt;
  const std::string_view path = std::string_view(arn->resource).substr(6);
  TableName name{arn->account, arn->region, std::string(split_once(path, '/').first)};
  TablePtr table = cache_.current(table_key(name));
  if (!table) {
    const auto reader = db_.snapshot();
    Store store(*reader, cache_);
    table = co_await store.find_table(std::move(name));
  }
  if (!table || table->policy.empty()) co_return std::nullopt;
  co_return table->policy;
}

Task<PutResourcePolicyOutput> DynamoService::put_resource_policy(Ctx& ctx, const PutResourcePolicyInput& in) {
  const TableName name = policied_table(ctx, in.resource_arn);
  check_document(in.policy);
  PutResourcePolicyOutput out;
  out.revision_id = co_await transact([&](kv::Txn& tx) -> Task<std::string> {
    Store store(tx, cache_);
    const TablePtr found = co_await store.find_table(name);
    if (!found) co_await fail(no_resource(in.resource_arn));
    Table table = *found;
    const std::string& revision = table.policy.empty() ? std::string(kNoPolicy) : table.policy_revision;
    if (in.expected_revision_id && *in.expected_revision_id != revision) co_await fail(no_policy());
    if (table.policy != in.policy) {
      set_policy(table, in.policy);
      store.put_table(table);
    }
    co_return table.policy_revision;
  });
  co_return out;
}

Task<GetResourcePolicyOutput> DynamoService::get_resource_policy(Ctx& ctx, const GetResourcePolicyInput& in) {
  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  const TablePtr table = co_await store.find_table(policied_table(ctx, in.resource_arn));
  if (!table) co_return no_resource(in.resource_arn);
  if (table->policy.empty()) co_return no_policy();
  GetResourcePolicyOutput out;
  out.policy = table->policy;
  out.revision_id = table->policy_revision;
  co_return out;
}

Task<DeleteResourcePolicyOutput> DynamoService::delete_resource_policy(Ctx& ctx, const DeleteResourcePolicyInput& in) {
  const TableName name = policied_table(ctx, in.resource_arn);
  const std::string was = co_await transact([&](kv::Txn& tx) -> Task<std::string> {
    Store store(tx, cache_);
    const TablePtr found = co_await store.find_table(name);
    if (!found) co_await fail(no_resource(in.resource_arn));
    if (in.expected_revision_id && *in.expected_revision_id != found->policy_revision) co_await fail(no_policy());
    if (found->policy.empty()) co_return std::string();
    Table table = *found;
    table.policy.clear();
    store.put_table(table);
    co_return std::exchange(table.policy_revision, {});
  });
  DeleteResourcePolicyOutput out;
  if (!was.empty()) out.revision_id = was;
  co_return out;
}

}  // namespace virga::dynamodb
