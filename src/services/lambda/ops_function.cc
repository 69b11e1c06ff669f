#include <aws/lambda/errors.h>

#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"
#include "kernel/page.h"
#include "services/lambda/limits.h"
#include "services/lambda/refusals.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

// What Virga would otherwise silently ignore.
template <class In>
void check_served(const In& in) {
  if (in.vpc_config && in.vpc_config->subnet_ids && !in.vpc_config->subnet_ids->empty()) not_served("VpcConfig");
  if (in.file_system_configs && !in.file_system_configs->empty()) not_served("FileSystemConfigs");
  if (in.kms_key_arn && !in.kms_key_arn->empty()) not_served("KMSKeyArn");
  if (in.durable_config && !in.durable_config->kms_key_arn.value_or("").empty())
    not_served("KMSKeyArn of a durable function");
}

// What an interpreter runs is the same on every machine, so it may ask for another; a program of its own can't.
void check_architecture(const VersionRecord& record) {
  if (record.architecture != "x86_64" && (record.image || record.runtime.starts_with("provided")))
    not_served(cat("The architecture ", record.architecture, " of a program on this x86_64 machine"));
}

void set_architecture(VersionRecord& record, const std::optional<std::vector<Architecture>>& architectures) {
  if (!architectures) return;
  if (architectures->size() != 1) throw err::InvalidParameterValueException("Architectures takes one value.");
  record.architecture = to_string(architectures->front());
}

Error is_deleting() {
  return err::ResourceConflictException(
      "The operation cannot be performed at this time. The function is currently in the following state: Deleting");
}

// Its durable executions go on to their ends first.
void delete_later(WriteStore& store, const FunctionId& id, VersionRecord version) {
  version.deleting = true;
  store.put_version(id.name, version);
}

// Virga knows no signing profiles, so no code is signed by one: what insists on signatures takes none.
Task<void> check_signed(const Store& store, std::optional<std::string> config) {
  const auto record = config ? co_await store.find_code_signing(*config) : std::nullopt;
  if (record && record->enforce) {
    co_await fail(err::CodeVerificationFailedException(
        "The code signature failed one or more of the validation checks for signature mismatch or expiry, and the code "
        "signing policy is set to ENFORCE. Lambda blocks the deployment. (Virga checks no signatures.)"));
  }
}

// What is given takes the place of all that was said of logging before. Functions on capacity providers log JSON.
void set_logging(VersionRecord& record, const LoggingConfig& in, bool fleet) {
  const LogFormat format = in.log_format.value_or(fleet ? LogFormat::JSON : LogFormat::Text);
  if (format == LogFormat::Text && (fleet || in.application_log_level || in.system_log_level)) {
    throw err::InvalidParameterValueException(
        "LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from your request or change the "
        "LogFormat to \"JSON\" and try again.");
  }
  record.log_format = to_string(format);
  record.log_group = in.log_group.value_or("");
  record.application_level = record.system_level = "";
  if (format == LogFormat::Text) return;
  record.application_level = to_string(in.application_log_level.value_or(ApplicationLogLevel::INFO));
  record.system_level = to_string(in.system_log_level.value_or(SystemLogLevel::INFO));
}

// An empty list or text says nothing, so that the image's own counts.
template <class T>
std::optional<T> given(const std::optional<T>& value) {
  return value && !value->empty() ? value : std::nullopt;
}

// The parts of a configuration that create and update share.
template <class In>
void apply(VersionRecord& record, const In& in) {
  if (in.handler) record.handler = *in.handler;
  if (in.description) record.description = *in.description;
  if (in.timeout) record.timeout = *in.timeout;
  if (in.memory_size) record.memory = *in.memory_size;
  if (in.ephemeral_storage) record.tmp = in.ephemeral_storage->size;
  if (in.snap_start && in.snap_start->apply_on)
    record.snap_start = *in.snap_start->apply_on == SnapStartApplyOn::PublishedVersions;
  check_snap_start(record);
  if (in.environment) {
    record.environment = in.environment->variables.value_or(std::map<std::string, std::string>());
    check_environment(record.environment);
    record.has_environment = true;
  }
  if (in.tracing_config && in.tracing_config->mode) record.tracing = to_string(*in.tracing_config->mode);
  if (in.dead_letter_config) record.dead_letter = in.dead_letter_config->target_arn.value_or("");
  if (in.logging_config) {
    const bool fleet = in.capacity_provider_config || !record.capacity_provider.empty();
    set_logging(record, *in.logging_config, fleet);
  }
  if (in.image_config) {
    const ImageConfig& own = *in.image_config;
    ImageConfigRecord changes{given(own.entry_point), given(own.command), given(own.working_directory)};
    record.image_config.reset();
    if (changes.entry_point || changes.command || changes.working_directory) record.image_config = std::move(changes);
  }
  if (in.durable_config) {
    if (in.durable_config->execution_timeout) record.durable_timeout = in.durable_config->execution_timeout;
    record.durable_retention = in.durable_config->retention_period_in_days.value_or(record.durable_retention);
  }
}

