#include "services/lambda/esm/mapping.h"

#include <aws/lambda/errors.h>

#include <algorithm>

#include "base/str.h"
#include "kv/key.h"
#include "services/lambda/esm/filter.h"

namespace virga::lambda::esm {
namespace {

constexpr size_t kMostFilters = 10;
constexpr int32_t kQueueBatch = 10, kStreamBatch = 100;

kv::KeyWriter key(char kind) { return std::move(kv::KeyWriter("esm").u8(static_cast<uint8_t>(kind))); }

[[noreturn]] void refuse(std::string message) { throw err::InvalidParameterValueException(std::move(message)); }
void unsupported(bool given, std::string_view name) {
  if (given) refuse(cat("Unsupported '", name, "' parameter for given event source mapping type."));
}
void unserved(bool given, std::string_view name) {
  if (given) refuse(cat(name, " is not served by Virga."));
}

template <class In>
void check_served(const In& in) {
  unserved(in.amazon_managed_kafka_event_source_config.has_value(), "AmazonManagedKafkaEventSourceConfig");
  unserved(in.self_managed_kafka_event_source_config.has_value(), "SelfManagedKafkaEventSourceConfig");
  unserved(in.document_db_event_source_config.has_value(), "DocumentDBEventSourceConfig");
  unserved(in.source_access_configurations && !in.source_access_configurations->empty(), "SourceAccessConfigurations");
  unserved(in.kms_key_arn && !in.kms_key_arn->empty(), "KMSKeyArn");
  unserved(in.metrics_config && in.metrics_config->metrics && !in.metrics_config->metrics->empty(), "MetricsConfig");
  unserved(in.logging_config.has_value(), "LoggingConfig");
  unserved(in.provisioned_poller_config.has_value(), "ProvisionedPollerConfig");
}

SourceKind kind_of(const std::string& text) {
  const auto arn = kernel::parse_arn(text);
  if (!arn) refuse(cat("Unrecognized event source: ", text));
  if (arn->service == "sqs") return SourceKind::kQueue;
  if (arn->service == "dynamodb") return SourceKind::kStream;
  if (arn->service == "kinesis") refuse("Amazon Kinesis event sources are not served by Virga.");
  if (arn->service == "kafka") refuse("Amazon MSK event sources are not served by Virga.");
  if (arn->service == "mq") refuse("Amazon MQ event sources are not served by Virga.");
  if (arn->service == "rds" || arn->service == "docdb")
    refuse("Amazon DocumentDB event sources are not served by Virga.");
  refuse(cat("Unrecognized event source, must be kinesis, dynamodb stream or sqs. Unsupported source arn : ", text));
}

std::string failure_of(const DestinationConfig& config) {
  return config.on_failure ? config.on_failure->destination.value_or("") : "";
}

// What both requests can say, and what may stand together.
template <class In>
void apply(Mapping& m, const In& in) {
  if (in.enabled) m.enabled = *in.enabled;
  if (in.batch_size) m.batch_size = *in.batch_size;
  if (in.maximum_batching_window_in_seconds) m.window = *in.maximum_batching_window_in_seconds;
  if (in.function_response_types) m.reports_failures = !in.function_response_types->empty();
  if (in.filter_criteria) {
    m.filters.clear();
    if (in.filter_criteria->filters) {
      for (const Filter& filter : *in.filter_criteria->filters) m.filters.push_back(filter.pattern.value_or("{}"));
    }
    if (m.filters.size() > kMostFilters) {
      refuse(
          cat("The number of filters provided is ", m.filters.size(), ", more than the limit of ", kMostFilters, "."));
    }
    check_filters(m.filters);
  }
  if (m.kind == SourceKind::kQueue) {
    unsupported(in.parallelization_factor.has_value(), "parallelizationFactor");
    unsupported(in.bisect_batch_on_function_error.has_value(), "bisectBatchOnFunctionError");
    unsupported(in.maximum_retry_attempts.has_value(), "maximumRetryAttempts");
    unsupported(in.maximum_record_age_in_seconds.has_value(), "maximumRecordAgeInSeconds");
    unsupported(in.tumbling_window_in_seconds.has_value(), "tumblingWindowInSeconds");
    if (in.destination_config && (in.destination_config->on_success || failure_of(*in.destination_config) != ""))
      refuse("Unsupported DestinationConfig parameter for given event source mapping type.");
    if (in.scaling_config) m.concurrency = in.scaling_config->maximum_concurrency;
    if (m.fifo()) {
      if (m.batch_size > kQueueBatch) refuse("Batch size must be less than or equal to 10 for FIFO queues.");
      if (m.window > 0) refuse("Batching window is not supported for FIFO queues.");
    } else if (m.batch_size > kQueueBatch && m.window == 0) {
      refuse("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10");
    }
    return;
  }
  unsupported(in.scaling_config && in.scaling_config->maximum_concurrency, "scalingConfig");
  if (in.parallelization_factor) m.parallel = *in.parallelization_factor;
  if (in.bisect_batch_on_function_error) m.bisect = *in.bisect_batch_on_function_error;
  if (in.maximum_retry_attempts) m.retries = *in.maximum_retry_attempts;
  if (in.maximum_record_age_in_seconds) m.record_age = *in.maximum_record_age_in_seconds;
  if (in.tumbling_window_in_seconds) m.tumbling = *in.tumbling_window_in_seconds;
  if (m.record_age != -1 && m.record_age < 60) refuse("MaximumRecordAgeInSeconds must be -1 or between 60 and 604800.");
  if (m.tumbling > 0 && m.parallel > 1) refuse("ParallelizationFactor must be 1 when tumbling windows are used.");
  if (in.destination_config) {
    const DestinationConfig& destination = *in.destination_config;
    unsupported(destination.on_success && destination.on_success->destination.value_or("") != "", "onSuccess");
    m.on_failure = failure_of(destination);
    if (!m.on_failure.empty()) {
      const auto arn = kernel::parse_arn(m.on_failure);
      if (!arn || (arn->service != "sqs" && arn->service != "sns" && arn->service != "s3")) {
        refuse(cat("The destination ARN ", m.on_failure, " is invalid."));
      }
    }
  }
}

std::string_view name_of(MappingState state) {
  switch (state) {
    case MappingState::kCreating:
      return "Creating";
    case MappingState::kEnabling:
      return "Enabling";
    case MappingState::kEnabled:
      return "Enabled";
    case MappingState::kUpdating:
      return "Updating";
    case MappingState::kDisabling:
      return "Disabling";
    case MappingState::kDisabled:
      return "Disabled";
    case MappingState::kDeleting:
      return "Deleting";
  }
  return "";
}

}  // namespace

std::string Mapping::function_arn() const {
  return cat("arn:aws:lambda:", region, ":", account, ":function:", function, qualifier.empty() ? "" : ":", qualifier);
}
std::string Mapping::arn() const {
  return cat("arn:aws:lambda:", region, ":", account, ":event-source-mapping:", uuid);
}

bool is_mapping_arn(std::string_view text) {
  return text.starts_with("arn:") && text.find(":event-source-mapping:") != std::string_view::npos;
}
std::string mapping_key(const std::string& account, const std::string& region, const std::string& uuid,
                        const std::string& owner) {
  if (owner.empty()) return key('m').text(account).text(region).text(uuid);
  return key('o').text(owner).text(account).text(region).text(uuid);
}
std::string mapping_key(const Mapping& mapping) {
  return mapping_key(mapping.account, mapping.region, mapping.uuid, mapping.owner);
}
std::string mappings_prefix(const std::string& owner) {
  return owner.empty() ? key('m').take() : key('o').text(owner).take();
}
kv::Range mappings_of(const std::string& account, const std::string& region) {
  return kv::prefix_range(key('m').text(account).text(region).view());
}
std::string checkpoint_key(const std::string& uuid, const std::string& shard, uint32_t slot) {
  return key('k').text(uuid).text(shard).u32(slot);
}
kv::Range checkpoints_of(const std::string& uuid) { return kv::prefix_range(key('k').text(uuid).view()); }
kv::Range checkpoints_of(const std::string& uuid, const std::string& shard) {
  return kv::prefix_range(key('k').text(uuid).text(shard).view());
}

Mapping mapping_of(const CreateEventSourceMappingRequest& in) {
  unserved(in.self_managed_event_source.has_value(), "SelfManagedEventSource (Apache Kafka)");
  unserved(in.topics.has_value(), "Topics (Apache Kafka)");
  unserved(in.queues.has_value(), "Queues (Amazon MQ)");
  if (!in.event_source_arn) refuse("Unrecognized event source.");
  Mapping m;
  m.source = *in.event_source_arn;
  m.kind = kind_of(m.source);
  check_served(in);
  if (m.kind == SourceKind::kQueue) {
    if (in.starting_position) refuse("StartingPosition is not valid for SQS event sources.");
  } else {
    if (!in.starting_position) {
      refuse(
          "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not "
          "be null.");
    }
    switch (*in.starting_position) {
      case EventSourcePosition::TRIM_HORIZON:
        m.start = Start::kTrimHorizon;
        break;
      case EventSourcePosition::LATEST:
        m.start = Start::kLatest;
        break;
      case EventSourcePosition::AT_TIMESTAMP:
        if (kernel::parse_arn(m.source)->service == "dynamodb")
          refuse(cat("Unsupported starting position for arn type: ", m.source));
        m.start = Start::kAtTimestamp;
        break;
    }
    if (in.starting_position_timestamp.has_value() != (m.start == Start::kAtTimestamp)) {
      refuse("StartingPositionTimestamp must be given with StartingPosition AT_TIMESTAMP, and only then.");
    }
    m.start_at = in.starting_position_timestamp.value_or(Time{});
  }
  m.batch_size = m.kind == SourceKind::kQueue ? kQueueBatch : kStreamBatch;
  apply(m, in);
  if (in.tags) m.tags = *in.tags;
  return m;
}

void update_mapping(Mapping& m, const UpdateEventSourceMappingRequest& in) {
  check_served(in);
  apply(m, in);
}

EventSourceMappingConfiguration describe(const Mapping& m, const std::string& last_result) {
  EventSourceMappingConfiguration out;
  out.uuid = m.uuid;
  out.event_source_mapping_arn = m.arn();
  out.event_source_arn = m.source;
  out.function_arn = m.function_arn();
  out.last_modified = m.modified;
  out.state = name_of(m.state);
  out.state_transition_reason = m.kind == SourceKind::kStream ? "User action" : "USER_INITIATED";
  out.batch_size = m.batch_size;
  out.maximum_batching_window_in_seconds = m.window;
  out.function_response_types.emplace();
  if (m.reports_failures) out.function_response_types->push_back(FunctionResponseType::ReportBatchItemFailures);
  if (!m.filters.empty()) {
    auto& filters = out.filter_criteria.emplace().filters.emplace();
    for (const std::string& pattern : m.filters) filters.emplace_back().pattern = pattern;
  }
  if (m.kind == SourceKind::kQueue) {
    if (m.concurrency) out.scaling_config.emplace().maximum_concurrency = *m.concurrency;
    return out;
  }
  out.starting_position = m.start == Start::kLatest        ? EventSourcePosition::LATEST
                          : m.start == Start::kAtTimestamp ? EventSourcePosition::AT_TIMESTAMP
                                                           : EventSourcePosition::TRIM_HORIZON;
  if (m.start == Start::kAtTimestamp) out.starting_position_timestamp = m.start_at;
  out.last_processing_result = last_result.empty() ? "No records processed" : last_result;
  out.parallelization_factor = m.parallel;
  out.bisect_batch_on_function_error = m.bisect;
  out.maximum_retry_attempts = m.retries;
  out.maximum_record_age_in_seconds = m.record_age;
  out.tumbling_window_in_seconds = m.tumbling;
  auto& failure = out.destination_config.emplace().on_failure.emplace();
  if (!m.on_failure.empty()) failure.destination = m.on_failure;
  return out;
}

}  // namespace virga::lambda::esm
