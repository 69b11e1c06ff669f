// Which delivery runs next: what Deliveries knows in memory of the rows in the store. Pure bookkeeping without time or
// I/O; the caller holds its lock. Of each strand of rows a window is known, and where in the store the rest begins.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/delivery.h"

namespace virga::kernel {

// Rows in the order of their sequence numbers: those of a lane that are in no group, or those of one group.
struct Strand {
  static constexpr uint64_t kAllKnown = UINT64_MAX;

  size_t window = 0;                      // rows known at most
  bool ordered = false;                   // a group's: one at a time
  std::map<uint64_t, std::string> ready;  // the row's bytes; empty: to be read when its turn comes
  std::set<uint64_t> known;               // ready or running, or gone but maybe still in what is being loaded
  uint64_t cursor = kAllKnown;            // rows beyond may be in the store only
  bool loading = false;
  std::vector<uint64_t> gone;  // while loading: no longer in the store

  // Of a group.
  std::string name;
  bool busy = false, offered = false;
  Time blocked;  // until then; zero: not
};

struct Lane {
  struct Kind* kind = nullptr;
  std::string name;
  Strand loose;
  std::map<std::string, Strand, std::less<>> groups;
  std::deque<Strand*> offered;  // groups whose head may start
  bool more_groups = false;     // the store may hold groups that are not known
  bool listing = false;
  bool queued = false;  // in kind's turns or among the held
  bool group_next = false;
  size_t running = 0;
  size_t allowed = SIZE_MAX;    // at a time, as its target was busy
  bool paused = false;          // until one ends, or resume
  Time resume_at;               // the caller's note: when that is due, and
  bool resume_planned = false;  // whether something will look then

  bool has_ready() const { return !loose.ready.empty() || !offered.empty(); }
};
using LanePtr = std::shared_ptr<Lane>;

struct Kind {
  std::string name;
  DeliveryHandler handler;
  LaneLimits limits;
  size_t running = 0;
  std::deque<LanePtr> turns;
  std::deque<LanePtr> held;  // may start more once others have ended
  Counter* done;
  Counter* gave_up;
  Counter* retried;
  Gauge* active;
};

struct Turn {
  LanePtr lane;
  Strand* strand;
  uint64_t sequence;
  std::string bytes;
};

// Rows to read into a strand, those after `from`; without a strand, the lane's groups.
struct Load {
  LanePtr lane;
  Strand* strand;
  uint64_t from;
};

class DeliveryBoard {
 public:
  Kind& add(std::string kind) { return kinds_[std::move(kind)]; }
  Kind* find(const std::string& kind);
  std::map<std::string, Kind>& kinds() { return kinds_; }

  // A row that has just been committed. Nothing happens when its kind has no handler.
  void arrived(const std::string& kind, const std::string& lane, const std::string& group, uint64_t sequence,
               std::string bytes);
  // While the lanes in the store are being found, of any lane met the store may hold more.
  void set_recovering(bool recovering) { recovering_ = recovering; }
  // A lane of which the store holds rows outside groups, or groups.
  void found(const std::string& kind, const std::string& lane, bool grouped);

  // Takes up to `most` deliveries of `kind` that may start now; they count as running until ended.
  std::vector<Turn> take(Kind& kind, size_t most);
  bool has_turns(const Kind& kind) const { return !kind.turns.empty(); }

  enum class End : uint8_t {
    kGone,     // its row is no longer where it was
    kReady,    // its row stays, and it may start again
    kBlocked,  // its group waits until unblock
    kBusy,     // its row stays, and its lane waits until resume or another end
  };
  void ended(const Turn& turn, End end, Time until = {});
  void unblock(const LanePtr& lane, const std::string& group);
  void resume(const LanePtr& lane);

  // What is to be read, since the last call.
  std::vector<Load> take_loads() { return std::exchange(loads_, {}); }
  struct Loaded {
    uint64_t sequence;
    std::string bytes;
  };
  // `complete`: there were no rows after these.
  void loaded(const Load& load, std::vector<Loaded> rows, bool complete);
  void load_failed(const Load& load);
  // Adds groups until there are too many; false when it was not added.
  bool listed(const LanePtr& lane, const std::string& group);
  void listing_ended(const LanePtr& lane, bool complete);

  size_t running() const { return running_; }
  size_t lanes() const { return lanes_.size(); }

 private:
  LanePtr lane(Kind& kind, const std::string& name);
  Strand& make_group(Lane& lane, const std::string& name);
  void put(Strand& strand, uint64_t sequence, std::string bytes);
  void hold(Strand& strand, uint64_t sequence, std::string bytes);
  void want(const LanePtr& lane);                  // reads what may be missing, of the lane
  void want(const LanePtr& lane, Strand& strand);  // and of one strand
  void offer(Lane& lane, Strand& group);
  void enter(const LanePtr& lane);
  void leave(const LanePtr& lane, Strand& strand);  // forgets a group and a lane of which nothing is left
  bool may_start(const Kind& kind, const Lane& lane) const;

  std::map<std::string, Kind> kinds_;
  std::map<std::pair<std::string, std::string>, LanePtr> lanes_;
  std::vector<Load> loads_;
  bool recovering_ = false;
  size_t running_ = 0;
  size_t held_bytes_ = 0;  // of rows known with their bytes
};

}  // namespace virga::kernel
