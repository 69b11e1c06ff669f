#include "services/sqs/settings.h"

#include <aws/sqs/errors.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "base/json.h"
#include "base/str.h"
#include "kernel/policy.h"
#include "kernel/policy_document.h"
#include "services/sqs/limits.h"

namespace virga::sqs {
namespace {

constexpr std::array<std::string_view, 21> kAttributes = {
    "Policy",
    "VisibilityTimeout",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
    "ApproximateNumberOfMessagesDelayed",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "FifoQueue",
    "ContentBasedDeduplication",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "RedriveAllowPolicy",
    "SqsManagedSseEnabled",
};

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}
bool is_account(std::string_view text) {
  return text.size() == 12 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

[[noreturn]] void bad(std::string_view attribute) {
  throw err::InvalidAttributeValue(cat("Invalid value for the parameter ", attribute, "."));
}
[[noreturn]] void bad(std::string_view attribute, std::string_view reason) {
  throw err::InvalidAttributeValue(cat("Invalid value for the parameter ", attribute, ". Reason: ", reason));
}

int32_t number(std::string_view attribute, const std::string& value, int64_t least, int64_t most) {
  const auto n = parse_int(value);
  if (!n || *n < least || *n > most) bad(attribute);
  return static_cast<int32_t>(*n);
}

bool flag(std::string_view attribute, const std::string& value) {
  if (equals_ignoring_case(value, "true")) return true;
  if (equals_ignoring_case(value, "false")) return false;
  bad(attribute);
}

Json object_of(std::string_view attribute, const std::string& text) {
  try {
    Json json = Json::parse(text);
    if (json.is_object()) return json;
  } catch (const JsonError&) {
  }
  bad(attribute, "Policy is not valid JSON.");
}

void set_policy(QueueRecord& queue, const std::string& value) {
  queue.policy = value;
  if (value.empty()) return;
  try {
    const auto document = kernel::policy::parse(value, kernel::policy::Type::kResource);
    if (document->statements.size() > kMaxStatements) {
      throw err::OverLimit(cat(document->statements.size(), " statements were found, the maximum is ", kMaxStatements));
    }
  } catch (const std::invalid_argument& error) {
    bad("Policy", error.what());
  }
}

void set_redrive(QueueRecord& queue, const QueueName& name, const std::string& value) {
  queue.redrive_policy = value;
  queue.dead_letter_arn.clear();
  queue.max_receives = 0;
  if (value.empty()) return;
  const auto refuse = [&](std::string_view reason) {
    throw err::InvalidParameterValueException(
        cat("Value ", value, " for parameter RedrivePolicy is invalid. Reason: ", reason));
  };
  Json json;
  try {
    json = Json::parse(value);
  } catch (const JsonError&) {
    refuse("Redrive policy is not a valid JSON map.");
  }
  if (!json.is_object()) refuse("Redrive policy is not a valid JSON map.");
  const Json* target = json.find("deadLetterTargetArn");
  const Json* count = json.find("maxReceiveCount");
  if (!target || !target->is_string())
    refuse("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.");
  if (!count) refuse("Redrive policy does not contain mandatory attribute: maxReceiveCount.");
  const auto most = count->is_int()      ? std::optional<int64_t>(count->as_int())
                    : count->is_string() ? parse_int(count->as_string())
                                         : std::nullopt;
  if (!most || *most < 1 || *most > kMaxReceiveCount) {
    refuse(cat("Invalid value for maxReceiveCount: ", count->is_string() ? count->as_string() : count->dump(),
               ", valid values are from 1 to ", kMaxReceiveCount, " both inclusive."));
  }
  const auto to = queue_of_arn(target->as_string());
  if (!to) refuse("Dead letter target ARN is not valid.");
  if (to->fifo() != name.fifo()) refuse("Dead-letter queue must be same type of queue as the source.");
  if (to->account != name.account || to->region != name.region) {
    refuse("Dead letter target does not exist.");
  }
  queue.dead_letter_arn = target->as_string();
  queue.max_receives = static_cast<int32_t>(*most);
  Json canonical = Json::object();
  canonical["deadLetterTargetArn"] = queue.dead_letter_arn;
  canonical["maxReceiveCount"] = queue.max_receives;
  queue.redrive_policy = canonical.dump();
}

void set_redrive_allow(QueueRecord& queue, const std::string& value) {
  queue.redrive_allow_policy = value;
  if (value.empty()) return;
  const Json json = object_of("RedriveAllowPolicy", value);
  const std::string permission = json.string_or("redrivePermission");
  const Json* sources = json.find("sourceQueueArns");
  if (permission != "allowAll" && permission != "denyAll" && permission != "byQueue") {
    bad("RedriveAllowPolicy", "redrivePermission must be allowAll, denyAll or byQueue.");
  }
  if ((permission == "byQueue") != (sources != nullptr)) {
    bad("RedriveAllowPolicy", "sourceQueueArns are given with redrivePermission byQueue, and only then.");
  }
  if (!sources) return;
  if (!sources->is_array() || sources->as_array().empty() || sources->as_array().size() > kMaxAllowedSources) {
    bad("RedriveAllowPolicy", "sourceQueueArns must have 1 to 10 ARNs.");
  }
  for (const Json& source : sources->as_array()) {
    if (!source.is_string() || !queue_of_arn(source.as_string())) bad("RedriveAllowPolicy", "not a queue's ARN.");
  }
}

void set_fifo_attribute(QueueRecord& queue, const std::string& name, const std::string& value) {
  if (name == "ContentBasedDeduplication") {
    queue.content_deduplication = flag(name, value);
  } else if (name == "DeduplicationScope") {
    if (value != "messageGroup" && value != "queue") bad(name);
    queue.deduplication_scope = value;
  } else {
    if (value != "perQueue" && value != "perMessageGroupId") bad(name);
    queue.throughput_limit = value;
  }
}

[[noreturn]] void refuse_fifo_name() {
  throw err::InvalidParameterValueException(
      "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with "
      ".fifo suffix and be 1 to 80 in length");
}

void set_attribute(QueueRecord& queue, const QueueName& q, const std::string& name, const std::string& value,
                   bool create) {
  if (name == "VisibilityTimeout") {
    queue.visibility = number(name, value, 0, kMaxVisibility);
  } else if (name == "DelaySeconds") {
    queue.delay = number(name, value, 0, kMaxDelay);
  } else if (name == "MaximumMessageSize") {
    queue.max_size = number(name, value, 1024, static_cast<int64_t>(kMaxMessageBytes));
  } else if (name == "MessageRetentionPeriod") {
    queue.retention = number(name, value, kMinRetention, kMaxRetention);
  } else if (name == "ReceiveMessageWaitTimeSeconds") {
    queue.wait = number(name, value, 0, kMaxWait);
  } else if (name == "Policy") {
    set_policy(queue, value);
  } else if (name == "RedrivePolicy") {
    set_redrive(queue, q, value);
  } else if (name == "RedriveAllowPolicy") {
    set_redrive_allow(queue, value);
  } else if (name == "FifoQueue") {
    const bool fifo = flag(name, value);
    if (create && fifo && !q.fifo()) refuse_fifo_name();
    if (!q.fifo()) throw err::InvalidAttributeName("Unknown Attribute FifoQueue.");
    if (!fifo) bad(name, "Modifying queue type is not supported.");
  } else if (name == "ContentBasedDeduplication" || name == "DeduplicationScope" || name == "FifoThroughputLimit") {
    if (!q.fifo()) {
      throw err::InvalidAttributeName(name == "ContentBasedDeduplication"
                                          ? cat("Unknown Attribute ", name, ".")
                                          : cat("You can specify the ", name, " only when FifoQueue is set to true."));
    }
    set_fifo_attribute(queue, name, value);
  } else if (name == "KmsMasterKeyId") {
    if (!value.empty()) {
      throw err::UnsupportedOperation(
          "KmsMasterKeyId is not served: messages are not encrypted with KMS keys. Use SqsManagedSseEnabled.");
    }
  } else if (name == "KmsDataKeyReusePeriodSeconds") {
    queue.kms_reuse = number(name, value, 60, 86'400);
  } else if (name == "SqsManagedSseEnabled") {
    queue.managed_sse = flag(name, value);
  } else {
    throw err::InvalidAttributeName(cat("Unknown Attribute ", name, "."));
  }
}

}  // namespace

void check_queue_name(std::string_view name) {
  const bool fifo = name.ends_with(".fifo");
  const std::string_view stem = fifo ? name.substr(0, name.size() - 5) : name;
  if (!stem.empty() && name.size() <= kMaxQueueName && std::ranges::all_of(stem, is_name_character)) return;
  if (fifo) refuse_fifo_name();
  throw err::InvalidParameterValueException(
      "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length");
}

QueueName queue_of_url(const kernel::Ctx& ctx, std::string_view url) {
  std::string_view path = url;
  if (const size_t scheme = path.find("://"); scheme != path.npos) {
    const size_t slash = path.find('/', scheme + 3);
    path = slash == path.npos ? std::string_view() : path.substr(slash);
  }
  while (path.ends_with('/')) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == path.npos ? path : path.substr(slash + 1);
  if (name.empty()) throw err::InvalidAddress(cat("The address ", url, " is not valid for this endpoint."));
  QueueName queue{ctx.account, ctx.region, std::string(name)};
  if (slash != path.npos) {
    std::string_view before = path.substr(0, slash);
    if (const size_t s = before.rfind('/'); s != before.npos) before.remove_prefix(s + 1);
    if (is_account(before)) queue.account = before;
  }
  return queue;
}

std::string queue_url(const kernel::Ctx& ctx, const QueueName& queue) {
  return cat(ctx.base_url.empty() ? std::string_view("http://localhost:4566") : std::string_view(ctx.base_url), '/',
             queue.account, '/', queue.name);
}

void apply_attributes(QueueRecord& queue, const QueueName& name, const Attributes& attributes, bool create) {
  for (const auto& [attribute, value] : attributes) set_attribute(queue, name, attribute, value, create);
  if (create && name.fifo() && !attributes.contains("FifoQueue")) refuse_fifo_name();
  if (queue.throughput_limit == "perMessageGroupId" && queue.deduplication_scope != "messageGroup") {
    bad("FifoThroughputLimit", "perMessageGroupId needs the DeduplicationScope messageGroup.");
  }
}

std::optional<std::string> first_difference(const QueueRecord& queue, const QueueName& name,
                                            const Attributes& attributes) {
  QueueRecord wanted = queue;
  apply_attributes(wanted, name, attributes, true);
  const Attributes now = shown_attributes(queue, name), then = shown_attributes(wanted, name);
  for (const auto& [attribute, value] : attributes) {
    const auto a = now.find(attribute), b = then.find(attribute);
    if ((a == now.end()) != (b == then.end()) || (a != now.end() && a->second != b->second)) return attribute;
  }
  return std::nullopt;
}

Attributes shown_attributes(const QueueRecord& queue, const QueueName& name) {
  Attributes out{{"QueueArn", name.arn()},
                 {"CreatedTimestamp", cat(queue.created.seconds())},
                 {"LastModifiedTimestamp", cat(queue.modified.seconds())},
                 {"VisibilityTimeout", cat(queue.visibility)},
                 {"MaximumMessageSize", cat(queue.max_size)},
                 {"MessageRetentionPeriod", cat(queue.retention)},
                 {"DelaySeconds", cat(queue.delay)},
                 {"ReceiveMessageWaitTimeSeconds", cat(queue.wait)},
                 {"SqsManagedSseEnabled", queue.managed_sse ? "true" : "false"}};
  const auto set = [&](std::string attribute, const std::string& value) {
    if (!value.empty()) out.emplace(std::move(attribute), value);
  };
  set("Policy", queue.policy);
  set("RedrivePolicy", queue.redrive_policy);
  set("RedriveAllowPolicy", queue.redrive_allow_policy);
  if (name.fifo()) {
    out["FifoQueue"] = "true";
    out["ContentBasedDeduplication"] = queue.content_deduplication ? "true" : "false";
    out["DeduplicationScope"] = queue.deduplication_scope.empty() ? "queue" : queue.deduplication_scope;
    out["FifoThroughputLimit"] = queue.throughput_limit.empty() ? "perQueue" : queue.throughput_limit;
  }
  return out;
}

bool is_attribute(std::string_view name) { return std::ranges::find(kAttributes, name) != kAttributes.end(); }

bool may_redrive(const QueueRecord& target, const QueueName& source) {
  if (target.redrive_allow_policy.empty()) return true;
  const Json json = Json::parse(target.redrive_allow_policy);
  const std::string permission = json.string_or("redrivePermission");
  if (permission != "byQueue") return permission == "allowAll";
  return std::ranges::any_of(json.find("sourceQueueArns")->as_array(),
                             [&](const Json& arn) { return arn.as_string() == source.arn(); });
}

}  // namespace virga::sqs
