#include <aws/logs/errors.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/str.h"
#include "kernel/tokens.h"
#include "services/logs/filter.h"
#include "services/logs/limits.h"
#include "services/logs/service.h"

namespace virga::logs {
namespace {

void check_batch(const PutLogEventsRequest& in) {
  size_t bytes = 0;
  int64_t first = INT64_MAX, last = INT64_MIN;
  for (const InputLogEvent& event : in.log_events) {
    const size_t size = event.message.size() + kEventOverhead;
    if (size > kMaxEventBytes)
      throw err::InvalidParameterException("Log event too large: " + std::to_string(size) +
                                           " bytes exceeds limit of 1048576");
    bytes += size;
    if (event.timestamp < last) {
      throw err::InvalidParameterException(
          "Log events in a single PutLogEvents request must be in chronological order.");
    }
    first = std::min(first, event.timestamp);
    last = std::max(last, event.timestamp);
  }
  if (bytes > kMaxBatchBytes) {
    throw err::InvalidParameterException(cat("Upload too large: ", bytes, " bytes exceeds limit of ", kMaxBatchBytes));
  }
  if (last - first > std::chrono::duration_cast<std::chrono::milliseconds>(kWidestBatch).count()) {
    throw err::InvalidParameterException(
        "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.");
  }
}

// A token of GetLogEvents: the direction, then the position to go on from.
std::string page_token(const kernel::Tokens& tokens, const std::string& purpose, char direction,
                       const EventPosition& position) {
  return cat(direction, "/", tokens.seal(purpose, cat(direction, position)));
}

// The half-open window of positions that startTime (inclusive) and endTime (exclusive) select.
struct Window {
  EventPosition from, to;
};
Window window(const std::optional<int64_t>& start, const std::optional<int64_t>& end) {
  Window w;
  if (start && *start > 0) w.from = first_position(Time::from_millis(*start));
  if (end) w.to = first_position(Time::from_millis(std::max<int64_t>(*end, 0)));
  return w;
}

}  // namespace

Task<PutLogEventsResponse> LogsService::put_log_events(Ctx& ctx, const PutLogEventsRequest& in) {
  check_batch(in);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PutLogEventsResponse> {
    WriteStore store(tx, home_of(ctx));
    const auto group = co_await store.find_group(in.log_group_name);
    if (!group) co_return no_group();
    auto stream = co_await store.find_stream(in.log_group_name, in.log_stream_name);
    if (!stream) co_return no_stream();

    PutLogEventsResponse out;
    RejectedLogEventsInfo rejected;
    const Time now = ctx.now();
    const Time oldest = now - kOldestEvent, newest = now + kNewestEvent;
    int32_t index = 0;
    std::vector<const InputLogEvent*> taken;
    std::vector<NewEvent> events;
    for (const InputLogEvent& event : in.log_events) {
      const Time time = Time::from_millis(event.timestamp);
      if (time < oldest) {
        rejected.too_old_log_event_end_index = index + 1;
      } else if (group->retention_days && time < now - std::chrono::hours(24 * *group->retention_days)) {
        rejected.expired_log_event_end_index = index + 1;
      } else if (time > newest) {
        if (!rejected.too_new_log_event_start_index) rejected.too_new_log_event_start_index = index;
      } else {
        events.push_back({time, event.message});
        taken.push_back(&event);
        stream->bytes += static_cast<int64_t>(event.message.size() + kEventOverhead);
        stream->first_event = std::min(stream->first_event.value_or(time), time);
        stream->last_event = std::max(stream->last_event.value_or(time), time);
      }
      ++index;
    }
    store.add_events(in.log_group_name, in.log_stream_name, events, now);
    send_to_subscribers(tx, ctx, *group, in.log_stream_name, taken);
    stream->last_ingestion = now;
    store.put_stream(in.log_group_name, *stream);
    if (rejected.too_old_log_event_end_index || rejected.expired_log_event_end_index ||
        rejected.too_new_log_event_start_index) {
      out.rejected_log_events_info = rejected;
    }
    // Sequence tokens are no longer needed; AWS still answers one.
    out.next_sequence_token = cat("4", now.micros);
    co_return out;
  });
}

