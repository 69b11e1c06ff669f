#include "kernel/target_delivery.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/str.h"
#include "kv/record.h"

namespace virga::kernel {

namespace {

using Words = std::map<std::string, std::string, std::less<>>;

// `text` with every ${word} replaced that is known.
std::string filled(std::string_view text, const Words& words) {
  std::string out;
  for (;;) {
    const size_t open = text.find("${");
    const size_t close = open == text.npos ? text.npos : text.find('}', open);
    if (close == text.npos) return out.append(text);
    const auto word = words.find(text.substr(open + 2, close - open - 2));
    out += text.substr(0, open);
    out += word == words.end() ? text.substr(open, close + 1 - open) : std::string_view(word->second);
    text.remove_prefix(close + 1);
  }
}

// By docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
std::string_view kind_of(const Error& error) {
  static constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
      {"AccessDenied", "NO_PERMISSIONS"},
      {"NotAuthorized", "NO_PERMISSIONS"},
      {"AuthorizationError", "NO_PERMISSIONS"},
      {"NotFound", "NO_RESOURCE"},
      {"NonExistent", "NO_RESOURCE"},
      {"DoesNotExist", "NO_RESOURCE"},
      {"Throttl", "THROTTLING"},
      {"TooManyRequests", "THROTTLING"},
      {"ThroughputExceeded", "THROTTLING"},
      {"LimitExceeded", "RESOURCE_LIMIT_EXCEEDED"},
      {"Time", "TIMEOUT"},
      {"InvalidParameter", "INVALID_PARAMETER"},
      {"Validation", "INVALID_PARAMETER"},
  };
  for (const auto& [part, kind] : kKinds) {
    if (error.shape->code.find(part) != std::string_view::npos) return kind;
  }
  return error.shape->fault == Fault::kReceiver ? "ERROR_FROM_TARGET" : "SDK_CLIENT_ERROR";
}

}  // namespace

bool is_permanent(const Failure& failure) {
  const Error* error = error_of(failure);
  if (!error || error->shape->fault == Fault::kReceiver || error->shape->status >= 500) return false;
  const int status = error->shape->status;
  if (status == 408 || status == 409 || status == 425 || status == 429) return false;
  for (const std::string_view passing : {"Throttl", "TooManyRequests", "ThroughputExceeded", "LimitExceeded", "Timeout",
                                         "TimedOut", "Unavailable", "Conflict", "SlowDown"}) {
    if (error->shape->code.find(passing) != std::string_view::npos) return false;
  }
  return true;
}

void Targets::serve() {
  deliveries_.on(std::string(kKind), [this](Attempt attempt) { return this->attempt(std::move(attempt)); });
}

void Targets::enqueue(kv::Txn& tx, TargetDelivery delivery, Time not_before, std::string id) {
  Delivery out;
  out.kind = kKind;
  out.lane = delivery.lane.empty() ? delivery.target : delivery.lane;
  out.group = delivery.group;
  out.not_before = not_before;
  out.id = std::move(id);
  out.payload = kv::encode(delivery);
  deliveries_.enqueue(tx, std::move(out));
}

Task<std::string> Targets::call(TargetDelivery delivery, std::string request_id) {
  Principal principal = service_principal(delivery.service, delivery.account);
  if (!delivery.role.empty()) {
    const std::string session = std::string(split_once(delivery.service, '.').first);
    principal = co_await cloud_.assume_role(delivery.service, delivery.role, session, delivery.source_arn);
  }
  Ctx ctx = cloud_.internal_context(std::move(principal), delivery.account, delivery.region);
  if (!request_id.empty()) ctx.request_id = std::move(request_id);
  ctx.source_arn = delivery.source_arn;
  ctx.source_account = delivery.account;
  ctx.via = delivery.role.empty() ? "" : delivery.service;
  co_return co_await cloud_.deliver(ctx, std::move(delivery.target), std::move(delivery.input));
}

Task<Verdict> Targets::attempt(Attempt attempt) {
  const TargetDelivery delivery = kv::decode<TargetDelivery>(attempt.payload);
  auto answered = co_await as_result(call(delivery, attempt.id));
  if (answered) co_return Verdict::done();
  co_return after_failure(attempt, delivery, answered.error());
}

Verdict Targets::after_failure(const Attempt& attempt, const TargetDelivery& delivery, const Failure& failure) {
  const Time now = cloud_.clock().now();
  const Micros age = now - attempt.accepted;
  const Micros most = std::chrono::seconds(delivery.retry.max_age);
  std::string condition;
  if (!is_permanent(failure)) {
    // The last attempt is made when the time is up, not left out because a wait is longer.
    const Micros wait = std::min(back_off(attempt.attempts), std::max<Micros>(most - age, Micros(0)));
    if (attempt.attempts < delivery.retry.retries && age < most) return Verdict::again(wait);
    condition = age < most ? "MaximumRetryAttempts" : "MaximumEventAgeInSeconds";
  }
  auto letter = dead_letter(delivery, failure, {attempt.attempts + 1, std::move(condition)});
  if (!letter) return Verdict::give_up();
  return Verdict::give_up().with([this, letter = std::move(*letter)](kv::Txn& tx) -> Task<void> {
    enqueue(tx, letter);
    co_return;
  });
}

void Targets::refuse(kv::Txn& tx, const TargetDelivery& delivery, const Error& why) {
  if (auto letter = dead_letter(delivery, Failure(why), {})) enqueue(tx, std::move(*letter));
}

std::optional<TargetDelivery> Targets::dead_letter(const TargetDelivery& delivery, const Failure& failure,
                                                   const End& end) {
  const Error* error = error_of(failure);
  log_warning("deliveries", "an event could not be delivered",
              {{"target", delivery.target},
               {"source", delivery.source_arn},
               {"attempts", cat(end.attempts)},
               {"dead letter", delivery.dead_letter.target},
               {"why", describe(failure)}});
  if (delivery.dead_letter.target.empty()) return std::nullopt;

  const Words words{{"code", error ? std::string(error->shape->code) : "SDK_CLIENT_ERROR"},
                    {"kind", std::string(error ? kind_of(*error) : "SDK_CLIENT_ERROR")},
                    {"status", cat(error ? int{error->shape->status} : 500)},
                    {"message", error ? error->message : "The target failed unexpectedly"},
                    {"retries", cat(std::max<int64_t>(end.attempts - 1, 0))},
                    {"attempts", cat(end.attempts)},
                    {"condition", end.condition}};
  TargetDelivery letter;
  letter.target = delivery.dead_letter.target;
  letter.input = delivery.dead_letter.input;
  if (letter.input.body.empty()) letter.input.body = delivery.input.body;
  for (auto at = letter.input.attributes.begin(); at != letter.input.attributes.end();) {
    at->second.value = filled(at->second.value, words);
    at = at->second.value.empty() ? letter.input.attributes.erase(at) : std::next(at);
  }
  letter.account = delivery.account;
  letter.region = delivery.region;
  letter.service = delivery.service;
  letter.role = delivery.dead_letter.role;
  letter.source_arn = delivery.source_arn;
  return letter;
}

}  // namespace virga::kernel
