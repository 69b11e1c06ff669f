// Who hears of a bucket's objects: functions, queues and topics by their configurations, and the account's default
// event bus. What is told is a delivery of the transaction that changed the object.
#include <aws/lambda/ops.h>
#include <aws/s3/errors.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/target_delivery.h"
#include "services/s3/service.h"

namespace virga::s3 {
namespace {

constexpr size_t kMostNotifications = 100;
constexpr const char* kSubject = "Amazon S3 Notification";  // of messages of topics

template <class C>
Notification notification_of(const C& in, std::string target) {
  Notification out;
  out.id = in.id.value_or(uuid());
  out.target = std::move(target);
  for (const Event event : in.events) out.events.emplace_back(to_string(event));
  if (in.filter && in.filter->key && in.filter->key->filter_rules) {
    for (const FilterRule& rule : *in.filter->key->filter_rules) {
      const bool prefix = equals_ignoring_case(rule.name.value_or(""), "prefix");
      if (!prefix && !equals_ignoring_case(rule.name.value_or(""), "suffix"))
        throw err::InvalidArgument("filter rule name must be either prefix or suffix");
      (prefix ? out.prefix : out.suffix) = rule.value.value_or("");
    }
  }
  return out;
}

template <class C>
C described(const Notification& n) {
  C out;
  out.id = n.id;
  for (const std::string& text : n.events) {
    Event event{};
    if (from_string(text, event)) out.events.push_back(event);
  }
  if (!n.prefix.empty() || !n.suffix.empty()) {
    auto& rules = out.filter.emplace().key.emplace().filter_rules.emplace();
    if (!n.prefix.empty()) rules.push_back({"Prefix", n.prefix});
    if (!n.suffix.empty()) rules.push_back({"Suffix", n.suffix});
  }
  return out;
}

bool wants(const Notification& n, const std::string& key, std::string_view what) {
  if (!key.starts_with(n.prefix) || !key.ends_with(n.suffix)) return false;
  return std::any_of(n.events.begin(), n.events.end(), [&](std::string_view event) {
    event.remove_prefix(3);  // s3:
    return event == what || (event.ends_with('*') && what.starts_with(event.substr(0, event.size() - 1)));
  });
}

bool shares_event(const Notification& a, const Notification& b) {
  const auto covers = [](std::string_view wide, std::string_view event) {
    return wide == event || (wide.ends_with('*') && event.starts_with(wide.substr(0, wide.size() - 1)));
  };
  return std::ranges::any_of(a.events, [&](const std::string& one) {
    return std::ranges::any_of(b.events,
                               [&](const std::string& other) { return covers(one, other) || covers(other, one); });
  });
}

// Whether one key of one event could be told twice.
bool overlap(const Notification& a, const Notification& b) {
  const bool prefixes = a.prefix.starts_with(b.prefix) || b.prefix.starts_with(a.prefix);
  const bool suffixes = a.suffix.ends_with(b.suffix) || b.suffix.ends_with(a.suffix);
  return prefixes && suffixes && shares_event(a, b);
}

void refuse_overlaps(const std::vector<Notification>& all) {
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (!overlap(all[i], all[j])) continue;
      const bool filtered = !cat(all[i].prefix, all[i].suffix, all[j].prefix, all[j].suffix).empty();
      throw err::InvalidArgument(
          filtered ? "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the "
                     "prefixes are overlapping for the same event type."
                   : "Configurations overlap. Configurations on the same bucket cannot share a common event type.");
    }
  }
}

// Grows with time, in hexadecimal: tells which of two events of a key came later.
std::string sequencer(Time now) {
  std::string bytes;
  append_be64(bytes, static_cast<uint64_t>(now.micros));
  return upper(hex_encode(bytes));
}

