// Lambda's rules as functions of values: names and qualifiers, checks, and how records are shown.
#pragma once

#include <aws/lambda/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "kernel/context.h"
#include "services/lambda/store.h"

namespace virga::lambda {

using kernel::Ctx;

// What a FunctionName parameter says: an ARN, or the end of one. `account:name` will do as well.
struct FunctionId {
  std::string account, region, name;
  std::string qualifier;  // empty: none given, which means $LATEST
  Home home() const { return {account, region}; }
};
// `qualifier` is the request's own Qualifier parameter. Throws ValidationException or InvalidParameterValueException.
FunctionId function_id(const Ctx& ctx, std::string_view name,
                       const std::optional<std::string>& qualifier = std::nullopt);

std::string function_arn(const Ctx& ctx, const FunctionId& id);  // without qualifier
std::string qualified_arn(const Ctx& ctx, const FunctionId& id, std::string_view qualifier);
inline constexpr std::string_view kLatest = "$LATEST";
inline constexpr uint64_t kLatestPublished = UINT64_MAX;  // $LATEST.PUBLISHED, the latest of a capacity provider's
std::string version_name(uint64_t version);               // "$LATEST", "$LATEST.PUBLISHED" or digits
// Nothing when `qualifier` is an alias's name.
std::optional<uint64_t> parse_version(std::string_view qualifier);

// A layer version's ARN taken apart; nothing when it is not one.
struct LayerId {
  std::string account, region, name;
  uint64_t version = 0;
};
std::optional<LayerId> parse_layer_arn(std::string_view arn);
// A LayerName parameter: a name or a layer's ARN without version.
LayerId layer_id(const Ctx& ctx, std::string_view name);
std::string layer_arn(const Ctx& ctx, const LayerId& id);

bool is_provider_arn(std::string_view arn);
bool is_signing_arn(std::string_view arn);  // of a code signing configuration

// `unqualified`: what one without qualifier is told as.
Error function_not_found(const Ctx& ctx, const FunctionId& id, std::string_view unqualified = {});
// The same of operations that tell a missing alias from a missing version.
Error qualifier_not_found(const Ctx& ctx, const FunctionId& id);
// Throws InvalidParameterValueException when an operation on a whole function is given a version or alias of it.
void check_unqualified(const FunctionId& id);
// As the operation that tells the right one is called.
Error wrong_revision(std::string_view told_by = "GetFunction/GetAlias");
// The RevisionId of a version, and a new one for what it has become.
const std::string& revision_id(const VersionRecord& record);
void renew(VersionRecord& record, std::string revision);
Error no_latest_published();
Error not_with_capacity_provider(std::string_view what);
Error bad_marker();

// Throws InvalidRequestContentException unless a payload is JSON.
void check_json(const std::string& payload);
// What a ClientContext says. Throws InvalidRequestContentException unless it is an object.
std::string client_context_of(const std::optional<std::string>& encoded);
// Throws InvalidParameterValueException for what AWS refuses beyond the model's constraints.
void check_environment(const std::map<std::string, std::string>& variables);
void check_handler(const VersionRecord& record);
void check_name(const std::string& name);
void check_tags(const std::map<std::string, std::string>& tags);
// Sets some and removes some; throws when there are too many then.
void retag(std::map<std::string, std::string>& tags, const std::map<std::string, std::string>& set,
           const std::vector<std::string>& removed);
// Memory, and the size of code and layers together.
void check_size(const VersionRecord& record);
void check_snap_start(const VersionRecord& record);
// Invocations that an instance on a capacity provider takes at a time.
int32_t at_a_time(const VersionRecord& record);
double vcpus(const VersionRecord& record);
// Throws InvalidParameterValueException when it can't run on a capacity provider; nothing is checked of one that
// doesn't.
void check_capacity(const VersionRecord& record);
// A runtime that functions are made or changed with. Throws InvalidParameterValueException.
std::string runtime_name(const std::optional<std::string>& runtime);
// CodeSha256: of an archive in base64, of an image its digest.
std::string code_hash(const VersionRecord& record);
// Of what serves a runtime here, as sandbox::Sandboxes::Runtime names it.
std::string runtime_arn(const Ctx& ctx, std::string_view version);
// The runtime whose sandboxes are kept ready for a version.
std::string prepared_runtime(const VersionRecord& record);
// How a version's image is run: what the function says, else what the image says. Throws InvalidParameterValueException
// when neither names a program.
image::Settings image_settings(const VersionRecord& record);

std::string log_group(const FunctionId& id, const VersionRecord& record);
bool logs_json(const VersionRecord& record);

// Whether its instances are restored from snapshots: a published version with SnapStart.
bool is_snapshot(const VersionRecord& record);
// A version that is about to be published: it waits for its snapshot, when it has one.
void await_initialisation(VersionRecord& published);
// Why a version can't be invoked as it is; nothing when it can.
std::optional<Error> refusal_by_state(const VersionRecord& record);

// By the ARN with the qualifier, or without one when that is empty.
FunctionConfiguration describe(const Ctx& ctx, const FunctionId& id, const VersionRecord& record,
                               std::string_view qualifier);
// The answer that a version is made with, or $LATEST changed: AWS goes on with it after that. Here it can be used at
// once, so the next look finds it done.
FunctionConfiguration in_creation(FunctionConfiguration made);
FunctionConfiguration in_update(FunctionConfiguration changed);
// As lists tell it: without states.
FunctionConfiguration describe_listed(const Ctx& ctx, const FunctionId& id, const VersionRecord& record,
                                      std::string_view qualifier);
AliasConfiguration describe(const Ctx& ctx, const FunctionId& id, const AliasRecord& alias);

}  // namespace virga::lambda
