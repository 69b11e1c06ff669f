// What a stream is to whoever reads it for somebody else (Lambda's event source mappings, pipes): shards, records in
// order, and a wait that the store ends. A service that has streams implements StreamSource beside Service; readers
// find it with find_stream_source and know nothing else of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "base/time.h"
#include "kernel/context.h"

namespace virga::kernel {

class Cloud;

// One record of a shard.
struct StreamRecord {
  std::string position;  // opaque bytes that grow along the shard; what a checkpoint holds
  std::string sequence;  // as functions see it and name it in partial failures
  std::string group;     // records of the same group must be handled in order
  Time arrived;
  std::string event;   // the record as a function gets it: a JSON object, with its eventSourceARN
  std::string filter;  // what filter patterns look at, when that is not `event`
};

struct StreamShard {
  std::string id;
  std::vector<std::string> parents;  // read to their ends first
};

enum class StreamStart : uint8_t { kTrimHorizon, kLatest, kAtTimestamp };

struct StreamPage {
  std::vector<StreamRecord> records;
  std::string position;  // read up to here; as asked when there was nothing
  uint64_t version = 0;  // the instant that was read: wait from it
  bool ended = false;    // the shard is closed and this was its last record
};

class StreamSource {
 public:
  virtual ~StreamSource() = default;

  // Whether streams of this ARN are this source's, there or not.
  virtual bool serves_stream(const Arn& arn) const = 0;
  // What ctx.principal needs to read, for a refusal in the words "Please ensure the role can perform the … Actions".
  virtual std::string_view stream_actions() const = 0;
  // The functions below ask whether ctx.principal may, and fail with AccessDeniedException; they fail with
  // ResourceNotFoundException when the stream is not there.
  virtual Task<std::vector<StreamShard>> stream_shards(Ctx& ctx, Arn arn) = 0;
  virtual Task<std::string> stream_start(Ctx& ctx, Arn arn, std::string shard, StreamStart start, Time at) = 0;
  // At most `limit` records and about `bytes` bytes after `position`; records that were trimmed are passed over.
  virtual Task<StreamPage> read_stream(Ctx& ctx, Arn arn, std::string shard, std::string position, size_t limit,
                                       size_t bytes) = 0;
  // True when the shard has changed after `version`, false after `timeout` of real time.
  virtual Task<bool> wait_stream(Arn arn, std::string shard, uint64_t version, std::chrono::microseconds timeout) = 0;
  // Ends the waits for the shard as though it had changed.
  virtual Task<void> wake_stream(Arn arn, std::string shard) = 0;
};

// Null when no service here has streams of this ARN.
StreamSource* find_stream_source(const Cloud& cloud, const Arn& arn);

}  // namespace virga::kernel