std::string record_of(const Ctx& ctx, const BucketRecord& bucket, const Notification& n, const std::string& key,
                      const ObjectRecord* object, std::string_view what, Time now) {
  Json o = Json::object({{"key", replace_all(percent_encode(key, true), "%20", "+")}});
  const bool tagging = what.starts_with("ObjectTagging:");
  if (object && !tagging) o["size"] = static_cast<int64_t>(object->content.size);
  if (object) o["eTag"] = object->etag;
  if (!tagging) o["sequencer"] = sequencer(now);
  Json record = Json::object({{"eventVersion", tagging ? "2.3" : "2.1"},
                              {"eventSource", "aws:s3"},
                              {"awsRegion", bucket.region},
                              {"eventTime", iso8601_millis(now)},
                              {"eventName", what}});
  record["userIdentity"] = Json::object({{"principalId", cat("AWS:", ctx.principal.user_id)}});
  record["requestParameters"] = Json::object({{"sourceIPAddress", ctx.source_ip}});
  record["responseElements"] = Json::object({{"x-amz-request-id", ctx.request_id}, {"x-amz-id-2", ctx.request_id}});
  record["s3"] =
      Json::object({{"s3SchemaVersion", "1.0"},
                    {"configurationId", n.id},
                    {"bucket", Json::object({{"name", bucket.name},
                                             {"ownerIdentity", Json::object({{"principalId", bucket.account}})},
                                             {"arn", cat("arn:aws:s3:::", bucket.name)}})},
                    {"object", std::move(o)}});
  return Json::object({{"Records", Json(Json::Array{std::move(record)})}}).dump();
}

std::string_view detail_type_of(std::string_view what) {
  if (what.starts_with("ObjectCreated:")) return "Object Created";
  if (what.starts_with("ObjectRemoved:")) return "Object Deleted";
  return what == "ObjectTagging:Put" ? "Object Tags Added" : "Object Tags Deleted";
}

// As EventBridge has it.
std::string detail_of(const Ctx& ctx, const BucketRecord& bucket, const std::string& key, const ObjectRecord* object,
                      std::string_view what, Time now) {
  Json o = Json::object({{"key", key}});
  if (object) {
    o["size"] = static_cast<int64_t>(object->content.size);
    o["etag"] = object->etag;
  }
  o["sequencer"] = sequencer(now);
  const std::string_view how = what.substr(what.find(':') + 1);
  Json detail = Json::object({{"version", "0"}, {"bucket", Json::object({{"name", bucket.name}})}});
  detail["object"] = std::move(o);
  detail["request-id"] = ctx.request_id;
  detail["requester"] = ctx.principal.account;
  detail["source-ip-address"] = ctx.source_ip;
  if (what.starts_with("ObjectTagging:")) return detail.dump();
  detail["reason"] = how == "Put" ? "PutObject" : how == "Copy" ? "CopyObject" : how == "Delete" ? "DeleteObject" : how;
  if (!object) detail["deletion-type"] = "Permanently Deleted";
  return detail.dump();
}

}  // namespace

void S3Service::notify(Ctx& ctx, kv::Txn& tx, const BucketRecord& bucket, const std::string& key,
                       const ObjectRecord* object, std::string_view what) {
  const Time now = deps_.clock.now();
  kernel::TargetDelivery delivery;
  delivery.account = bucket.account;
  delivery.region = bucket.region;
  delivery.service = "s3.amazonaws.com";
  delivery.source_arn = cat("arn:aws:s3:::", bucket.name);
  for (const Notification& n : bucket.notifications) {
    if (!wants(n, key, what)) continue;
    kernel::TargetDelivery one = delivery;
    one.target = n.target;
    one.input.body = record_of(ctx, bucket, n, key, object, what, now);
    one.input.trace = ctx.trace;
    one.input.parameters["Subject"] = kSubject;
    deps_.targets.enqueue(tx, std::move(one));
  }
  if (!bucket.event_bus) return;
  delivery.target = cat("arn:aws:events:", bucket.region, ":", bucket.account, ":event-bus/default");
  delivery.input.body = detail_of(ctx, bucket, key, object, what, now);
  delivery.input.trace = ctx.trace;
  delivery.input.parameters = {{"Source", "aws.s3"},
                               {"DetailType", std::string(detail_type_of(what))},
                               {"Resources", Json(Json::Array{Json(delivery.source_arn)}).dump()}};
  deps_.targets.enqueue(tx, std::move(delivery));
}