// A version is an image with what goes with one, or an archive with what goes with that.
template <class In>
void check_package(const In& in, bool image) {
  if (!image && in.image_config)
    throw err::InvalidParameterValueException("ImageConfig is for functions whose PackageType is Image.");
  if (image && (in.handler || in.runtime || (in.layers && !in.layers->empty()))) {
    throw err::InvalidParameterValueException(
        "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.");
  }
}

}  // namespace

Task<FunctionConfiguration> LambdaService::create_function(Ctx& ctx, const CreateFunctionRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const bool image = in.package_type == PackageType::Image;
  if (image != in.code.image_uri.has_value()) {
    co_return err::InvalidParameterValueException(
        image ? "Please provide ImageUri when the intended function PackageType is Image."
              : "Please don't provide ImageUri when the intended function PackageType is Zip.");
  }
  check_package(in, image);
  check_served(in);
  check_name(id.name);
  if (in.code.source_kms_key_arn && !in.code.source_kms_key_arn->empty()) not_served("SourceKMSKeyArn");
  if (in.tags) check_tags(*in.tags);
  VersionRecord record;
  record.per_tenant = in.tenancy_config.has_value();
  if (record.per_tenant && in.durable_config) not_served("TenancyConfig of a durable function");
  record.role = in.role;
  set_architecture(record, in.architectures);
  apply(record, in);
  if (in.capacity_provider_config && !in.memory_size) record.memory = kLeastManagedMemory;
  if (in.capacity_provider_config && !in.logging_config) set_logging(record, {}, true);
  if (in.durable_config && !record.durable_timeout) {
    co_return err::InvalidParameterValueException(
        "You cannot create a function with a durable configuration without an executionTimeout");
  }
  if (!image) {
    record.runtime = runtime_name(in.runtime);
    check_handler(record);
    const auto runtime = sandboxes_.runtime(record.runtime);
    if (!runtime.available)
      co_return err::InvalidParameterValueException(
          cat("The runtime ", record.runtime, " can't run here: ", runtime.text));
  }
  if (in.layers) record.layers = co_await find_layers(ctx, *in.layers);
  {
    const auto snapshot = deps_.db.snapshot();
    if (co_await Store(*snapshot, id.home()).find_function(id.name)) {
      co_return err::ResourceConflictException(cat("Function already exist: ", id.name));
    }
  }
  if (in.capacity_provider_config) co_await put_on_provider(ctx, record, *in.capacity_provider_config);
  if (in.publish_to && record.capacity_provider.empty()) co_return no_latest_published();
  co_await check_role(ctx, id, record.role);
  if (!record.dead_letter.empty()) co_await check_destination(ctx, record.role, record.dead_letter, true);
  const Code code = image ? co_await take_image(ctx, *in.code.image_uri) : co_await take_code(ctx, in.code);
  code.put_into(record);
  check_size(record);
  if (image) image_settings(record);
  check_architecture(record);
  record.modified = ctx.now();
  renew(record, uuid());
  const std::string published_revision = uuid();

  VersionRecord answer = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<VersionRecord> {
    WriteStore store(tx, id.home(), catalog_);
    if (co_await store.find_function(id.name)) {
      co_return err::ResourceConflictException(cat("Function already exist: ", id.name));
    }
    FunctionRecord function;
    function.name = id.name;
    if (in.code_signing_config_arn) {
      const std::string config = in.code_signing_config_arn->substr(in.code_signing_config_arn->rfind(':') + 1);
      if (!image) co_await check_signed(store, config);
      if (!co_await store.find_code_signing(config)) {
        co_return err::CodeSigningConfigNotFoundException(
            cat("The code signing configuration ", *in.code_signing_config_arn, " can not be found."));
      }
      store.put_code_signing_of(id.name, config);
    }
    if (in.tags) function.tags = *in.tags;
    VersionRecord latest = record;
    store.put_version(id.name, latest);
    co_await keep(tx, latest);
    if (in.publish.value_or(false) || in.publish_to) {
      latest.version = in.publish_to ? kLatestPublished : (function.last_version = 1);
      renew(latest, published_revision);
      publish(tx, store, id, latest);
      co_await keep(tx, latest);
    }
    store.put_function(function);
    co_return latest;
  });
  if (!answer.capacity_provider.empty()) co_await apply_fleets(id);
  sandboxes_.expect(prepared_runtime(record), record.memory);
  co_return in_creation(describe_with_runtime(ctx, id, answer, ""));
}

