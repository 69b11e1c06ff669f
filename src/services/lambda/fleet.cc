#include "services/lambda/fleet.h"

#include <aws/lambda/errors.h>

#include <algorithm>
#include <iterator>

#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "services/lambda/limits.h"

namespace virga::lambda {
namespace {

using Steady = std::chrono::steady_clock::time_point;

constexpr auto kPatience = std::chrono::seconds(30);  // of a call for which an instance starts
// The share of all places that may be taken before there is another instance.
constexpr int64_t kBusyTenths = 7;

Error full() {
  return err::TooManyRequestsException(
      "Rate Exceeded.", Json::object({{"Reason", "ConcurrentInvocationLimitExceeded"}, {"Type", "User"}}));
}

}  // namespace

// An instance of a fleet. Looked at with the state's lock held.
struct Fleets::Member {
  WarmPtr warm;
  int32_t running = 0;
  bool leaving = false;  // takes no other invocation
};

struct Fleets::Fleet {
  std::string key;
  Call call;
  FleetSize size;
  std::vector<std::shared_ptr<Member>> members;
  int32_t starting = 0;
  int32_t running = 0;                      // invocations
  int32_t peak = 0;                         // of them since `calm`
  Steady calm = {};                         // since when there have been enough instances
  bool gone = false;                        // no longer kept
  int32_t failures = 0;                     // to start, one after the other
  std::optional<sandbox::Outcome> failure;  // of the last initialisation
  std::shared_ptr<LogWriter> failure_log;
  std::optional<Failure> error;  // of the last start that got no further
  std::shared_ptr<virga::Event> change =
      std::make_shared<virga::Event>();  // set when an instance has started, or failed to

  int32_t needed(int32_t invocations) const {
    const int64_t wanted =
        (int64_t{invocations} * 10 + size.at_a_time * kBusyTenths - 1) / (size.at_a_time * kBusyTenths);
    return static_cast<int32_t>(std::clamp<int64_t>(wanted, size.least, std::max(size.least, size.most)));
  }
  int32_t staying() const {
    return static_cast<int32_t>(std::ranges::count_if(members, [](const auto& m) { return !m->leaving; }));
  }
  // No more than `most` stay: those leave that have the least to do.
  void shrink(int32_t most) {
    for (int32_t stay = staying(); stay > most; --stay) {
      (*std::ranges::min_element(members, {}, [](const auto& m) {
        return m->leaving ? INT32_MAX : m->running;
      }))->leaving = true;
    }
  }
  // Those that have left.
  std::vector<WarmPtr> take_left() {
    std::vector<WarmPtr> left;
    for (const auto& member : members) {
      if (member->leaving && member->running == 0) left.push_back(std::move(member->warm));
    }
    std::erase_if(members, [](const auto& member) { return !member->warm; });
    return left;
  }
  void changed() { std::exchange(change, std::make_shared<virga::Event>())->set(); }
};

struct Fleets::State : std::enable_shared_from_this<State> {
  std::mutex mutex;
  std::function<Task<WarmPtr>(Call)> start;
  std::map<std::string, std::shared_ptr<Fleet>, std::less<>> fleets;
  bool stopped = false;

