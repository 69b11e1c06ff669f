#include "services/dynamodb/streams_service.h"

#include <aws/dynamodbstreams/errors.h>
#include <aws/dynamodbstreams/model.h>
#include <aws/dynamodbstreams/ops.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/tokens.h"
#include "kv/record.h"
#include "services/dynamodb/api.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/shards.h"

namespace virga::dynamodb {

namespace {

namespace err = streams::err;

constexpr size_t kMostRecords = 1000;  // of a GetRecords
constexpr size_t kMostRecordBytes = 1024 * 1024;
constexpr size_t kMostShown = 100;  // streams or shards in an answer
constexpr size_t kTrimmedAtOnce = 1000;
constexpr std::chrono::hours kRetention{24};
constexpr std::chrono::minutes kIteratorLife{15};
constexpr std::chrono::seconds kTrimInterval{60};

struct Iterator {
  std::string arn;
  uint32_t shard = 0;
  std::string position;
  bool from_horizon = false;  // trimming does not overtake it
  Time made;
  std::string from;  // of the shard's generation
  template <class A>
  void fields(A& a) {
    a(1, arn), a(2, shard), a(3, position), a(4, from_horizon), a(5, made), a(6, from);
  }
};

constexpr std::string_view kIteratorPurpose = "dynamodbstreams:iterator";

Error no_such_stream(const std::string& arn) {
  return err::ResourceNotFoundException(cat("Requested resource not found: Stream: ", arn, " not found"));
}
Error trimmed() {
  return err::TrimmedDataAccessException("The operation attempted to read past the oldest stream record in a shard.");
}

// A closed shard ends with its last record.
Task<streams::Shard> describe_shard(kv::Reader& reader, const Stream& stream, const Shard& shard) {
  streams::Shard out;
  out.shard_id = shard_id(stream, shard.of, shard.number);
  auto& range = out.sequence_number_range.emplace();
  range.starting_sequence_number = sequence_of(shard.of.from);
  if (!shard.closed) co_return out;
  const auto rows = co_await reader.scan(records_after(stream, shard, {}), {.limit = 1, .reverse = true});
  const size_t prefix = shard_prefix(stream.number, shard.number).size();
  range.ending_sequence_number =
      rows.empty() ? *range.starting_sequence_number : sequence_of(std::string_view(rows[0].key).substr(prefix));
  co_return out;
}

streams::OperationType type_of(ChangeKind kind) {
  return kind == ChangeKind::kInsert   ? streams::OperationType::INSERT
         : kind == ChangeKind::kModify ? streams::OperationType::MODIFY
                                       : streams::OperationType::REMOVE;
}

streams::StreamViewType shown(StreamView view) {
  streams::StreamViewType out{};
  from_string(to_string(view_type(view)), out);
  return out;
}

streams::Record record_of(const Stream& stream, uint32_t shard, std::string_view position, std::string_view bytes) {
  const Change change = decode_change(bytes);
  streams::Record out;
  out.event_id = event_id(stream, shard, position);
  out.event_name = type_of(change.kind);
  out.event_version = "1.1";
  out.event_source = "aws:dynamodb";
  out.aws_region = stream.table.region;
  auto& data = out.dynamodb.emplace();
  data.approximate_creation_date_time = Time::from_seconds(change.at.seconds());
  data.keys = Item(change.keys);
  if (change.before.present()) data.old_image = Item(change.before);
  if (change.after.present()) data.new_image = Item(change.after);
  data.sequence_number = sequence_of(position);
  data.size_bytes = static_cast<int64_t>(size_of(change));
  data.stream_view_type = shown(stream.view);
  if (change.cause == Cause::kExpiry) {
    auto& identity = out.user_identity.emplace();
    identity.principal_id = "dynamodb.amazonaws.com";
    identity.type = "Service";
  }
  return out;
}

// How many streams, shards or records are wanted, at most `most`.
size_t checked_limit(std::optional<int64_t> wanted, size_t most) {
  if (!wanted) return most;
  if (static_cast<size_t>(*wanted) > most) {
    throw validation(cat("1 validation error detected: Value '", *wanted,
                         "' at 'limit' failed to satisfy constraint: Member must have value less than or equal to ",
                         most));
  }
  return static_cast<size_t>(*wanted);
}

std::string iterator_arn(const kernel::Tokens& tokens, const std::string& token) {
  const auto payload = tokens.open(kIteratorPurpose, token);
  return payload ? kv::decode<Iterator>(*payload).arn : "*";
}

}  // namespace

std::optional<StreamName> stream_named(std::string_view text) {
  const auto arn = kernel::parse_arn(text);
  if (!arn || arn->service != "dynamodb") return std::nullopt;
  const auto parts = split(arn->resource, '/');
  if (parts.size() != 4 || parts[0] != "table" || parts[2] != "stream") return std::nullopt;
  return StreamName{{arn->account, arn->region, std::string(parts[1])}, std::string(parts[3])};
}

Task<std::optional<Stream>> find_stream(kv::Reader& reader, StreamName name) {
  const auto bytes = co_await reader.get(stream_key(name.table, name.label));
  if (!bytes) co_return std::optional<Stream>();
  co_return kv::decode<Stream>(*bytes);
}

Task<std::optional<std::string>> policy_of_stream(kv::Reader& reader, std::string arn) {
  const auto name = stream_named(arn);
  if (!name) co_return std::nullopt;
  const auto stream = co_await find_stream(reader, *name);
  if (!stream || stream->policy.empty()) co_return std::nullopt;
  co_return stream->policy;
}

std::string event_id(const Stream& stream, uint32_t shard, std::string_view position) {
  std::string text(position);
  append_be64(text, stream.number);
  append_be32(text, shard);
  return hex_encode(md5(text));
}

StreamsService::StreamsService(kernel::Deps& deps) : deps_(deps) {
  deps_.timers.on(std::string(kStreamTimer), [this](kernel::Timer timer) { return trim(std::move(timer)); });
}

const wire::ServiceModel& StreamsService::model() const { return streams::kModel; }

void StreamsService::operations(kernel::OpTable& t) {
  namespace op = streams::op;
  const auto by_arn = [](const Ctx&, const auto& in) { return in.stream_arn; };
  t.add<op::ListStreams>(this, &StreamsService::list_streams);
  t.add<op::DescribeStream>(this, &StreamsService::describe_stream).resource(by_arn).guarded();
  t.add<op::GetShardIterator>(this, &StreamsService::get_shard_iterator).resource(by_arn).guarded().data_plane();
  t.add<op::GetRecords>(this, &StreamsService::get_records)
      .resource([this](const Ctx&, const streams::GetRecordsInput& in) {
        return iterator_arn(deps_.tokens, in.shard_iterator);
      })
      .guarded()
      .data_plane();
}

Task<std::optional<std::string>> StreamsService::resource_policy(Ctx& ctx, std::string resource) {
  const auto reader = deps_.db.snapshot();
  co_return co_await policy_of_stream(*reader, std::move(resource));
}

Task<streams::ListStreamsOutput> StreamsService::list_streams(Ctx& ctx, const streams::ListStreamsInput& in) {
  const size_t limit = checked_limit(in.limit, kMostShown);
  kv::Range range = streams_of(ctx.account, ctx.region, in.table_name.value_or(""));
  if (in.exclusive_start_stream_arn) {
    const auto name = stream_named(*in.exclusive_start_stream_arn);
    if (!name) co_return validation("Invalid StreamArn");
    range.begin = std::max(range.begin, stream_key(name->table, name->label) + '\0');
  }
  const auto reader = deps_.db.snapshot();
  const auto rows = co_await reader->scan(range, {.limit = limit + 1});
  streams::ListStreamsOutput out;
  out.streams.emplace();
  for (const kv::Entry& row : rows) {
    if (out.streams->size() == limit) {
      out.last_evaluated_stream_arn = out.streams->back().stream_arn;
      break;
    }
    const Stream stream = kv::decode<Stream>(row.value);
    streams::Stream& shown = out.streams->emplace_back();
    shown.stream_arn = stream.arn();
    shown.table_name = stream.table.name;
    shown.stream_label = stream.label;
  }
  co_return out;
}

Task<streams::DescribeStreamOutput> StreamsService::describe_stream(Ctx& ctx, const streams::DescribeStreamInput& in) {
  const auto name = stream_named(in.stream_arn);
  if (!name) co_return validation("Invalid StreamArn");
  const size_t limit = checked_limit(in.limit, kMostShown);
  if (in.shard_filter && (!in.shard_filter->type || !in.shard_filter->shard_id)) {
    co_return validation(cat("ShardFilter must have a ", in.shard_filter->type ? "ShardId" : "Type"));
  }
  const auto reader = deps_.db.snapshot();
  const auto found = co_await find_stream(*reader, *name);
  if (!found || name->table.region != ctx.region) co_return no_such_stream(in.stream_arn);
  const Stream& stream = *found;
  streams::DescribeStreamOutput out;
  auto& description = out.stream_description.emplace();
  description.stream_arn = in.stream_arn;
  description.stream_label = stream.label;
  description.stream_status = stream.enabled ? streams::StreamStatus::ENABLED : streams::StreamStatus::DISABLED;
  description.stream_view_type = shown(stream.view);
  description.creation_request_date_time = stream.created;
  description.table_name = stream.table.name;
  description.key_schema.emplace().push_back({stream.key.hash, streams::KeyType::HASH});
  if (!stream.key.range.empty()) description.key_schema->push_back({stream.key.range, streams::KeyType::RANGE});
  auto& shards = description.shards.emplace();
  const auto generations = co_await generations_of(*reader, stream);
  bool begun = !in.exclusive_start_shard_id;
  for (size_t i = 0; i < generations.size(); ++i) {
    for (uint32_t number = 0; number < stream.shards; ++number) {
      std::optional<std::string> parent;
      if (i > 0) parent = shard_id(stream, generations[i - 1], number);
      if (begun && (!in.shard_filter || parent == in.shard_filter->shard_id)) {
        if (shards.size() == limit) {
          description.last_evaluated_shard_id = shards.back().shard_id;
          co_return out;
        }
        shards.push_back(co_await describe_shard(*reader, stream, shard_of(stream, generations[i], number)));
        shards.back().parent_shard_id = std::move(parent);
      }
      begun = begun || shard_id(stream, generations[i], number) == *in.exclusive_start_shard_id;
    }
  }
  co_return out;
}

Task<streams::GetShardIteratorOutput> StreamsService::get_shard_iterator(Ctx& ctx,
                                                                         const streams::GetShardIteratorInput& in) {
  const auto name = stream_named(in.stream_arn);
  if (!name) co_return validation("Invalid StreamArn");
  const auto reader = deps_.db.snapshot();
  const auto stream = co_await find_stream(*reader, *name);
  if (!stream || name->table.region != ctx.region) co_return no_such_stream(in.stream_arn);
  const auto shard = find_shard(*stream, co_await generations_of(*reader, *stream), in.shard_id);
  if (!shard) {
    co_return err::ResourceNotFoundException(
        cat("Requested resource not found: Shard: ", in.shard_id, " in stream ", in.stream_arn, " not found"));
  }
  const std::string end = shard->of.to.value_or(position_at(reader->version()));
  Iterator iterator{in.stream_arn, shard->number, {}, false, ctx.now(), shard->of.from};
  const bool by_number = in.shard_iterator_type == streams::ShardIteratorType::AT_SEQUENCE_NUMBER ||
                         in.shard_iterator_type == streams::ShardIteratorType::AFTER_SEQUENCE_NUMBER;
  if (!by_number && in.sequence_number) {
    co_return validation(
        cat("SequenceNumber must not be specified for ShardIteratorType ", to_string(in.shard_iterator_type)));
  }
  if (by_number) {
    if (!in.sequence_number) {
      co_return validation(
          cat("SequenceNumber must be specified for ShardIteratorType ", to_string(in.shard_iterator_type)));
    }
    const auto position = position_of(*in.sequence_number);
    if (!position || *position > end || *position < shard->of.from) {
      co_return validation(cat("Invalid SequenceNumber: ", *in.sequence_number, " is not within shard ", in.shard_id));
    }
    const auto horizon = co_await reader->get(trimmed_key(stream->number, shard->number));
    if (horizon && *position <= *horizon) co_return trimmed();
    const bool after = in.shard_iterator_type == streams::ShardIteratorType::AFTER_SEQUENCE_NUMBER;
    iterator.position = after ? *position : position_before(*position);
  } else if (in.shard_iterator_type == streams::ShardIteratorType::LATEST) {
    iterator.position = end;
  } else {
    iterator.from_horizon = true;
  }
  streams::GetShardIteratorOutput out;
  out.shard_iterator = deps_.tokens.seal(kIteratorPurpose, kv::encode(iterator));
  co_return out;
}

Task<streams::GetRecordsOutput> StreamsService::get_records(Ctx& ctx, const streams::GetRecordsInput& in) {
  const size_t limit = checked_limit(in.limit, kMostRecords);
  const auto payload = deps_.tokens.open(kIteratorPurpose, in.shard_iterator);
  if (!payload) co_return validation("Invalid ShardIterator");
  Iterator iterator = kv::decode<Iterator>(*payload);
  if (ctx.now() > iterator.made + kIteratorLife) co_return err::ExpiredIteratorException("Shard iterator has expired");
  const auto name = stream_named(iterator.arn);
  if (!name || name->table.region != ctx.region) co_return validation("Invalid ShardIterator");
  const auto reader = deps_.db.snapshot();
  const auto stream = co_await find_stream(*reader, *name);
  if (!stream) co_return no_such_stream(iterator.arn);
  const auto generations = co_await generations_of(*reader, *stream);
  const auto generation = std::ranges::find(generations, iterator.from, &Generation::from);
  if (generation == generations.end()) co_return trimmed();
  const Shard shard = shard_of(*stream, *generation, iterator.shard);
  const auto horizon = co_await reader->get(trimmed_key(stream->number, iterator.shard));
  if (horizon && iterator.position < *horizon && !iterator.from_horizon) co_return trimmed();

  const std::string prefix = shard_prefix(stream->number, iterator.shard);
  kv::Range range = records_after(*stream, shard, iterator.position);
  const auto rows = co_await reader->scan(range, {.limit = limit, .byte_limit = kMostRecordBytes});
  streams::GetRecordsOutput out;
  out.records.emplace();
  for (const kv::Entry& row : rows) {
    out.records->push_back(
        record_of(*stream, iterator.shard, std::string_view(row.key).substr(prefix.size()), row.value));
  }
  // A closed shard ends with its last record.
  if (shard.closed) {
    if (!rows.empty()) range.begin = rows.back().key + '\0';
    if (rows.empty() || (co_await reader->scan(range, {.limit = 1})).empty()) co_return out;
  }
  iterator.made = ctx.now();
  if (!rows.empty()) {
    iterator.position = rows.back().key.substr(prefix.size());
    iterator.from_horizon = false;
  }
  out.next_shard_iterator = deps_.tokens.seal(kIteratorPurpose, kv::encode(iterator));
  co_return out;
}

// Shards that are old enough are closed, and their readers told to look for the children.
Task<void> StreamsService::begin_shards(std::string row) {
  const Time now = deps_.clock.now();
  const auto begun = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<std::optional<Stream>> {
    const auto bytes = co_await tx.get(row);
    if (!bytes) co_return std::nullopt;
    const Stream stream = kv::decode<Stream>(*bytes);
    const auto generations = co_await generations_of(tx, stream);
    if (!stream.enabled || now < generations.back().began + kShardLife) co_return std::nullopt;
    begin_generation(tx, stream, now);
    co_return stream;
  });
  for (uint32_t number = 0; begun && number < begun->shards; ++number) {
    deps_.db.wake(shard_prefix(begun->number, number));
  }
}

