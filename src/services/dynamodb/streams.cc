#include "services/dynamodb/streams.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/shards.h"

namespace virga::dynamodb {

namespace {

constexpr size_t kPositionSize = 10;
constexpr size_t kVersionDigits = 20, kOrderDigits = 5;
constexpr std::chrono::hours kRetention{24};
// A partition of a provisioned table takes this much, and has a shard of its own; a new on-demand table has four.
constexpr int64_t kReadUnitsOfPartition = 3000, kWriteUnitsOfPartition = 1000;
constexpr uint32_t kOnDemandShards = 4, kMostShards = 16;

kv::KeyWriter key(char kind) { return std::move(kv::KeyWriter("ddb").u8(static_cast<uint8_t>(kind))); }

std::string padded(uint64_t number, size_t digits) {
  const std::string text = cat(number);
  return std::string(digits - std::min(digits, text.size()), '0') + text;
}

uint32_t shards_of(const Table& table) {
  if (table.on_demand) return kOnDemandShards;
  const int64_t partitions = (table.throughput.read + kReadUnitsOfPartition - 1) / kReadUnitsOfPartition +
                             (table.throughput.write + kWriteUnitsOfPartition - 1) / kWriteUnitsOfPartition - 1;
  return static_cast<uint32_t>(std::clamp<int64_t>(partitions, 1, kMostShards));
}

StreamView view_of(StreamViewType type) {
  switch (type) {
    case StreamViewType::NEW_IMAGE:
      return StreamView::kNewImage;
    case StreamViewType::OLD_IMAGE:
      return StreamView::kOldImage;
    case StreamViewType::NEW_AND_OLD_IMAGES:
      return StreamView::kNewAndOldImages;
    case StreamViewType::KEYS_ONLY:
      break;
  }
  return StreamView::kKeysOnly;
}

std::string label_of(Time now) {
  std::string label = iso8601_millis(now);
  label.pop_back();  // a label is a local time without its Z
  return label;
}

void append_sized(std::string& out, View view) {
  append_be32(out, static_cast<uint32_t>(view.bytes().size()));
  out += view.bytes();
}
View take_sized(std::string_view& in) {
  const uint32_t size = read_be32(in.data());
  const View view(in.substr(4, size));
  in.remove_prefix(4 + size);
  return view;
}

}  // namespace

std::string Stream::arn() const {
  return cat("arn:aws:dynamodb:", table.region, ":", table.account, ":table/", table.name, "/stream/", label);
}

std::string encode_change(const Change& change) {
  std::string out;
  out.reserve(24 + change.keys.bytes().size() + change.before.bytes().size() + change.after.bytes().size());
  out += static_cast<char>(change.kind);
  out += static_cast<char>(change.cause);
  append_be64(out, static_cast<uint64_t>(change.at.micros));
  append_sized(out, change.keys);
  append_sized(out, change.before);
  append_sized(out, change.after);
  return out;
}

Change decode_change(std::string_view bytes) {
  Change change;
  change.kind = static_cast<ChangeKind>(bytes[0]);
  change.cause = static_cast<Cause>(bytes[1]);
  change.at.micros = static_cast<int64_t>(read_be64(bytes.data() + 2));
  bytes.remove_prefix(10);
  change.keys = take_sized(bytes);
  change.before = take_sized(bytes);
  change.after = take_sized(bytes);
  return change;
}

size_t size_of(const Change& change) {
  const auto size = [](View view) { return view.present() ? view.item_size() : 0; };
  return size(change.keys) + size(change.before) + size(change.after);
}

void record_change(kv::Txn& tx, const Table& table, const std::string& row, View before, View after, Cause cause,
                   Time now) {
  if (before == after) return;
  const StreamUse& stream = *table.stream;
  const Item keys = key_of(table, after.present() ? after : before);
  const ChangeKind kind = !before.present() ? ChangeKind::kInsert
                          : after.present() ? ChangeKind::kModify
                                            : ChangeKind::kRemove;
  Change change{kind, cause, now, keys};
  const bool old = stream.view == StreamView::kOldImage || stream.view == StreamView::kNewAndOldImages;
  const bool fresh = stream.view == StreamView::kNewImage || stream.view == StreamView::kNewAndOldImages;
  if (old) change.before = before;
  if (fresh) change.after = after;
  // A row begins with the hash of its partition key, after the table's prefix.
  const uint64_t hash = read_be32(row.data() + rows_prefix(table, 0).size());
  const auto shard = static_cast<uint32_t>((hash * stream.shards) >> 32);
  tx.put_ordered(shard_prefix(stream.number, shard), encode_change(change));
}

Task<void> change_stream(kv::Txn& tx, kernel::Timers& timers, Table& table, const StreamSpecification& wanted,
                         Time now) {
  if (!wanted.stream_enabled) {
    if (wanted.stream_view_type) {
      co_await fail(invalid_parameter("If stream is being disabled, then UpdateViewType must not be specified"));
    }
    if (!table.streams()) {
      co_await fail(validation(cat("Table has no stream to disable: TableName: ", table.name)));
    }
    co_await close_stream(tx, timers, table, now);
    table.stream->enabled = false;
    co_return;
  }
  if (!wanted.stream_view_type) {
    co_await fail(invalid_parameter("If stream is being enabled then UpdateViewType is required"));
  }
  if (table.streams()) {
    co_await fail(validation(cat("Table already has an enabled stream: TableName: ", table.name)));
  }
  Stream stream;
  stream.table = {table.account, table.region, table.name};
  stream.created = now;
  stream.label = label_of(now);
  while (co_await tx.get(stream_key(stream.table, stream.label))) {
    stream.created = stream.created + std::chrono::milliseconds(1);
    stream.label = label_of(stream.created);
  }
  stream.number = random_u64();
  stream.view = view_of(*wanted.stream_view_type);
  stream.shards = shards_of(table);
  stream.start = tx.version();
  stream.key = table.key;
  table.stream = StreamUse{stream.number, stream.label, stream.view, stream.shards, true};
  const std::string row = stream_key(stream.table, stream.label);
  tx.put(row, kv::encode(stream));
  co_await timers.set(tx, {std::string(kStreamTimer), row, now + kShardLife, {}});
}

Task<void> close_stream(kv::Txn& tx, kernel::Timers& timers, const Table& table, Time now) {
  const std::string row = stream_key({table.account, table.region, table.name}, table.stream->label);
  const auto bytes = co_await tx.get(row);
  if (!bytes) co_return;
  Stream stream = kv::decode<Stream>(*bytes);
  stream.enabled = false;
  stream.closed = now;
  tx.put(row, kv::encode(stream));
  co_await timers.set(tx, {std::string(kStreamTimer), row, now + kRetention, {}});
}

void describe_stream_use(const Table& table, TableDescription& out) {
  if (!table.stream) return;
  out.latest_stream_label = table.stream->label;
  out.latest_stream_arn = cat(table.arn(), "/stream/", table.stream->label);
  if (!table.stream->enabled) return;
  auto& specification = out.stream_specification.emplace();
  specification.stream_enabled = true;
  specification.stream_view_type = view_type(table.stream->view);
}

std::string stream_key(const TableName& table, const std::string& label) {
  return key('s').text(table.account).text(table.region).text(table.name).text(label);
}
kv::Range streams_of(const std::string& account, const std::string& region, const std::string& table) {
  kv::KeyWriter w = key('s');
  w.text(account).text(region);
  if (!table.empty()) w.text(table);
  return kv::prefix_range(w.view());
}
std::string shard_prefix(uint64_t stream, uint32_t shard) { return key('k').u64(stream).u32(shard); }
std::string trimmed_key(uint64_t stream, uint32_t shard) { return key('h').u64(stream).u32(shard); }

std::string sequence_of(std::string_view position) {
  uint64_t version = 0;
  uint16_t order = 0;
  if (position.size() == kPositionSize) {
    version = read_be64(position.data());
    order = read_be16(position.data() + 8);
  }
  return cat("1", padded(version, kVersionDigits), padded(order, kOrderDigits));
}

std::optional<std::string> position_of(std::string_view sequence) {
  if (sequence.size() != 1 + kVersionDigits + kOrderDigits || sequence[0] != '1') return std::nullopt;
  const auto version = parse_int(sequence.substr(1, kVersionDigits));
  const auto order = parse_int(sequence.substr(1 + kVersionDigits));
  if (!version || !order || *version < 0 || *order < 0 || *order > 0xFFFF) return std::nullopt;
  std::string out;
  append_be64(out, static_cast<uint64_t>(*version));
  append_be16(out, static_cast<uint16_t>(*order));
  return out;
}

std::string position_at(uint64_t version) {
  std::string out;
  append_be64(out, version);
  append_be16(out, 0xFFFF);
  return out;
}

std::string position_before(std::string_view position) {
  uint64_t version = read_be64(position.data());
  const uint16_t order = read_be16(position.data() + 8);
  if (order == 0 && version == 0) return {};
  std::string out;
  append_be64(out, order == 0 ? version - 1 : version);
  append_be16(out, static_cast<uint16_t>(order - 1));
  return out;
}

StreamViewType view_type(StreamView view) {
  switch (view) {
    case StreamView::kNewImage:
      return StreamViewType::NEW_IMAGE;
    case StreamView::kOldImage:
      return StreamViewType::OLD_IMAGE;
    case StreamView::kNewAndOldImages:
      return StreamViewType::NEW_AND_OLD_IMAGES;
    case StreamView::kKeysOnly:
      break;
  }
  return StreamViewType::KEYS_ONLY;
}

}  // namespace virga::dynamodb
