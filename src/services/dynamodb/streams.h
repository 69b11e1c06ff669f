// The rows of streams: which there are, and the changes that their tables wrote.
//
// Keys, under the tag "ddb" like those of store.h:
//   s  account, region, table, label          the Stream
//   k  stream number u64, shard u32, position  a change, in the transaction of the item it tells of
//   h  stream number u64, shard u32            the position up to which the shard was trimmed
// A position is the commit's, as Txn::put_ordered gives it: so the changes of an item stand in the order of its
// commits, and a sequence number is the position in decimal. An item's shard follows from the hash of its partition
// key; shards.h says how they follow each other.
#pragma once

#include <aws/dynamodb/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/timers.h"
#include "kv/db.h"
#include "services/dynamodb/store.h"

namespace virga::dynamodb {

inline constexpr std::string_view kStreamTimer = "ddb.stream";  // trims; its id is the key of the stream's row

struct Stream {
  TableName table;
  std::string label;
  uint64_t number = 0;
  StreamView view = StreamView::kKeysOnly;
  uint32_t shards = 1;
  Time created;
  uint64_t start = 0;  // records are of later commits
  KeyNames key;
  bool enabled = true;
  Time closed;
  std::string policy, policy_revision;  // of the resource; empty: none
  // Where the oldest shards that are left begin (shards.h); zero: those that the stream began with.
  Time since;
  std::string from;
  template <class A>
  void fields(A& a) {
    a(1, table.account), a(2, table.region), a(3, table.name), a(4, label), a(5, number), a(6, view), a(7, shards);
    a(8, created), a(9, start), a(10, key), a(11, enabled), a(12, closed), a(13, policy), a(14, policy_revision);
    a(15, since), a(16, from);
  }
  std::string arn() const;
};

enum class ChangeKind : uint8_t { kInsert, kModify, kRemove };

// A change as stored. Views into its bytes.
struct Change {
  ChangeKind kind = ChangeKind::kInsert;
  Cause cause = Cause::kRequest;
  Time at;
  View keys;
  View before, after;  // those that the stream's view shows and that there are
};
std::string encode_change(const Change& change);
Change decode_change(std::string_view bytes);
size_t size_of(const Change& change);  // bytes as AWS counts them

// Appends what became of an item to its table's stream; nothing when it is as it was.
void record_change(kv::Txn& tx, const Table& table, const std::string& row, View before, View after, Cause cause,
                   Time now);

// What a StreamSpecification asks of a table: a new stream, or the end of the one it has. Fails with
// ValidationException.
Task<void> change_stream(kv::Txn& tx, kernel::Timers& timers, Table& table, const StreamSpecification& wanted,
                         Time now);
// The table's stream takes no more records and is forgotten when the last of them are trimmed.
Task<void> close_stream(kv::Txn& tx, kernel::Timers& timers, const Table& table, Time now);
void describe_stream_use(const Table& table, TableDescription& out);

std::string stream_key(const TableName& table, const std::string& label);
kv::Range streams_of(const std::string& account, const std::string& region, const std::string& table);  // "": all
std::string shard_prefix(uint64_t stream, uint32_t shard);
std::string trimmed_key(uint64_t stream, uint32_t shard);

// Positions and sequence numbers. A position of nothing is before the first record.
std::string sequence_of(std::string_view position);
std::optional<std::string> position_of(std::string_view sequence);
std::string position_at(uint64_t version);  // before all records of commits after `version`
std::string position_before(std::string_view position);

StreamViewType view_type(StreamView view);

}  // namespace virga::dynamodb