Task<GetFunctionResponse> LambdaService::get_function(Ctx& ctx, const GetFunctionRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const Call call = co_await route(ctx, id);
  GetFunctionResponse out;
  out.configuration = describe_with_runtime(ctx, id, *call.version, id.qualifier);
  out.code = FunctionCodeLocation{};
  if (const auto& image = call.version->image) {
    out.code->repository_type = "ECR";
    out.code->image_uri = image->uri;
    out.code->resolved_image_uri = cat(image->uri, "@sha256:", call.version->code_sha256);
  } else {
    out.code->repository_type = "S3";
    out.code->location = download_url(ctx, call.version->code);
  }
  const auto snapshot = deps_.db.snapshot();
  const auto function = co_await Store(*snapshot, id.home()).find_function(id.name);
  if (function && !function->tags.empty()) out.tags = function->tags;
  if (function && function->reserved_concurrency) out.concurrency = Concurrency{function->reserved_concurrency};
  co_return out;
}

Task<FunctionConfiguration> LambdaService::get_function_configuration(Ctx& ctx,
                                                                      const GetFunctionConfigurationRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const Call call = co_await route(ctx, id);
  co_return describe_with_runtime(ctx, id, *call.version, id.qualifier);
}

Task<ListFunctionsResponse> LambdaService::list_functions(Ctx& ctx, const ListFunctionsRequest& in) {
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, "lambda:ListFunctions", in.marker, bad_marker());
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, {ctx.account, ctx.region});
  auto page = co_await store.list_functions(after.value_or(""), limit + 1);
  ListFunctionsResponse out;
  out.functions.emplace();
  if (page.size() > limit) {
    page.resize(limit);
    out.next_marker = kernel::seal_page(deps_.tokens, ctx, "lambda:ListFunctions", page.back().name);
  }
  for (const FunctionRecord& function : page) {
    const FunctionId id{ctx.account, ctx.region, function.name, {}};
    const bool all = in.function_version == FunctionVersion::ALL;
    for (const VersionRecord& version : co_await store.list_versions(function.name, 0, all ? SIZE_MAX : 1)) {
      out.functions->push_back(describe_listed(ctx, id, version, all ? version_name(version.version) : ""));
    }
  }
  co_return out;
}

