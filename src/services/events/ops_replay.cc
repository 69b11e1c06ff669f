#include <aws/events/errors.h>

#include "base/str.h"
#include "services/events/limits.h"
#include "services/events/list.h"
#include "services/events/service.h"

namespace virga::events {
namespace {

std::string replay_arn(const Home& home, std::string_view name) {
  return cat("arn:aws:events:", home.region, ":", home.account, ":replay/", name);
}

Error no_replay(std::string_view name) {
  return err::ResourceNotFoundException(cat("Replay ", name, " does not exist."));
}

ReplayState state_of(ReplayStage stage) {
  switch (stage) {
    case ReplayStage::kStarting:
      return ReplayState::STARTING;
    case ReplayStage::kRunning:
      return ReplayState::RUNNING;
    case ReplayStage::kCancelling:
      return ReplayState::CANCELLING;
    case ReplayStage::kCompleted:
      return ReplayState::COMPLETED;
    case ReplayStage::kCancelled:
      return ReplayState::CANCELLED;
    case ReplayStage::kFailed:
      return ReplayState::FAILED;
  }
  return ReplayState::FAILED;
}

bool is_over(const ReplayRecord& replay) { return replay.stage >= ReplayStage::kCompleted; }

std::string archive_arn(const Home& home, std::string_view name) {
  return cat("arn:aws:events:", home.region, ":", home.account, ":archive/", name);
}

// The event with the replay's name in it, before its detail.
std::string replayed(const std::string& text, const std::string& name) {
  std::string quoted;
  append_json_string(quoted, name);
  return cat("{\"replay-name\":", quoted, ",", std::string_view(text).substr(1));
}

template <class Out>
void describe(Out& out, const Home& home, const ReplayRecord& replay) {
  out.replay_name = replay.name;
  out.state = state_of(replay.stage);
  if (!replay.reason.empty()) out.state_reason = replay.reason;
  out.event_source_arn = archive_arn(home, replay.archive);
  out.event_start_time = replay.from;
  out.event_end_time = replay.to;
  out.event_last_replayed_time = replay.last;
  out.replay_start_time = replay.started;
  out.replay_end_time = replay.ended;
}

}  // namespace

Task<StartReplayResponse> EventsService::start_replay(Ctx& ctx, const StartReplayRequest& in) {
  const Home home = home_of(ctx);
  const auto source = kernel::parse_arn(in.event_source_arn);
  if (!source || !source->resource.starts_with("archive/") || source->account != ctx.account) {
    co_return err::ValidationException("Parameter EventSourceArn is not valid. Reason: Must contain an archive.");
  }
  const std::string name = source->resource.substr(8);
  const BusName bus = any_bus_named(ctx, in.destination.arn);
  if (!is_own(ctx, bus)) co_return no_bus(bus.name);
  if (in.event_end_time <= in.event_start_time) {
    co_return err::ValidationException(
        "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.");
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<StartReplayResponse> {
    WriteStore store(tx, home);
    if (bus.name != "default" && !co_await store.find<BusRecord>(bus.name)) co_return no_bus(bus.name);
    const auto archive = co_await store.find<ArchiveRecord>(name);
    if (!archive) {
      co_return err::ValidationException(
          cat("Parameter EventSourceArn is not valid. Reason: Archive ", name, " does not exist."));
    }
    if (archive->bus != bus.name) {
      co_return err::ValidationException(
          "Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.");
    }
    if (co_await store.find<ReplayRecord>(in.replay_name)) {
      co_return err::ResourceAlreadyExistsException(cat("Replay ", in.replay_name, " already exists."));
    }
    size_t running = 0;
    for (const ReplayRecord& other : co_await store.list<ReplayRecord>("", "", SIZE_MAX)) running += !is_over(other);
    if (running >= kMaxReplays) {
      co_return too_many();
    }
    ReplayRecord replay;
    replay.name = in.replay_name;
    replay.description = in.description.value_or("");
    replay.archive = name;
    replay.bus = bus.name;
    replay.rules = in.destination.filter_arns.value_or(std::vector<std::string>{});
    replay.from = in.event_start_time;
    replay.to = in.event_end_time;
    replay.started = ctx.now();
    store.put(replay);
    kernel::Delivery work;
    work.kind = "events.replay";
    work.lane = replay_arn(home, replay.name);
    work.payload = work.lane;
    deps_.deliveries.enqueue(tx, std::move(work));
    StartReplayResponse out;
    out.replay_arn = replay_arn(home, replay.name);
    out.state = ReplayState::STARTING;
    out.replay_start_time = replay.started;
    co_return out;
  });
}

Task<kernel::Verdict> EventsService::replay(kernel::Attempt attempt) {
  const auto arn = kernel::parse_arn(attempt.payload);
  if (!arn) co_return kernel::Verdict::give_up();
  const Home home{arn->account, arn->region};
  const std::string name = arn->resource.substr(7);  // replay/…
  while (true) {
    auto more = co_await as_result(replay_page(home, name));
    if (!more) co_return kernel::Verdict::again();
    if (!*more) co_return kernel::Verdict::done();
  }
}

// The events of a page go out in the transaction that remembers how far the replay is.
Task<bool> EventsService::replay_page(Home home, std::string name) {
  const Time now = deps_.clock.now();
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<bool> {
    WriteStore store(tx, home);
    auto replay = co_await store.find<ReplayRecord>(name);
    if (!replay || is_over(*replay)) co_return false;
    const auto page =
        replay->stage == ReplayStage::kCancelling
            ? std::vector<Archived>()
            : co_await store.read_archive(replay->archive, replay->position, replay->from, replay->to, kReplayPage);
    for (const Archived& archived : page) {
      const Json parsed = Json::parse(archived.event);
      Event event;
      event.id = parsed.string_or("id");
      event.text = replayed(archived.event, name);
      event.time = parse_iso8601(parsed.string_or("time")).value_or(now);
      event.ingested = now;
      event.replay = name;
      event.only = replay->rules;
      replay->last = event.time;
      co_await router_.route(tx, home, replay->bus, std::move(event));
    }
    if (page.empty()) {
      replay->stage = replay->stage == ReplayStage::kCancelling ? ReplayStage::kCancelled : ReplayStage::kCompleted;
      replay->ended = now;
    } else {
      replay->stage = ReplayStage::kRunning;
      replay->position = page.back().position;
    }
    store.put(*replay);
    co_return !page.empty();
  });
}