// Removes what is older than a day, and with the last record of a closed stream the stream.
Task<void> StreamsService::trim(kernel::Timer timer) {
  co_await begin_shards(timer.id);
  const auto name = co_await deps_.db.snapshot()->get(timer.id);
  const Time now = deps_.clock.now();
  const Time oldest_kept = now - kRetention;
  std::optional<Stream> stream;
  if (name) stream = kv::decode<Stream>(*name);
  Time next = now + kRetention;
  for (uint32_t shard = 0; stream && shard < stream->shards; ++shard) {
    const std::string prefix = shard_prefix(stream->number, shard);
    for (bool more = true; more;) {
      const auto rows = co_await deps_.db.snapshot()->scan(kv::prefix_range(prefix),
                                                           {.limit = kTrimmedAtOnce, .byte_limit = 8 << 20});
      const auto kept = std::find_if(rows.begin(), rows.end(),
                                     [&](const kv::Entry& row) { return decode_change(row.value).at >= oldest_kept; });
      if (kept != rows.end()) next = std::min(next, decode_change(kept->value).at + kRetention);
      more = kept == rows.end() && !rows.empty();
      if (kept == rows.begin()) continue;
      const std::string last = (kept - 1)->key;
      co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
        tx.erase_range({prefix, last + '\0'});
        tx.put(trimmed_key(stream->number, shard), last.substr(prefix.size()));
        co_return;
      });
    }
  }
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const auto row = co_await tx.get(timer.id);
    std::optional<Stream> current = row ? std::optional(kv::decode<Stream>(*row)) : std::nullopt;
    if (current && !current->enabled && current->closed <= oldest_kept) {
      tx.erase(timer.id);
      for (uint32_t shard = 0; shard < current->shards; ++shard) tx.erase(trimmed_key(current->number, shard));
      tx.erase_range(all_generations(*current));
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
    } else if (!current) {
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
    } else {
      const auto generations = co_await generations_of(tx, *current);
      forget_generations(tx, *current, generations, oldest_kept);
      tx.put(timer.id, kv::encode(*current));
      if (current->enabled) next = std::min(next, generations.back().began + kShardLife);
      kernel::Timer again = timer;
      again.due = std::max(next, now + kTrimInterval);
      co_await deps_.timers.set(tx, std::move(again));
    }
  });
}

std::unique_ptr<kernel::Service> make_dynamodbstreams(kernel::Deps& deps) {
  return std::make_unique<StreamsService>(deps);
}

}  // namespace virga::dynamodb
