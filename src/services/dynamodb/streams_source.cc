// Streams as event source mappings read them.
#include <aws/dynamodbstreams/errors.h>

#include "base/str.h"
#include "kernel/cloud.h"
#include "services/dynamodb/attribute_codec.h"
#include "services/dynamodb/shards.h"
#include "services/dynamodb/streams_service.h"

namespace virga::dynamodb {

namespace {

constexpr ErrorShape kAccessDenied{"AccessDeniedException", 400, Fault::kSender, {}};

StreamName name_of(const kernel::Arn& arn) {
  const auto parts = split(arn.resource, '/');
  return {{arn.account, arn.region, std::string(parts[1])}, std::string(parts[3])};
}

std::string_view event_name(ChangeKind kind) {
  return kind == ChangeKind::kInsert ? "INSERT" : kind == ChangeKind::kModify ? "MODIFY" : "REMOVE";
}

void write_image(JsonWriter& out, std::string_view name, View item) {
  if (!item.present()) return;
  out.key(name);
  write_json_item(out, item);
}

// A record as functions get it: like GetRecords', with lower-case identity and the stream's ARN.
std::string event_of(const Stream& stream, const std::string& arn, uint32_t shard, std::string_view position,
                     const Change& change) {
  std::string text;
  text.reserve(512 + 2 * (change.before.bytes().size() + change.after.bytes().size()));
  JsonWriter out(text);
  const auto member = [&](std::string_view name, std::string_view value) {
    out.key(name);
    out.string(value);
  };
  out.begin_object();
  member("eventID", event_id(stream, shard, position));
  member("eventName", event_name(change.kind));
  member("eventVersion", "1.1");
  member("eventSource", "aws:dynamodb");
  member("awsRegion", stream.table.region);
  out.key("dynamodb");
  out.begin_object();
  out.key("ApproximateCreationDateTime");
  out.real(static_cast<double>(change.at.seconds()));
  write_image(out, "Keys", change.keys);
  write_image(out, "NewImage", change.after);
  write_image(out, "OldImage", change.before);
  member("SequenceNumber", sequence_of(position));
  out.key("SizeBytes");
  out.integer(static_cast<int64_t>(size_of(change)));
  member("StreamViewType", to_string(view_type(stream.view)));
  out.end_object();
  if (change.cause == Cause::kExpiry) {
    out.key("userIdentity");
    out.begin_object();
    member("type", "Service");
    member("principalId", "dynamodb.amazonaws.com");
    out.end_object();
  }
  member("eventSourceARN", arn);
  out.end_object();
  return text;
}

}  // namespace

bool StreamsService::serves_stream(const kernel::Arn& arn) const {
  const auto parts = split(arn.resource, '/');
  return arn.service == "dynamodb" && parts.size() == 4 && parts[0] == "table" && parts[2] == "stream";
}

std::string_view StreamsService::stream_actions() const {
  return "GetRecords, GetShardIterator, DescribeStream, and ListStreams";
}

Task<Stream> StreamsService::readable(Ctx& ctx, kernel::Arn arn, std::string_view action) {
  const auto reader = deps_.db.snapshot();
  auto stream = co_await find_stream(*reader, name_of(arn));
  if (!stream) co_return streams::err::ResourceNotFoundException("Requested resource not found: Stream not found");
  auto denied = co_await deps_.cloud.authorizer().why_denied(ctx, {cat("dynamodb:", action), stream->arn(), {}}, {});
  if (denied) co_return Error{&kAccessDenied, *denied, nullptr, {}};
  co_return std::move(*stream);
}

Task<std::vector<kernel::StreamShard>> StreamsService::stream_shards(Ctx& ctx, kernel::Arn arn) {
  const Stream stream = co_await readable(ctx, std::move(arn), "DescribeStream");
  std::vector<kernel::StreamShard> out;
  const auto generations = co_await generations_of(*deps_.db.snapshot(), stream);
  for (size_t i = 0; i < generations.size(); ++i) {
    for (uint32_t number = 0; number < stream.shards; ++number) {
      kernel::StreamShard& shard = out.emplace_back(shard_id(stream, generations[i], number));
      if (i > 0) shard.parents.push_back(shard_id(stream, generations[i - 1], number));
    }
  }
  co_return out;
}

Task<std::string> StreamsService::stream_start(Ctx& ctx, kernel::Arn arn, std::string shard, kernel::StreamStart start,
                                               Time) {
  const Stream stream = co_await readable(ctx, std::move(arn), "GetShardIterator");
  // A stream of DynamoDB has no start by time: that is refused when the mapping is made.
  if (start != kernel::StreamStart::kLatest) co_return std::string();
  const auto reader = deps_.db.snapshot();
  const auto found = find_shard(stream, co_await generations_of(*reader, stream), shard);
  co_return found && found->of.to ? *found->of.to : position_at(reader->version());
}

Task<kernel::StreamPage> StreamsService::read_stream(Ctx& ctx, kernel::Arn arn, std::string shard_id,
                                                     std::string position, size_t limit, size_t bytes) {
  const Stream stream = co_await readable(ctx, std::move(arn), "GetRecords");
  const auto reader = deps_.db.snapshot();
  const auto shard = find_shard(stream, co_await generations_of(*reader, stream), shard_id);
  if (!shard) co_return streams::err::ResourceNotFoundException("Requested resource not found: Shard not found");
  const std::string prefix = shard_prefix(stream.number, shard->number);
  const auto rows =
      co_await reader->scan(records_after(stream, *shard, position), {.limit = limit, .byte_limit = bytes});
  kernel::StreamPage page;
  page.position = std::move(position);
  page.version = reader->version();
  const std::string stream_arn = stream.arn();
  for (const kv::Entry& row : rows) {
    const Change change = decode_change(row.value);
    kernel::StreamRecord& record = page.records.emplace_back();
    record.position = row.key.substr(prefix.size());
    record.sequence = sequence_of(record.position);
    record.group = change.keys.bytes();
    record.arrived = change.at;
    record.event = event_of(stream, stream_arn, shard->number, record.position, change);
  }
  if (!rows.empty()) page.position = page.records.back().position;
  page.ended = shard->closed && rows.empty();
  co_return page;
}

Task<std::optional<StreamsService::Place>> StreamsService::place_of(kernel::Arn arn, std::string shard) {
  const auto reader = deps_.db.snapshot();
  const auto stream = co_await find_stream(*reader, name_of(arn));
  if (!stream) co_return std::optional<Place>();
  const auto found = find_shard(*stream, co_await generations_of(*reader, *stream), shard);
  if (!found) co_return std::optional<Place>();
  co_return Place{stream->number, found->number};
}

Task<bool> StreamsService::wait_stream(kernel::Arn arn, std::string shard, uint64_t version,
                                       std::chrono::microseconds timeout) {
  const auto place = co_await place_of(std::move(arn), std::move(shard));
  if (!place) co_return true;  // gone: whoever reads next is told so
  co_return co_await deps_.db.wait_change(shard_prefix(place->number, place->shard), version, timeout);
}

Task<void> StreamsService::wake_stream(kernel::Arn arn, std::string shard) {
  const auto place = co_await place_of(std::move(arn), std::move(shard));
  if (place) deps_.db.wake(shard_prefix(place->number, place->shard));
}

}  // namespace virga::dynamodb
