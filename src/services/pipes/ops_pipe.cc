#include <aws/pipes/errors.h>
#include <aws/sqs/ops.h>

#include "base/id.h"
#include "base/str.h"
#include "kernel/authorize.h"
#include "kernel/page.h"
#include "kernel/typed_json.h"
#include "services/pipes/definition.h"
#include "services/pipes/limits.h"
#include "services/pipes/service.h"

namespace virga::pipes {
namespace {

using lambda::esm::MappingState;

Error no_pipe(std::string_view name) { return err::NotFoundException(cat("Pipe ", name, " does not exist.")); }

std::string name_of(const Ctx& ctx, const std::string& arn) {
  const std::string prefix = pipe_arn(home_of(ctx), "");
  if (!arn.starts_with(prefix)) throw err::NotFoundException(cat("Not a pipe of this account and region: ", arn));
  return arn.substr(prefix.size());
}

std::string text_of(const Failure& failure) {
  const Error* error = error_of(failure);
  return error ? error->message : describe(failure);
}

template <class T>
T named(const Ctx& ctx, const PipeRecord& pipe, std::string_view desired, std::string_view state,
        const wire::Shape& s) {
  T out;
  Json json = Json::object({{"Name", pipe.name},
                            {"Arn", pipe_arn(home_of(ctx), pipe.name)},
                            {"DesiredState", desired},
                            {"CurrentState", state}});
  kernel::fill(s, json, &out);
  out.creation_time = pipe.created;
  out.last_modified_time = pipe.modified;
  return out;
}

std::string desired_of(const PipeRecord& pipe) {
  return Json::parse(pipe.definition).string_or("DesiredState", "RUNNING");
}

// What lists show of a definition.
Json summary(const Json& definition) {
  Json out = Json::object();
  for (const char* member : {"Name", "DesiredState", "Source", "Target", "Enrichment"}) {
    if (const Json* value = definition.find(member)) out[member] = *value;
  }
  return out;
}

bool settled(const Mapping& m) { return m.state == MappingState::kEnabled || m.state == MappingState::kDisabled; }

}  // namespace

Task<std::pair<PipeRecord, Mapping>> PipesService::load(kv::Reader& reader, Home home, std::string name) {
  auto pipe = co_await find_pipe(reader, home, name);
  if (!pipe) co_return no_pipe(name);
  const auto row = co_await reader.get(lambda::esm::mapping_key(home.account, home.region, pipe->id, "pipes"));
  if (!row) co_return no_pipe(name);
  co_return std::pair(std::move(*pipe), kv::decode<Mapping>(*row));
}

std::pair<std::string, std::string> PipesService::state_of(const PipeRecord& pipe, const Mapping& mapping) const {
  if (mapping.state == MappingState::kDeleting) return {"DELETING", "USER_INITIATED"};
  if (!settled(mapping)) return {pipe.pending, "USER_INITIATED"};
  if (!pipe.failed.empty()) return {pipe.failed, pipe.reason};
  if (mapping.state == MappingState::kDisabled) return {"STOPPED", "USER_INITIATED"};
  const std::lock_guard lock(mutex_);
  const auto problem = problems_.find(mapping.uuid);
  if (problem != problems_.end()) return {"RUNNING", problem->second};
  const std::string last = engine_.last_result(mapping.uuid);
  constexpr std::string_view kProblem = "PROBLEM: ";
  return {"RUNNING", last.starts_with(kProblem) ? last.substr(kProblem.size()) : "USER_INITIATED"};
}

// Where the shards of the source begin to be read. Fails when the role can't be assumed or may not read it.
Task<std::map<std::string, std::string>> PipesService::look_at_source(Mapping mapping, std::string role) {
  Ctx ctx = deps_.cloud.internal_context(co_await session(mapping, role), mapping.account, mapping.region);
  if (mapping.kind == lambda::esm::SourceKind::kStream) {
    kernel::StreamSource* source = kernel::find_stream_source(deps_.cloud, *kernel::parse_arn(mapping.source));
    if (!source) co_return err::NotFoundException(cat("Stream not found: ", mapping.source));
    co_return co_await lambda::esm::stream_starts(ctx, *source, mapping);
  }
  kernel::Service* sqs = deps_.cloud.find_service("sqs");
  if (!sqs) co_return err::ValidationException("Amazon SQS is not served.");
  const auto policy = co_await sqs->resource_policy(ctx, mapping.source);
  for (const char* action : {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}) {
    const auto denied = co_await deps_.cloud.authorizer().why_denied(ctx, {action, mapping.source, {}}, policy);
    if (denied) co_return err::ValidationException(*denied);
  }
  sqs::GetQueueAttributesRequest request;
  request.queue_url = lambda::esm::queue_url_of(mapping.source);
  co_await deps_.cloud.call<sqs::op::GetQueueAttributes>(ctx, std::move(request));
  co_return std::map<std::string, std::string>();
}

Task<CreatePipeResponse> PipesService::create_pipe(Ctx& ctx, const CreatePipeRequest& in) {
  check(in, deps_.cloud);
  co_await deps_.cloud.authorizer().authorize_pass(ctx, model(), in.role_arn);
  const Home home = home_of(ctx);
  PipeRecord pipe;
  pipe.name = in.name;
  pipe.id = uuid();
  Json definition = definition_of(in);
  if (!definition.find("DesiredState")) definition["DesiredState"] = "RUNNING";
  pipe.definition = definition.dump();
  if (in.tags) pipe.tags = {in.tags->begin(), in.tags->end()};
  if (pipe.tags.size() > kMaxTags) co_return err::ValidationException("A pipe has at most 50 tags.");
  pipe.created = pipe.modified = ctx.now();
  pipe.pending = "CREATING";
  Mapping mapping;
  apply(mapping, in);
  mapping.owner = "pipes";
  mapping.uuid = pipe.id;
  mapping.account = home.account;
  mapping.region = home.region;
  mapping.function = pipe.name;
  mapping.revision = uuid();
  mapping.modified = pipe.created;
  mapping.state = mapping.enabled ? MappingState::kCreating : MappingState::kDisabling;
  const auto starts = co_await as_result(look_at_source(mapping, in.role_arn));
  if (!starts) {
    pipe.failed = "CREATE_FAILED";
    pipe.reason = text_of(starts.error());
    mapping.state = MappingState::kDisabled;
  }
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    if (co_await find_pipe(tx, home, pipe.name)) {
      co_await fail(err::ConflictException(cat("Pipe ", pipe.name, " already exists.")));
    }
    if ((co_await tx.scan(kv::prefix_range(pipes_prefix(home)), {.limit = kMaxPipes})).size() >= kMaxPipes) {
      co_await fail(err::ServiceQuotaExceededException("The account has 1000 pipes in this region."));
    }
    tx.put(pipe_key(home, pipe.name), kv::encode(pipe));
    tx.put(lambda::esm::mapping_key(mapping), kv::encode(mapping));
    if (!starts) co_return;
    for (const auto& [shard, position] : *starts) {
      lambda::esm::Checkpoint checkpoint;
      checkpoint.position = position;
      tx.put(lambda::esm::checkpoint_key(mapping.uuid, shard, lambda::esm::kShardSlot), kv::encode(checkpoint));
    }
  });
  co_return named<CreatePipeResponse>(ctx, pipe, desired_of(pipe), "CREATING", *op::CreatePipe::model().output);
}

