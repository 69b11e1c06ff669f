#include "kernel/delivery_board.h"

#include <algorithm>

namespace virga::kernel {

namespace {

constexpr size_t kLooseWindow = 256, kGroupWindow = 16;  // rows known of a strand
constexpr size_t kMostGroups = 4096;                     // known of a lane
constexpr size_t kMostHeldBytes = 64 << 20;              // of all rows; beyond, a row is read when its turn comes

}  // namespace

Kind* DeliveryBoard::find(const std::string& kind) {
  const auto found = kinds_.find(kind);
  return found == kinds_.end() ? nullptr : &found->second;
}

LanePtr DeliveryBoard::lane(Kind& kind, const std::string& name) {
  LanePtr& lane = lanes_[{kind.name, name}];
  if (!lane) {
    lane = std::make_shared<Lane>();
    lane->kind = &kind;
    lane->name = name;
    lane->loose.window = kLooseWindow;
    if (recovering_) lane->loose.cursor = 0, lane->more_groups = true;
  }
  return lane;
}

Strand& DeliveryBoard::make_group(Lane& lane, const std::string& name) {
  Strand& group = lane.groups[name];
  group.name = name;
  group.window = kGroupWindow;
  group.ordered = true;
  return group;
}

void DeliveryBoard::arrived(const std::string& kind_name, const std::string& lane_name, const std::string& group_name,
                            uint64_t sequence, std::string bytes) {
  Kind* kind = find(kind_name);
  if (!kind) return;
  const LanePtr at = lane(*kind, lane_name);
  want(at);
  if (group_name.empty()) {
    put(at->loose, sequence, std::move(bytes));
    want(at, at->loose);
  } else {
    const auto found = at->groups.find(group_name);
    if (found == at->groups.end() && at->groups.size() >= kMostGroups) {
      at->more_groups = true;
    } else {
      Strand& group = found == at->groups.end() ? make_group(*at, group_name) : found->second;
      // Of a group just met, older rows may be among what is not known.
      if (found == at->groups.end() && (at->more_groups || at->listing)) group.cursor = 0;
      put(group, sequence, std::move(bytes));
      want(at, group);
      offer(*at, group);
    }
  }
  enter(at);
}

void DeliveryBoard::found(const std::string& kind_name, const std::string& lane_name, bool grouped) {
  Kind* kind = find(kind_name);
  if (!kind) return;
  const LanePtr at = lane(*kind, lane_name);
  if (grouped) {
    at->more_groups = true;
    want(at);
  } else if (!at->loose.loading) {
    at->loose.cursor = 0;
    want(at, at->loose);
  }
}

void DeliveryBoard::hold(Strand& strand, uint64_t sequence, std::string bytes) {
  if (held_bytes_ + bytes.size() > kMostHeldBytes) bytes.clear();
  held_bytes_ += bytes.size();
  strand.ready.emplace(sequence, std::move(bytes));
}

void DeliveryBoard::put(Strand& strand, uint64_t sequence, std::string bytes) {
  if (strand.known.contains(sequence)) {
    // It left its place and is back while rows are read: what is read may or may not have it.
    if (std::ranges::count(strand.gone, sequence)) strand.cursor = std::min(strand.cursor, sequence - 1);
    return;
  }
  // Behind rows that are not known it may not come first.
  const bool behind = strand.cursor != Strand::kAllKnown || (strand.ordered && strand.loading);
  if (behind || strand.ready.size() >= strand.window) {
    strand.cursor = std::min(strand.cursor, sequence - 1);
    return;
  }
  strand.known.insert(sequence);
  hold(strand, sequence, std::move(bytes));
}

void DeliveryBoard::want(const LanePtr& lane) {
  if (!lane->more_groups || lane->listing || lane->groups.size() > kMostGroups / 2) return;
  lane->more_groups = false;
  lane->listing = true;
  loads_.push_back({lane, nullptr, 0});
}

void DeliveryBoard::want(const LanePtr& lane, Strand& strand) {
  if (strand.loading || strand.cursor == Strand::kAllKnown || strand.ready.size() > strand.window / 4) return;
  strand.loading = true;
  loads_.push_back({lane, &strand, std::exchange(strand.cursor, Strand::kAllKnown)});
}

void DeliveryBoard::loaded(const Load& load, std::vector<Loaded> rows, bool complete) {
  Strand& strand = *load.strand;
  if (!complete && !rows.empty()) strand.cursor = std::min(strand.cursor, rows.back().sequence);
  for (Loaded& row : rows) {
    if (strand.known.insert(row.sequence).second) hold(strand, row.sequence, std::move(row.bytes));
  }
  strand.loading = false;
  for (const uint64_t sequence : std::exchange(strand.gone, {})) strand.known.erase(sequence);
  want(load.lane, strand);
  if (strand.ordered) offer(*load.lane, strand);
  enter(load.lane);
  leave(load.lane, strand);
}

void DeliveryBoard::load_failed(const Load& load) {
  if (!load.strand) {
    load.lane->more_groups = true;
    load.lane->listing = false;
    want(load.lane);
    return;
  }
  Strand& strand = *load.strand;
  strand.cursor = std::min(strand.cursor, load.from);
  loaded(load, {}, true);
}

bool DeliveryBoard::listed(const LanePtr& lane, const std::string& name) {
  if (lane->groups.contains(name)) return true;
  if (lane->groups.size() >= kMostGroups) return false;
  Strand& group = make_group(*lane, name);
  group.cursor = 0;
  want(lane, group);
  return true;
}

void DeliveryBoard::listing_ended(const LanePtr& lane, bool complete) {
  lane->listing = false;
  if (!complete) lane->more_groups = true;
  want(lane);
  leave(lane, lane->loose);
}

void DeliveryBoard::offer(Lane& lane, Strand& group) {
  if (group.offered || group.busy || group.ready.empty() || group.blocked.micros != 0) return;
  group.offered = true;
  lane.offered.push_back(&group);
}

void DeliveryBoard::enter(const LanePtr& lane) {
  if (lane->queued || lane->paused || !lane->has_ready()) return;
  lane->queued = true;
  lane->kind->turns.push_back(lane);
}

// A lane's share is a part of what is free: however many lanes are slow, together they leave some of the pool, and the
// share of each shrinks as they come. The first of a lane needs no share.
bool DeliveryBoard::may_start(const Kind& kind, const Lane& lane) const {
  if (lane.running == 0) return kind.running < std::max(kind.limits.pool, Deliveries::kMostLanesRunning);
  return kind.running < kind.limits.pool && lane.running < (kind.limits.pool - kind.running) / 4;
}

std::vector<Turn> DeliveryBoard::take(Kind& kind, size_t most) {
  std::vector<Turn> out;
  while (!kind.turns.empty() && out.size() < most) {
    LanePtr lane = std::move(kind.turns.front());
    kind.turns.pop_front();
    const bool full = lane->running > 0 && lane->running >= std::min(kind.limits.lane, lane->allowed);
    if (!lane->has_ready() || full || lane->paused) {
      lane->queued = false;  // enters again when one of its own ends
      leave(lane, lane->loose);
      continue;
    }
    if (!may_start(kind, *lane)) {
      kind.held.push_back(std::move(lane));
      continue;
    }
    const bool grouped = !lane->offered.empty() && (lane->loose.ready.empty() || lane->group_next);
    lane->group_next = !grouped;
    Strand* strand = &lane->loose;
    if (grouped) {
      strand = lane->offered.front();
      lane->offered.pop_front();
      strand->offered = false;
      strand->busy = true;
    }
    auto row = strand->ready.extract(strand->ready.begin());
    held_bytes_ -= row.mapped().size();
    out.push_back({lane, strand, row.key(), std::move(row.mapped())});
    ++lane->running, ++kind.running, ++running_;
    kind.active->set(static_cast<int64_t>(kind.running));
    want(lane, *strand);
    lane->queued = lane->has_ready();
    if (lane->queued) kind.turns.push_back(std::move(lane));
  }
  return out;
}

void DeliveryBoard::ended(const Turn& turn, End end, Time until) {
  Lane& lane = *turn.lane;
  Kind& kind = *lane.kind;
  Strand& strand = *turn.strand;
  --lane.running, --kind.running, --running_;
  kind.active->set(static_cast<int64_t>(kind.running));
  if (end == End::kBusy) {
    lane.allowed = std::max<size_t>(1, lane.running);
    lane.paused = true;
  } else {
    lane.paused = false;
    if (lane.allowed != SIZE_MAX && ++lane.allowed >= kind.limits.lane) lane.allowed = SIZE_MAX;
  }
  if (end != End::kGone) {
    strand.ready.emplace(turn.sequence, std::string());
  } else if (strand.loading) {
    strand.gone.push_back(turn.sequence);
  } else {
    strand.known.erase(turn.sequence);
  }
  if (strand.ordered) {
    strand.busy = false;
    strand.blocked = end == End::kBlocked ? until : Time{};
    offer(lane, strand);
  }
  want(turn.lane, strand);
  enter(turn.lane);
  // The place that is free may do for one that waits, and what is left over for another.
  for (int i = 0; i < 2 && !kind.held.empty(); ++i) {
    kind.turns.push_back(std::move(kind.held.front()));
    kind.held.pop_front();
  }
  leave(turn.lane, strand);
}

void DeliveryBoard::unblock(const LanePtr& lane, const std::string& name) {
  const auto found = lane->groups.find(name);
  if (found == lane->groups.end()) return;
  found->second.blocked = {};
  offer(*lane, found->second);
  enter(lane);
}

void DeliveryBoard::resume(const LanePtr& lane) {
  lane->paused = false;
  enter(lane);
}

void DeliveryBoard::leave(const LanePtr& lane, Strand& strand) {
  const auto over = [](const Strand& s) { return s.known.empty() && !s.loading && s.cursor == Strand::kAllKnown; };
  if (strand.ordered && over(strand) && !strand.busy && !strand.offered) {
    lane->groups.erase(lane->groups.find(strand.name));
    want(lane);
  }
  if (lane->running == 0 && !lane->queued && !lane->listing && !lane->more_groups && lane->groups.empty() &&
      over(lane->loose)) {
    const auto found = lanes_.find({lane->kind->name, lane->name});
    if (found != lanes_.end() && found->second == lane) lanes_.erase(found);
  }
}

}  // namespace virga::kernel