  // With the lock held: how many instances are to be started, counted as starting.
  int32_t grow(Fleet& fleet, int32_t invocations) {
    if (stopped || fleet.gone) return 0;
    int32_t more = std::max(0, fleet.needed(invocations) - fleet.staying() - fleet.starting);
    if (fleet.failures > 0) more = std::min(more, 1 - std::min(fleet.starting, 1));
    fleet.starting += more;
    return more;
  }
  void launch(const std::shared_ptr<Fleet>& fleet, int32_t count) {
    for (int32_t i = 0; i < count; ++i) start_background("fleet", start_one(shared_from_this(), fleet));
  }
  static Task<void> start_one(std::shared_ptr<State> self, std::shared_ptr<Fleet> fleet);
  void leave(const std::shared_ptr<Fleet>& fleet, const std::shared_ptr<Member>& member, bool fit);
};

Task<void> Fleets::State::start_one(std::shared_ptr<State> self, std::shared_ptr<Fleet> fleet) {
  Call call;
  {
    std::lock_guard lock(self->mutex);
    call = fleet->call;
  }
  Result<WarmPtr> warm = co_await as_result(self->start(std::move(call)));
  std::optional<sandbox::Outcome> failure;
  if (warm) {
    sandbox::Outcome started = co_await (*warm)->instance->initialised();
    if (started.status != sandbox::Status::kOk) failure = std::move(started);
  }
  WarmPtr dropped;  // ends without the lock
  std::lock_guard lock(self->mutex);
  --fleet->starting;
  const bool good = warm && !failure;
  fleet->failures = good ? 0 : fleet->failures + 1;
  fleet->error = warm ? std::nullopt : std::optional<Failure>(warm.error());
  fleet->failure = std::move(failure);
  if (!warm) {
    log_warning("lambda", "an instance of a capacity provider did not start",
                {{"version", fleet->key}, {"why", virga::describe(warm.error())}});
  } else if (fleet->failure) {
    fleet->failure_log = (*warm)->log;
    dropped = std::move(*warm);
  } else if (self->stopped || fleet->gone || fleet->staying() >= fleet->size.most) {
    dropped = std::move(*warm);
  } else {
    auto member = std::make_shared<Member>();
    member->warm = std::move(*warm);
    fleet->members.push_back(std::move(member));
  }
  fleet->changed();
}

// An invocation has ended; `fit`: its instance may take others.
void Fleets::State::leave(const std::shared_ptr<Fleet>& fleet, const std::shared_ptr<Member>& member, bool fit) {
  WarmPtr ended;
  int32_t more = 0;
  {
    std::lock_guard lock(mutex);
    --fleet->running;
    --member->running;
    if (!fit || stopped || fleet->gone) member->leaving = true;
    if (member->leaving && member->running == 0) {
      ended = std::move(member->warm);
      std::erase(fleet->members, member);
    }
    if (member->leaving) more = grow(*fleet, fleet->running);
    fleet->changed();
  }
  launch(fleet, more);
}

// One of an instance's places, as an instance.
class Fleets::Seat final : public sandbox::Instance {
 public:
  Seat(std::shared_ptr<State> state, std::shared_ptr<Fleet> fleet, std::shared_ptr<Member> member)
      : state_(std::move(state)),
        fleet_(std::move(fleet)),
        member_(std::move(member)),
        instance_(*member_->warm->instance) {}
  // What hangs in it would hold a place for ever: once the others have ended the instance is replaced.
  ~Seat() override {
    const bool hangs = hangs_ || (ending_ && ending_->status == sandbox::Status::kTimedOut);
    state_->leave(fleet_, member_, !hangs && instance_.alive());
  }

  Task<void> begin(sandbox::Environment) override { co_return; }
  Task<sandbox::Outcome> invoke(sandbox::Invocation invocation) override {
    sandbox::Outcome outcome = co_await instance_.invoke(std::move(invocation));
    outcome.init_duration = {};  // was before
    hangs_ = outcome.status == sandbox::Status::kTimedOut;
    ending_ = outcome.ending;
    co_return outcome;
  }
  Task<sandbox::Outcome> initialised() override { co_return sandbox::Outcome{}; }
  Task<sandbox::Outcome> restore() override { co_return sandbox::Outcome{}; }
  bool alive() const override { return false; }  // taken once

 private:
  std::shared_ptr<State> state_;
  std::shared_ptr<Fleet> fleet_;
  std::shared_ptr<Member> member_;
  sandbox::Instance& instance_;
  std::shared_ptr<sandbox::Outcome> ending_;
  bool hangs_ = false;
};

// What a caller is told when no instance could be started.
class Fleets::Told final : public sandbox::Instance {
 public:
  explicit Told(sandbox::Outcome outcome) : outcome_(std::move(outcome)) {}
  Task<void> begin(sandbox::Environment) override { co_return; }
  Task<sandbox::Outcome> invoke(sandbox::Invocation) override { co_return outcome_; }
  Task<sandbox::Outcome> initialised() override { co_return outcome_; }
  Task<sandbox::Outcome> restore() override { co_return outcome_; }
  bool alive() const override { return false; }

