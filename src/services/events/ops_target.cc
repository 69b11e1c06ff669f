#include <aws/events/errors.h>

#include <algorithm>

#include "base/str.h"
#include "kernel/authorize.h"
#include "kernel/cloud.h"
#include "kernel/page.h"
#include "services/events/limits.h"
#include "services/events/service.h"

namespace virga::events {
namespace {

// A template must be JSON once its placeholders have values: an object, or text in quotes on each of its lines.
bool is_template(const InputTransformer& in) {
  std::map<std::string, std::string> none;
  const std::string filled = fill_template(in.input_template, none, Json::object(), "{}", {}).value_or("");
  const auto is_json = [](std::string_view text) {
    try {
      JsonReader reader(text);
      reader.skip_value();
      reader.end();
      return true;
    } catch (const JsonError&) {
      return false;
    }
  };
  if (is_json(filled)) return true;
  const auto lines = split(filled, '\n');
  return std::all_of(lines.begin(), lines.end(), [&](std::string_view line) { return is_json(trim(line)); });
}

void check(const Target& in, const kernel::Cloud& cloud) {
  const auto refuse = [&](std::string_view parameter, std::string_view why) {
    throw err::ValidationException(cat("Parameter ", parameter, " is not valid. Reason: ", why));
  };
  const auto arn = kernel::parse_arn(in.arn);
  if (!arn) refuse(in.arn, "Provided Arn is not in correct format.");
  const auto unserved = [&](bool given, std::string_view name) {
    if (given) throw err::ValidationException(cat(name, " is not served: no target here takes it."));
  };
  unserved(in.ecs_parameters.has_value(), "EcsParameters");
  unserved(in.batch_parameters.has_value(), "BatchParameters");
  unserved(in.run_command_parameters.has_value(), "RunCommandParameters");
  unserved(in.redshift_data_parameters.has_value(), "RedshiftDataParameters");
  unserved(in.sage_maker_pipeline_parameters.has_value(), "SageMakerPipelineParameters");
  unserved(in.app_sync_parameters.has_value(), "AppSyncParameters");
  if (!cloud.accepts(in.arn)) {
    throw err::ValidationException(cat("Targets of the service ", arn->service, " are not served: ", in.arn));
  }
  const bool bus = arn->service == "events" && arn->resource.starts_with("event-bus/");
  const bool destination = arn->service == "events" && arn->resource.starts_with("api-destination/");
  if (arn->service == "events" && !bus && !destination) refuse(in.arn, "Provided Arn is not in correct format.");
  if (arn->service == "sqs" && arn->resource.ends_with(".fifo") &&
      (!in.sqs_parameters || !in.sqs_parameters->message_group_id)) {
    refuse(cat("SqsParameters"), cat("MessageGroupId is required for FIFO queue target ", in.id, "."));
  }
  if (arn->service == "sqs" && !arn->resource.ends_with(".fifo") && in.sqs_parameters &&
      in.sqs_parameters->message_group_id) {
    refuse("SqsParameters", cat("MessageGroupId is only for FIFO queues, which target ", in.id, " is not."));
  }
  if ((destination || arn->service == "states" || arn->service == "kinesis" || arn->service == "firehose") &&
      !in.role_arn) {
    refuse("Target.RoleArn", cat("RoleArn is required for target ", in.arn, "."));
  }
  const int inputs = in.input.has_value() + in.input_path.has_value() + in.input_transformer.has_value();
  if (inputs > 1) {
    throw err::ValidationException(
        cat("Only one of Input, InputPath, or InputTransformer must be provided for target ", in.id, "."));
  }
  if (bus && inputs)
    throw err::ValidationException("InputPath, Input and InputTransformer are not allowed for event bus targets.");
  if (in.input) {
    try {
      (void)Json::parse(*in.input);
    } catch (const JsonError&) {
      throw err::ValidationException(cat("JSON syntax error in input for target ", in.id, "."));
    }
  }
  if (in.input_path && !is_path(*in.input_path)) refuse("InputPath", cat("Invalid InputPath for target ", in.id, "."));
  if (in.input_transformer) {
    if (in.input_transformer->input_paths_map) {
      for (const auto& [key, path] : *in.input_transformer->input_paths_map) {
        if (!is_path(path)) refuse("InputPathsMap", cat("Invalid InputPath for target ", in.id, "."));
        if (key.starts_with("aws.")) refuse("InputPathsMap", cat("Keys that start with AWS. are reserved: ", key, "."));
      }
    }
    const auto paths = in.input_transformer->input_paths_map.value_or(std::map<std::string, std::string>());
    if (const auto unknown = unknown_name(in.input_transformer->input_template, paths)) {
      throw err::ValidationException(
          cat("InputTemplate for target ", in.id, " contains invalid placeholder ", *unknown, "."));
    }
    if (!is_template(*in.input_transformer)) {
      throw err::ValidationException(cat("Invalid InputTemplate for target ", in.id, " : [JSON syntax error]."));
    }
  }
}

TargetRecord record_of(const Target& in) {
  TargetRecord out;
  out.id = in.id;
  out.arn = in.arn;
  out.role = in.role_arn.value_or("");
  out.input = in.input;
  out.input_path = in.input_path;
  if (in.input_transformer) {
    out.input_template = in.input_transformer->input_template;
    if (in.input_transformer->input_paths_map) out.input_paths = *in.input_transformer->input_paths_map;
  }
  if (in.kinesis_parameters) out.partition_key_path = in.kinesis_parameters->partition_key_path;
  if (in.sqs_parameters) out.message_group = in.sqs_parameters->message_group_id.value_or("");
  if (in.http_parameters) {
    if (in.http_parameters->path_parameter_values) out.path_values = *in.http_parameters->path_parameter_values;
    if (in.http_parameters->header_parameters) out.headers = *in.http_parameters->header_parameters;
    if (in.http_parameters->query_string_parameters) out.query = *in.http_parameters->query_string_parameters;
  }
  if (in.dead_letter_config) out.dead_letter = in.dead_letter_config->arn.value_or("");
  if (in.retry_policy) {
    out.retries = in.retry_policy->maximum_retry_attempts;
    out.max_age = in.retry_policy->maximum_event_age_in_seconds;
  }
  return out;
}

Target describe(const TargetRecord& record) {
  Target out;
  out.id = record.id;
  out.arn = record.arn;
  if (!record.role.empty()) out.role_arn = record.role;
  out.input = record.input;
  out.input_path = record.input_path;
  if (record.input_template) {
    out.input_transformer.emplace().input_template = *record.input_template;
    if (!record.input_paths.empty()) out.input_transformer->input_paths_map = record.input_paths;
  }
  if (!record.partition_key_path.empty())
    out.kinesis_parameters.emplace().partition_key_path = record.partition_key_path;
  if (!record.message_group.empty()) out.sqs_parameters.emplace().message_group_id = record.message_group;
  if (!record.path_values.empty() || !record.headers.empty() || !record.query.empty()) {
    HttpParameters& http = out.http_parameters.emplace();
    http.path_parameter_values = record.path_values;
    http.header_parameters = record.headers;
    http.query_string_parameters = record.query;
  }
  if (!record.dead_letter.empty()) out.dead_letter_config.emplace().arn = record.dead_letter;
  if (record.retries || record.max_age) {
    RetryPolicy& retry = out.retry_policy.emplace();
    if (record.retries) retry.maximum_retry_attempts = static_cast<int32_t>(*record.retries);
    if (record.max_age) retry.maximum_event_age_in_seconds = static_cast<int32_t>(*record.max_age);
  }
  return out;
}

}  // namespace

Task<PutTargetsResponse> EventsService::put_targets(Ctx& ctx, const PutTargetsRequest& in) {
  const BusName bus = bus_named(ctx, in.event_bus_name);
  for (const Target& target : in.targets) {
    check(target, deps_.cloud);
    if (target.role_arn) co_await deps_.cloud.authorizer().authorize_pass(ctx, model(), *target.role_arn);
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PutTargetsResponse> {
    WriteStore store(tx, bus.home);
    auto rule = co_await store.find<RuleRecord>(in.rule, bus.name);
    if (!rule) co_return no_rule(in.rule, bus.name);
    for (const Target& target : in.targets) {
      const auto known = std::find_if(rule->targets.begin(), rule->targets.end(),
                                      [&](const TargetRecord& t) { return t.id == target.id; });
      if (known != rule->targets.end()) {
        *known = record_of(target);
      } else {
        rule->targets.push_back(record_of(target));
      }
    }
    if (rule->targets.size() > kMaxTargets) {
      co_return too_many();
    }
    store.put(*rule, bus.name);
    change(tx, bus.home, bus.name);
    PutTargetsResponse out;
    out.failed_entry_count = 0;
    out.failed_entries.emplace();
    co_return out;
  });
}

Task<RemoveTargetsResponse> EventsService::remove_targets(Ctx& ctx, const RemoveTargetsRequest& in) {
  const BusName bus = bus_named(ctx, in.event_bus_name);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<RemoveTargetsResponse> {
    WriteStore store(tx, bus.home);
    auto rule = co_await store.find<RuleRecord>(in.rule, bus.name);
    if (!rule) co_return no_rule(in.rule, bus.name);
    RemoveTargetsResponse out;
    out.failed_entries.emplace();
    for (const std::string& id : in.ids) {
      if (std::erase_if(rule->targets, [&](const TargetRecord& t) { return t.id == id; })) continue;
      RemoveTargetsResultEntry& failed = out.failed_entries->emplace_back();
      failed.target_id = id;
      failed.error_code = "ResourceNotFoundException";
      failed.error_message = cat("Rule ", in.rule, " does not have a target with the Id ", id, ".");
    }
    out.failed_entry_count = static_cast<int32_t>(out.failed_entries->size());
    store.put(*rule, bus.name);
    change(tx, bus.home, bus.name);
    co_return out;
  });
}