Task<UpdatePipeResponse> PipesService::update_pipe(Ctx& ctx, const UpdatePipeRequest& in) {
  const Home home = home_of(ctx);
  const auto snapshot = deps_.db.snapshot();
  const auto [known, mapping_before] = co_await load(*snapshot, home, in.name);
  const CreatePipeRequest wanted = typed(updated(Json::parse(known.definition), in));
  check(wanted, deps_.cloud);
  co_await deps_.cloud.authorizer().authorize_pass(ctx, model(), in.role_arn);
  Mapping checked = mapping_before;
  apply(checked, wanted);
  const auto starts = co_await as_result(look_at_source(checked, in.role_arn));
  const std::string revision = uuid();
  PipeRecord pipe = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PipeRecord> {
    auto [now, mapping] = co_await load(tx, home, in.name);
    if (mapping.state == MappingState::kDeleting || mapping.uuid != checked.uuid) {
      co_return err::ConflictException(cat("Pipe ", in.name, " is being deleted."));
    }
    const bool never_read = now.failed == "CREATE_FAILED";
    now.definition = updated(Json::parse(now.definition), in).dump();
    now.modified = ctx.now();
    now.pending = "UPDATING";
    now.failed = starts ? "" : "UPDATE_FAILED";
    now.reason = starts ? "" : text_of(starts.error());
    apply(mapping, typed(Json::parse(now.definition)));
    mapping.revision = revision;
    mapping.state = mapping.enabled && starts ? MappingState::kUpdating : MappingState::kDisabling;
    if (never_read && starts) {
      for (const auto& [shard, position] : *starts) {
        lambda::esm::Checkpoint checkpoint;
        checkpoint.position = position;
        tx.put(lambda::esm::checkpoint_key(mapping.uuid, shard, lambda::esm::kShardSlot), kv::encode(checkpoint));
      }
    } else if (never_read) {
      now.failed = "CREATE_FAILED";
    }
    tx.put(pipe_key(home, now.name), kv::encode(now));
    tx.put(lambda::esm::mapping_key(mapping), kv::encode(mapping));
    co_return now;
  });
  note(pipe.id, "");
  co_return named<UpdatePipeResponse>(ctx, pipe, desired_of(pipe), "UPDATING", *op::UpdatePipe::model().output);
}

