// Calls of API destinations: the connection's credentials and extras, the target's values, and the event as the body.
#include <aws/events/errors.h>

#include <algorithm>
#include <map>

#include "base/encoding.h"
#include "base/executor.h"
#include "base/str.h"
#include "kernel/authorize.h"
#include "kernel/cloud.h"
#include "kernel/target_delivery.h"
#include "services/events/limits.h"
#include "services/events/service.h"

namespace virga::events {
namespace {

constexpr auto kTokenTime = std::chrono::minutes(50);  // of tokens that don't say how long they last
constexpr double kLongestTokenLife = 86'400;           // seconds
constexpr auto kTokenMargin = std::chrono::seconds(30);
constexpr size_t kMostKept = 10'000;

Error answered(std::string_view who, uint16_t status, bool again) {
  static constexpr ErrorShape kAgain{"API_DESTINATION_ERROR", 500, Fault::kReceiver, {}};
  static constexpr ErrorShape kRefused{"API_DESTINATION_ERROR", 400, Fault::kSender, {}};
  return Error{again ? &kAgain : &kRefused, cat("The ", who, " answered with the status ", status, "."), nullptr, {}};
}

bool is_unauthorized(uint16_t status) { return status == 401 || status == 407; }

// Whether the endpoint may be better later: AWS tries these statuses again.
bool may_pass(uint16_t status) { return status == 409 || status == 429 || status >= 500; }

Error unavailable(std::string message) {
  static constexpr ErrorShape kShape{"API_DESTINATION_ERROR", 503, Fault::kReceiver, {}};
  return Error{&kShape, std::move(message), nullptr, {}};
}

void add_query(std::string& url, std::string_view key, std::string_view value) {
  append(url, url.find('?') == url.npos ? "?" : "&", percent_encode(key), "=", percent_encode(value));
}

// Stars of a URL's path stand for the target's values, in their order.
std::string with_path(std::string_view url, const Json* values) {
  std::string out;
  size_t next = 0;
  for (const char c : url) {
    if (c == '*' && values && values->is_array() && next < values->as_array().size()) {
      out += percent_encode(values->as_array()[next++].as_string());
    } else {
      out += c;
    }
  }
  return out;
}

void set_header(kernel::OutboundFields& headers, std::string name, std::string value) {
  for (auto& [known, old] : headers) {
    if (equals_ignoring_case(known, name)) {
      old = std::move(value);
      return;
    }
  }
  headers.emplace_back(std::move(name), std::move(value));
}

// The body with the connection's members, which win over the event's.
std::string with_body(std::string body, const std::vector<Extra>& extras) {
  if (extras.empty()) return body;
  try {
    Json json = body.empty() ? Json::object() : Json::parse(body);
    if (!json.is_object()) return body;
    for (const Extra& extra : extras) json[extra.key] = extra.value;
    return json.dump();
  } catch (const JsonError&) {
    return body;
  }
}

}  // namespace

Task<void> EventsService::wait_for_turn(std::string destination, int32_t rate) {
  const Time now = deps_.clock.now();
  const Micros gap{1'000'000 / std::max<int32_t>(rate, 1)};
  Micros wait{0};
  {
    std::lock_guard lock(mutex_);
    if (next_invocation_.size() > kMostKept) {
      std::erase_if(next_invocation_, [&](const auto& kept) { return kept.second < now; });
    }
    Time& next = next_invocation_[destination];
    if (next > now + kMostRateWait + gap) next = now;  // it was given before the clock was put back
    const Time at = std::max(next, now);
    wait = at - now;
    if (wait <= kMostRateWait) next = at + gap;
  }
  if (wait > kMostRateWait) {
    static constexpr ErrorShape kThrottled{"ThrottlingException", 429, Fault::kSender, {}};
    co_await fail(Error{&kThrottled, "The API destination's invocation rate limit is reached.", nullptr, {}});
  }
  if (wait > Micros(0)) co_await sleep_for(wait);
}

Task<std::string> EventsService::access_token(const Home& home, const ConnectionRecord& c, bool fresh) {
  const std::string key = cat(c.id, "/", c.modified.micros);
  const Time now = deps_.clock.now();
  if (!fresh) {
    std::lock_guard lock(mutex_);
    const auto kept = tokens_.find(key);
    if (kept != tokens_.end() && now < kept->second.expires) co_return kept->second.text;
  }
  kernel::OutboundRequest request;
  request.method = c.token_method;
  request.url = c.token_url;
  std::map<std::string, std::string> form{
      {"grant_type", "client_credentials"}, {"client_id", c.user}, {"client_secret", c.secret}};
  for (const Extra& extra : c.token_extras.body) form[extra.key] = extra.value;
  if (c.token_method == "GET") {
    for (const auto& [name, value] : form) add_query(request.url, name, value);
  } else {
    for (const auto& [name, value] : form) {
      append(request.body, request.body.empty() ? "" : "&", percent_encode(name), "=", percent_encode(value));
    }
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8");
  }
  for (const Extra& extra : c.token_extras.query) add_query(request.url, extra.key, extra.value);
  for (const Extra& extra : c.token_extras.headers) set_header(request.headers, extra.key, extra.value);
  auto answer = co_await as_result(outbound_.send(std::move(request)));
  if (!answer) co_return unavailable("The authorization endpoint can't be reached.");
  if (answer->status / 100 != 2) {
    co_return answered("authorization endpoint", answer->status, may_pass(answer->status));
  }
  Token token;
  token.expires = now + kTokenTime;
  try {
    const Json json = Json::parse(answer->body);
    token.text = json.string_or("access_token");
    if (const Json* seconds = json.find("expires_in"); seconds && seconds->is_number()) {
      const double life = std::clamp(seconds->as_double(), 0.0, kLongestTokenLife);  // the endpoint may say anything
      token.expires = now + std::chrono::seconds(static_cast<int64_t>(life)) - kTokenMargin;
    }
  } catch (const JsonError&) {
  }
  if (token.text.empty()) co_return unavailable("The authorization endpoint answered without an access_token.");
  std::lock_guard lock(mutex_);
  if (tokens_.size() >= kMostKept) tokens_.clear();
  tokens_[key] = token;
  co_return token.text;
}

Task<std::string> EventsService::invoke_destination(Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) {
  const Home home{target.account, target.region};
  const std::string arn = cat("arn:aws:events:", home.region, ":", home.account, ":", target.resource);
  const auto denied =
      co_await deps_.cloud.authorizer().why_denied(ctx, {"events:InvokeApiDestination", arn, {}}, std::nullopt);
  if (denied) co_return err::AccessDeniedException(*denied);

  const auto parts = split(target.resource, '/');
  std::optional<DestinationRecord> destination;
  std::optional<ConnectionRecord> c;
  {
    const auto snapshot = deps_.db.snapshot();
    const Store store(*snapshot, home);
    if (parts.size() == 3) destination = co_await store.find<DestinationRecord>(std::string(parts[1]));
    if (!destination || destination->id != parts[2]) {
      co_return err::ResourceNotFoundException(cat("API destination ", arn, " does not exist."));
    }
    const auto connection = kernel::parse_arn(destination->connection);
    const auto names = connection ? split(connection->resource, '/') : std::vector<std::string_view>();
    if (names.size() == 3) c = co_await store.find<ConnectionRecord>(std::string(names[1]));
  }
  if (!c || c->deauthorized)
    co_return err::InvalidStateException("The API destination's connection is not authorized.");
  co_await wait_for_turn(destination->id, destination->rate.value_or(kDefaultRate));

  const auto given = input.parameters.find("Http");
  const Json http = given == input.parameters.end() ? Json::object() : Json::parse(given->second);
  kernel::OutboundRequest request;
  request.method = destination->method;
  request.url = with_path(destination->url, http.find("Path"));
  request.headers = {{"Content-Type", "application/json; charset=utf-8"},
                     {"User-Agent", "Amazon/EventBridge/ApiDestinations"},
                     {"Range", "bytes=0-1048575"},
                     {"Accept-Encoding", "identity"}};
  if (!input.trace.empty()) request.headers.emplace_back("X-Amzn-Trace-Id", input.trace);
  if (const Json* headers = http.find("Headers")) {
    for (const auto& [key, value] : headers->as_object()) set_header(request.headers, key, value.as_string());
  }
  std::map<std::string, std::string> queries;
  if (const Json* query = http.find("Query")) {
    for (const auto& [key, value] : query->as_object()) queries[key] = value.as_string();
  }
  for (const Extra& extra : c->extras.query) queries[extra.key] = extra.value;
  for (const auto& [key, value] : queries) add_query(request.url, key, value);
  for (const Extra& extra : c->extras.headers) set_header(request.headers, extra.key, extra.value);
  request.body = with_body(std::move(input.body), c->extras.body);
  if (request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS") request.body.clear();

  for (bool fresh : {false, true}) {
    kernel::OutboundRequest attempt = request;
    switch (c->authorization) {
      case Authorization::kBasic:
        set_header(attempt.headers, "Authorization", cat("Basic ", base64_encode(cat(c->user, ":", c->secret))));
        break;
      case Authorization::kApiKey:
        set_header(attempt.headers, c->user, c->secret);
        break;
      case Authorization::kOAuth: {
        auto token = co_await as_result(access_token(home, *c, fresh));
        if (!token) {
          if (kernel::is_permanent(token.error())) co_await deauthorize(home, *c, token.error());
          co_await fail_with(std::move(token.error()));
        }
        set_header(attempt.headers, "Authorization", cat("Bearer ", *token));
        break;
      }
    }
    auto answer = co_await as_result(outbound_.send(std::move(attempt)));
    if (!answer) {
      const Error* error = error_of(answer.error());
      co_return unavailable(error ? error->message : "The API destination can't be reached.");
    }
    if (answer->status / 100 == 2) co_return std::move(answer->body);
    const bool unauthorized = is_unauthorized(answer->status);
    Error refusal = answered("API destination", answer->status, unauthorized || may_pass(answer->status));
    const bool token = c->authorization == Authorization::kOAuth;
    if (unauthorized && !token) co_await deauthorize(home, *c, Failure(refusal));
    // A token may have been withdrawn before its time.
    if (!unauthorized || !token || fresh) co_return refusal;
  }
  co_return unavailable("The API destination can't be reached.");
}

}  // namespace virga::events
