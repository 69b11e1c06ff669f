#include <aws/logs/errors.h>

#include <algorithm>

#include "base/str.h"
#include "kernel/page.h"
#include "services/logs/limits.h"
#include "services/logs/service.h"

namespace virga::logs {
namespace {

LogStream describe(const Ctx& ctx, const std::string& group, const Stream& stream) {
  const auto millis = [](const std::optional<Time>& time) {
    return time ? std::optional(time->millis()) : std::nullopt;
  };
  LogStream out;
  out.log_stream_name = stream.name;
  out.creation_time = stream.created.millis();
  out.first_event_timestamp = millis(stream.first_event);
  out.last_event_timestamp = millis(stream.last_event);
  out.last_ingestion_time = millis(stream.last_ingestion);
  out.arn = cat(group_arn(ctx, group), ":log-stream:", stream.name);
  out.stored_bytes = 0;  // AWS has reported 0 for streams since June 2019
  return out;
}

}  // namespace

Task<op::CreateLogStream::Output> LogsService::create_log_stream(Ctx& ctx, const CreateLogStreamRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::CreateLogStream::Output> {
    WriteStore store(tx, home_of(ctx));
    if (!co_await store.find_group(in.log_group_name)) co_return no_group();
    if (co_await store.find_stream(in.log_group_name, in.log_stream_name)) {
      co_return err::ResourceAlreadyExistsException("The specified log stream already exists");
    }
    Stream stream;
    stream.name = in.log_stream_name;
    stream.created = ctx.now();
    store.put_stream(in.log_group_name, stream);
    co_return op::CreateLogStream::Output{};
  });
}

Task<op::DeleteLogStream::Output> LogsService::delete_log_stream(Ctx& ctx, const DeleteLogStreamRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteLogStream::Output> {
    WriteStore store(tx, home_of(ctx));
    if (!co_await store.find_group(in.log_group_name)) co_return no_group();
    if (!co_await store.find_stream(in.log_group_name, in.log_stream_name)) co_return no_stream();
    store.erase_stream(in.log_group_name, in.log_stream_name);
    co_return op::DeleteLogStream::Output{};
  });
}

Task<DescribeLogStreamsResponse> LogsService::describe_log_streams(Ctx& ctx, const DescribeLogStreamsRequest& in) {
  const std::string group = group_named(in.log_group_name, in.log_group_identifier);
  const bool by_time = in.order_by == OrderBy::LastEventTime;
  if (by_time && in.log_stream_name_prefix) {
    co_return err::InvalidParameterException("Cannot order by LastEventTime with a logStreamNamePrefix.");
  }
  const std::string page_of = cat("logs:DescribeLogStreams:", group, by_time ? ":time" : ":name");
  const size_t limit = in.limit ? static_cast<size_t>(*in.limit) : kDefaultList;
  const bool reverse = in.descending.value_or(false);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home_of(ctx));
  if (!co_await store.find_group(group)) co_return no_group();

  DescribeLogStreamsResponse out;
  out.log_streams.emplace();
  std::vector<Stream> streams;
  if (by_time) {
    const auto after = kernel::open_page<StreamPlace>(deps_.tokens, ctx, page_of, in.next_token, bad_token());
    streams = co_await store.list_streams_by_time(group, after, limit + 1, reverse);
    if (streams.size() > limit) {
      const Stream& last = streams[limit - 1];
      out.next_token = kernel::seal_page(deps_.tokens, ctx, page_of, StreamPlace{last.last_event, last.name});
    }
  } else {
    const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, page_of, in.next_token, bad_token());
    streams = co_await store.list_streams(group, in.log_stream_name_prefix.value_or(""), after.value_or(""), limit + 1,
                                          reverse);
    if (streams.size() > limit) out.next_token = kernel::seal_page(deps_.tokens, ctx, page_of, streams[limit - 1].name);
  }
  if (streams.size() > limit) streams.resize(limit);
  for (const Stream& stream : streams) out.log_streams->push_back(describe(ctx, group, stream));
  co_return out;
}

}  // namespace virga::logs
