#include <aws/lambda/errors.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/page.h"
#include "services/lambda/limits.h"
#include "services/lambda/policy.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

template <class E>
std::vector<std::string> texts(const std::optional<std::vector<E>>& values) {
  std::vector<std::string> out;
  if (values) {
    for (const E value : *values) out.emplace_back(to_string(value));
  }
  return out;
}

template <class E>
std::vector<E> enums(const std::vector<std::string>& texts) {
  std::vector<E> out;
  for (const std::string& text : texts) {
    E value;
    if (from_string(text, value)) out.push_back(value);
  }
  return out;
}

// What every answer about a layer version says.
template <class Out>
void describe(Out& out, const std::string& arn, const LayerVersionRecord& record) {
  out.layer_version_arn = cat(arn, ":", record.version);
  out.version = static_cast<int64_t>(record.version);
  out.description = record.description;
  out.created_date = iso8601_lambda(record.created);
  out.compatible_runtimes = enums<Runtime>(record.runtimes);
  out.compatible_architectures = enums<Architecture>(record.architectures);
  if (!record.license.empty()) out.license_info = record.license;
}

LayerVersionContentOutput content_of(const LayerVersionRecord& record, std::string location) {
  LayerVersionContentOutput out;
  out.location = std::move(location);
  out.code_sha256 = base64_encode(hex_decode(record.sha256).value_or(""));
  out.code_size = static_cast<int64_t>(record.size);
  return out;
}

Error no_layer() { return err::ResourceNotFoundException("The resource you requested does not exist."); }

uint64_t version_number(int64_t number) {
  if (number < 1) throw err::InvalidParameterValueException("Layer Version Cannot be less than 1");
  return static_cast<uint64_t>(number);
}

// The policy of a layer version that exists, if it has one; of the revision, when one is named.
Task<std::optional<PolicyRecord>> layer_policy(const Ctx& ctx, const Store& store, LayerId id, uint64_t version,
                                               std::optional<std::string> revision) {
  if (!co_await store.find_layer_version(id.name, version)) {
    co_return err::ResourceNotFoundException(
        cat("Layer version ", layer_arn(ctx, id), ":", version, " does not exist."));
  }
  auto policy = co_await store.find_layer_policy(id.name, version);
  if (revision && (!policy || policy->revision != *revision)) co_return wrong_revision("GetLayerPolicy");
  co_return policy;
}

bool fits(const LayerVersionRecord& record, const std::optional<Runtime>& runtime,
          const std::optional<Architecture>& architecture) {
  const auto has = [](const std::vector<std::string>& all, std::string_view one) {
    return all.empty() || std::ranges::find(all, one) != all.end();
  };
  return (!runtime || has(record.runtimes, to_string(*runtime))) &&
         (!architecture || has(record.architectures, to_string(*architecture)));
}

}  // namespace

Task<PublishLayerVersionResponse> LambdaService::publish_layer_version(Ctx& ctx, const PublishLayerVersionRequest& in) {
  const LayerId id = layer_id(ctx, in.layer_name);
  const Code code = co_await take_code(ctx, in.content);
  LayerVersionRecord record;
  record.description = in.description.value_or("");
  record.license = in.license_info.value_or("");
  record.runtimes = texts(in.compatible_runtimes);
  record.architectures = texts(in.compatible_architectures);
  record.code = code.ref;
  record.sha256 = code.sha256;
  record.size = code.size;
  record.unpacked = code.unpacked;
  record.created = ctx.now();
  record.version = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<uint64_t> {
    WriteStore store(tx, {id.account, id.region}, catalog_);
    LayerRecord layer = (co_await store.find_layer(id.name)).value_or(LayerRecord{id.name, 0});
    LayerVersionRecord version = record;
    version.version = ++layer.last_version;
    store.put_layer(layer);
    store.put_layer_version(id.name, version);
    co_await deps_.blobs.keep(tx, record.code);
    co_return version.version;
  });
  PublishLayerVersionResponse out;
  out.layer_arn = layer_arn(ctx, id);
  describe(out, *out.layer_arn, record);
  if (!in.compatible_runtimes) out.compatible_runtimes.reset();
  if (!in.compatible_architectures) out.compatible_architectures.reset();
  out.content = content_of(record, download_url(ctx, record.code));
  co_return out;
}

Task<GetLayerVersionResponse> LambdaService::get_layer_version(Ctx& ctx, const GetLayerVersionRequest& in) {
  const LayerId id = layer_id(ctx, in.layer_name);
  const auto snapshot = deps_.db.snapshot();
  const auto record =
      co_await Store(*snapshot, {id.account, id.region}).find_layer_version(id.name, version_number(in.version_number));
  if (!record) co_return no_layer();
  GetLayerVersionResponse out;
  out.layer_arn = layer_arn(ctx, id);
  describe(out, *out.layer_arn, *record);
  out.content = content_of(*record, download_url(ctx, record->code));
  co_return out;
}

Task<GetLayerVersionResponse> LambdaService::get_layer_version_by_arn(Ctx& ctx, const GetLayerVersionByArnRequest& in) {
  const auto id = parse_layer_arn(in.arn);
  if (!id) co_return err::InvalidParameterValueException(cat("Not the ARN of a layer version: ", in.arn));
  GetLayerVersionRequest request;
  request.layer_name = layer_arn(ctx, *id);
  request.version_number = static_cast<int64_t>(id->version);
  co_return co_await get_layer_version(ctx, request);
}

