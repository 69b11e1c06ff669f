// How resource types are made: one Provider a type, each a handful of calls to the service that owns it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/task.h"
#include "kernel/cloud.h"
#include "services/cloudformation/changes.h"
#include "services/cloudformation/store.h"

namespace virga::cloudformation {

// What a provider made: the physical id is what Ref answers, the attributes are what Fn::GetAtt does.
struct Made {
  std::string physical_id;
  Json attributes = Json::object();
};

// One step on one resource. The same step may run again after a crash: a creation then finds `repeated` set and takes
// what exists under its planned name as its own.
struct Call {
  kernel::Cloud& cloud;
  kernel::Ctx& ctx;  // acts as the operation's caller, or the stack's role
  std::string stack_id, stack_name, logical_id, type;
  std::string physical_id;  // creation: the name planned for it; else what it is
  std::string token;        // the same when the step runs again, another for any other step
  Json properties = Json::object();
  Json former = Json::object();  // update: the properties before
  Json attributes = Json::object();
  TagList stack_tags;
  bool repeated = false;
  // Set as soon as something exists that a failure later in the creation would leave behind.
  std::string created;

  // A call to another service, by its model's names. Fails with that service's refusal.
  Task<Json> api(std::string service, std::string operation, Json input);
  // The same; nothing when it refuses with one of `codes` (separated by spaces).
  Task<std::optional<Json>> api_unless(std::string codes, std::string service, std::string operation, Json input);
  // A creating call: nothing when the step is repeated and the service says by one of `codes` that it exists.
  Task<std::optional<Json>> create(std::string codes, std::string service, std::string operation, Json input);
  // An object's payload from S3, at most `most` bytes.
  Task<std::string> object(std::string bucket, std::string key, std::string version, uint64_t most);

  // Whether an update changes `property`.
  bool changed(std::string_view property) const;
  const Json* find(std::string_view property) const { return properties.find(property); }
  // The property as text; empty when absent.
  std::string text(std::string_view property) const;
  // The resource's tags with the stack's behind them, as [{Key, Value}] or as a map.
  Json tag_list() const;
  Json tag_map() const;
  // Makes `tags` (a list or a map) those of `arn`, without what the properties had before. `member`: as what the
  // service's TagResource and UntagResource take the ARN.
  Task<void> retag(std::string service, std::string member, std::string arn, Json tags);
};

// The member `key`; throws what AWS says of a property that lacks it.
const Json& need(const Json& from, std::string_view key);
// `value` without the members named (separated by spaces).
Json without(Json value, std::string_view names);
// Only the members named.
Json only(const Json& value, std::string_view names);
// A policy document as the text that APIs take: text stays, an object is written out.
std::string document_text(const Json& document);

struct Provider {
  std::string_view type;
  std::string_view name_property;  // names the resource; empty: the service gives the id
  size_t name_most = 64;           // characters of a generated name
  bool lower_name = false;
  // All that the type may have (separated by spaces); empty: whatever its operations take.
  std::string_view properties;
  std::string_view replace_on;  // properties (separated by spaces) that only a new resource can change; "*": all
  Task<Made> (*create)(Call&);
  Task<Made> (*update)(Call&);  // null when every change takes a new resource
  Task<void> (*remove)(Call&);  // completes when it is gone, also when it was gone before
};

// Creates or updates by the provider; refuses properties that the type doesn't have.
Task<Made> create(const Provider& provider, Call& call);
Task<Made> update(const Provider& provider, Call& call);
// Null when the type is not served.
const Provider* find_provider(std::string_view type);
Recreation recreation_of(std::string_view type, std::string_view property);
// The name for a new physical resource: what the property says, else <stack>-<logical id>-<random> within the limit.
std::string plan_name(const Provider& provider, const std::string& stack_name, const std::string& logical_id,
                      const Json& properties);

std::span<const Provider> dynamodb_providers();
std::span<const Provider> events_providers();
std::span<const Provider> iam_providers();
std::span<const Provider> lambda_providers();
std::span<const Provider> lambda_access_providers();
std::span<const Provider> s3_providers();
std::span<const Provider> logs_providers();
std::span<const Provider> pipes_providers();
std::span<const Provider> scheduler_providers();
std::span<const Provider> apigatewayv2_providers();
std::span<const Provider> application_autoscaling_providers();
std::span<const Provider> sns_providers();
std::span<const Provider> sqs_providers();

}  // namespace virga::cloudformation
