#include "services/sns/delivery_policy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

#include "base/str.h"
#include "services/sns/limits.h"

namespace virga::sns {
namespace {

constexpr std::array<std::string_view, 4> kGrowths = {"linear", "arithmetic", "geometric", "exponential"};
// As AWS orders them when it shows a policy.
constexpr std::array<std::string_view, 7> kRetryMembers = {
    "minDelayTarget",    "maxDelayTarget",     "numRetries",     "numMaxDelayRetries",
    "numNoDelayRetries", "numMinDelayRetries", "backoffFunction"};

Json default_retry() {
  return Json::object({{"minDelayTarget", 20},
                       {"maxDelayTarget", 20},
                       {"numRetries", 3},
                       {"numMaxDelayRetries", 0},
                       {"numNoDelayRetries", 0},
                       {"numMinDelayRetries", 0},
                       {"backoffFunction", "linear"}});
}

const Json* object_member(const Json& policy, std::string_view name) {
  const Json* member = policy.find(name);
  if (!member || member->is_null()) return nullptr;
  if (!member->is_object()) throw std::invalid_argument(cat("Unexpected JSON member: ", name));
  return member;
}

void only(const Json& object, std::initializer_list<std::string_view> names) {
  for (const auto& [name, value] : object.as_object()) {
    if (std::ranges::find(names, std::string_view(name)) == names.end())
      throw std::invalid_argument(cat("Unexpected JSON member: ", name));
  }
}

int64_t number_of(const Json& policy, std::string_view name, int64_t otherwise) {
  const Json* value = policy.find(name);
  return value && value->is_int() ? value->as_int() : otherwise;
}

void check_retry(std::string_view where, const Json& retry) {
  for (const auto& [name, value] : retry.as_object()) {
    if (std::ranges::find(kRetryMembers, std::string_view(name)) == kRetryMembers.end())
      throw std::invalid_argument(cat("Unexpected JSON member: ", name));
    if (name == "backoffFunction") {
      if (!value.is_string() || std::ranges::find(kGrowths, std::string_view(value.as_string())) == kGrowths.end())
        throw std::invalid_argument(
            cat(where, ".backoffFunction must be one of: linear, arithmetic, geometric, exponential"));
    } else if (!value.is_int() || value.as_int() < 0) {
      throw std::invalid_argument(cat(where, ".", name, " must be a non-negative integer"));
    }
  }
  const int64_t least = number_of(retry, "minDelayTarget", -1), most = number_of(retry, "maxDelayTarget", -1);
  if (least < 0) throw std::invalid_argument(cat(where, ".minDelayTarget must be specified"));
  if (most < 0) throw std::invalid_argument(cat(where, ".maxDelayTarget must be specified"));
  if (least < 1 || least > 3600)
    throw std::invalid_argument(cat(where, ".minDelayTarget must be greater than 0 and less than or equal to 3600"));
  if (most < 1 || most > 3600)
    throw std::invalid_argument(cat(where, ".maxDelayTarget must be greater than 0 and less than or equal to 3600"));
  if (least > most)
    throw std::invalid_argument(cat(where, ".minDelayTarget must be less than or equal to ", where, ".maxDelayTarget"));
  const int64_t retries = number_of(retry, "numRetries", 0);
  if (retries > 100) throw std::invalid_argument(cat(where, ".numRetries must be less than or equal to 100"));
  const int64_t phases = number_of(retry, "numNoDelayRetries", 0) + number_of(retry, "numMinDelayRetries", 0) +
                         number_of(retry, "numMaxDelayRetries", 0);
  if (phases > retries)
    throw std::invalid_argument(
        cat(where, ".numRetries must be greater than or equal to the total of the retries of ", "its phases"));
}

void check_throttle(std::string_view where, const Json& throttle) {
  only(throttle, {"maxReceivesPerSecond"});
  const Json* most = throttle.find("maxReceivesPerSecond");
  if (most && !most->is_null() && (!most->is_int() || most->as_int() < 1))
    throw std::invalid_argument(cat(where, ".maxReceivesPerSecond must be greater than 0"));
}

constexpr std::array<std::string_view, 16> kContentTypes = {"application/json",
                                                            "application/xml",
                                                            "application/octet-stream",
                                                            "application/soap+xml",
                                                            "application/atom+xml",
                                                            "application/x-www-form-urlencoded",
                                                            "application/xhtml+xml",
                                                            "application/vnd.aws.sns",
                                                            "text/css",
                                                            "text/csv",
                                                            "text/html",
                                                            "text/plain",
                                                            "text/xml",
                                                            "text/javascript",
                                                            "application/javascript",
                                                            "image/svg+xml"};

void check_request(std::string_view where, const Json& request) {
  only(request, {"headerContentType"});
  const Json* type = request.find("headerContentType");
  if (!type || type->is_null()) return;
  const bool known =
      type->is_string() &&
      std::ranges::find(kContentTypes, trim(split_once(type->as_string(), ';').first)) != kContentTypes.end();
  if (!known) throw std::invalid_argument(cat(where, ".headerContentType is not a supported media type"));
}

Json parse_object(std::string_view text) {
  Json policy;
  try {
    policy = Json::parse(text);
  } catch (const JsonError& e) {
    throw std::invalid_argument(cat("failed to parse JSON. ", e.what()));
  }
  if (!policy.is_object()) throw std::invalid_argument("failed to parse JSON. An object is expected");
  return policy;
}

// A stored policy: what was accepted parses.
Json stored(std::string_view text) { return text.empty() ? Json::object() : Json::parse(text); }

// `over` upon the defaults, in AWS's order.
Json full_retry(const Json* over) {
  Json out = default_retry();
  if (!over) return out;
  for (auto& [name, value] : out.as_object()) {
    if (const Json* own = over->find(name); own && !own->is_null()) value = *own;
  }
  return out;
}

const Json* non_null(const Json& object, std::string_view name) {
  const Json* member = object.find(name);
  return member && !member->is_null() ? member : nullptr;
}

Json http_of(std::string_view topic_policy) {
  const Json topic = stored(topic_policy);
  const Json* http = topic.find("http");
  return http && http->is_object() ? *http : Json::object();
}

// The subscription's own policy, or nothing when its topic overrides it.
Json own_policy(const Json& http, std::string_view subscription_policy) {
  const Json* overridden = http.find("disableSubscriptionOverrides");
  if (overridden && overridden->is_bool() && overridden->as_bool()) return Json::object();
  return stored(subscription_policy);
}

const Json* either(const Json& own, std::string_view name, const Json& http, std::string_view default_name) {
  const Json* member = non_null(own, name);
  return member ? member : non_null(http, default_name);
}

RetrySchedule schedule_of(const Json& retry) {
  RetrySchedule out;
  out.least = std::chrono::seconds(number_of(retry, "minDelayTarget", 20));
  out.most = std::chrono::seconds(number_of(retry, "maxDelayTarget", 20));
  out.retries = number_of(retry, "numRetries", 3);
  out.at_once = number_of(retry, "numNoDelayRetries", 0);
  out.at_least = number_of(retry, "numMinDelayRetries", 0);
  out.at_most = number_of(retry, "numMaxDelayRetries", 0);
  const auto growth = std::ranges::find(kGrowths, std::string_view(retry.string_or("backoffFunction", "linear")));
  if (growth != kGrowths.end()) out.growth = static_cast<RetrySchedule::Growth>(growth - kGrowths.begin());
  return out;
}

}  // namespace

std::optional<std::chrono::milliseconds> RetrySchedule::wait_after(int64_t failed) const {
  int64_t retry = failed;  // the retry that comes now, from 1
  if (retry > retries) return std::nullopt;
  if (retry <= at_once) return std::chrono::milliseconds(0);
  retry -= at_once;
  if (retry <= at_least) return least;
  retry -= at_least;
  const int64_t growing = retries - at_once - at_least - at_most;
  if (retry > growing) return most;
  if (growing <= 1 || least >= most) return least;
  // 0 at the first of the growing retries, 1 at the last.
  const double at = static_cast<double>(retry - 1) / static_cast<double>(growing - 1);
  const auto from = static_cast<double>(least.count()), to = static_cast<double>(most.count());
  double wait = from;
  switch (growth) {
    case Growth::kLinear:
      wait = from + (to - from) * at;
      break;
    case Growth::kArithmetic:
      wait = from + (to - from) * at * (at + 1) / 2;
      break;
    case Growth::kGeometric:
      wait = from * std::pow(to / from, at);
      break;
    case Growth::kExponential:
      wait = from + (to - from) * (std::exp2(at * 10) - 1) / 1023;
      break;
  }
  return std::chrono::milliseconds(std::llround(wait));
}

RetrySchedule managed_schedule() {
  RetrySchedule out;
  out.retries = kManagedAttempts - 1;
  out.at_once = 3;
  out.at_least = 2;
  out.at_most = 100'000;
  out.least = std::chrono::seconds(1);
  out.most = std::chrono::seconds(20);
  out.growth = RetrySchedule::Growth::kExponential;
  return out;
}

RetrySchedule person_schedule() {
  RetrySchedule out;
  out.retries = kPersonAttempts - 1;
  out.at_least = 2;
  out.at_most = 38;
  out.least = std::chrono::seconds(10);
  out.most = std::chrono::seconds(600);
  out.growth = RetrySchedule::Growth::kExponential;
  return out;
}

std::string normal_topic_policy(std::string_view text) {
  if (text.empty()) return {};
  const Json policy = parse_object(text);
  only(policy, {"http"});
  const Json* http = object_member(policy, "http");
  if (!http) return {};
  only(*http, {"defaultHealthyRetryPolicy", "disableSubscriptionOverrides", "defaultThrottlePolicy",
               "defaultRequestPolicy", "defaultSicklyRetryPolicy"});
  if (object_member(*http, "defaultSicklyRetryPolicy"))
    throw std::invalid_argument("http.defaultSicklyRetryPolicy is not supported");
  Json out = Json::object();
  if (const Json* retry = object_member(*http, "defaultHealthyRetryPolicy")) {
    check_retry("http.defaultHealthyRetryPolicy", *retry);
    out["defaultHealthyRetryPolicy"] = *retry;
  }
  const Json* overridden = non_null(*http, "disableSubscriptionOverrides");
  if (overridden && !overridden->is_bool())
    throw std::invalid_argument("http.disableSubscriptionOverrides must be true or false");
  out["disableSubscriptionOverrides"] = overridden && overridden->as_bool();
  if (const Json* throttle = object_member(*http, "defaultThrottlePolicy")) {
    check_throttle("http.defaultThrottlePolicy", *throttle);
    out["defaultThrottlePolicy"] = *throttle;
  }
  if (const Json* request = object_member(*http, "defaultRequestPolicy")) {
    check_request("http.defaultRequestPolicy", *request);
    out["defaultRequestPolicy"] = *request;
  }
  return Json::object({{"http", std::move(out)}}).dump();
}

std::string normal_subscription_policy(std::string_view text) {
  if (text.empty()) return {};
  const Json policy = parse_object(text);
  only(policy, {"healthyRetryPolicy", "sicklyRetryPolicy", "throttlePolicy", "requestPolicy", "guaranteed"});
  const Json* retry = object_member(policy, "healthyRetryPolicy");
  const Json* throttle = object_member(policy, "throttlePolicy");
  const Json* request = object_member(policy, "requestPolicy");
  if (object_member(policy, "sicklyRetryPolicy")) throw std::invalid_argument("sicklyRetryPolicy is not supported");
  if (const Json* g = non_null(policy, "guaranteed"); g && (!g->is_bool() || g->as_bool()))
    throw std::invalid_argument("guaranteed is not supported");
  if (!retry && !throttle && !request) return {};
  if (retry) check_retry("healthyRetryPolicy", *retry);
  if (throttle) check_throttle("throttlePolicy", *throttle);
  if (request) check_request("requestPolicy", *request);
  return Json::object({{"healthyRetryPolicy", retry ? full_retry(retry) : Json()},
                       {"sicklyRetryPolicy", nullptr},
                       {"throttlePolicy", throttle ? *throttle : Json()},
                       {"requestPolicy", request ? *request : Json()},
                       {"guaranteed", false}})
      .dump();
}

std::string effective_topic_policy(std::string_view topic_policy) {
  const Json http = http_of(topic_policy);
  Json out = Json::object({{"defaultHealthyRetryPolicy", full_retry(non_null(http, "defaultHealthyRetryPolicy"))}});
  const Json* overridden = http.find("disableSubscriptionOverrides");
  out["disableSubscriptionOverrides"] = overridden && overridden->is_bool() && overridden->as_bool();
  if (const Json* throttle = non_null(http, "defaultThrottlePolicy")) out["defaultThrottlePolicy"] = *throttle;
  const Json* request = non_null(http, "defaultRequestPolicy");
  out["defaultRequestPolicy"] = request ? *request : Json::object({{"headerContentType", HttpDelivery().content_type}});
  return Json::object({{"http", std::move(out)}}).dump();
}

std::string effective_subscription_policy(std::string_view topic_policy, std::string_view subscription_policy) {
  const Json http = http_of(topic_policy), own = own_policy(http, subscription_policy);
  const Json* throttle = either(own, "throttlePolicy", http, "defaultThrottlePolicy");
  const Json* request = either(own, "requestPolicy", http, "defaultRequestPolicy");
  return Json::object(
             {{"healthyRetryPolicy", full_retry(either(own, "healthyRetryPolicy", http, "defaultHealthyRetryPolicy"))},
              {"sicklyRetryPolicy", nullptr},
              {"throttlePolicy", throttle ? *throttle : Json()},
              {"requestPolicy",
               request ? *request : Json::object({{"headerContentType", HttpDelivery().content_type}})},
              {"guaranteed", false}})
      .dump();
}

HttpDelivery http_delivery(std::string_view topic_policy, std::string_view subscription_policy) {
  HttpDelivery out;
  if (topic_policy.empty() && subscription_policy.empty()) return out;
  const Json http = http_of(topic_policy), own = own_policy(http, subscription_policy);
  out.retry = schedule_of(full_retry(either(own, "healthyRetryPolicy", http, "defaultHealthyRetryPolicy")));
  if (const Json* throttle = either(own, "throttlePolicy", http, "defaultThrottlePolicy"))
    out.per_second = number_of(*throttle, "maxReceivesPerSecond", 0);
  if (const Json* request = either(own, "requestPolicy", http, "defaultRequestPolicy"))
    out.content_type = request->string_or("headerContentType", out.content_type);
  return out;
}

}  // namespace virga::sns