Task<CancelReplayResponse> EventsService::cancel_replay(Ctx& ctx, const CancelReplayRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CancelReplayResponse> {
    WriteStore store(tx, home_of(ctx));
    auto replay = co_await store.find<ReplayRecord>(in.replay_name);
    if (!replay) co_return no_replay(in.replay_name);
    if (is_over(*replay)) {
      co_return err::IllegalStatusException(
          cat("Replay ", in.replay_name, " is not in a valid state for this operation."));
    }
    replay->stage = ReplayStage::kCancelling;
    store.put(*replay);
    CancelReplayResponse out;
    out.replay_arn = replay_arn(home_of(ctx), replay->name);
    out.state = ReplayState::CANCELLING;
    co_return out;
  });
}

Task<DescribeReplayResponse> EventsService::describe_replay(Ctx& ctx, const DescribeReplayRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const Home home = home_of(ctx);
  const auto replay = co_await Store(*snapshot, home).find<ReplayRecord>(in.replay_name);
  if (!replay) co_return no_replay(in.replay_name);
  DescribeReplayResponse out;
  describe(out, home, *replay);
  out.replay_arn = replay_arn(home, replay->name);
  if (!replay->description.empty()) out.description = replay->description;
  out.destination.emplace().arn = bus_arn(home, replay->bus);
  if (!replay->rules.empty()) out.destination->filter_arns = replay->rules;
  co_return out;
}

Task<ListReplaysResponse> EventsService::list_replays(Ctx& ctx, const ListReplaysRequest& in) {
  const Home home = home_of(ctx);
  ListReplaysResponse out;
  out.replays.emplace();
  const auto page = co_await list_page<ReplayRecord>(
      deps_, ctx, {"events:ListReplays", in.name_prefix.value_or(""), in.next_token, in.limit, home, ""},
      out.next_token, [&](const ReplayRecord& r) {
        return (!in.state || state_of(r.stage) == *in.state) &&
               (!in.event_source_arn || archive_arn(home, r.archive) == *in.event_source_arn);
      });
  for (const ReplayRecord& replay : page) describe(out.replays->emplace_back(), home, replay);
  co_return out;
}

}  // namespace virga::events
