#include "services/scheduler/schedule.h"

#include <algorithm>

#include "base/json.h"
#include "base/str.h"
#include "kernel/context.h"
#include "services/scheduler/limits.h"

namespace virga::scheduler {

std::string schedule_arn(const Home& home, std::string_view group, std::string_view name) {
  return cat("arn:aws:scheduler:", home.region, ":", home.account, ":schedule/", group, "/", name);
}
std::string group_arn(const Home& home, std::string_view group) {
  return cat("arn:aws:scheduler:", home.region, ":", home.account, ":schedule-group/", group);
}

std::optional<Time> next_time(const ScheduleRecord& schedule, kernel::TimeZones& zones, Time after) {
  const auto expression =
      kernel::ScheduleExpression::parse(schedule.expression, kernel::ScheduleExpression::Units::kAny);
  const auto zone = zones.find(schedule.zone.empty() ? "UTC" : schedule.zone);
  if (!expression || !zone || !schedule.enabled) return std::nullopt;
  const bool once = expression->kind() == kernel::ScheduleExpression::Kind::kAt;
  // Start and end bound what recurs; what happens once has its time.
  if (!once && schedule.start) after = std::max(after, *schedule.start - Micros(1));
  const auto next = expression->next(after, *zone, schedule.start.value_or(schedule.from));
  if (next && !once && schedule.end && *next > *schedule.end) return std::nullopt;
  return next;
}

kernel::TargetDelivery delivery_of(const Home& home, const ScheduleRecord& schedule, Time due,
                                   const std::string& execution) {
  const std::string arn = schedule_arn(home, schedule.group, schedule.name);
  const TargetRecord& target = schedule.target;
  const std::string due_text = iso8601(Time::from_seconds(due.seconds()));
  kernel::TargetDelivery out;
  out.target = target.arn;
  out.account = home.account;
  out.region = home.region;
  out.service = "scheduler.amazonaws.com";
  out.role = target.role;
  out.source_arn = arn;
  out.retry = {target.retries.value_or(kMaxRetries), target.max_age.value_or(kMaxAge)};
  if (target.input) {
    std::string body = *target.input;
    for (const auto& [word, value] :
         {std::pair<std::string_view, std::string_view>{"<aws.scheduler.schedule-arn>", arn},
          {"<aws.scheduler.scheduled-time>", due_text},
          {"<aws.scheduler.execution-id>", execution},
          {"<aws.scheduler.attempt-number>", "1"}}) {
      if (body.find(word) != body.npos) body = replace_all(body, word, value);
    }
    out.input.body = std::move(body);
  } else {
    JsonWriter w(out.input.body);
    w.begin_object();
    for (const auto& [key, value] : {std::pair<std::string_view, std::string_view>{"version", "0"},
                                     {"id", execution},
                                     {"detail-type", "Scheduled Event"},
                                     {"source", "aws.scheduler"},
                                     {"account", home.account},
                                     {"time", due_text},
                                     {"region", home.region}}) {
      w.key(key);
      w.string(value);
    }
    w.key("resources");
    w.begin_array();
    w.string(arn);
    w.end_array();
    w.key("detail");
    w.string("{}");
    w.end_object();
  }
  out.input.group = target.message_group;
  if (!target.partition_key.empty()) out.input.parameters["PartitionKey"] = target.partition_key;
  if (!target.source.empty()) {
    out.input.parameters["Source"] = target.source;
    out.input.parameters["DetailType"] = target.detail_type;
    out.input.parameters["Resources"] = Json(Json::Array{Json(arn)}).dump();
    out.input.parameters["Time"] = due_text;
  }
  if (!target.dead_letter.empty()) {
    kernel::DeadLetter& letter = out.dead_letter;
    letter.target = target.dead_letter;
    letter.role = target.role;
    auto& attributes = letter.input.attributes;
    attributes["SCHEDULE_ARN"].value = arn;
    attributes["TARGET_ARN"].value = target.arn;
    attributes["SCHEDULED_TIME"].value = due_text;
    attributes["EXECUTION_ID"].value = execution;
    attributes["ERROR_CODE"].value = "${code}";
    attributes["ERROR_MESSAGE"].value = "${message}";
    attributes["EXHAUSTED_RETRY_CONDITION"].value = "${condition}";
    attributes["RETRY_ATTEMPTS"].value = "${retries}";
    attributes["IS_PAYLOAD_TRUNCATED"].value = "false";
  }
  return out;
}

}  // namespace virga::scheduler