Task<GetLogEventsResponse> LogsService::get_log_events(Ctx& ctx, const GetLogEventsRequest& in) {
  const std::string group = group_named(in.log_group_name, in.log_group_identifier);
  const std::string purpose = cat("logs:GetLogEvents:", group_arn(ctx, group), ":", in.log_stream_name);
  Window range = window(in.start_time, in.end_time);
  bool forward = in.start_from_head.value_or(false);
  if (in.next_token) {
    const auto opened = in.next_token->size() > 2 ? deps_.tokens.open(purpose, in.next_token->substr(2)) : std::nullopt;
    if (!opened || opened->empty()) co_return bad_token();
    forward = opened->front() == 'f';
    (forward ? range.from : range.to) = opened->substr(1);
  }
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home_of(ctx));
  if (!co_await store.find_group(group)) co_return no_group();
  if (!co_await store.find_stream(group, in.log_stream_name)) co_return no_stream();

  const size_t limit = in.limit ? static_cast<size_t>(*in.limit) : kMaxPageEvents;
  auto events =
      co_await store.read_events(group, in.log_stream_name, range.from, range.to, limit, kMaxPageBytes, !forward);
  if (!forward) std::ranges::reverse(events);

  GetLogEventsResponse out;
  out.events.emplace();
  for (Event& event : events) {
    OutputLogEvent shown;
    shown.timestamp = event.time.millis();
    shown.ingestion_time = event.ingested.millis();
    shown.message = std::move(event.message);
    out.events->push_back(std::move(shown));
  }
  // At either end the token asked with comes back, which is how clients know. '\0' makes the next position exclusive.
  const EventPosition ahead = events.empty() ? range.from : events.back().position + '\0';
  const EventPosition behind = events.empty() ? (range.to.empty() ? range.from : range.to) : events.front().position;
  out.next_forward_token = page_token(deps_.tokens, purpose, 'f', ahead);
  out.next_backward_token = page_token(deps_.tokens, purpose, 'b', behind);
  if (in.next_token && events.empty()) (forward ? out.next_forward_token : out.next_backward_token) = in.next_token;
  co_return out;
}

Task<FilterLogEventsResponse> LogsService::filter_log_events(Ctx& ctx, const FilterLogEventsRequest& in) {
  const std::string group = group_named(in.log_group_name, in.log_group_identifier);
  if (in.log_stream_names && in.log_stream_name_prefix) {
    co_return err::InvalidParameterException(
        "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.");
  }
  Filter filter;
  try {
    filter = parse_filter(in.filter_pattern.value_or(""));
  } catch (const std::invalid_argument& error) {
    throw err::InvalidParameterException(cat("Invalid filter pattern: ", error.what(), "."));
  }
  const std::string purpose = cat("logs:FilterLogEvents:", group_arn(ctx, group));
  Window range = window(in.start_time, in.end_time);
  std::string past_stream;  // of the events at exactly range.from, those of streams up to this one are behind
  if (in.next_token) {
    const auto opened = deps_.tokens.open(purpose, *in.next_token);
    if (!opened || opened->size() < kEventPosition) co_return bad_token();
    range.from = opened->substr(0, kEventPosition);
    past_stream = opened->substr(kEventPosition);
  }

  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home_of(ctx));
  if (!co_await store.find_group(group)) co_return no_group();
  std::vector<Stream> streams;
  if (in.log_stream_names) {
    for (const std::string& name : *in.log_stream_names) {
      auto stream = co_await store.find_stream(group, name);
      if (!stream) co_return no_stream();
      streams.push_back(std::move(*stream));
    }
    std::ranges::sort(streams, {}, &Stream::name);
  } else {
    streams = co_await store.list_streams(group, in.log_stream_name_prefix.value_or(""), "", SIZE_MAX, false);
  }

  // A page of each stream that can have events in the window; the earliest of all pages are this page's.
  const size_t limit = in.limit ? static_cast<size_t>(*in.limit) : kMaxPageEvents;
  std::vector<Event> events;
  bool more = false;
  EventPosition horizon;  // beyond the end of a cut page, later events of that stream are unknown
  for (const Stream& stream : streams) {
    if (!stream.last_event) continue;
    if (!range.from.empty() && first_position(*stream.last_event + std::chrono::milliseconds(1)) <= range.from)
      continue;
    const EventPosition from = !past_stream.empty() && stream.name <= past_stream ? range.from + '\0' : range.from;
    auto page = co_await store.read_events(group, stream.name, from, range.to, limit + 1, kMaxPageBytes, false);
    size_t bytes = 0;
    for (const Event& event : page) bytes += event.message.size();
    if (page.size() > limit || bytes >= kMaxPageBytes) {
      more = true;
      if (horizon.empty() || page.back().position < horizon) horizon = page.back().position;
    }
    std::ranges::move(page, std::back_inserter(events));
  }
  std::ranges::sort(events, [](const Event& a, const Event& b) {
    return std::tie(a.position, a.stream) < std::tie(b.position, b.stream);
  });
  if (!horizon.empty()) {
    std::erase_if(events, [&](const Event& event) { return event.position > horizon; });
  }

  FilterLogEventsResponse out;
  out.events.emplace();
  out.searched_log_streams.emplace();
  size_t looked_at = 0;
  for (Event& event : events) {
    if (out.events->size() == limit) {
      more = true;
      break;
    }
    ++looked_at;
    if (!filter.matches(event.message)) continue;
    FilteredLogEvent shown;
    shown.log_stream_name = event.stream;
    shown.timestamp = event.time.millis();
    shown.ingestion_time = event.ingested.millis();
    shown.event_id = event_id(event.position);
    shown.message = std::move(event.message);
    out.events->push_back(std::move(shown));
  }
  if (more && looked_at > 0) {
    const Event& last = events[looked_at - 1];
    out.next_token = deps_.tokens.seal(purpose, last.position + last.stream);
  }
  co_return out;
}

}  // namespace virga::logs