Task<FunctionConfiguration> LambdaService::update_function_code(Ctx& ctx, const UpdateFunctionCodeRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  check_unqualified(id);
  if (in.source_kms_key_arn && !in.source_kms_key_arn->empty()) not_served("SourceKMSKeyArn");
  bool image = false;
  {
    const auto snapshot = deps_.db.snapshot();
    const auto latest = co_await Store(*snapshot, id.home()).find_version(id.name, 0);
    if (!latest) co_return function_not_found(ctx, id);
    image = latest->image.has_value();
  }
  if (image != in.image_uri.has_value()) {
    co_return err::InvalidParameterValueException(
        image ? "Please provide ImageUri when updating a function with packageType Image."
              : "Please don't provide ImageUri when updating a function with packageType Zip.");
  }
  const Code code = image ? co_await take_image(ctx, *in.image_uri) : co_await take_code(ctx, in);
  const std::string revision = uuid(), published_revision = uuid();
  const Time now = ctx.now();
  VersionRecord answer = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<VersionRecord> {
    WriteStore store(tx, id.home(), catalog_);
    auto function = co_await store.find_function(id.name);
    auto latest = co_await store.find_version(id.name, 0);
    if (!function || !latest) co_return function_not_found(ctx, id);
    if (latest->deleting) co_return is_deleting();
    if (in.revision_id && *in.revision_id != revision_id(*latest)) co_return wrong_revision();
    if (!image) co_await check_signed(store, co_await store.code_signing_of(id.name));
    const blob::Ref former = latest->code;
    code.put_into(*latest);
    check_size(*latest);
    if (image) image_settings(*latest);
    set_architecture(*latest, in.architectures);
    check_architecture(*latest);
    latest->modified = now;
    renew(*latest, revision);
    if (in.dry_run.value_or(false)) co_return *latest;
    store.put_version(id.name, *latest);
    co_await deps_.blobs.keep(tx, code.ref);
    co_await deps_.blobs.drop(tx, former);
    if (in.publish_to && latest->capacity_provider.empty()) co_return no_latest_published();
    if (in.publish.value_or(false) || in.publish_to) {
      latest->version = in.publish_to ? kLatestPublished : ++function->last_version;
      if (in.publish_to) co_await replace_latest_published(tx, store, id, *latest);
      renew(*latest, published_revision);
      publish(tx, store, id, *latest);
      store.put_function(*function);
      co_await keep(tx, *latest);
    }
    tx.on_commit([this, id] { invoker_.retire(id); });
    co_return *latest;
  });
  if (!answer.capacity_provider.empty()) co_await apply_fleets(id);
  if (answer.version) co_return in_creation(describe_with_runtime(ctx, id, answer, version_name(answer.version)));
  FunctionConfiguration out = describe_with_runtime(ctx, id, answer, "");
  co_return in.dry_run.value_or(false) ? std::move(out) : in_update(std::move(out));
}

Task<FunctionConfiguration> LambdaService::update_function_configuration(Ctx& ctx,
                                                                         const UpdateFunctionConfigurationRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  check_unqualified(id);
  check_served(in);
  if (in.runtime) {
    const std::string name = runtime_name(in.runtime);
    const auto runtime = sandboxes_.runtime(name);
    if (!runtime.available)
      co_return err::InvalidParameterValueException(cat("The runtime ", name, " can't run here: ", runtime.text));
    sandboxes_.expect(name, static_cast<uint32_t>(in.memory_size.value_or(128)));
  }
  if (in.role) co_await check_role(ctx, id, *in.role);
  if (in.dead_letter_config && !in.dead_letter_config->target_arn.value_or("").empty()) {
    const Call call = co_await route(ctx, {id.account, id.region, id.name, {}});
    co_await check_destination(ctx, in.role.value_or(call.version->role), *in.dead_letter_config->target_arn, true);
  }
  std::vector<LayerUse> layers;
  if (in.layers) layers = co_await find_layers(ctx, *in.layers);
  const std::string revision = uuid();
  const Time now = ctx.now();
  VersionRecord answer = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<VersionRecord> {
    WriteStore store(tx, id.home(), catalog_);
    auto latest = co_await store.find_version(id.name, 0);
    if (!latest) co_return function_not_found(ctx, id);
    if (latest->deleting) co_return is_deleting();
    if (in.revision_id && *in.revision_id != revision_id(*latest)) co_return wrong_revision();
    check_package(in, latest->image.has_value());
    if (in.durable_config && !latest->durable_timeout) {
      co_return err::InvalidParameterValueException(
          "You cannot add a durable configuration to a function that was created without one.");
    }
    apply(*latest, in);
    if (latest->image) image_settings(*latest);
    if (in.role) latest->role = *in.role;
    if (in.runtime) latest->runtime = *in.runtime;
    check_architecture(*latest);
    if (in.capacity_provider_config && latest->capacity_provider.empty()) {
      co_return err::InvalidParameterValueException(
          "CapacityProviderConfig isn't supported for Lambda Default functions.");
    }
    if (in.capacity_provider_config) co_await put_on_provider(ctx, *latest, *in.capacity_provider_config);
    check_capacity(*latest);
    if (in.layers) {
      if (!layers.empty()) co_await check_signed(store, co_await store.code_signing_of(id.name));
      for (const LayerUse& layer : layers) co_await deps_.blobs.keep(tx, layer.code);
      for (const LayerUse& layer : latest->layers) co_await deps_.blobs.drop(tx, layer.code);
      latest->layers = layers;
    }
    check_size(*latest);
    latest->modified = now;
    renew(*latest, revision);
    store.put_version(id.name, *latest);
    tx.on_commit([this, id] { invoker_.retire(id); });
    co_return *latest;
  });
  co_return in_update(describe_with_runtime(ctx, id, answer, ""));
}