Task<ListTargetsByRuleResponse> EventsService::list_targets_by_rule(Ctx& ctx, const ListTargetsByRuleRequest& in) {
  const BusName bus = bus_named(ctx, in.event_bus_name);
  const auto snapshot = deps_.db.snapshot();
  const auto rule = co_await Store(*snapshot, bus.home).find<RuleRecord>(in.rule, bus.name);
  if (!rule) co_return no_rule(in.rule, bus.name);
  size_t at = static_cast<size_t>(kernel::open_page<std::pair<int64_t, int64_t>>(
                                      deps_.tokens, ctx, "events:ListTargetsByRule", in.next_token, bad_token())
                                      .value_or(std::pair<int64_t, int64_t>{0, 0})
                                      .first);
  const size_t limit = in.limit ? static_cast<size_t>(*in.limit) : kDefaultList;
  ListTargetsByRuleResponse out;
  out.targets.emplace();
  for (; at < rule->targets.size() && out.targets->size() < limit; ++at) {
    out.targets->push_back(describe(rule->targets[at]));
  }
  if (at < rule->targets.size()) {
    out.next_token = kernel::seal_page(deps_.tokens, ctx, "events:ListTargetsByRule",
                                       std::pair<int64_t, int64_t>{static_cast<int64_t>(at), 0});
  }
  co_return out;
}

}  // namespace virga::events
