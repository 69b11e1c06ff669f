#include "services/dynamodb/shards.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/str.h"
#include "kv/key.h"

namespace virga::dynamodb {

namespace {

constexpr size_t kTimeDigits = 20;

std::string generations_prefix(const Stream& stream) { return kv::KeyWriter("ddb").u8('g').u64(stream.number).take(); }

}  // namespace

kv::Range all_generations(const Stream& stream) { return kv::prefix_range(generations_prefix(stream)); }

Task<std::vector<Generation>> generations_of(kv::Reader& reader, const Stream& stream) {
  const bool is_first = stream.since.micros == 0;
  std::vector<Generation> out;
  out.push_back({is_first ? stream.created : stream.since, is_first ? position_at(stream.start) : stream.from, {}});
  const std::string prefix = generations_prefix(stream);
  for (const kv::Entry& row : co_await reader.scan(kv::prefix_range(prefix))) {
    std::string position = row.key.substr(prefix.size());
    out.back().to = position;
    out.push_back({Time{static_cast<int64_t>(read_be64(row.value.data()))}, std::move(position), {}});
  }
  co_return out;
}

std::string shard_id(const Stream& stream, const Generation& generation, uint32_t number) {
  const std::string time = cat(generation.began.millis());
  std::string suffix;
  append_be32(suffix, (static_cast<uint32_t>(stream.number) & ~0xFFu) | number);
  return cat("shardId-", std::string(kTimeDigits - std::min(kTimeDigits, time.size()), '0'), time, "-",
             hex_encode(suffix));
}

Shard shard_of(const Stream& stream, const Generation& generation, uint32_t number) {
  return {number, generation, generation.to || !stream.enabled};
}

std::optional<Shard> find_shard(const Stream& stream, const std::vector<Generation>& all, std::string_view id) {
  for (const Generation& generation : all) {
    for (uint32_t number = 0; number < stream.shards; ++number) {
      if (shard_id(stream, generation, number) == id) return shard_of(stream, generation, number);
    }
  }
  return std::nullopt;
}

kv::Range records_after(const Stream& stream, const Shard& shard, const std::string& position) {
  const std::string prefix = shard_prefix(stream.number, shard.number);
  kv::Range range = kv::prefix_range(prefix);
  range.begin = prefix + std::max(position, shard.of.from) + '\0';
  if (shard.of.to) range.end = std::max(range.begin, prefix + *shard.of.to);
  return range;
}

void begin_generation(kv::Txn& tx, const Stream& stream, Time now) {
  std::string time;
  append_be64(time, static_cast<uint64_t>(now.micros));
  tx.put_ordered(generations_prefix(stream), std::move(time));
}

void forget_generations(kv::Txn& tx, Stream& stream, const std::vector<Generation>& all, Time oldest) {
  for (size_t i = 1; i < all.size() && all[i].began <= oldest; ++i) {
    tx.erase(generations_prefix(stream) + all[i].from);
    stream.since = all[i].began;
    stream.from = all[i].from;
  }
}

}  // namespace virga::dynamodb
