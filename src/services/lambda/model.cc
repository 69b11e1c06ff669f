#include "services/lambda/model.h"

#include <aws/lambda/errors.h>

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "services/lambda/limits.h"

namespace virga::lambda {
namespace {

// Names that Lambda sets itself: docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
const std::set<std::string_view> kReserved = {"_HANDLER",
                                              "_X_AMZN_TRACE_ID",
                                              "AWS_DEFAULT_REGION",
                                              "AWS_REGION",
                                              "AWS_EXECUTION_ENV",
                                              "AWS_LAMBDA_FUNCTION_NAME",
                                              "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                                              "AWS_LAMBDA_FUNCTION_VERSION",
                                              "AWS_LAMBDA_INITIALIZATION_TYPE",
                                              "AWS_LAMBDA_LOG_GROUP_NAME",
                                              "AWS_LAMBDA_LOG_STREAM_NAME",
                                              "AWS_ACCESS_KEY",
                                              "AWS_ACCESS_KEY_ID",
                                              "AWS_SECRET_ACCESS_KEY",
                                              "AWS_SESSION_TOKEN",
                                              "AWS_LAMBDA_RUNTIME_API",
                                              "LAMBDA_TASK_ROOT",
                                              "LAMBDA_RUNTIME_DIR"};

// Those that Lambda takes no more: docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
const std::set<std::string_view> kRetired = {
    "nodejs",        "nodejs4.3",     "nodejs4.3-edge", "nodejs6.10",    "nodejs8.10", "nodejs10.x", "nodejs12.x",
    "nodejs14.x",    "java8",         "python2.7",      "python3.6",     "python3.7",  "ruby2.5",    "ruby2.7",
    "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1",  "dotnetcore3.1", "go1.x",      "provided"};

// The others, as AWS lists them.
constexpr std::string_view kRuntimes =
    "nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, python3.10, "
    "python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, dotnet10, dotnet8, "
    "java11, dotnet6, nodejs18.x, provided.al2, java8.al2, ruby4.0";

constexpr std::string_view kCreating = "The function is being created.";

bool is_account(std::string_view text) {
  return text.size() == 12 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

double gib_per_vcpu(const VersionRecord& record) {
  constexpr double kGibPerVcpu = 2;
  return record.gib_per_vcpu > 0 ? record.gib_per_vcpu : kGibPerVcpu;
}

[[noreturn]] void bad_arn(std::string_view text) {
  throw err::InvalidParameterValueException(cat("Invalid function name or ARN: ", text));
}

}  // namespace

FunctionId function_id(const Ctx& ctx, std::string_view text, const std::optional<std::string>& qualifier) {
  FunctionId id{ctx.account, ctx.region, {}, {}};
  std::vector<std::string_view> parts = split(text, ':');
  if (parts[0] == "arn") {
    // One that ends with "function" is of the function of that name.
    if (parts.size() < 6 || parts.size() > 8 || parts[2] != "lambda" || parts[5] != "function") bad_arn(text);
    id.region = parts[3];
    parts.erase(parts.begin(), parts.begin() + 4);
  }
  const auto take = [&](std::string& into) {
    into = parts[0];
    parts.erase(parts.begin());
  };
  if (parts.size() >= 3 && parts[0] != "function" && is_account(parts[1])) take(id.region);
  if (parts.size() >= 2 && (is_account(parts[0]) || (parts.size() >= 3 && parts[1] == "function"))) take(id.account);
  if (parts.size() >= 2 && parts[0] == "function") parts.erase(parts.begin());
  const bool owned = is_account(id.account) || id.account == ctx.account;
  if (parts.empty() || parts.size() > 2 || parts[0].empty() || !owned) bad_arn(text);
  id.name = parts[0];
  if (id.region != ctx.region) {
    throw err::ResourceNotFoundException(
        cat("Functions from '", id.region, "' are not reachable in this region ('", ctx.region, "')"));
  }
  if (parts.size() == 2) id.qualifier = parts[1];
  if (qualifier) {
    if (!id.qualifier.empty() && id.qualifier != *qualifier) {
      throw err::InvalidParameterValueException(
          "The derived qualifier from the function name does not match the specified qualifier.");
    }
    id.qualifier = *qualifier;
  }
  return id;
}

std::string function_arn(const Ctx& ctx, const FunctionId& id) {
  return cat("arn:", ctx.partition, ":lambda:", id.region, ":", id.account, ":function:", id.name);
}
std::string qualified_arn(const Ctx& ctx, const FunctionId& id, std::string_view qualifier) {
  return cat(function_arn(ctx, id), ":", qualifier);
}
std::string version_name(uint64_t version) {
  if (version == kLatestPublished) return cat(kLatest, ".PUBLISHED");
  return version ? cat(version) : std::string(kLatest);
}

std::optional<uint64_t> parse_version(std::string_view qualifier) {
  if (qualifier.empty() || qualifier == kLatest) return 0;
  if (qualifier == version_name(kLatestPublished)) return kLatestPublished;
  const auto number = parse_int(qualifier);
  // One spelling a version: policies name versions by it.
  return number && *number > 0 && cat(*number) == qualifier ? std::optional<uint64_t>(*number) : std::nullopt;
}

std::optional<LayerId> parse_layer_arn(std::string_view arn) {
  const auto parts = split(arn, ':');
  if (parts.size() != 8 || parts[0] != "arn" || parts[2] != "lambda" || parts[5] != "layer") return std::nullopt;
  const auto version = parse_int(parts[7]);
  if (!version || *version < 1 || cat(*version) != parts[7]) return std::nullopt;
  return LayerId{std::string(parts[4]), std::string(parts[3]), std::string(parts[6]), static_cast<uint64_t>(*version)};
}

LayerId layer_id(const Ctx& ctx, std::string_view name) {
  const auto parts = split(name, ':');
  if (parts.size() == 7 && parts[0] == "arn" && parts[2] == "lambda" && parts[5] == "layer") {
    return {std::string(parts[4]), std::string(parts[3]), std::string(parts[6]), 0};
  }
  if (parts.size() != 1) throw err::InvalidParameterValueException(cat("Layer name cannot be parsed: ", name));
  return {ctx.account, ctx.region, std::string(name), 0};
}

std::string layer_arn(const Ctx& ctx, const LayerId& id) {
  return cat("arn:", ctx.partition, ":lambda:", id.region, ":", id.account, ":layer:", id.name);
}

namespace {
bool names_a(std::string_view kind, std::string_view arn) {
  const auto parts = split(arn, ':');
  return parts.size() == 7 && parts[2] == "lambda" && parts[5] == kind;
}
}  // namespace
bool is_provider_arn(std::string_view arn) { return names_a("capacity-provider", arn); }
bool is_signing_arn(std::string_view arn) { return names_a("code-signing-config", arn); }

Error function_not_found(const Ctx& ctx, const FunctionId& id, std::string_view unqualified) {
  const std::string_view qualifier = id.qualifier.empty() ? unqualified : id.qualifier;
  return err::ResourceNotFoundException(
      cat("Function not found: ", qualifier.empty() ? function_arn(ctx, id) : qualified_arn(ctx, id, qualifier)));
}

Error wrong_revision(std::string_view told_by) {
  return err::PreconditionFailedException(
      cat("The Revision Id provided does not match the latest Revision Id. Call the ", told_by,
          " API to retrieve the latest Revision Id"));
}

const std::string& revision_id(const VersionRecord& record) {
  return record.shown_revision.empty() ? record.revision : record.shown_revision;
}
void renew(VersionRecord& record, std::string revision) {
  record.revision = std::move(revision);
  record.shown_revision.clear();
}

Error qualifier_not_found(const Ctx& ctx, const FunctionId& id) {
  if (parse_version(id.qualifier) || id.qualifier.contains('$')) return function_not_found(ctx, id);
  return err::ResourceNotFoundException(cat("Cannot find alias arn: ", qualified_arn(ctx, id, id.qualifier)));
}

void check_unqualified(const FunctionId& id) {
  if (!id.qualifier.empty()) {
    throw err::InvalidParameterValueException(
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
        "Please specify either a function name or an unqualified function ARN.");
  }
}

Error no_latest_published() {
  return err::InvalidParameterValueException("PublishTo is only for functions with a capacity provider.");
}

Error not_with_capacity_provider(std::string_view what) {
  return err::InvalidParameterValueException(cat(what, " is not supported for functions with a capacity provider."));
}

double vcpus(const VersionRecord& record) { return record.memory / 1024.0 / gib_per_vcpu(record); }

void check_capacity(const VersionRecord& record) {
  if (record.capacity_provider.empty()) return;
  if (record.snap_start) throw not_with_capacity_provider("SnapStart");
  const std::string runtime = prepared_runtime(record);
  const auto number_after = [&](std::string_view start) {
    return runtime.starts_with(start) ? parse_int(split(runtime.substr(start.size()), '.')[0]).value_or(0) : 0;
  };
  if (number_after("python3.") < 13 && number_after("nodejs") < 22 && number_after("java") < 21 &&
      runtime != "provided.al2023") {
    throw err::InvalidParameterValueException(
        cat("Runtime Enum ", runtime, " does not support specified feature: Lambda Managed Instances"));
  }
  if (record.memory < kLeastManagedMemory) {
    throw err::InvalidParameterValueException(
        cat("MemorySize must be at least ", kLeastManagedMemory, " MB for functions with a capacity provider."));
  }
}

int32_t at_a_time(const VersionRecord& record) {
  constexpr int32_t kMost = 1600, kOfPython = 16, kOfJava = 32, kOfOthers = 64;
  if (record.at_a_time > 0) return record.at_a_time;
  const int32_t each = record.runtime.starts_with("python") ? kOfPython
                       : record.runtime.starts_with("java") ? kOfJava
                                                            : kOfOthers;
  return std::min(kMost, each * std::max(1, static_cast<int32_t>(vcpus(record))));
}

Error bad_marker() { return err::InvalidParameterValueException("Invalid marker."); }

void check_environment(const std::map<std::string, std::string>& variables) {
  Json measured = Json::object();
  for (const auto& [name, value] : variables) {
    if (kReserved.contains(name)) {
      throw err::InvalidParameterValueException(cat(
          "Lambda was unable to configure your environment variables because the environment variables you have "
          "provided contains reserved keys that are currently not supported for modification. Reserved keys used in "
          "this request: ",
          name));
    }
    measured[name] = value;
  }
  if (const std::string text = measured.dump(); text.size() > kMaxEnvironment) {
    throw err::InvalidParameterValueException(cat(
        "Lambda was unable to configure your environment variables because the environment variables you have provided "
        "exceeded the 4KB limit. Measured size: ",
        text.size(), " bytes"));
  }
}

void check_handler(const VersionRecord& record) {
  if (record.handler.empty()) {
    throw err::InvalidParameterValueException("Handler is mandatory for functions created with deployment packages.");
  }
}

void check_name(const std::string& name) {
  if (name.size() > kMaxName) {
    throw err::InvalidParameterValueException(cat(
        "1 validation error detected: Value '", name,
        "' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to ", kMaxName));
  }
}

void check_tags(const std::map<std::string, std::string>& tags) {
  constexpr size_t kMaxTagKey = 128, kMaxTagValue = 256;  // characters
  if (tags.size() > kMaxTags) throw err::InvalidParameterValueException("Number of tags exceeds resource tag limit.");
  for (const auto& [key, value] : tags) {
    if (key.empty() || count_characters(key) > kMaxTagKey || count_characters(value) > kMaxTagValue ||
        lower(key).starts_with("aws:")) {
      throw err::InvalidParameterValueException(cat("The tag ", key, " is invalid: keys have 1 to ", kMaxTagKey,
                                                    " characters and do not begin with aws:, values have at most ",
                                                    kMaxTagValue, "."));
    }
  }
}

void retag(std::map<std::string, std::string>& tags, const std::map<std::string, std::string>& set,
           const std::vector<std::string>& removed) {
  for (const auto& [key, value] : set) tags[key] = value;
  for (const std::string& key : removed) tags.erase(key);
  check_tags(tags);
}

void check_size(const VersionRecord& record) {
  if (record.capacity_provider.empty() && record.memory > kMaxMemory) {
    throw err::InvalidParameterValueException(cat(
        "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to ", kMaxMemory));
  }
  uint64_t bytes = record.unpacked;
  for (const LayerUse& layer : record.layers) bytes += layer.unpacked;
  if (bytes > kMaxUnzippedBytes) {
    throw err::InvalidParameterValueException(
        cat("Function code combined with layers exceeds the maximum allowed size of ", kMaxUnzippedBytes,
            " bytes. The actual size is ", bytes, " bytes."));
  }
}

void check_snap_start(const VersionRecord& record) {
  if (record.snap_start && record.per_tenant) {
    throw err::InvalidParameterValueException("SnapStart is not supported for functions with tenant isolation.");
  }
  if (record.snap_start && record.tmp > 512) {
    throw err::InvalidParameterValueException(
        "Ephemeral storage greater than 512 MB is not supported for SnapStart enabled functions.");
  }
}

std::string log_group(const FunctionId& id, const VersionRecord& record) {
  return record.log_group.empty() ? cat("/aws/lambda/", id.name) : record.log_group;
}

bool logs_json(const VersionRecord& record) { return record.log_format == "JSON"; }

bool is_snapshot(const VersionRecord& record) { return record.snap_start && record.version != 0; }

void await_initialisation(VersionRecord& published) {
  if (!is_snapshot(published)) return;
  published.state = to_string(State::Pending);
  published.state_reason = kCreating;
  published.state_reason_code = to_string(StateReasonCode::Creating);
}

std::optional<Error> refusal_by_state(const VersionRecord& record) {
  if (record.state.empty()) return std::nullopt;
  if (record.state == to_string(State::Pending)) {
    return err::SnapStartNotReadyException(
        "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE.");
  }
  return err::ResourceConflictException(
      cat("The operation cannot be performed at this time. The function is currently in the following state: ",
          record.state));
}

std::string runtime_name(const std::optional<std::string>& runtime) {
  if (!runtime)
    throw err::InvalidParameterValueException("Runtime is mandatory for functions created with deployment packages.");
  if (kRetired.contains(*runtime)) {
    throw err::InvalidParameterValueException(
        cat("The runtime parameter of ", *runtime,
            " is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported "
            "runtime while creating or updating functions."));
  }
  if (Runtime known; !from_string(*runtime, known)) {
    throw err::InvalidParameterValueException(
        cat("Value ", *runtime, " at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [",
            kRuntimes, "] or be a valid ARN"));
  }
  return *runtime;
}

std::string code_hash(const VersionRecord& record) {
  return record.image ? record.code_sha256 : base64_encode(hex_decode(record.code_sha256).value_or(""));
}

std::string runtime_arn(const Ctx& ctx, std::string_view version) {
  return cat("arn:", ctx.partition, ":lambda:", ctx.region, "::runtime:", version);
}

std::string prepared_runtime(const VersionRecord& record) { return record.image ? "provided.al2023" : record.runtime; }

image::Settings image_settings(const VersionRecord& record) {
  image::Settings out = record.image->settings;
  if (const auto& own = record.image_config) {
    if (own->entry_point) out.entry_point = *own->entry_point;
    if (own->command) out.command = *own->command;
    if (own->working_directory) out.working_directory = *own->working_directory;
  }
  if (out.working_directory.empty()) out.working_directory = "/";
  if (out.entry_point.empty() && out.command.empty()) {
    throw err::InvalidParameterValueException(
        "The image names no program: set EntryPoint or Command in ImageConfig or in the image.");
  }
  std::erase_if(out.environment, [](const auto& variable) { return kReserved.contains(variable.first); });
  for (const auto& [name, value] : record.environment) out.environment[name] = value;
  size_t bytes = out.working_directory.size();
  for (const auto* words : {&out.entry_point, &out.command}) {
    for (const std::string& word : *words) bytes += word.size() + 1;
  }
  for (const auto& [name, value] : out.environment) bytes += name.size() + value.size() + 2;
  if (bytes > kMaxImageSettings) {
    throw err::InvalidParameterValueException(
        cat("The image's entry point, command and environment have more than ", kMaxImageSettings, " bytes."));
  }
  return out;
}

FunctionConfiguration describe(const Ctx& ctx, const FunctionId& id, const VersionRecord& record,
                               std::string_view qualifier) {
  FunctionConfiguration out;
  out.function_name = id.name;
  out.function_arn = qualifier.empty() ? function_arn(ctx, id) : qualified_arn(ctx, id, qualifier);
  Runtime runtime;
  if (from_string(record.runtime, runtime)) out.runtime = runtime;
  out.role = record.role;
  if (!record.image) out.handler = record.handler;
  out.code_size = record.image ? 0 : static_cast<int64_t>(record.code_size);
  out.description = record.description;
  out.timeout = record.timeout;
  out.memory_size = record.memory;
  out.last_modified = iso8601_lambda(record.modified);
  out.code_sha256 = code_hash(record);
  out.version = version_name(record.version);
  if (record.has_environment || !record.environment.empty())
    out.environment = EnvironmentResponse{record.environment, {}};
  if (!record.dead_letter.empty()) out.dead_letter_config = DeadLetterConfig{record.dead_letter};
  TracingMode tracing;
  if (from_string(record.tracing, tracing)) out.tracing_config = TracingConfigResponse{tracing};
  out.revision_id = revision_id(record);
  if (!record.layers.empty()) {
    out.layers.emplace();
    for (const LayerUse& use : record.layers) {
      Layer layer;
      layer.arn = use.arn;
      layer.code_size = static_cast<int64_t>(use.size);
      out.layers->push_back(std::move(layer));
    }
  }
  if (record.per_tenant) out.tenancy_config.emplace().tenant_isolation_mode = TenantIsolationMode::PER_TENANT;
  if (!record.capacity_provider.empty()) {
    auto& config = out.capacity_provider_config.emplace().lambda_managed_instances_capacity_provider_config;
    config.capacity_provider_arn = record.capacity_provider;
    config.per_execution_environment_max_concurrency = at_a_time(record);
    config.execution_environment_memory_gi_b_per_v_cpu = gib_per_vcpu(record);
  }
  State state = record.most == 0 ? State::Deactivated : State::Active;
  if (from_string(record.state, state)) {
    out.state_reason = record.state_reason;
    StateReasonCode code;
    if (from_string(record.state_reason_code, code)) out.state_reason_code = code;
  }
  if (record.deleting) {
    state = State::Deleting;
    out.state_reason = "The function is being deleted: its durable executions have not ended yet.";
    out.state_reason_code = StateReasonCode::DrainingDurableExecutions;
  }
  out.state = state;
  out.last_update_status = LastUpdateStatus::Successful;
  out.package_type = record.image ? PackageType::Image : PackageType::Zip;
  if (const auto& own = record.image_config) {
    out.image_config_response =
        ImageConfigResponse{ImageConfig{own->entry_point, own->command, own->working_directory}};
  }
  Architecture architecture;
  if (from_string(record.architecture, architecture)) out.architectures = std::vector{architecture};
  out.ephemeral_storage = EphemeralStorage{record.tmp};
  if (record.durable_timeout) out.durable_config = DurableConfig{{}, record.durable_retention, record.durable_timeout};
  out.snap_start = SnapStartResponse{record.snap_start ? SnapStartApplyOn::PublishedVersions : SnapStartApplyOn::None,
                                     is_snapshot(record) && state == State::Active ? SnapStartOptimizationStatus::On
                                                                                   : SnapStartOptimizationStatus::Off};
  LoggingConfig logging;
  LogFormat format;
  if (from_string(record.log_format, format)) logging.log_format = format;
  ApplicationLogLevel application;
  if (from_string(record.application_level, application)) logging.application_log_level = application;
  SystemLogLevel system;
  if (from_string(record.system_level, system)) logging.system_log_level = system;
  logging.log_group = log_group(id, record);
  out.logging_config = std::move(logging);
  return out;
}

FunctionConfiguration in_creation(FunctionConfiguration made) {
  made.state = State::Pending;
  made.state_reason = kCreating;
  made.state_reason_code = StateReasonCode::Creating;
  made.last_update_status.reset();
  made.revision_id = uuid();
  return made;
}

FunctionConfiguration in_update(FunctionConfiguration changed) {
  changed.last_update_status = LastUpdateStatus::InProgress;
  changed.last_update_status_reason = kCreating;
  changed.last_update_status_reason_code = "Creating";  // which the model does not list
  changed.revision_id = uuid();
  return changed;
}

FunctionConfiguration describe_listed(const Ctx& ctx, const FunctionId& id, const VersionRecord& record,
                                      std::string_view qualifier) {
  FunctionConfiguration out = describe(ctx, id, record, qualifier);
  out.state.reset();
  out.state_reason.reset();
  out.state_reason_code.reset();
  out.last_update_status.reset();
  return out;
}

AliasConfiguration describe(const Ctx& ctx, const FunctionId& id, const AliasRecord& alias) {
  AliasConfiguration out;
  out.alias_arn = qualified_arn(ctx, id, alias.name);
  out.name = alias.name;
  out.function_version = version_name(alias.version);
  out.description = alias.description;
  if (!alias.weights.empty()) out.routing_config = AliasRoutingConfiguration{alias.weights};
  out.revision_id = alias.revision;
  return out;
}

}  // namespace virga::lambda