 private:
  sandbox::Outcome outcome_;
};

Fleets::Fleets(std::function<Task<WarmPtr>(Call)> start) : state_(std::make_shared<State>()) {
  state_->start = std::move(start);
}
Fleets::~Fleets() = default;

void Fleets::keep(const std::string& prefix, std::vector<std::tuple<std::string, Call, FleetSize>> wanted) {
  std::vector<WarmPtr> ended;
  std::vector<std::pair<std::shared_ptr<Fleet>, int32_t>> to_launch;
  {
    std::lock_guard lock(state_->mutex);
    auto& fleets = state_->fleets;
    for (auto at = fleets.lower_bound(prefix); at != fleets.end() && at->first.starts_with(prefix);) {
      const bool stays = std::ranges::any_of(wanted, [&](const auto& one) { return std::get<0>(one) == at->first; });
      if (stays) {
        ++at;
        continue;
      }
      Fleet& fleet = *at->second;
      fleet.gone = true;
      fleet.shrink(0);
      std::ranges::move(fleet.take_left(), std::back_inserter(ended));
      fleet.changed();
      at = fleets.erase(at);
    }
    for (auto& [key, call, size] : wanted) {
      auto& fleet = fleets[key];
      if (!fleet) fleet = std::make_shared<Fleet>();
      fleet->key = key;
      fleet->call = std::move(call);
      fleet->size = size;
      fleet->calm = {};
      fleet->peak = fleet->running;
      fleet->shrink(size.most);
      std::ranges::move(fleet->take_left(), std::back_inserter(ended));
      to_launch.emplace_back(fleet, state_->grow(*fleet, fleet->running));
    }
  }
  for (const auto& [fleet, count] : to_launch) state_->launch(fleet, count);
}

Task<WarmPtr> Fleets::take(std::string key) {
  const auto since = std::chrono::steady_clock::now();
  const std::shared_ptr<State> state = state_;
  while (true) {
    std::shared_ptr<Fleet> fleet;
    std::shared_ptr<virga::Event> change;
    WarmPtr warm;
    std::optional<Failure> error;
    int32_t more = 0;
    bool none = false;
    {
      std::lock_guard lock(state->mutex);
      const auto found = state->fleets.find(key);
      if (found == state->fleets.end()) co_return err::ResourceNotReadyException("The version is not published.");
      fleet = found->second;
      if (fleet->size.most == 0) {
        co_return err::ResourceNotReadyException(
            "The function is deactivated: at most 0 execution environments are allowed.");
      }
      std::shared_ptr<Member> best;
      for (const auto& member : fleet->members) {
        if (member->leaving || member->running >= fleet->size.at_a_time || !member->warm->instance->alive()) continue;
        if (!best || member->running < best->running) best = member;
      }
      const int32_t running = fleet->running + 1;
      more = state->grow(*fleet, running);
      if (best) {
        ++best->running;
        fleet->running = running;
        fleet->peak = std::max(fleet->peak, running);
        warm = std::make_unique<Warm>();
        warm->key = fleet->key;
        warm->function = best->warm->function;
        warm->log = best->warm->log;
        warm->home = best->warm->home;
        warm->seat = true;
        warm->instance = std::make_unique<Seat>(state, fleet, best);
      } else if (fleet->failure && fleet->starting == more) {
        warm = std::make_unique<Warm>();
        warm->key = fleet->key;
        warm->function = cat("arn:aws:lambda:", fleet->call.id.region, ":", fleet->call.id.account,
                             ":function:", fleet->call.id.name);
        warm->log = fleet->failure_log;
        warm->home = Executor::current();
        warm->seat = true;
        warm->instance = std::make_unique<Told>(*std::exchange(fleet->failure, std::nullopt));
      }
      if (!warm && fleet->error && fleet->starting == more) error = std::exchange(fleet->error, std::nullopt);
      none = !warm && fleet->starting == 0;
      change = fleet->change;
    }
    state->launch(fleet, more);
    if (warm) {
      warm->current = std::make_shared<std::string>();
      co_return std::move(warm);
    }
    if (error) co_await fail_with(std::move(*error));
    const auto waited = std::chrono::steady_clock::now() - since;
    if (none || waited >= kPatience) co_return full();
    co_await change->wait_for(std::chrono::duration_cast<Micros>(kPatience - waited));
  }
}

void Fleets::tend(std::chrono::seconds idle) {
  const auto now = std::chrono::steady_clock::now();
  std::vector<WarmPtr> ended;
  std::vector<std::pair<std::shared_ptr<Fleet>, int32_t>> to_launch;
  {
    std::lock_guard lock(state_->mutex);
    for (const auto& [key, fleet] : state_->fleets) {
      for (const auto& member : fleet->members) {
        if (!member->warm->instance->alive() || now - member->warm->started >= kInstanceLife) member->leaving = true;
      }
      // One at a time, when it would not have been missed for a while.
      if (fleet->staying() <= fleet->needed(fleet->peak)) {
        fleet->calm = now;
        fleet->peak = fleet->running;
      } else if (now - fleet->calm >= idle) {
        fleet->shrink(fleet->staying() - 1);
      }
      std::ranges::move(fleet->take_left(), std::back_inserter(ended));
      to_launch.emplace_back(fleet, state_->grow(*fleet, fleet->running));
    }
  }
  for (const auto& [fleet, count] : to_launch) state_->launch(fleet, count);
}

bool Fleets::empty() const {
  std::lock_guard lock(state_->mutex);
  return state_->fleets.empty();
}

Task<void> Fleets::stop() {
  std::vector<WarmPtr> ended;
  {
    std::lock_guard lock(state_->mutex);
    state_->stopped = true;
    for (const auto& [key, fleet] : state_->fleets) {
      fleet->shrink(0);
      std::ranges::move(fleet->take_left(), std::back_inserter(ended));
    }
  }
  for (const WarmPtr& warm : ended) co_await warm->log->flush();
}

}  // namespace virga::lambda
