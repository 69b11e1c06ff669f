// The shards of a stream. Side by side they share its records by partition key. One after the other they share them by
// time: after some hours the shards of a stream are closed, and each has a child that goes on.
//
// Keys, beside those of streams.h:
//   g  stream number u64, position  when the shards whose records are after this position began
// The position is that of the commit that wrote it, so what readers saw of a shard before it was closed is the shard's.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/dynamodb/streams.h"

namespace virga::dynamodb {

inline constexpr std::chrono::hours kShardLife{4};

// Shards that began together.
struct Generation {
  Time began;
  std::string from;               // records are after this position,
  std::optional<std::string> to;  // and up to this one, when others follow
};
struct Shard {
  uint32_t number = 0;
  Generation of;
  bool closed = false;
};

// Oldest first; the last one takes the records of an enabled stream.
Task<std::vector<Generation>> generations_of(kv::Reader& reader, const Stream& stream);
std::string shard_id(const Stream& stream, const Generation& generation, uint32_t number);
Shard shard_of(const Stream& stream, const Generation& generation, uint32_t number);
std::optional<Shard> find_shard(const Stream& stream, const std::vector<Generation>& all, std::string_view id);
// The records of a shard after `position`, wherever that is.
kv::Range records_after(const Stream& stream, const Shard& shard, const std::string& position);

// Closes the shards and begins their children, in a transaction that knows the stream.
void begin_generation(kv::Txn& tx, const Stream& stream, Time now);
// Forgets generations that others followed before `oldest`; changes the stream's record.
void forget_generations(kv::Txn& tx, Stream& stream, const std::vector<Generation>& all, Time oldest);
kv::Range all_generations(const Stream& stream);

}  // namespace virga::dynamodb
