// AWS::Pipes::Pipe.
#include "base/executor.h"
#include "base/str.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

constexpr int kPipePolls = 3000;
constexpr auto kPipePollEvery = std::chrono::milliseconds(20);
constexpr std::string_view kBoth =
    "Description DesiredState Enrichment EnrichmentParameters KmsKeyIdentifier LogConfiguration RoleArn "
    "SourceParameters Target TargetParameters";

// What the pipe is once it has got where it is going.
Task<Json> settled_pipe(Call& call) {
  for (int i = 0; i < kPipePolls; ++i) {
    Json pipe = co_await call.api("pipes", "DescribePipe", Json::object({{"Name", call.physical_id}}));
    const std::string state = pipe.string_or("CurrentState");
    if (state.ends_with("_FAILED")) {
      co_return validation_error(cat("The pipe is ", state, ": ", pipe.string_or("StateReason")));
    }
    if (state == "RUNNING" || state == "STOPPED") co_return std::move(pipe);
    co_await sleep_for(kPipePollEvery);
  }
  co_return validation_error(cat("Pipe ", call.physical_id, " did not become what was asked for in time"));
}

Task<Made> made_of_pipe(Call& call) {
  const Json pipe = co_await settled_pipe(call);
  Json attributes = Json::object();
  for (const char* name : {"Arn", "CreationTime", "CurrentState", "LastModifiedTime", "StateReason"}) {
    if (const Json* value = pipe.find(name)) attributes[name] = *value;
  }
  co_return Made{call.physical_id, std::move(attributes)};
}

Task<Made> create_pipe(Call& call) {
  Json input = only(call.properties, kBoth);
  input["Name"] = call.physical_id;
  input["Source"] = need(call.properties, "Source");
  if (Json tags = call.tag_map(); !tags.as_object().empty()) input["Tags"] = std::move(tags);
  co_await call.create("ConflictException", "pipes", "CreatePipe", std::move(input));
  call.created = call.physical_id;
  co_return co_await made_of_pipe(call);
}

Task<Made> update_pipe(Call& call) {
  Json input = only(call.properties, kBoth);
  input["Name"] = call.physical_id;
  // Positions are of the creation: an update can't say them.
  if (Json* source = input.find("SourceParameters")) {
    for (const char* kind : {"DynamoDBStreamParameters", "KinesisStreamParameters"}) {
      if (Json* of_kind = source->find(kind)) {
        of_kind->erase("StartingPosition");
        of_kind->erase("StartingPositionTimestamp");
      }
    }
  }
  co_await call.api("pipes", "UpdatePipe", std::move(input));
  Made made = co_await made_of_pipe(call);
  co_await call.retag("pipes", "ResourceArn", made.attributes.string_or("Arn"), call.tag_map());
  co_return made;
}

Task<void> remove_pipe(Call& call) {
  // Gone once its source is no longer read: soon.
  for (int i = 0; i < kPipePolls; ++i) {
    const auto found = co_await call.api_unless("NotFoundException", "pipes", i == 0 ? "DeletePipe" : "DescribePipe",
                                                Json::object({{"Name", call.physical_id}}));
    if (!found) co_return;
    co_await sleep_for(kPipePollEvery);
  }
}

constexpr Provider kProviders[] = {{.type = "AWS::Pipes::Pipe",
                                    .name_property = "Name",
                                    .properties =
                                        "Description DesiredState Enrichment EnrichmentParameters KmsKeyIdentifier "
                                        "LogConfiguration Name RoleArn Source SourceParameters Tags Target "
                                        "TargetParameters",
                                    .replace_on = "Name Source",
                                    .create = create_pipe,
                                    .update = update_pipe,
                                    .remove = remove_pipe}};

}  // namespace

std::span<const Provider> pipes_providers() { return kProviders; }

}  // namespace virga::cloudformation
