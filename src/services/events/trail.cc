#include "services/events/trail.h"

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/context.h"

namespace virga::events {
namespace {

using kernel::AuditRecord;

constexpr std::string_view kVersion = "1.11";
constexpr std::string_view kOwn = "events.amazonaws.com";

// CloudTrail's userIdentity.
Json identity(const AuditRecord& r) {
  if (r.principal_type == "AWSService")
    return Json::object({{"type", r.principal_type}, {"invokedBy", r.principal_arn}});
  const auto arn = kernel::parse_arn(r.principal_arn);
  const std::string account = arn ? arn->account : "ANONYMOUS_PRINCIPAL";
  Json out = Json::object({{"type", r.principal_type}, {"principalId", r.principal_id}});
  if (arn) out["arn"] = r.principal_arn;
  out["accountId"] = account;
  if (!r.access_key.empty()) out["accessKeyId"] = r.access_key;
  if (r.principal_type == "IAMUser") out["userName"] = r.principal_arn.substr(r.principal_arn.rfind('/') + 1);
  if (r.principal_type == "AssumedRole") {
    const std::string role(split(arn->resource, '/')[1]);
    Json issuer = Json::object({{"type", "Role"}, {"principalId", std::string(split(r.principal_id, ':')[0])}});
    issuer["arn"] = cat("arn:aws:iam::", account, ":role/", role);
    issuer["accountId"] = account;
    issuer["userName"] = role;
    out["sessionContext"]["sessionIssuer"] = std::move(issuer);
    out["sessionContext"]["attributes"]["mfaAuthenticated"] = "false";
  }
  return out;
}

}  // namespace

Task<void> Trail::start() {
  for (const Home& home : co_await homes_with_rules(*deps_.db.snapshot())) look_again(home);
}

void Trail::look_again(const Home& home) {
  std::lock_guard lock(mutex_);
  Bus& bus = buses_[{home.account, home.region}];
  bus = {.version = bus.version + 1};
  any_ = true;
}

bool Trail::wants(const kernel::Ctx& ctx, bool read_only) const {
  if (!any_.load(std::memory_order_relaxed)) return false;
  // What a rule's delivery calls would be the next event for that rule, without end.
  if (ctx.principal.service == kOwn || ctx.via == kOwn) return false;
  std::lock_guard lock(mutex_);
  const auto bus = buses_.find({ctx.account, ctx.region});
  return bus != buses_.end() && (read_only ? bus->second.reads : bus->second.changes);
}

Task<void> Trail::tell(kv::Txn& tx, const std::vector<kernel::ToldCall>& calls) {
  std::set<std::pair<std::string, std::string>> homes;
  for (const kernel::ToldCall& call : calls) {
    const AuditRecord& r = call.record;
    homes.emplace(r.account, r.region);
    Envelope e;
    Event event;
    e.id = event.id = r.id;
    e.detail_type = kCallDetailType;
    e.source = cat("aws.", std::string_view(r.service).substr(0, r.service.find('.')));
    e.account = r.account;
    e.region = r.region;
    e.time = event.time = r.time;
    e.detail = detail(call);
    event.ingested = deps_.clock.now();
    event.read_only = r.read_only;
    event.text = envelope(e);
    co_await router_.route(tx, {r.account, r.region}, "default", std::move(event));
  }
  for (const auto& home : homes) {
    uint64_t version = 0;
    {
      std::lock_guard lock(mutex_);
      version = buses_[home].version;
    }
    const Router::Interest interest = co_await router_.interest(tx, {home.first, home.second});
    tx.on_commit([this, home, version, interest] {
      std::lock_guard lock(mutex_);
      Bus& bus = buses_[home];
      if (bus.version == version) bus = {interest.changes, interest.reads, version};
    });
  }
}

// Names of Lambda's calls have the date of their API, and some its second form.
std::string Trail::event_name(const AuditRecord& r) const {
  if (r.service != "lambda.amazonaws.com") return r.operation;
  static const std::set<std::string_view> kSecond = {
      "AddPermission", "GetFunction",        "GetFunctionConfiguration",    "GetPolicy",    "RemovePermission",
      "TagResource",   "UpdateFunctionCode", "UpdateFunctionConfiguration", "UntagResource"};
  for (const wire::OperationModel& operation : deps_.cloud.find_service("lambda")->model().operations) {
    if (operation.name != r.operation) continue;
    std::string date(operation.uri.substr(1, 10));  // "/2015-03-31/functions…"
    std::erase(date, '-');
    return cat(r.operation, date, kSecond.contains(r.operation) ? "v2" : "");
  }
  return r.operation;
}

std::string Trail::detail(const kernel::ToldCall& call) const {
  const AuditRecord& r = call.record;
  Json out = Json::object({{"eventVersion", kVersion}, {"userIdentity", identity(r)}});
  out["eventTime"] = iso8601(Time::from_seconds(r.time.seconds()));
  out["eventSource"] = r.service;
  out["eventName"] = event_name(r);
  out["awsRegion"] = r.region;
  out["sourceIPAddress"] = r.source_ip;
  out["userAgent"] = r.user_agent;
  if (!r.error_code.empty()) {
    out["errorCode"] = r.error_code;
    out["errorMessage"] = r.error_message;
  }
  Json input = Json::parse(call.input);
  if (r.service == "s3.amazonaws.com") {
    if (const Json* bucket = input.find("bucket")) {
      input["bucketName"] = Json(*bucket);
      input.erase("bucket");
    }
  }
  out["requestParameters"] = std::move(input);
  out["responseElements"] = Json::parse(call.output);
  out["requestID"] = r.request_id;
  out["eventID"] = r.id;
  out["readOnly"] = r.read_only;
  out["eventType"] = "AwsApiCall";
  out["managementEvent"] = true;
  out["recipientAccountId"] = r.account;
  out["eventCategory"] = "Management";
  return out.dump();
}

}  // namespace virga::events
