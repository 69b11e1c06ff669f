#include "services/lambda/esm/failure.h"

#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/target_delivery.h"

namespace virga::lambda::esm {
namespace {

std::string iso8601_seconds(Time t) { return iso8601(Time::from_seconds(t.seconds())); }

}  // namespace

std::string failure_document(const Mapping& mapping, const Discarded& discarded, Time now) {
  Json request = Json::object({{"requestId", discarded.request_id.empty() ? uuid() : discarded.request_id},
                               {"functionArn", mapping.function_arn()},
                               {"condition", discarded.condition},
                               {"approximateInvokeCount", discarded.attempts}});
  Json out = Json::object({{"requestContext", std::move(request)}});
  if (!discarded.version.empty()) {
    Json response = Json::object({{"statusCode", 200}, {"executedVersion", discarded.version}});
    response["functionError"] = discarded.function_error.empty() ? Json() : Json(discarded.function_error);
    out["responseContext"] = std::move(response);
  }
  out["version"] = "1.0";
  out["timestamp"] = iso8601_millis(now);
  add_batch_info(out, mapping, discarded);
  return out.dump();
}

std::string name_of_record(Time now) {
  std::string second = iso8601_seconds(now);
  second.pop_back();  // Z
  return cat(replace_all(second.substr(0, 10), "-", "/"), "/", replace_all(second, ":", "."), "-", uuid());
}

void add_batch_info(Json& document, const Mapping& mapping, const Discarded& discarded) {
  const bool dynamo = mapping.source.find(":dynamodb:") != std::string::npos;
  document[dynamo ? "DDBStreamBatchInfo" : "KinesisBatchInfo"] =
      Json::object({{"shardId", discarded.shard},
                    {"startSequenceNumber", discarded.first_sequence},
                    {"endSequenceNumber", discarded.last_sequence},
                    {"approximateArrivalOfFirstRecord", iso8601_seconds(discarded.first_arrived)},
                    {"approximateArrivalOfLastRecord", iso8601_seconds(discarded.last_arrived)},
                    {"batchSize", static_cast<int64_t>(discarded.count)},
                    {"streamArn", mapping.source}});
}

kernel::TargetDelivery letter_of(const Mapping& mapping, const Discarded& discarded, const std::string& role,
                                 Time now) {
  std::string document = failure_document(mapping, discarded, now);
  kernel::TargetDelivery delivery;
  delivery.target = mapping.on_failure;
  if (kernel::parse_arn(mapping.on_failure)->service == "s3") {
    // A bucket is given the records too, under a name by which they are found.
    document.pop_back();
    document += R"(,"payload":)" + discarded.payload + "}";
    delivery.input.parameters["Key"] = cat("aws/lambda/", mapping.uuid, "/", discarded.shard, "/", name_of_record(now));
  }
  delivery.input.body = std::move(document);
  delivery.account = mapping.account;
  delivery.region = mapping.region;
  delivery.service = "lambda.amazonaws.com";
  delivery.role = role;
  delivery.source_arn = mapping.function_arn();
  return delivery;
}

}  // namespace virga::lambda::esm
