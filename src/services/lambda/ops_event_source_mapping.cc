#include <aws/lambda/errors.h>
#include <aws/sqs/ops.h>

#include "base/id.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/event_source.h"
#include "kernel/page.h"
#include "kv/record.h"
#include "services/lambda/esm/failure.h"
#include "services/lambda/esm/queue.h"
#include "services/lambda/limits.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

using esm::Mapping;
using esm::MappingState;

Error no_mapping() { return err::ResourceNotFoundException("The resource you requested does not exist."); }

Error taken(const Mapping& other) {
  return err::ResourceConflictException(cat(
      other.kind == esm::SourceKind::kQueue ? "An event source mapping with SQS arn (\" " : "The event source arn (\" ",
      other.source, " \") and function (\" ", other.function, " \") ",
      other.kind == esm::SourceKind::kQueue ? "" : "provided mapping ",
      "already exists. Please update or delete the existing mapping with UUID ", other.uuid));
}

// By its UUID or its ARN.
std::string uuid_of(const std::string& text) {
  const size_t colon = text.rfind(':');
  return colon == std::string::npos ? text : text.substr(colon + 1);
}

Task<std::optional<Mapping>> find_mapping(kv::Reader& reader, Ctx& ctx, std::string id) {
  const auto row = co_await reader.get(esm::mapping_key(ctx.account, ctx.region, uuid_of(id)));
  if (!row) co_return std::optional<Mapping>();
  co_return kv::decode<Mapping>(*row);
}

}  // namespace

// The mapping's source as its function's role sees it; where the shards of a stream begin to be read. Fails with what
// AWS says when the role may not or the source is not there.
Task<std::map<std::string, std::string>> LambdaService::check_source(Mapping mapping) {
  std::map<std::string, std::string> starts;
  const auto arn = kernel::parse_arn(mapping.source);
  if (mapping.kind == esm::SourceKind::kQueue) {
    co_await check_queue(mapping);
    co_return starts;
  }
  kernel::StreamSource* source = kernel::find_stream_source(deps_.cloud, *arn);
  if (!source) {
    co_return err::InvalidParameterValueException(arn->resource.starts_with("table/")
                                                      ? cat("Stream not found: ", mapping.source)
                                                      : cat("Unrecognized event source: ", mapping.source));
  }
  Ctx ctx = deps_.cloud.internal_context(co_await session_for_mapping(mapping), mapping.account, mapping.region);
  auto looked = co_await as_result(esm::stream_starts(ctx, *source, mapping));
  if (looked) co_return std::move(*looked);
  const Error* error = error_of(looked);
  if (error && error->shape->code.starts_with("AccessDenied")) {
    co_return err::InvalidParameterValueException(cat("Cannot access stream ", mapping.source,
                                                      ". Please ensure the role can perform the ",
                                                      source->stream_actions(), " Actions on your stream in IAM."));
  }
  if (error && error->shape->code.starts_with("ResourceNotFound")) {
    co_return err::InvalidParameterValueException(cat("Stream not found: ", mapping.source));
  }
  co_await fail_with(Failure(looked.error()));
}

// The function is there, and takes events that name no tenant.
Task<void> LambdaService::check_feedable(Ctx& ctx, FunctionId id) {
  auto call = co_await as_result(route(ctx, id));
  if (!call) {
    if (!error_of(call)) co_await fail_with(Failure(call.error()));
    co_await fail(err::InvalidParameterValueException("Function does not exist"));
  }
  if (call->version->per_tenant) {
    co_await fail(err::InvalidParameterValueException(
        "Event source mappings are not supported for functions with tenant isolation."));
  }
}

Task<EventSourceMappingConfiguration> LambdaService::create_event_source_mapping(
    Ctx& ctx, const CreateEventSourceMappingRequest& in) {
  Mapping mapping = esm::mapping_of(in);
  const FunctionId id = function_id(ctx, in.function_name);
  mapping.uuid = uuid();
  mapping.account = id.account;
  mapping.region = id.region;
  mapping.function = id.name;
  mapping.qualifier = id.qualifier;
  mapping.revision = uuid();
  mapping.modified = ctx.now();
  const bool stream = mapping.kind == esm::SourceKind::kStream;
  mapping.state = mapping.enabled ? MappingState::kCreating
                  : stream        ? MappingState::kDisabling
                                  : MappingState::kDisabled;
  co_await check_feedable(ctx, id);
  const auto starts = co_await check_source(mapping);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    for (const kv::Entry& row : co_await tx.scan(esm::mappings_of(id.account, id.region))) {
      const Mapping other = kv::decode<Mapping>(row.value);
      if (other.source == mapping.source && other.function == mapping.function &&
          other.qualifier == mapping.qualifier && other.state != MappingState::kDeleting) {
        co_await fail(taken(other));
      }
    }
    tx.put(esm::mapping_key(id.account, id.region, mapping.uuid), kv::encode(mapping));
    for (const auto& [shard, position] : starts) {
      esm::Checkpoint checkpoint;
      checkpoint.position = position;
      tx.put(esm::checkpoint_key(mapping.uuid, shard, esm::kShardSlot), kv::encode(checkpoint));
    }
  });
  if (stream) mapping.state = MappingState::kCreating;
  co_return esm::describe(mapping, "");
}

