#include "services/cloudformation/resources/provider.h"

#include <algorithm>

#include "base/id.h"
#include "base/source.h"
#include "base/str.h"
#include "services/cloudformation/intrinsics.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/typed_json.h"

namespace virga::cloudformation {

namespace {

bool names(std::string_view list, std::string_view name) {
  return !name.empty() && cat(" ", list, " ").find(cat(" ", name, " ")) != std::string::npos;
}

const kernel::Operation* find_operation(kernel::Cloud& cloud, const std::string& service,
                                        const std::string& operation) {
  const kernel::Service* found = cloud.find_service(service);
  if (!found) return nullptr;
  for (const wire::OperationModel& model : found->model().operations) {
    if (model.name == operation) return cloud.find(model);
  }
  return nullptr;
}

void add_tags(const Json& properties, Json& out) {
  const Json* own = properties.find("Tags");
  if (own && own->is_object()) {
    for (const auto& [key, value] : own->as_object()) out[key] = value;
  } else if (own && own->is_array()) {
    for (const Json& tag : own->as_array())
      out[tag.string_or("Key")] = tag.find("Value") ? scalar_text(*tag.find("Value")) : "";
  }
}

void check_properties(const Provider& provider, const Call& call) {
  if (provider.properties.empty()) return;
  for (const auto& [key, value] : call.properties.as_object()) {
    if (names(provider.properties, key)) continue;
    throw validation_error(cat("Properties validation failed for resource ", call.logical_id,
                               " with message: [#: extraneous key [", key, "] is not permitted]"));
  }
}

std::string clipped(std::string text, size_t most) {
  if (text.size() > most) text.resize(most);
  return text;
}

}  // namespace

Task<Json> Call::api(std::string service, std::string operation, Json input) {
  const kernel::Operation* op = find_operation(cloud, service, operation);
  if (!op) co_return not_served(cat("The operation ", service, ":", operation, ", which ", type, " needs,"));
  TypedValue in(op->model->input), out(op->model->output);
  if (op->model->input) fill(*op->model->input, input, in.get());
  co_await cloud.dispatch(ctx, *op, in.get(), out.get());
  co_return op->model->output ? read(*op->model->output, out.get()) : Json::object();
}

Task<std::optional<Json>> Call::api_unless(std::string codes, std::string service, std::string operation, Json input) {
  auto result = co_await as_result(api(std::move(service), std::move(operation), std::move(input)));
  if (result) co_return std::optional<Json>(std::move(*result));
  const Error* error = error_of(result);
  if (!error || !names(codes, error->shape->code)) co_await fail_with(std::move(result.error()));
  co_return std::optional<Json>();
}

Task<std::optional<Json>> Call::create(std::string codes, std::string service, std::string operation, Json input) {
  co_return co_await api_unless(repeated ? std::move(codes) : std::string(), std::move(service), std::move(operation),
                                std::move(input));
}

Task<std::string> Call::object(std::string bucket, std::string key, std::string version, uint64_t most) {
  const kernel::Operation* op = find_operation(cloud, "s3", "GetObject");
  if (!op) co_return not_served("The operation s3:GetObject");
  TypedValue in(op->model->input), out(op->model->output);
  Json input = Json::object({{"Bucket", bucket}, {"Key", key}});
  if (!version.empty()) input["VersionId"] = version;
  fill(*op->model->input, input, in.get());
  co_await cloud.dispatch(ctx, *op, in.get(), out.get());
  const wire::Member* body = find_member(*op->model->output->structure, "Body");
  const auto& stream = *static_cast<const Body*>(body->access->get(static_cast<const char*>(out.get()) + body->offset));
  if (!stream) co_return std::string();
  co_return co_await read_all(*stream, most,
                              validation_error(cat("s3://", bucket, "/", key, " is larger than ", most, " bytes.")));
}

bool Call::changed(std::string_view property) const {
  const Json* was = former.find(property);
  const Json* is = properties.find(property);
  return was && is ? *was != *is : was != is;
}

std::string Call::text(std::string_view property) const {
  const Json* value = properties.find(property);
  return value && !value->is_object() && !value->is_array() ? scalar_text(*value) : "";
}

Json Call::tag_map() const {
  Json out = Json::object();
  for (const auto& [key, value] : stack_tags) out[key] = value;
  add_tags(properties, out);
  return out;
}

Json Call::tag_list() const {
  Json out = Json::array();
  const Json all = tag_map();
  for (const auto& [key, value] : all.as_object()) out.push_back(Json::object({{"Key", key}, {"Value", value}}));
  return out;
}

Task<void> Call::retag(std::string service, std::string member, std::string arn, Json tags) {
  const Json now = tag_map();
  Json before = Json::object(), gone = Json::array();
  add_tags(former, before);
  for (const auto& [key, value] : before.as_object()) {
    if (!now.find(key)) gone.push_back(key);
  }
  if (!gone.as_array().empty())
    co_await api(service, "UntagResource", Json::object({{member, arn}, {"TagKeys", std::move(gone)}}));
  if (!now.as_object().empty())
    co_await api(service, "TagResource", Json::object({{member, arn}, {"Tags", std::move(tags)}}));
}

const Json& need(const Json& from, std::string_view key) {
  const Json* found = from.find(key);
  if (!found)
    throw validation_error(cat("Properties validation failed with message: #: required key [", key, "] not found"));
  return *found;
}

Json without(Json value, std::string_view excluded) {
  Json out = Json::object();
  for (auto& [key, member] : value.as_object()) {
    if (!names(excluded, key)) out.as_object().emplace_back(key, std::move(member));
  }
  return out;
}

Json only(const Json& value, std::string_view wanted) {
  Json out = Json::object();
  for (const auto& [key, member] : value.as_object()) {
    if (names(wanted, key)) out.as_object().emplace_back(key, member);
  }
  return out;
}

std::string document_text(const Json& document) {
  return document.is_string() ? document.as_string() : document.dump();
}

Task<Made> create(const Provider& provider, Call& call) {
  check_properties(provider, call);
  co_return co_await provider.create(call);
}

Task<Made> update(const Provider& provider, Call& call) {
  check_properties(provider, call);
  co_return co_await provider.update(call);
}

const Provider* find_provider(std::string_view type) {
  for (const auto all :
       {dynamodb_providers(), iam_providers(), lambda_providers(), lambda_access_providers(), s3_providers(),
        logs_providers(), apigatewayv2_providers(), sns_providers(), sqs_providers(), events_providers(),
        scheduler_providers(), pipes_providers(), application_autoscaling_providers()}) {
    for (const Provider& provider : all) {
      if (provider.type == type) return &provider;
    }
  }
  return nullptr;
}

Recreation recreation_of(std::string_view type, std::string_view property) {
  const Provider* provider = find_provider(type);
  if (!provider) return Recreation::kNever;
  const bool always = !provider->update || provider->replace_on == "*" || names(provider->replace_on, property) ||
                      property == provider->name_property;
  return always ? Recreation::kAlways : Recreation::kNever;
}

std::string plan_name(const Provider& provider, const std::string& stack_name, const std::string& logical_id,
                      const Json& properties) {
  const Json* given = provider.name_property.empty() ? nullptr : properties.find(provider.name_property);
  if (given) return scalar_text(*given);
  const std::string random = random_upper_alnum(12);
  const size_t room = provider.name_most > random.size() + 2 ? provider.name_most - random.size() - 2 : 2;
  const size_t for_logical =
      std::min(logical_id.size(), std::max(room / 2, room > stack_name.size() ? room - stack_name.size() : 0));
  std::string name = cat(clipped(stack_name, room - for_logical), "-", clipped(logical_id, for_logical), "-", random);
  return provider.lower_name ? lower(name) : name;
}

}  // namespace virga::cloudformation
