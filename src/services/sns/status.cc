// What became of deliveries, in the log groups that AWS names: sns/<region>/<account>/<topic>, and …/Failure.
#include <aws/logs/ops.h>
#include <aws/logs/types.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "kv/record.h"
#include "services/sns/service.h"

namespace virga::sns {
namespace {

// One line of a status log, on its way there.
struct Status {
  std::string topic, role, line;
  Time time;
  bool success = true;
  template <class A>
  void fields(A& a) {
    a(1, topic), a(2, role), a(3, line), a(4, time), a(5, success);
  }
};

std::string_view kind_of(std::string_view protocol) {
  if (protocol == "http" || protocol == "https") return "HTTP";
  if (protocol == "sqs") return "SQS";
  if (protocol == "lambda") return "Lambda";
  return protocol == "application" ? "Application" : "";
}

constexpr std::string_view kAccepted = "Message has been accepted by phone carrier";

// Whether one of the successes, so many in a hundred, is told.
bool sampled(const std::string& rate) {
  return static_cast<int64_t>(random_u64() % 100) < parse_int(rate).value_or(100);
}

// 2024-05-01 12:00:00.000
std::string status_time(Time time) {
  std::string out = iso8601_millis(time);
  out[10] = ' ';
  out.pop_back();
  return out;
}

Json notification_of(const Message& message) {
  return Json::object({{"messageId", message.id}, {"timestamp", status_time(message.time)}});
}

bool exists_already(const Result<logs::op::CreateLogGroup::Output>& result) {
  const Error* error = error_of(result);
  return error && error->shape->code == "ResourceAlreadyExistsException";
}

}  // namespace

bool reports_queues(const TopicRecord& topic) {
  return topic.attributes.contains("SQSSuccessFeedbackRoleArn") ||
         topic.attributes.contains("SQSFailureFeedbackRoleArn");
}

Task<void> SnsService::report(kv::Txn& tx, const TopicRecord& topic, TopicId id, const Message& message,
                              const SubscriptionRecord& subscription, const kernel::Attempt& attempt, Answer answer) {
  const Micros dwell = deps_.clock.now() - attempt.accepted;
  if (subscription.protocol == "sms") {
    co_await report_text(tx, std::move(id), message, number_of(subscription.endpoint), dwell, std::move(answer));
    co_return;
  }
  const std::string kind(kind_of(subscription.protocol));
  if (kind.empty()) co_return;
  const std::string role =
      topic.attribute(cat(kind, answer.success ? "SuccessFeedbackRoleArn" : "FailureFeedbackRoleArn"));
  if (role.empty() || (answer.success && !sampled(topic.attribute(cat(kind, "SuccessFeedbackSampleRate"))))) co_return;
  Json notification = notification_of(message);
  notification["messageMD5Sum"] = hex_encode(md5(message.body));
  notification["topicArn"] = message.topic_arn;
  Json delivery = Json::object({{"deliveryId", uuid()},
                                {"destination", subscription.endpoint},
                                {"providerResponse", answer.response},
                                {"dwellTimeMs", dwell.count() / 1000}});
  if (subscription.protocol != "lambda") delivery["attempts"] = attempt.attempts + 1;
  if (answer.status) delivery["statusCode"] = *answer.status;
  enqueue_status(tx, id, role, std::move(notification), std::move(delivery), answer.success);
}

Task<void> SnsService::report_text(kv::Txn& tx, TopicId id, const Message& message, std::string number, Micros dwell,
                                   Answer answer) {
  const Attributes settings = co_await Store(tx).sms_attributes({id.account, id.region});
  const auto setting = [&](const std::string& name) {
    const auto found = settings.find(name);
    return found == settings.end() ? std::string() : found->second;
  };
  const std::string role = setting("DeliveryStatusIAMRole"), type = setting("DefaultSMSType");
  if (role.empty() || (answer.success && !sampled(setting("DeliveryStatusSuccessSamplingRate")))) co_return;
  Json delivery = Json::object({{"destination", number},
                                {"smsType", type.empty() ? "Promotional" : type},
                                {"providerResponse", answer.success ? std::string(kAccepted) : answer.response},
                                {"dwellTimeMs", dwell.count() / 1000}});
  enqueue_status(tx, id, role, notification_of(message), std::move(delivery), answer.success);
}

void SnsService::enqueue_status(kv::Txn& tx, const TopicId& id, std::string role, Json notification, Json delivery,
                                bool success) {
  Status status;
  status.role = std::move(role);
  status.line = Json::object({{"notification", std::move(notification)},
                              {"delivery", std::move(delivery)},
                              {"status", success ? "SUCCESS" : "FAILURE"}})
                    .dump();
  status.topic = id.arn();
  status.time = deps_.clock.now();
  status.success = success;
  kernel::Delivery out;
  out.kind = kStatus;
  out.lane = id.arn();
  out.payload = kv::encode(status);
  deps_.deliveries.enqueue(tx, std::move(out));
}

// A line that can't be written is tried for some minutes, then left out: the role may be gone.
Task<kernel::Verdict> SnsService::write_status(kernel::Attempt attempt) {
  const Status status = kv::decode<Status>(attempt.payload);
  const TopicId topic = *topic_of(status.topic);
  const auto written = co_await as_result(write_line(topic, status.role, status.line, status.time, status.success));
  if (written) co_return kernel::Verdict::done();
  co_return attempt.attempts < 5 ? kernel::Verdict::again() : kernel::Verdict::give_up();
}

Task<void> SnsService::write_line(TopicId topic, std::string role, std::string line, Time time, bool success) {
  auto principal = co_await deps_.cloud.assume_role("sns.amazonaws.com", role, "sns", topic.arn());
  Ctx ctx = deps_.cloud.internal_context(std::move(principal), topic.account, topic.region);
  const std::string group = cat("sns/", topic.region, "/", topic.account, "/", topic.name, success ? "" : "/Failure");
  logs::CreateLogGroupRequest create;
  create.log_group_name = group;
  auto made = co_await as_result(deps_.cloud.call<logs::op::CreateLogGroup>(ctx, std::move(create)));
  if (!made && !exists_already(made)) co_await fail_with(std::move(made.error()));
  const std::string stream = "delivery-status";
  logs::CreateLogStreamRequest create_stream;
  create_stream.log_group_name = group;
  create_stream.log_stream_name = stream;
  // There already, more often than not; what else is wrong the write itself will say.
  (void)co_await as_result(deps_.cloud.call<logs::op::CreateLogStream>(ctx, std::move(create_stream)));
  logs::PutLogEventsRequest put;
  put.log_group_name = group;
  put.log_stream_name = stream;
  put.log_events.push_back({.timestamp = time.millis(), .message = std::move(line)});
  co_await deps_.cloud.call<logs::op::PutLogEvents>(ctx, std::move(put));
}

}  // namespace virga::sns