Task<EventSourceMappingConfiguration> LambdaService::get_event_source_mapping(Ctx& ctx,
                                                                              const GetEventSourceMappingRequest& in) {
  const auto reader = deps_.db.snapshot();
  const auto mapping = co_await find_mapping(*reader, ctx, in.uuid);
  if (!mapping) co_return no_mapping();
  co_return esm::describe(*mapping, mappings_.last_result(mapping->uuid));
}

Task<EventSourceMappingConfiguration> LambdaService::update_event_source_mapping(
    Ctx& ctx, const UpdateEventSourceMappingRequest& in) {
  const auto found = co_await find_mapping(*deps_.db.snapshot(), ctx, in.uuid);
  if (!found) co_return no_mapping();
  const std::string revision = uuid();
  const auto change = [&](Mapping& mapping) {
    esm::update_mapping(mapping, in);
    if (in.function_name) {
      const FunctionId id = function_id(ctx, *in.function_name);
      mapping.function = id.name;
      mapping.qualifier = id.qualifier;
    }
  };
  Mapping checked = *found;
  change(checked);
  co_await check_feedable(ctx, checked.function_id());
  if (in.function_name) co_await check_source(checked);
  Mapping mapping = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<Mapping> {
    auto current = co_await find_mapping(tx, ctx, in.uuid);
    if (!current) co_return no_mapping();
    if (current->state == MappingState::kDeleting) {
      co_return err::ResourceInUseException(
          "Cannot update the event source mapping because it is not in a state that allows updates: Deleting");
    }
    const bool was = current->enabled;
    change(*current);
    current->revision = revision;
    current->modified = ctx.now();
    current->state = !current->enabled ? MappingState::kDisabling
                     : was             ? MappingState::kUpdating
                                       : MappingState::kEnabling;
    tx.put(esm::mapping_key(ctx.account, ctx.region, current->uuid), kv::encode(*current));
    co_return *current;
  });
  co_return esm::describe(mapping, mappings_.last_result(mapping.uuid));
}

Task<EventSourceMappingConfiguration> LambdaService::delete_event_source_mapping(
    Ctx& ctx, const DeleteEventSourceMappingRequest& in) {
  Mapping mapping = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<Mapping> {
    auto current = co_await find_mapping(tx, ctx, in.uuid);
    if (!current) co_return no_mapping();
    current->state = MappingState::kDeleting;
    tx.put(esm::mapping_key(ctx.account, ctx.region, current->uuid), kv::encode(*current));
    co_return *current;
  });
  co_return esm::describe(mapping, mappings_.last_result(mapping.uuid));
}

Task<ListEventSourceMappingsResponse> LambdaService::list_event_source_mappings(
    Ctx& ctx, const ListEventSourceMappingsRequest& in) {
  const auto after =
      kernel::open_page<std::string>(deps_.tokens, ctx, "lambda:ListEventSourceMappings", in.marker, bad_marker());
  const size_t limit = std::min<size_t>(static_cast<size_t>(in.max_items.value_or(100)), 100);
  std::optional<FunctionId> function;
  if (in.function_name) function = function_id(ctx, *in.function_name);
  kv::Range range = esm::mappings_of(ctx.account, ctx.region);
  if (after) range.begin = kv::prefix_end(esm::mapping_key(ctx.account, ctx.region, *after));
  const auto reader = deps_.db.snapshot();
  ListEventSourceMappingsResponse out;
  auto& mappings = out.event_source_mappings.emplace();
  std::string last;
  for (const kv::Entry& row : co_await reader->scan(range)) {
    const Mapping mapping = kv::decode<Mapping>(row.value);
    if (function && (mapping.function != function->name ||
                     (!function->qualifier.empty() && mapping.qualifier != function->qualifier))) {
      continue;
    }
    if (in.event_source_arn && *in.event_source_arn != mapping.source) continue;
    if (mappings.size() == limit) {
      out.next_marker = kernel::seal_page(deps_.tokens, ctx, "lambda:ListEventSourceMappings", last);
      break;
    }
    last = mapping.uuid;
    mappings.push_back(esm::describe(mapping, mappings_.last_result(mapping.uuid)));
  }
  co_return out;
}