Task<op::DeleteFunction::Output> LambdaService::delete_function(Ctx& ctx, const DeleteFunctionRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const auto version = parse_version(id.qualifier);
  if (!version) {
    const auto snapshot = deps_.db.snapshot();
    if (!co_await Store(*snapshot, id.home()).find_function(id.name)) {
      co_return function_not_found(ctx, {id.account, id.region, id.name, {}});
    }
    co_return err::InvalidParameterValueException("Deletion of aliases is not currently supported.");
  }
  if (!id.qualifier.empty() && *version == 0) {
    co_return err::InvalidParameterValueException("$LATEST version cannot be deleted without deleting the function.");
  }
  op::DeleteFunction::Output out;
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    out.status_code = 204;
    WriteStore store(tx, id.home(), catalog_);
    const durable::Reads executions(tx, id.home());
    if (!co_await store.find_function(id.name)) {
      co_await fail(err::ResourceNotFoundException(cat("Function not found: ", function_arn(ctx, id))));
    }
    if (!id.qualifier.empty()) {
      const auto record = co_await store.find_version(id.name, *version);
      for (const AliasRecord& alias : co_await store.list_aliases(id.name, "", SIZE_MAX)) {
        if (alias.version == *version || alias.weights.contains(id.qualifier)) {
          co_await fail(err::ResourceConflictException(
              cat("Version ", id.qualifier, " can't be deleted: the alias ", alias.name, " points at it.")));
        }
      }
      if (record && co_await executions.any_running(id.name, version)) {
        out.status_code = 202;
        delete_later(store, id, *record);
        co_return;
      }
      if (record) co_await erase_version(tx, id, *record);
    } else if (co_await executions.any_running(id.name, std::nullopt)) {
      out.status_code = 202;
      for (const VersionRecord& version : co_await store.list_versions(id.name, 0, SIZE_MAX))
        delete_later(store, id, version);
    } else {
      co_await erase_function(tx, id);
    }
  });
  co_await apply_provisioned(id);
  co_return out;
}

Task<void> LambdaService::erase_version(kv::Txn& tx, FunctionId id, VersionRecord record) {
  WriteStore store(tx, id.home(), catalog_);
  co_await drop(tx, record);
  store.erase_version(id.name, record.version);
  store.erase_provisioned(id.name, version_name(record.version));
  tx.on_commit([this, id, version = record.version] {
    invoker_.forget_snapshots(id, version);
    invoker_.retire(id);
    start_background("fleets", apply_fleets(id));
  });
}

Task<void> LambdaService::erase_function(kv::Txn& tx, FunctionId id) {
  WriteStore store(tx, id.home(), catalog_);
  for (const VersionRecord& version : co_await store.list_versions(id.name, 0, SIZE_MAX)) co_await drop(tx, version);
  for (const UrlRecord& url : co_await store.list_urls(id.name)) store.erase_url(url);
  store.erase_function(id.name);
  durable::Writes(tx, id.home()).forget_function(id.name);
  tx.on_commit([this, id] {
    invoker_.forget_snapshots(id, 0);
    invoker_.retire(id);
    invoker_.keep_fleets(id, {});
  });
}

Task<void> LambdaService::drained(kv::Txn& tx, Home home, std::string function, uint64_t version) {
  const Store store(tx, home);
  const durable::Reads executions(tx, home);
  const FunctionId id{home.account, home.region, function, {}};
  const auto latest = co_await store.find_version(function, 0);
  if (latest && latest->deleting && !co_await executions.any_running(function, std::nullopt)) {
    co_return co_await erase_function(tx, id);
  }
  const auto record = version ? co_await store.find_version(function, version) : latest;
  if (!record || !record->deleting || (latest && latest->deleting)) co_return;
  if (!co_await executions.any_running(function, version)) co_await erase_version(tx, id, *record);
}

}  // namespace virga::lambda