Task<DeletePipeResponse> PipesService::delete_pipe(Ctx& ctx, const DeletePipeRequest& in) {
  const Home home = home_of(ctx);
  PipeRecord pipe = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PipeRecord> {
    auto [now, mapping] = co_await load(tx, home, in.name);
    mapping.state = MappingState::kDeleting;
    now.modified = ctx.now();
    tx.put(pipe_key(home, now.name), kv::encode(now));
    tx.put(lambda::esm::mapping_key(mapping), kv::encode(mapping));
    co_return now;
  });
  co_return named<DeletePipeResponse>(ctx, pipe, "DELETED", "DELETING", *op::DeletePipe::model().output);
}

Task<DescribePipeResponse> PipesService::describe_pipe(Ctx& ctx, const DescribePipeRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const auto [pipe, mapping] = co_await load(*snapshot, home_of(ctx), in.name);
  const auto [state, reason] = state_of(pipe, mapping);
  Json json = Json::parse(pipe.definition);
  json["Arn"] = pipe_arn(home_of(ctx), pipe.name);
  json["CurrentState"] = state;
  if (state == "DELETING") json["DesiredState"] = "DELETED";
  json["StateReason"] = reason.substr(0, 512);
  DescribePipeResponse out;
  kernel::fill(*op::DescribePipe::model().output, json, &out);
  out.creation_time = pipe.created;
  out.last_modified_time = pipe.modified;
  if (!pipe.tags.empty()) out.tags.emplace(pipe.tags.begin(), pipe.tags.end());
  co_return out;
}

Task<ListPipesResponse> PipesService::list_pipes(Ctx& ctx, const ListPipesRequest& in) {
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, "pipes:ListPipes", in.next_token,
                                                    err::ValidationException("Invalid NextToken."));
  const auto limit = static_cast<size_t>(in.limit.value_or(kDefaultList));
  const Home home = home_of(ctx);
  kv::Range range = kv::prefix_range(pipes_prefix(home));
  if (after) range.begin = kv::prefix_end(pipe_key(home, *after));
  const auto reader = deps_.db.snapshot();
  ListPipesResponse out;
  auto& pipes = out.pipes.emplace();
  std::string last;
  for (const kv::Entry& row : co_await reader->scan(range)) {
    const PipeRecord pipe = kv::decode<PipeRecord>(row.value);
    const auto loaded = co_await as_result(load(*reader, home, pipe.name));
    if (!loaded) continue;
    const auto [state, reason] = state_of(pipe, loaded->second);
    Json json = summary(Json::parse(pipe.definition));
    const auto begins = [&](const std::optional<std::string>& prefix, std::string_view member) {
      return !prefix || json.string_or(member).starts_with(*prefix);
    };
    json["CurrentState"] = state;
    json["StateReason"] = reason.substr(0, 512);
    json["Arn"] = pipe_arn(home, pipe.name);
    const Json asked = kernel::read(*op::ListPipes::model().input, &in);
    const auto is = [&](std::string_view member) {
      return !asked.find(member) || asked.string_or(member) == json.string_or(member);
    };
    if (!begins(in.name_prefix, "Name") || !begins(in.source_prefix, "Source") || !begins(in.target_prefix, "Target") ||
        !is("DesiredState") || !is("CurrentState")) {
      continue;
    }
    if (pipes.size() == limit) {
      out.next_token = kernel::seal_page(deps_.tokens, ctx, "pipes:ListPipes", last);
      break;
    }
    last = pipe.name;
    ListPipesResponse one;
    kernel::fill(*op::ListPipes::model().output, Json::object({{"Pipes", Json(Json::Array{json})}}), &one);
    Pipe& listed = pipes.emplace_back(std::move(one.pipes->front()));
    listed.creation_time = pipe.created;
    listed.last_modified_time = pipe.modified;
  }
  co_return out;
}