Task<std::map<std::string, std::string>> LambdaService::change_mapping_tags(Ctx& ctx, std::string arn,
                                                                            std::map<std::string, std::string> set,
                                                                            std::vector<std::string> removed) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<std::map<std::string, std::string>> {
    auto mapping = co_await find_mapping(tx, ctx, arn);
    if (!mapping || mapping->arn() != arn)
      co_return err::ResourceNotFoundException(cat("Event source mapping not found: ", arn));
    if (!set.empty() || !removed.empty()) {
      retag(mapping->tags, set, removed);
      tx.put(esm::mapping_key(ctx.account, ctx.region, mapping->uuid), kv::encode(*mapping));
    }
    co_return mapping->tags;
  });
}

Task<std::string> LambdaService::role_for_mapping(Mapping mapping) {
  Ctx ctx = deps_.cloud.internal_context(kernel::service_principal("lambda.amazonaws.com", mapping.account),
                                         mapping.account, mapping.region);
  const Call call = co_await route(ctx, mapping.function_id());
  co_return call.version->role;
}

Task<kernel::Principal> LambdaService::session_for_mapping(Mapping mapping) {
  const std::string role = co_await role_for_mapping(mapping);
  co_return co_await esm::session_of(deps_, role, mapping.account, mapping.region, mapping.function);
}

Task<kernel::TargetDelivery> LambdaService::letter_for_mapping(Mapping mapping, esm::Discarded discarded) {
  const std::string role = co_await role_for_mapping(mapping);
  co_return esm::letter_of(mapping, discarded, role, deps_.clock.now());
}

Task<esm::Ran> LambdaService::run_for_mapping(Mapping mapping, std::string event, std::string trace) {
  Ctx ctx = deps_.cloud.internal_context(kernel::service_principal("lambda.amazonaws.com", mapping.account),
                                         mapping.account, mapping.region);
  esm::Ran ran;
  ran.request_id = ctx.request_id;
  Result<Call> call = co_await as_result(route_call(ctx, mapping.function_id()));
  if (!call) {
    const Error* error = error_of(call);
    ran.problem = error ? error->message : describe(call.error());
    co_return ran;
  }
  ran.version = version_name(call->version->version);
  const Result<void> followed = co_await as_result(follow_trace(ctx, *call, trace));
  if (!followed) {
    ran.kind = esm::Ran::Kind::kRecursive;
    ran.problem = error_of(followed) ? error_of(followed)->message : describe(followed.error());
    co_return ran;
  }
  call->request_id = ctx.request_id;
  call->payload = std::move(event);
  Result<Answer> answer = co_await as_result(run(ctx, std::move(*call)));
  if (answer) {
    ran.kind = esm::Ran::Kind::kAnswered;
    ran.answer = std::move(*answer);
    co_return ran;
  }
  const Error* error = error_of(answer);
  if (error && error->shape->code == "TooManyRequestsException") ran.kind = esm::Ran::Kind::kThrottled;
  ran.problem = error ? error->message : describe(answer.error());
  co_return ran;
}

// What a queue must be to feed a function: there, readable by its role, and patient enough.
Task<void> LambdaService::check_queue(Mapping mapping) {
  Ctx ctx = deps_.cloud.internal_context(co_await session_for_mapping(mapping), mapping.account, mapping.region);
  kernel::Service* sqs = deps_.cloud.find_service("sqs");
  if (!sqs) co_await fail(err::InvalidParameterValueException("Amazon SQS is not served by Virga."));
  const auto policy = co_await sqs->resource_policy(ctx, mapping.source);
  for (const char* action : {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"}) {
    if (co_await deps_.cloud.authorizer().why_denied(ctx, {cat("sqs:", action), mapping.source, {}}, policy)) {
      co_await fail(err::InvalidParameterValueException(
          cat("The function execution role does not have permissions to call ", action, " on SQS")));
    }
  }
  sqs::GetQueueAttributesRequest request;
  request.queue_url = esm::queue_url_of(mapping.source);
  request.attribute_names = std::vector<std::string>{"VisibilityTimeout"};
  const auto found = co_await as_result(deps_.cloud.call<sqs::op::GetQueueAttributes>(ctx, std::move(request)));
  if (!found) {
    const Error* error = error_of(found);
    co_await fail(err::InvalidParameterValueException(
        cat("Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error "
            "Message: ",
            error ? error->message : "The specified queue does not exist.")));
  }
  const Call call = co_await route(ctx, mapping.function_id());
  int64_t visible = 30;
  if (found->attributes && found->attributes->contains("VisibilityTimeout")) {
    visible = parse_int(found->attributes->at("VisibilityTimeout")).value_or(visible);
  }
  if (visible < call.version->timeout) {
    co_await fail(err::InvalidParameterValueException(
        cat("Queue visibility timeout: ", visible, " seconds is less than Function timeout: ", call.version->timeout,
            " seconds")));
  }
}

}  // namespace virga::lambda
