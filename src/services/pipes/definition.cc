#include "services/pipes/definition.h"

#include <aws/pipes/errors.h>
#include <aws/pipes/ops.h>

#include "base/str.h"
#include "kernel/event_pattern.h"
#include "kernel/event_source.h"
#include "kernel/event_template.h"
#include "kernel/typed_json.h"
#include "services/pipes/limits.h"

namespace virga::pipes {
namespace {

using lambda::esm::Mapping;

[[noreturn]] void refuse(std::string message) { throw err::ValidationException(std::move(message)); }
void unserved(bool given, std::string_view name) {
  if (given) refuse(cat(name, " is not served by Virga."));
}

void check_path(const std::optional<std::string>& text, std::string_view name) {
  if (text && text->starts_with('$') && !kernel::is_path(*text)) refuse(cat("Invalid JSON path in ", name, "."));
}

void check_source(const CreatePipeRequest& in, const kernel::Cloud& cloud) {
  const auto arn = kernel::parse_arn(in.source);
  if (!arn) refuse(cat("Source is not an ARN that Virga serves: ", in.source));
  const PipeSourceParameters source = in.source_parameters.value_or(PipeSourceParameters{});
  unserved(source.kinesis_stream_parameters.has_value(), "SourceParameters.KinesisStreamParameters");
  unserved(source.active_mq_broker_parameters.has_value(), "SourceParameters.ActiveMQBrokerParameters");
  unserved(source.rabbit_mq_broker_parameters.has_value(), "SourceParameters.RabbitMQBrokerParameters");
  unserved(source.managed_streaming_kafka_parameters.has_value(), "SourceParameters.ManagedStreamingKafkaParameters");
  unserved(source.self_managed_kafka_parameters.has_value(), "SourceParameters.SelfManagedKafkaParameters");
  if (arn->service == "dynamodb") {
    if (!source.dynamo_db_stream_parameters) {
      refuse("SourceParameters.DynamoDBStreamParameters is required for DynamoDB stream sources.");
    }
    if (!kernel::find_stream_source(cloud, *arn)) refuse(cat("Not a stream: ", in.source));
    const auto& p = *source.dynamo_db_stream_parameters;
    if (p.dead_letter_config && p.dead_letter_config->arn) {
      const auto letters = kernel::parse_arn(*p.dead_letter_config->arn);
      if (!letters || (letters->service != "sqs" && letters->service != "sns")) {
        refuse("DeadLetterConfig.Arn must be of an Amazon SQS queue or an Amazon SNS topic.");
      }
    }
  } else if (arn->service != "sqs") {
    refuse(cat("Sources of the service ", arn->service, " are not served by Virga: ", in.source));
  }
  if ((arn->service == "sqs") == source.dynamo_db_stream_parameters.has_value() ||
      (arn->service != "sqs" && source.sqs_queue_parameters)) {
    refuse("SourceParameters are of another kind than the Source.");
  }
  const bool fifo = arn->service == "sqs" && arn->resource.ends_with(".fifo");
  if (fifo && source.sqs_queue_parameters && source.sqs_queue_parameters->batch_size.value_or(1) > 10) {
    refuse("BatchSize is at most 10 for FIFO queues.");
  }
  if (!source.filter_criteria || !source.filter_criteria->filters) return;
  if (source.filter_criteria->filters->size() > kMaxFilters) refuse("A pipe has at most 5 filters.");
  for (const Filter& filter : *source.filter_criteria->filters) {
    try {
      kernel::EventPattern::parse(filter.pattern.value_or("{}"));
    } catch (const kernel::PatternError& e) {
      refuse(cat("Invalid filter pattern: ", e.what()));
    }
  }
}

void check_enrichment(const CreatePipeRequest& in) {
  if (!in.enrichment || in.enrichment->empty()) return;
  const auto arn = kernel::parse_arn(*in.enrichment);
  if (!arn) refuse(cat("Enrichment is not an ARN: ", *in.enrichment));
  const bool destination = arn->service == "events" && arn->resource.starts_with("api-destination/");
  if (arn->service != "lambda" && !destination) {
    refuse(cat("Enrichment by the service ", arn->service, " is not served by Virga: ", *in.enrichment));
  }
  if (in.enrichment_parameters && in.enrichment_parameters->http_parameters && !destination) {
    refuse(cat("HttpParameters is not for the enrichment ", *in.enrichment, "."));
  }
}

void check_target(const CreatePipeRequest& in, const kernel::Cloud& cloud) {
  const auto arn = kernel::parse_arn(in.target);
  if (!arn) refuse(cat("Target is not an ARN: ", in.target));
  const std::string& s = arn->service;
  if ((s != "lambda" && s != "sqs" && s != "sns" && s != "events" && s != "logs") || !cloud.accepts(in.target)) {
    refuse(cat("Targets of the service ", s, " are not served by Virga: ", in.target));
  }
  const PipeTargetParameters p = in.target_parameters.value_or(PipeTargetParameters{});
  unserved(p.step_function_state_machine_parameters.has_value(), "TargetParameters.StepFunctionStateMachineParameters");
  unserved(p.kinesis_stream_parameters.has_value(), "TargetParameters.KinesisStreamParameters");
  unserved(p.ecs_task_parameters.has_value(), "TargetParameters.EcsTaskParameters");
  unserved(p.batch_job_parameters.has_value(), "TargetParameters.BatchJobParameters");
  unserved(p.redshift_data_parameters.has_value(), "TargetParameters.RedshiftDataParameters");
  unserved(p.sage_maker_pipeline_parameters.has_value(), "TargetParameters.SageMakerPipelineParameters");
  unserved(p.timestream_parameters.has_value(), "TargetParameters.TimestreamParameters");
  const auto only_for = [&](bool given, std::string_view service, std::string_view name) {
    if (given && s != service) refuse(cat(name, " is not for the target ", in.target, "."));
  };
  const bool destination = arn->resource.starts_with("api-destination/");
  only_for(p.http_parameters.has_value(), destination ? "events" : "none", "HttpParameters");
  only_for(p.lambda_function_parameters.has_value(), "lambda", "LambdaFunctionParameters");
  only_for(p.sqs_queue_parameters.has_value(), "sqs", "SqsQueueParameters");
  only_for(p.event_bridge_event_bus_parameters.has_value(), destination ? "none" : "events",
           "EventBridgeEventBusParameters");
  only_for(p.cloud_watch_logs_parameters.has_value(), "logs", "CloudWatchLogsParameters");
  if (p.event_bridge_event_bus_parameters) {
    unserved(p.event_bridge_event_bus_parameters->endpoint_id.has_value(), "EventBridgeEventBusParameters.EndpointId");
    check_path(p.event_bridge_event_bus_parameters->time, "Time");
  }
  if (p.cloud_watch_logs_parameters) check_path(p.cloud_watch_logs_parameters->timestamp, "Timestamp");
  const bool grouped = p.sqs_queue_parameters && p.sqs_queue_parameters->message_group_id;
  if (s == "sqs" && arn->resource.ends_with(".fifo") && !grouped) {
    refuse("SqsQueueParameters.MessageGroupId is required for FIFO queues.");
  }
  if (p.sqs_queue_parameters) {
    check_path(p.sqs_queue_parameters->message_group_id, "MessageGroupId");
    check_path(p.sqs_queue_parameters->message_deduplication_id, "MessageDeduplicationId");
  }
}

}  // namespace

Json definition_of(const CreatePipeRequest& in) {
  Json out = kernel::read(*op::CreatePipe::model().input, &in);
  out.erase("Tags");
  return out;
}

Json updated(Json definition, const UpdatePipeRequest& in) {
  const Json change = kernel::read(*op::UpdatePipe::model().input, &in);
  for (const auto& [key, value] : change.as_object()) {
    if (key != "SourceParameters") {
      definition[key] = value;
      continue;
    }
    for (const auto& [part, said] : value.as_object()) {
      Json& known = definition["SourceParameters"][part];
      if (part == "FilterCriteria" || !known.is_object()) {
        known = said;
        continue;
      }
      for (const auto& [name, one] : said.as_object()) known[name] = one;
    }
  }
  if (definition.string_or("Enrichment").empty()) {
    definition.erase("Enrichment");
    definition.erase("EnrichmentParameters");
  }
  return definition;
}

CreatePipeRequest typed(const Json& definition) {
  CreatePipeRequest out;
  try {
    kernel::fill(*op::CreatePipe::model().input, definition, &out);
  } catch (const kernel::TypedJsonError& e) {
    refuse(e.what());
  }
  return out;
}

void check(const CreatePipeRequest& in, const kernel::Cloud& cloud) {
  unserved(in.log_configuration.has_value(), "LogConfiguration");
  unserved(in.kms_key_identifier && !in.kms_key_identifier->empty(), "KmsKeyIdentifier");
  check_source(in, cloud);
  check_enrichment(in);
  check_target(in, cloud);
}

void apply(Mapping& m, const CreatePipeRequest& in) {
  m.source = in.source;
  m.enabled = in.desired_state != RequestedPipeState::STOPPED;
  m.reports_failures = true;
  m.filters.clear();
  const PipeSourceParameters source = in.source_parameters.value_or(PipeSourceParameters{});
  if (source.filter_criteria && source.filter_criteria->filters) {
    for (const Filter& filter : *source.filter_criteria->filters) m.filters.push_back(filter.pattern.value_or("{}"));
  }
  if (!source.dynamo_db_stream_parameters) {
    m.kind = lambda::esm::SourceKind::kQueue;
    const auto p = source.sqs_queue_parameters.value_or(PipeSourceSqsQueueParameters{});
    m.batch_size = p.batch_size.value_or(10);
    m.window = p.maximum_batching_window_in_seconds.value_or(0);
    return;
  }
  const auto& p = *source.dynamo_db_stream_parameters;
  m.kind = lambda::esm::SourceKind::kStream;
  m.batch_size = p.batch_size.value_or(100);
  m.window = p.maximum_batching_window_in_seconds.value_or(0);
  m.parallel = p.parallelization_factor.value_or(1);
  m.retries = p.maximum_retry_attempts.value_or(-1);
  m.record_age = p.maximum_record_age_in_seconds.value_or(-1);
  m.bisect = p.on_partial_batch_item_failure.has_value();
  m.on_failure = p.dead_letter_config ? p.dead_letter_config->arn.value_or("") : "";
  m.start = p.starting_position == DynamoDBStreamStartPosition::LATEST ? lambda::esm::Start::kLatest
                                                                       : lambda::esm::Start::kTrimHorizon;
}

}  // namespace virga::pipes