Task<ListLayerVersionsResponse> LambdaService::list_layer_versions(Ctx& ctx, const ListLayerVersionsRequest& in) {
  const LayerId id = layer_id(ctx, in.layer_name);
  // Versions are shared one by one: to list them all is their owner's.
  if (id.account != ctx.account) {
    co_return err::AccessDeniedException(
        cat("User: ", ctx.principal.arn,
            " is not authorized to perform: lambda:ListLayerVersions on resource: ", layer_arn(ctx, id)));
  }
  const auto snapshot = deps_.db.snapshot();
  const std::string page_of = cat("lambda:ListLayerVersions:", layer_arn(ctx, id));
  const uint64_t below =
      kernel::open_page<uint64_t>(deps_.tokens, ctx, page_of, in.marker, bad_marker()).value_or(UINT64_MAX);
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  ListLayerVersionsResponse out;
  out.layer_versions.emplace();
  for (const LayerVersionRecord& record :
       co_await Store(*snapshot, {id.account, id.region}).list_layer_versions(id.name)) {
    if (record.version >= below || !fits(record, in.compatible_runtime, in.compatible_architecture)) continue;
    if (out.layer_versions->size() == limit) {
      out.next_marker = kernel::seal_page(deps_.tokens, ctx, page_of, record.version + 1);
      break;
    }
    LayerVersionsListItem item;
    describe(item, layer_arn(ctx, id), record);
    out.layer_versions->push_back(std::move(item));
  }
  co_return out;
}

Task<ListLayersResponse> LambdaService::list_layers(Ctx& ctx, const ListLayersRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, {ctx.account, ctx.region});
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  ListLayersResponse out;
  out.layers.emplace();
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, "lambda:ListLayers", in.marker, bad_marker());
  for (const LayerRecord& layer : co_await store.list_layers(after.value_or(""), SIZE_MAX)) {
    if (out.layers->size() == limit) {
      out.next_marker = kernel::seal_page(deps_.tokens, ctx, "lambda:ListLayers", *out.layers->back().layer_name);
      break;
    }
    for (const LayerVersionRecord& record : co_await store.list_layer_versions(layer.name)) {
      if (!fits(record, in.compatible_runtime, in.compatible_architecture)) continue;
      LayersListItem item;
      item.layer_name = layer.name;
      item.layer_arn = layer_arn(ctx, {ctx.account, ctx.region, layer.name, 0});
      item.latest_matching_version.emplace();
      describe(*item.latest_matching_version, *item.layer_arn, record);
      out.layers->push_back(std::move(item));
      break;
    }
  }
  co_return out;
}

Task<op::DeleteLayerVersion::Output> LambdaService::delete_layer_version(Ctx& ctx,
                                                                         const DeleteLayerVersionRequest& in) {
  const LayerId id = layer_id(ctx, in.layer_name);
  const uint64_t version = version_number(in.version_number);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteLayerVersion::Output> {
    WriteStore store(tx, {id.account, id.region}, catalog_);
    // Functions that use the layer keep their own reference to its code.
    if (const auto record = co_await store.find_layer_version(id.name, version)) {
      co_await deps_.blobs.drop(tx, record->code);
      store.erase_layer_version(id.name, version);
    }
    co_return op::DeleteLayerVersion::Output{};
  });
}

Task<AddLayerVersionPermissionResponse> LambdaService::add_layer_version_permission(
    Ctx& ctx, const AddLayerVersionPermissionRequest& in) {
  const LayerId id = layer_id(ctx, in.layer_name);
  const uint64_t version = version_number(in.version_number);
  Json statement = Json::object(
      {{"Sid", in.statement_id},
       {"Effect", "Allow"},
       {"Principal",
        in.principal == "*" ? Json("*") : Json::object({{"AWS", cat("arn:aws:iam::", in.principal, ":root")}})},
       {"Action", in.action},
       {"Resource", cat(layer_arn(ctx, id), ":", version)}});
  if (in.organization_id)
    statement["Condition"] =
        Json::object({{"StringEquals", Json::object({{"aws:PrincipalOrgID", *in.organization_id}})}});
  const PolicyRecord policy = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PolicyRecord> {
    WriteStore store(tx, {id.account, id.region}, catalog_);
    const auto former = co_await layer_policy(ctx, store, id, version, in.revision_id);
    PolicyRecord made = with_statement(former, statement);
    store.put_layer_policy(id.name, version, made);
    co_return made;
  });
  AddLayerVersionPermissionResponse out;
  out.statement = statement.dump();
  out.revision_id = policy.revision;
  co_return out;
}

Task<op::RemoveLayerVersionPermission::Output> LambdaService::remove_layer_version_permission(
    Ctx& ctx, const RemoveLayerVersionPermissionRequest& in) {
  const LayerId id = layer_id(ctx, in.layer_name);
  const uint64_t version = version_number(in.version_number);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::RemoveLayerVersionPermission::Output> {
    WriteStore store(tx, {id.account, id.region}, catalog_);
    const auto former = co_await layer_policy(ctx, store, id, version, in.revision_id);
    if (const auto policy = without_statement(former, in.statement_id, uuid())) {
      store.put_layer_policy(id.name, version, *policy);
    } else {
      store.erase_layer_policy(id.name, version);
    }
    co_return op::RemoveLayerVersionPermission::Output{};
  });
}

Task<GetLayerVersionPolicyResponse> LambdaService::get_layer_version_policy(Ctx& ctx,
                                                                            const GetLayerVersionPolicyRequest& in) {
  const LayerId id = layer_id(ctx, in.layer_name);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, {id.account, id.region});
  const auto policy = co_await layer_policy(ctx, store, id, version_number(in.version_number), {});
  if (!policy) co_return err::ResourceNotFoundException("No policy is associated with the given resource.");
  GetLayerVersionPolicyResponse out;
  out.policy = policy->document;
  out.revision_id = policy->revision;
  co_return out;
}

}  // namespace virga::lambda
