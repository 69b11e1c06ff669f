// AWS::DynamoDB::Table.

#include "base/executor.h"
#include "base/str.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

constexpr std::string_view kApart = "TimeToLiveSpecification PointInTimeRecoverySpecification Tags ResourcePolicy";
constexpr std::string_view kInsights = "ContributorInsightsSpecification";
constexpr std::string_view kUnbuilt[] = {"ImportSourceSpecification", "KinesisStreamSpecification"};
constexpr int kPolls = 600;
constexpr Micros kPollEvery = std::chrono::milliseconds(100);

void refuse_unbuilt(const Call& call) {
  for (const std::string_view name : kUnbuilt) {
    const Json* given = call.find(name);
    if (!given) continue;
    const Json* enabled = given->find("Enabled");
    if (!enabled || *enabled != Json(false)) throw not_served(cat("The property ", name, " of AWS::DynamoDB::Table"));
  }
}

Json table_input(const Call& call) {
  Json input = without(call.properties, kApart);
  for (const std::string_view name : kUnbuilt) input.erase(name);
  input.erase(kInsights);
  if (Json* indexes = input.find("GlobalSecondaryIndexes"); indexes && indexes->is_array()) {
    for (Json& index : indexes->as_array()) index.erase(kInsights);
  }
  input["TableName"] = call.physical_id;
  if (Json* stream = input.find("StreamSpecification")) (*stream)["StreamEnabled"] = true;
  if (Json* encryption = input.find("SSESpecification")) {
    if (const Json* enabled = encryption->find("SSEEnabled")) *encryption = Json::object({{"Enabled", *enabled}});
  }
  return input;
}

Task<Json> active_table(Call& call) {
  for (int i = 0; i < kPolls; ++i) {
    const Json out = co_await call.api("dynamodb", "DescribeTable", Json::object({{"TableName", call.physical_id}}));
    const Json& table = *out.find("Table");
    bool settled = table.string_or("TableStatus") == "ACTIVE";
    if (const Json* indexes = table.find("GlobalSecondaryIndexes")) {
      for (const Json& index : indexes->as_array())
        settled = settled && index.string_or("IndexStatus", "ACTIVE") == "ACTIVE";
    }
    if (settled) co_return table;
    co_await sleep_for(kPollEvery);
  }
  co_return validation_error(cat("Table ", call.physical_id, " did not become active in time"));
}

Made made_of(const Call& call, const Json& table) {
  Made made{call.physical_id, Json::object({{"Arn", table.string_or("TableArn")}})};
  if (const Json* stream = table.find("LatestStreamArn")) made.attributes["StreamArn"] = *stream;
  return made;
}

const Json* index_named(const Json* indexes, const std::string& name) {
  if (!indexes || !indexes->is_array()) return nullptr;
  for (const Json& index : indexes->as_array()) {
    if (index.string_or("IndexName") == name) return &index;
  }
  return nullptr;
}

// Of the table, or of an index. `former`: what it was before, null for a new one.
Task<void> set_insights(Call& call, const Json& wanted, const Json* former, const std::string& index) {
  const Json* now = wanted.find(kInsights);
  const Json* before = former ? former->find(kInsights) : nullptr;
  const bool same = now && before ? *now == *before : !now && !before;
  if (same) co_return;
  const Json* enabled = now ? now->find("Enabled") : nullptr;
  const bool enable = enabled && *enabled != Json(false) && *enabled != Json("false");
  Json input =
      Json::object({{"TableName", call.physical_id}, {"ContributorInsightsAction", enable ? "ENABLE" : "DISABLE"}});
  if (!index.empty()) input["IndexName"] = index;
  if (const Json* mode = now ? now->find("Mode") : nullptr) input["ContributorInsightsMode"] = *mode;
  co_await call.api("dynamodb", "UpdateContributorInsights", std::move(input));
}

Task<void> set_extras(Call& call, bool fresh) {
  co_await set_insights(call, call.properties, fresh ? nullptr : &call.former, "");
  if (const Json* indexes = call.find("GlobalSecondaryIndexes"); indexes && indexes->is_array()) {
    for (const Json& index : indexes->as_array()) {
      const std::string name = index.string_or("IndexName");
      const Json* before = fresh ? nullptr : index_named(call.former.find("GlobalSecondaryIndexes"), name);
      const bool kept = before && need(*before, "KeySchema") == need(index, "KeySchema");
      co_await set_insights(call, index, kept ? before : nullptr, name);
    }
  }
  const Json* life = call.find("TimeToLiveSpecification");
  if (life && (fresh || call.changed("TimeToLiveSpecification"))) {
    Json specification = *life;
    co_await call.api("dynamodb", "UpdateTimeToLive",
                      Json::object({{"TableName", call.physical_id}, {"TimeToLiveSpecification", specification}}));
  }
  if (fresh ? call.find("ResourcePolicy") != nullptr : call.changed("ResourcePolicy")) {
    const Json table = co_await call.api("dynamodb", "DescribeTable", Json::object({{"TableName", call.physical_id}}));
    const std::string arn = table.find("Table")->string_or("TableArn");
    const Json* policy = call.find("ResourcePolicy");
    const Json* document = policy ? policy->find("PolicyDocument") : nullptr;
    if (document) {
      co_await call.api("dynamodb", "PutResourcePolicy",
                        Json::object({{"ResourceArn", arn}, {"Policy", document->dump()}}));
    } else {
      co_await call.api("dynamodb", "DeleteResourcePolicy", Json::object({{"ResourceArn", arn}}));
    }
  }
  const Json* recovery = call.find("PointInTimeRecoverySpecification");
  if (recovery && (fresh || call.changed("PointInTimeRecoverySpecification"))) {
    co_await call.api("dynamodb", "UpdateContinuousBackups",
                      Json::object({{"TableName", call.physical_id}, {"PointInTimeRecoverySpecification", *recovery}}));
  }
}

