// Event source mappings as records, and the rules about them.
//
// Keys, under the tag "esm", then one byte:
//   m  account, region, uuid          the Mapping, of Lambda
//   o  owner, account, region, uuid   the Mapping, of another service
//   k  uuid, shard, slot u32          a Checkpoint: kShardSlot of the shard as a whole, else of one of its slots
#pragma once

#include <aws/lambda/types.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "kernel/context.h"
#include "kv/db.h"
#include "services/lambda/model.h"

namespace virga::lambda::esm {

enum class SourceKind : uint8_t { kStream, kQueue };
enum class MappingState : uint8_t { kCreating, kEnabling, kEnabled, kUpdating, kDisabling, kDisabled, kDeleting };
enum class Start : uint8_t { kNone, kTrimHorizon, kLatest, kAtTimestamp };

struct Mapping {
  std::string uuid, account, region;
  std::string function, qualifier;
  std::string source;  // ARN
  SourceKind kind = SourceKind::kStream;
  MappingState state = MappingState::kCreating;
  bool enabled = true;   // what the user wants
  std::string revision;  // a new one with each change by a user
  Time modified;
  int32_t batch_size = 100;
  int32_t window = 0;  // seconds
  int32_t parallel = 1;
  Start start = Start::kNone;
  Time start_at;
  bool bisect = false;
  int32_t retries = -1, record_age = -1;
  int32_t tumbling = 0;  // seconds
  std::vector<std::string> filters;
  bool reports_failures = false;
  std::string on_failure;  // ARN; empty: none
  std::optional<int32_t> concurrency;
  std::map<std::string, std::string> tags;
  std::string owner;  // the service whose engine reads it: "pipes"; empty: Lambda
  template <class A>
  void fields(A& a) {
    a(1, uuid), a(2, account), a(3, region), a(4, function), a(5, qualifier), a(6, source), a(7, kind), a(8, state);
    a(9, enabled), a(10, revision), a(11, modified), a(12, batch_size), a(13, window), a(14, parallel), a(15, start);
    a(16, start_at), a(17, bisect), a(18, retries), a(19, record_age), a(20, tumbling), a(21, filters);
    a(22, reports_failures), a(23, on_failure), a(24, concurrency), a(25, tags), a(26, owner);
  }
  FunctionId function_id() const { return {account, region, function, qualifier}; }
  std::string function_arn() const;  // with the qualifier, when there is one
  std::string arn() const;
  bool fifo() const { return kind == SourceKind::kQueue && source.ends_with(".fifo"); }
};

inline constexpr uint32_t kShardSlot = 0xFFFFFFFF;

struct Checkpoint {
  std::string position;
  uint32_t slots = 1;  // of a shard: into how many its records were divided
  bool ended = false;  // of a shard: read to its end
  // The tumbling window that is open, with the function's state.
  Time window;
  bool in_window = false;
  std::string window_state;
  template <class A>
  void fields(A& a) {
    a(1, position), a(2, slots), a(3, ended), a(4, window), a(5, in_window), a(6, window_state);
  }
};

bool is_mapping_arn(std::string_view text);
std::string mapping_key(const std::string& account, const std::string& region, const std::string& uuid,
                        const std::string& owner = {});
std::string mapping_key(const Mapping& mapping);
std::string mappings_prefix(const std::string& owner = {});
kv::Range mappings_of(const std::string& account, const std::string& region);
std::string checkpoint_key(const std::string& uuid, const std::string& shard, uint32_t slot);
kv::Range checkpoints_of(const std::string& uuid);
kv::Range checkpoints_of(const std::string& uuid, const std::string& shard);

// What a request asks for. Each throws InvalidParameterValueException.
Mapping mapping_of(const CreateEventSourceMappingRequest& in);
void update_mapping(Mapping& mapping, const UpdateEventSourceMappingRequest& in);

EventSourceMappingConfiguration describe(const Mapping& mapping, const std::string& last_result);

}  // namespace virga::lambda::esm
