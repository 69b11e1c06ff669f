// AWS::S3::Bucket and BucketPolicy.
#include "base/str.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

// Properties that are an operation of their own: the property, the operation, the member it goes to.
struct Setting {
  const char* property;
  const char* operation;
  const char* member;
};
constexpr Setting kSettings[] = {
    {"VersioningConfiguration", "PutBucketVersioning", "VersioningConfiguration"},
    {"PublicAccessBlockConfiguration", "PutPublicAccessBlock", "PublicAccessBlockConfiguration"},
    {"CorsConfiguration", "PutBucketCors", "CORSConfiguration"},
    {"WebsiteConfiguration", "PutBucketWebsite", "WebsiteConfiguration"},
    {"OwnershipControls", "PutBucketOwnershipControls", "OwnershipControls"},
    {"LifecycleConfiguration", "PutBucketLifecycleConfiguration", "LifecycleConfiguration"},
    {"BucketEncryption", "PutBucketEncryption", "ServerSideEncryptionConfiguration"},
    {"NotificationConfiguration", "PutBucketNotificationConfiguration", "NotificationConfiguration"},
};

Made made_of(const Call& call) {
  const std::string& name = call.physical_id;
  return {name,
          Json::object({{"Arn", cat("arn:", call.ctx.partition, ":s3:::", name)},
                        {"DomainName", cat(name, ".s3.amazonaws.com")},
                        {"RegionalDomainName", cat(name, ".s3.", call.ctx.region, ".amazonaws.com")},
                        {"DualStackDomainName", cat(name, ".s3.dualstack.", call.ctx.region, ".amazonaws.com")},
                        {"WebsiteURL", cat("http://", name, ".s3-website-", call.ctx.region, ".amazonaws.com")}})};
}

// A template's notification configuration as the API has it.
Json notifications(const Json& configuration) {
  Json out = Json::object();
  for (const auto& [list, target, api_list, api_target] :
       {std::tuple{"LambdaConfigurations", "Function", "LambdaFunctionConfigurations", "LambdaFunctionArn"},
        {"QueueConfigurations", "Queue", "QueueConfigurations", "QueueArn"},
        {"TopicConfigurations", "Topic", "TopicConfigurations", "TopicArn"}}) {
    const Json* all = configuration.find(list);
    if (!all || !all->is_array()) continue;
    for (const Json& one : all->as_array()) {
      Json entry = Json::object({{"Events", Json(Json::Array{need(one, "Event")})}, {api_target, need(one, target)}});
      if (const Json* filter = one.find("Filter")) {
        const Json* key = filter->find("S3Key");
        entry["Filter"] = Json::object(
            {{"Key",
              Json::object({{"FilterRules", key && key->find("Rules") ? *key->find("Rules") : Json::array()}})}});
      }
      out[api_list].push_back(std::move(entry));
    }
  }
  if (configuration.find("EventBridgeConfiguration")) out["EventBridgeConfiguration"] = Json::object();
  return out;
}

Json setting_input(const Setting& setting, const Json& value) {
  const std::string_view property = setting.property;
  if (property == "NotificationConfiguration") return notifications(value);
  if (property == "CorsConfiguration") {
    Json rules = Json::array();
    const Json* given = value.find("CorsRules");
    if (given && given->is_array()) {
      for (const Json& rule : given->as_array()) {
        Json one = without(rule, "Id MaxAge ExposedHeaders");
        if (const Json* id = rule.find("Id")) one["ID"] = *id;
        if (const Json* age = rule.find("MaxAge")) one["MaxAgeSeconds"] = *age;
        if (const Json* headers = rule.find("ExposedHeaders")) one["ExposeHeaders"] = *headers;
        rules.push_back(std::move(one));
      }
    }
    return Json::object({{"CORSRules", rules}});
  }
  if (property == "BucketEncryption") {
    Json rules = Json::array();
    const Json* given = value.find("ServerSideEncryptionConfiguration");
    if (given && given->is_array()) {
      for (const Json& rule : given->as_array()) {
        Json one = without(rule, "ServerSideEncryptionByDefault");
        if (const Json* by_default = rule.find("ServerSideEncryptionByDefault"))
          one["ApplyServerSideEncryptionByDefault"] = *by_default;
        rules.push_back(std::move(one));
      }
    }
    return Json::object({{"Rules", rules}});
  }
  return value;
}

Task<void> set_all(Call& call, bool fresh) {
  for (const auto& [property, value] : call.properties.as_object()) {
    bool known = property == "BucketName" || property == "Tags" || property == "ObjectLockEnabled";
    for (const Setting& setting : kSettings) {
      if (property != setting.property) continue;
      known = true;
      if (!fresh && !call.changed(property)) continue;
      co_await call.api("s3", setting.operation,
                        Json::object({{"Bucket", call.physical_id}, {setting.member, setting_input(setting, value)}}));
    }
    if (!known) co_await fail(not_served(cat("The property ", property, " of AWS::S3::Bucket")));
  }
  const Json tags = call.tag_list();
  if (!tags.as_array().empty() && (fresh || call.changed("Tags"))) {
    co_await call.api("s3", "PutBucketTagging",
                      Json::object({{"Bucket", call.physical_id}, {"Tagging", Json::object({{"TagSet", tags}})}}));
  } else if (!fresh && call.changed("Tags")) {
    co_await call.api("s3", "DeleteBucketTagging", Json::object({{"Bucket", call.physical_id}}));
  }
}

Task<Made> create_bucket(Call& call) {
  Json input = Json::object({{"Bucket", call.physical_id}});
  if (call.ctx.region != "us-east-1")
    input["CreateBucketConfiguration"] = Json::object({{"LocationConstraint", call.ctx.region}});
  co_await call.create("BucketAlreadyOwnedByYou", "s3", "CreateBucket", std::move(input));
  call.created = call.physical_id;
  co_await set_all(call, true);
  co_return made_of(call);
}

Task<Made> update_bucket(Call& call) {
  co_await set_all(call, false);
  co_return made_of(call);
}

Task<void> remove_bucket(Call& call) {
  co_await call.api_unless("NoSuchBucket", "s3", "DeleteBucket", Json::object({{"Bucket", call.physical_id}}));
}

Task<Made> put_policy(Call& call) {
  const std::string bucket = call.text("Bucket");
  const Json* document = call.find("PolicyDocument");
  if (bucket.empty() || !document) co_return validation_error("AWS::S3::BucketPolicy needs Bucket and PolicyDocument");
  co_await call.api("s3", "PutBucketPolicy", Json::object({{"Bucket", bucket}, {"Policy", document_text(*document)}}));
  co_return Made{bucket};
}

Task<void> remove_policy(Call& call) {
  co_await call.api_unless("NoSuchBucket NoSuchBucketPolicy", "s3", "DeleteBucketPolicy",
                           Json::object({{"Bucket", call.physical_id}}));
}

constexpr Provider kProviders[] = {
    {.type = "AWS::S3::Bucket",
     .name_property = "BucketName",
     .name_most = 63,
     .lower_name = true,
     .replace_on = "ObjectLockEnabled",
     .create = create_bucket,
     .update = update_bucket,
     .remove = remove_bucket},
    {.type = "AWS::S3::BucketPolicy",
     .name_property = "",
     .replace_on = "Bucket",
     .create = put_policy,
     .update = put_policy,
     .remove = remove_policy},
};

}  // namespace

std::span<const Provider> s3_providers() { return kProviders; }

}  // namespace virga::cloudformation