Task<Made> create_table(Call& call) {
  refuse_unbuilt(call);
  Json input = table_input(call);
  if (Json tags = call.tag_list(); !tags.as_array().empty()) input["Tags"] = std::move(tags);
  co_await call.create("ResourceInUseException", "dynamodb", "CreateTable", std::move(input));
  call.created = call.physical_id;
  co_await active_table(call);
  co_await set_extras(call, true);
  co_return made_of(call, co_await active_table(call));
}

// One change to the indexes at a time, which is all that UpdateTable takes.
Task<void> update_indexes(Call& call) {
  const Json* now = call.find("GlobalSecondaryIndexes");
  const Json* before = call.former.find("GlobalSecondaryIndexes");
  std::vector<Json> changes;
  if (before && before->is_array()) {
    for (const Json& index : before->as_array()) {
      const Json* kept = index_named(now, index.string_or("IndexName"));
      const bool same_keys = kept && need(*kept, "KeySchema") == need(index, "KeySchema");
      if (!same_keys) changes.push_back(Json::object({{"Delete", only(index, "IndexName")}}));
    }
  }
  if (now && now->is_array()) {
    for (const Json& index : now->as_array()) {
      const Json* old = index_named(before, index.string_or("IndexName"));
      const bool same_keys = old && need(*old, "KeySchema") == need(index, "KeySchema");
      if (!same_keys)
        changes.push_back(Json::object({{"Create", without(index, kInsights)}}));
      else if (index.find("ProvisionedThroughput") && *old != index)
        changes.push_back(Json::object({{"Update", only(index, "IndexName ProvisionedThroughput")}}));
    }
  }
  for (Json& change : changes) {
    Json input = only(call.properties, "AttributeDefinitions");
    input["TableName"] = call.physical_id;
    input["GlobalSecondaryIndexUpdates"] = Json(Json::Array{std::move(change)});
    co_await call.api("dynamodb", "UpdateTable", std::move(input));
    co_await active_table(call);
  }
}

Task<Made> update_table(Call& call) {
  refuse_unbuilt(call);
  // UpdateTable takes what bills together, and everything else alone.
  const std::vector<std::vector<const char*>> changes = {{"BillingMode", "ProvisionedThroughput", "OnDemandThroughput"},
                                                         {"StreamSpecification"},
                                                         {"SSESpecification"},
                                                         {"TableClass"},
                                                         {"DeletionProtectionEnabled"},
                                                         {"WarmThroughput"}};
  const Json ready = table_input(call);
  for (const auto& names : changes) {
    Json input = Json::object({{"TableName", call.physical_id}});
    for (const char* name : names) {
      if (!call.changed(name)) continue;
      if (const Json* value = ready.find(name)) {
        input[name] = *value;
      } else if (std::string_view(name) == "StreamSpecification") {
        input[name] = Json::object({{"StreamEnabled", false}});
      } else if (std::string_view(name) == "DeletionProtectionEnabled") {
        input[name] = false;
      }
    }
    if (input.as_object().size() == 1) continue;
    co_await call.api("dynamodb", "UpdateTable", std::move(input));
    co_await active_table(call);
  }
  if (call.changed("GlobalSecondaryIndexes")) co_await update_indexes(call);
  co_await set_extras(call, false);
  const Json table = co_await active_table(call);
  if (call.changed("Tags")) {
    const Json tags = call.tag_list();
    Json gone = Json::array();
    if (const Json* before = call.former.find("Tags"); before && before->is_array()) {
      for (const Json& tag : before->as_array()) {
        if (!call.tag_map().find(tag.string_or("Key"))) gone.push_back(tag.string_or("Key"));
      }
    }
    const std::string arn = table.string_or("TableArn");
    if (!gone.as_array().empty())
      co_await call.api("dynamodb", "UntagResource", Json::object({{"ResourceArn", arn}, {"TagKeys", gone}}));
    if (!tags.as_array().empty())
      co_await call.api("dynamodb", "TagResource", Json::object({{"ResourceArn", arn}, {"Tags", tags}}));
  }
  co_return made_of(call, table);
}

Task<void> remove_table(Call& call) {
  const Json name = Json::object({{"TableName", call.physical_id}});
  co_await call.api_unless("ResourceNotFoundException", "dynamodb", "DeleteTable", name);
  for (int i = 0; i < kPolls; ++i) {
    if (!co_await call.api_unless("ResourceNotFoundException", "dynamodb", "DescribeTable", name)) co_return;
    co_await sleep_for(kPollEvery);
  }
  co_await fail(validation_error(cat("Table ", call.physical_id, " was not deleted in time")));
}

constexpr Provider kProviders[] = {{.type = "AWS::DynamoDB::Table",
                                    .name_property = "TableName",
                                    .name_most = 255,
                                    .replace_on = "KeySchema LocalSecondaryIndexes ImportSourceSpecification",
                                    .create = create_table,
                                    .update = update_table,
                                    .remove = remove_table}};

}  // namespace

std::span<const Provider> dynamodb_providers() { return kProviders; }

}  // namespace virga::cloudformation