Task<PipeRecord> PipesService::turn(Ctx& ctx, std::string name, bool on) {
  const Home home = home_of(ctx);
  const std::string revision = uuid();
  const auto snapshot = deps_.db.snapshot();
  const auto [known, before] = co_await load(*snapshot, home, name);
  const CreatePipeRequest definition = typed(Json::parse(known.definition));
  const auto starts = co_await as_result(look_at_source(before, definition.role_arn));
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PipeRecord> {
    auto [pipe, mapping] = co_await load(tx, home, name);
    if (!settled(mapping)) {
      co_return err::ConflictException(cat("Pipe ", name, " can't be changed while it is ", pipe.pending, "."));
    }
    const bool never_read = pipe.failed == "CREATE_FAILED";
    Json json = Json::parse(pipe.definition);
    json["DesiredState"] = on ? "RUNNING" : "STOPPED";
    pipe.definition = json.dump();
    pipe.modified = ctx.now();
    pipe.pending = on ? "STARTING" : "STOPPING";
    if (!never_read || (on && starts)) {
      pipe.failed = on && !starts ? "START_FAILED" : "";
      pipe.reason = on && !starts ? text_of(starts.error()) : "";
    }
    if (never_read && on && starts) {
      for (const auto& [shard, position] : *starts) {
        lambda::esm::Checkpoint checkpoint;
        checkpoint.position = position;
        tx.put(lambda::esm::checkpoint_key(mapping.uuid, shard, lambda::esm::kShardSlot), kv::encode(checkpoint));
      }
    }
    mapping.enabled = on;
    mapping.revision = revision;
    mapping.state = on && starts ? MappingState::kEnabling : MappingState::kDisabling;
    tx.put(pipe_key(home, name), kv::encode(pipe));
    tx.put(lambda::esm::mapping_key(mapping), kv::encode(mapping));
    co_return pipe;
  });
}

Task<StartPipeResponse> PipesService::start_pipe(Ctx& ctx, const StartPipeRequest& in) {
  const PipeRecord pipe = co_await turn(ctx, in.name, true);
  co_return named<StartPipeResponse>(ctx, pipe, "RUNNING", "STARTING", *op::StartPipe::model().output);
}

Task<StopPipeResponse> PipesService::stop_pipe(Ctx& ctx, const StopPipeRequest& in) {
  const PipeRecord pipe = co_await turn(ctx, in.name, false);
  co_return named<StopPipeResponse>(ctx, pipe, "STOPPED", "STOPPING", *op::StopPipe::model().output);
}

Task<TagResourceResponse> PipesService::tag_resource(Ctx& ctx, const TagResourceRequest& in) {
  const std::string name = name_of(ctx, in.resource_arn);
  const Home home = home_of(ctx);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<TagResourceResponse> {
    auto pipe = co_await find_pipe(tx, home, name);
    if (!pipe) co_return no_pipe(name);
    for (const auto& [key, value] : in.tags) pipe->tags[key] = value;
    if (pipe->tags.size() > kMaxTags) co_return err::ValidationException("A pipe has at most 50 tags.");
    tx.put(pipe_key(home, name), kv::encode(*pipe));
    co_return TagResourceResponse{};
  });
}

Task<UntagResourceResponse> PipesService::untag_resource(Ctx& ctx, const UntagResourceRequest& in) {
  const std::string name = name_of(ctx, in.resource_arn);
  const Home home = home_of(ctx);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<UntagResourceResponse> {
    auto pipe = co_await find_pipe(tx, home, name);
    if (!pipe) co_return no_pipe(name);
    for (const std::string& key : in.tag_keys) pipe->tags.erase(key);
    tx.put(pipe_key(home, name), kv::encode(*pipe));
    co_return UntagResourceResponse{};
  });
}

Task<ListTagsForResourceResponse> PipesService::list_tags_for_resource(Ctx& ctx, const ListTagsForResourceRequest& in) {
  const std::string name = name_of(ctx, in.resource_arn);
  const auto snapshot = deps_.db.snapshot();
  const auto pipe = co_await find_pipe(*snapshot, home_of(ctx), name);
  if (!pipe) co_return no_pipe(name);
  ListTagsForResourceResponse out;
  out.tags.emplace(pipe->tags.begin(), pipe->tags.end());
  co_return out;
}

}  // namespace virga::pipes
