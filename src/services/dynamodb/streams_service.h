// DynamoDB Streams: the operations of its own service id, and the same streams as a kernel::StreamSource.
#pragma once

#include <aws/dynamodbstreams/types.h>

#include <memory>
#include <optional>
#include <string>

#include "kernel/deps.h"
#include "kernel/event_source.h"
#include "kernel/service.h"
#include "services/dynamodb/streams.h"

namespace virga::dynamodb {

namespace streams = ::virga::dynamodbstreams;
using kernel::Ctx;

class StreamsService final : public kernel::Service, public kernel::StreamSource {
 public:
  explicit StreamsService(kernel::Deps& deps);

  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  Task<std::optional<std::string>> resource_policy(Ctx& ctx, std::string resource) override;

  // streams_source.cc
  bool serves_stream(const kernel::Arn& arn) const override;
  std::string_view stream_actions() const override;
  Task<std::vector<kernel::StreamShard>> stream_shards(Ctx& ctx, kernel::Arn arn) override;
  Task<std::string> stream_start(Ctx& ctx, kernel::Arn arn, std::string shard, kernel::StreamStart start,
                                 Time at) override;
  Task<kernel::StreamPage> read_stream(Ctx& ctx, kernel::Arn arn, std::string shard, std::string position, size_t limit,
                                       size_t bytes) override;
  Task<bool> wait_stream(kernel::Arn arn, std::string shard, uint64_t version,
                         std::chrono::microseconds timeout) override;

  Task<void> wake_stream(kernel::Arn arn, std::string shard) override;

 private:
  Task<streams::ListStreamsOutput> list_streams(Ctx& ctx, const streams::ListStreamsInput& in);
  Task<streams::DescribeStreamOutput> describe_stream(Ctx& ctx, const streams::DescribeStreamInput& in);
  Task<streams::GetShardIteratorOutput> get_shard_iterator(Ctx& ctx, const streams::GetShardIteratorInput& in);
  Task<streams::GetRecordsOutput> get_records(Ctx& ctx, const streams::GetRecordsInput& in);
  Task<void> trim(kernel::Timer timer);
  Task<void> begin_shards(std::string row);

  // A stream's shard as its iterators and readers know it; the row is read once.
  struct Place {
    uint64_t number = 0;
    uint32_t shard = 0;
  };
  Task<Stream> readable(Ctx& ctx, kernel::Arn arn, std::string_view action);
  Task<std::optional<Place>> place_of(kernel::Arn arn, std::string shard);

  kernel::Deps& deps_;
};

// The stream an ARN names, or nothing.
struct StreamName {
  TableName table;
  std::string label;
};
std::optional<StreamName> stream_named(std::string_view arn);
Task<std::optional<Stream>> find_stream(kv::Reader& reader, StreamName name);
Task<std::optional<std::string>> policy_of_stream(kv::Reader& reader, std::string arn);
std::string event_id(const Stream& stream, uint32_t shard, std::string_view position);

}  // namespace virga::dynamodb