Task<void> S3Service::try_target(Ctx& ctx, const BucketRecord& bucket, std::string target) {
  kernel::TargetDelivery test;
  test.target = std::move(target);
  test.account = bucket.account;
  test.region = bucket.region;
  test.service = "s3.amazonaws.com";
  test.source_arn = cat("arn:aws:s3:::", bucket.name);
  if (kernel::parse_arn(test.target)->service == "lambda") {
    Ctx asking =
        deps_.cloud.internal_context(kernel::service_principal(test.service, test.account), test.account, test.region);
    asking.source_arn = test.source_arn;
    asking.source_account = test.account;
    lambda::InvocationRequest dry;
    dry.function_name = test.target;
    dry.invocation_type = lambda::InvocationType::DryRun;
    if (co_await as_result(deps_.cloud.call<lambda::op::Invoke>(asking, std::move(dry)))) co_return;
  } else {
    test.input.body = Json::object({{"Service", "Amazon S3"},
                                    {"Event", "s3:TestEvent"},
                                    {"Time", iso8601_millis(deps_.clock.now())},
                                    {"Bucket", bucket.name},
                                    {"RequestId", ctx.request_id},
                                    {"HostId", ctx.request_id}})
                          .dump();
    test.input.parameters["Subject"] = kSubject;
    if (co_await as_result(deps_.targets.call(std::move(test), ctx.request_id))) co_return;
  }
  co_await fail(err::InvalidArgument("Unable to validate the following destination configurations"));
}

Task<op::PutBucketNotificationConfiguration::Output> S3Service::put_bucket_notification(
    Ctx& ctx, const PutBucketNotificationConfigurationRequest& in) {
  const NotificationConfiguration& c = in.notification_configuration;
  std::vector<Notification> all;
  if (c.lambda_function_configurations) {
    for (const auto& one : *c.lambda_function_configurations)
      all.push_back(notification_of(one, one.lambda_function_arn));
  }
  if (c.queue_configurations) {
    for (const auto& one : *c.queue_configurations) all.push_back(notification_of(one, one.queue_arn));
  }
  if (c.topic_configurations) {
    for (const auto& one : *c.topic_configurations) all.push_back(notification_of(one, one.topic_arn));
  }
  if (all.size() > kMostNotifications) {
    co_return err::InvalidArgument(cat("A bucket has at most ", kMostNotifications, " notification configurations."));
  }
  for (const Notification& n : all) {
    const auto arn = kernel::parse_arn(n.target);
    if (!arn || !deps_.cloud.accepts(n.target)) co_return err::InvalidArgument("The ARN is not well formed");
    if (arn->service == "sqs" && arn->resource.ends_with(".fifo")) {
      co_return err::InvalidArgument("FIFO queues are not supported as notification destinations");
    }
    for (const std::string_view event : n.events) {
      if (!event.starts_with("s3:ObjectCreated:") && !event.starts_with("s3:ObjectRemoved:") &&
          !event.starts_with("s3:ObjectTagging:")) {
        co_return err::InvalidArgument(cat("Notifications of ", event, " are not served"));
      }
    }
  }
  refuse_overlaps(all);
  const auto reader = deps_.db.snapshot();
  const BucketRecord asking = co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);
  for (const Notification& n : all) {
    if (!in.skip_destination_validation.value_or(false)) co_await try_target(ctx, asking, n.target);
  }
  co_await edit_bucket(ctx, in.bucket, in.expected_bucket_owner, [&](BucketRecord& bucket) {
    bucket.notifications = all;
    bucket.event_bus = c.event_bridge_configuration.has_value();
  });
  co_return op::PutBucketNotificationConfiguration::Output{};
}

Task<NotificationConfiguration> S3Service::get_bucket_notification(
    Ctx& ctx, const GetBucketNotificationConfigurationRequest& in) {
  const auto reader = deps_.db.snapshot();
  const BucketRecord bucket = co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);
  NotificationConfiguration out;
  for (const Notification& n : bucket.notifications) {
    const auto arn = kernel::parse_arn(n.target);
    const std::string_view service = arn ? std::string_view(arn->service) : "";
    if (service == "lambda") {
      if (!out.lambda_function_configurations) out.lambda_function_configurations.emplace();
      out.lambda_function_configurations->push_back(described<LambdaFunctionConfiguration>(n));
      out.lambda_function_configurations->back().lambda_function_arn = n.target;
    } else if (service == "sqs") {
      if (!out.queue_configurations) out.queue_configurations.emplace();
      out.queue_configurations->push_back(described<QueueConfiguration>(n));
      out.queue_configurations->back().queue_arn = n.target;
    } else {
      if (!out.topic_configurations) out.topic_configurations.emplace();
      out.topic_configurations->push_back(described<TopicConfiguration>(n));
      out.topic_configurations->back().topic_arn = n.target;
    }
  }
  if (bucket.event_bus) out.event_bridge_configuration.emplace();
  co_return out;
}

}  // namespace virga::s3
