// Policies of tables and streams: who else may use them.
#include <aws/dynamodb/errors.h>

#include "base/str.h"
#include "kernel/policy.h"
#include "kv/record.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/service.h"
#include "services/dynamodb/streams.h"
#include "services/dynamodb/streams_service.h"

namespace virga::dynamodb {

namespace {

constexpr size_t kMaxPolicyBytes = 20 * 1024;
constexpr std::string_view kNoPolicy = "NO_POLICY";

Error no_policy(std::string_view why) {
  return err::PolicyNotFoundException(cat("Resource-based policy not found for the provided ResourceArn: ", why));
}

// What a policy is attached to: a table's record or a stream's, as a transaction finds it.
struct Policied {
  std::optional<Table> table;
  std::optional<Stream> stream;
  bool found() const { return table || stream; }
  std::string& policy() { return table ? table->policy : stream->policy; }
  std::string& revision() { return table ? table->policy_revision : stream->policy_revision; }
  const std::string& name() const { return table ? table->name : stream->label; }
};

void check_revision(const std::optional<std::string>& expected, Policied& found) {
  const bool none = found.policy().empty();
  if (!expected || *expected == (none ? kNoPolicy : found.revision())) return;
  if (*expected == kNoPolicy) {
    throw no_policy(cat("Requested policy update expecting none to be present for table ", found.name(),
                        ", but a policy exists with revision id ", found.revision(), "."));
  }
  if (none) {
    throw no_policy(cat("Requested update for policy with revision id ", *expected,
                        ", but no policy is associated to target table ", found.name(), "."));
  }
  throw no_policy(cat("Requested update for policy with revision id ", *expected,
                      ", but the policy associated to target table ", found.name(), " has revision id ",
                      found.revision(), "."));
}

Task<Policied> find_policied(Ctx& ctx, kv::Reader& reader, Store& store, std::string arn) {
  Policied out;
  if (!arn.starts_with("arn:")) co_return validation(cat("Invalid ResourceArn: ", arn));
  if (const auto name = stream_named(arn)) {
    if (name->table.region == ctx.region) out.stream = co_await find_stream(reader, *name);
  } else if (const TablePtr table = co_await store.find_table(table_named(ctx, arn))) {
    out.table = *table;
  }
  co_return out;
}

void put_policied(kv::Txn& tx, Store& store, const Policied& changed) {
  if (changed.table) return store.put_table(*changed.table);
  tx.put(stream_key(changed.stream->table, changed.stream->label), kv::encode(*changed.stream));
}

void check_document(const std::string& document) {
  if (document.size() > kMaxPolicyBytes) {
    throw invalid_parameter(cat("Maximum policy size of ", kMaxPolicyBytes, " bytes exceeded"));
  }
  try {
    kernel::policy::parse(document, kernel::policy::Type::kResource);
  } catch (const std::invalid_argument& fault) {
    throw invalid_parameter(cat("Invalid policy document: ", fault.what()));
  }
}

Error no_resource(const std::string& arn) {
  const bool of_table = arn.find("/stream/") == arn.npos;
  return err::ResourceNotFoundException(
      cat("Requested resource not found: ",
          of_table ? cat("Table: ", arn.substr(arn.rfind('/') + 1)) : cat("ResourceArn: ", arn), " not found"));
}

}  // namespace

std::string policy_revision_after(const std::string& before, Time now) {
  return std::to_string(std::max(now.micros / 1000, parse_int(before).value_or(0) + 1));
}

void set_policy(Table& table, const std::string& document) {
  check_document(document);
  table.policy = document;
}

Task<std::optional<std::string>> DynamoService::resource_policy(Ctx& ctx, std::string resource) {
  if (resource.find("/stream/") != resource.npos) {
    const auto reader = db_.snapshot();
    co_return co_await policy_of_stream(*reader, std::move(resource));
  }
  // Every request comes by here, and hardly any table has a policy.
  if (!cache_.has_policies()) co_return std::nullopt;
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
  check_document(in.policy);
  PutResourcePolicyOutput out;
  out.revision_id = co_await transact([&](kv::Txn& tx) -> Task<std::string> {
    Store store(tx, cache_);
    Policied subject = co_await find_policied(ctx, tx, store, in.resource_arn);
    if (!subject.found()) co_await fail(no_resource(in.resource_arn));
    check_revision(in.expected_revision_id, subject);
    if (subject.policy() != in.policy) {
      subject.policy() = in.policy;
      subject.revision() = policy_revision_after(subject.revision(), ctx.now());
      put_policied(tx, store, subject);
    }
    co_return subject.revision();
  });
  co_return out;
}

Task<GetResourcePolicyOutput> DynamoService::get_resource_policy(Ctx& ctx, const GetResourcePolicyInput& in) {
  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  Policied subject = co_await find_policied(ctx, *reader, store, in.resource_arn);
  if (!subject.found()) co_return no_resource(in.resource_arn);
  if (subject.policy().empty()) co_return no_policy(in.resource_arn);
  GetResourcePolicyOutput out;
  out.policy = subject.policy();
  out.revision_id = subject.revision();
  co_return out;
}

Task<DeleteResourcePolicyOutput> DynamoService::delete_resource_policy(Ctx& ctx, const DeleteResourcePolicyInput& in) {
  const std::string was = co_await transact([&](kv::Txn& tx) -> Task<std::string> {
    Store store(tx, cache_);
    Policied subject = co_await find_policied(ctx, tx, store, in.resource_arn);
    if (!subject.found()) co_await fail(no_resource(in.resource_arn));
    check_revision(in.expected_revision_id, subject);
    if (subject.policy().empty()) co_return std::string();
    const std::string revision = std::exchange(subject.revision(), {});
    subject.policy().clear();
    put_policied(tx, store, subject);
    co_return revision;
  });
  DeleteResourcePolicyOutput out;
  if (!was.empty()) out.revision_id = was;
  co_return out;
}

}  // namespace virga::dynamodb
