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

bool exists_already(const Result<logs::op::CreateLogGroup::Output>& result) {
  const Error* error = error_of(result);
  return error && error->shape->code == "ResourceAlreadyExistsException";
}

}  // namespace

bool reports_queues(const TopicRecord& topic) {
  return topic.attributes.contains("SQSSuccessFeedbackRoleArn") ||
         topic.attributes.contains("SQSFailureFeedbackRoleArn");
}

void SnsService::report(kv::Txn& tx, const TopicRecord& topic, const TopicId& id, const Message& message,
                        const SubscriptionRecord& subscription, const kernel::Attempt& attempt,
                        const std::optional<std::string>& failure) {
  const std::string kind(kind_of(subscription.protocol));
  if (kind.empty()) return;
  Status status;
  status.role = topic.attribute(cat(kind, failure ? "FailureFeedbackRoleArn" : "SuccessFeedbackRoleArn"));
  if (status.role.empty()) return;
  if (!failure) {
    const auto rate = parse_int(topic.attribute(cat(kind, "SuccessFeedbackSampleRate"))).value_or(100);
    if (static_cast<int64_t>(random_u64() % 100) >= rate) return;
  }
  const Time now = deps_.clock.now();
  Json delivery = Json::object({{"deliveryId", attempt.id},
                                {"destination", subscription.endpoint},
                                {"providerResponse", failure.value_or("")},
                                {"dwellTimeMs", (now - attempt.accepted).count() / 1000},
                                {"attempts", attempt.attempts + 1}});
  status.line = Json::object({{"notification", Json::object({{"messageMD5Sum", hex_encode(md5(message.body))},
                                                             {"messageId", message.id},
                                                             {"topicArn", message.topic_arn},
                                                             {"timestamp", iso8601_millis(message.time)}})},
                              {"delivery", std::move(delivery)},
                              {"status", failure ? "FAILURE" : "SUCCESS"}})
                    .dump();
  status.topic = id.arn();
  status.time = now;
  status.success = !failure;
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
