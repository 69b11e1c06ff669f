// Versions with SnapStart: published they are Pending until they have been initialised.
#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kv/key.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

constexpr size_t kMostRestored = 16;  // versions that get a snapshot again after a start

std::string reason_of(const sandbox::Outcome& outcome) {
  if (outcome.status == sandbox::Status::kTimedOut) return "The function's initialisation took too long.";
  try {
    const Json document = Json::parse(outcome.payload);
    return cat(document.string_or("errorType"), ": ", document.string_or("errorMessage"));
  } catch (const JsonError&) {
    return cat("The function's initialisation ended: ", outcome.exit);
  }
}

}  // namespace

void LambdaService::publish(kv::Txn& tx, WriteStore& store, const FunctionId& id, VersionRecord& version) {
  await_initialisation(version);
  store.put_version(id.name, version);
  if (!is_snapshot(version)) return;
  tx.on_commit([this, id, version] {
    start_background("snapshot of a version", initialise({id, std::make_shared<const VersionRecord>(version), ""}));
  });
}

// Makes a version's first snapshot, and says in its record how that went. What is cut off goes on after the next start.
Task<void> LambdaService::initialise(Snapshots::Of of) {
  const std::weak_ptr<bool> alive = alive_;
  const Result<sandbox::Outcome> made = co_await as_result(invoker_.publish(of));
  if (alive.expired() || invoker_.stopped()) co_return;
  const bool good = made && made->status == sandbox::Status::kOk;
  const std::string reason = made             ? reason_of(*made)
                             : error_of(made) ? error_of(made)->message
                                              : virga::describe(made.error());
  const Result<void> told = co_await as_result(deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, of.id.home(), catalog_);
    auto version = co_await store.find_version(of.id.name, of.version->version);
    if (!version || version->revision != of.version->revision) {  // deleted meanwhile
      tx.on_commit([this, of] { invoker_.forget_snapshots(of.id, of.version->version); });
      co_return;
    }
    version->state = good ? "" : to_string(State::Failed);
    version->state_reason = good ? "" : reason;
    version->state_reason_code = good   ? ""
                                 : made ? to_string(StateReasonCode::FunctionError)
                                        : to_string(StateReasonCode::InternalError);
    store.put_version(of.id.name, *version);
  }));
  if (!told) log_error("lambda", "a version's state could not be written", {{"why", virga::describe(told.error())}});
}

// After a start: what was being published is initialised, and the versions published last have their snapshots again.
void LambdaService::restore_snapshots(std::vector<Snapshots::Of> all) {
  std::ranges::sort(all, {}, [](const Snapshots::Of& of) { return -of.version->modified.millis(); });
  size_t restored = 0;
  for (Snapshots::Of& of : all) {
    if (of.version->state == to_string(State::Pending)) {
      start_background("snapshot of a version", initialise(std::move(of)));
    } else if (of.version->state.empty()) {
      invoker_.expect(std::move(of), restored++ < kMostRestored);
    }
  }
}

// What nobody called for long is Inactive: its snapshot is given up for good, and the next call is refused while it is
// initialised again. docs.aws.amazon.com/lambda/latest/dg/functions-states.html
Task<void> LambdaService::give_up_unused() {
  for (const Snapshots::Of& of : invoker_.take_unused(snapshot_life_)) {
    co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
      WriteStore store(tx, of.id.home(), catalog_);
      auto version = co_await store.find_version(of.id.name, of.version->version);
      if (!version || version->revision != of.version->revision || !version->state.empty()) co_return;
      version->state = to_string(State::Inactive);
      version->state_reason = "The function is idle.";
      version->state_reason_code = to_string(StateReasonCode::Idle);
      store.put_version(of.id.name, *version);
    });
  }
}

void LambdaService::schedule_give_up() {
  Executor* const executor = Executor::current();
  if (!executor) return;
  const auto pause = std::min<Micros>(std::chrono::hours(1), Micros(snapshot_life_) / 2);
  executor->post_after(pause, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired() || invoker_.stopped()) return;
    start_background("versions that are idle", give_up_unused());
    schedule_give_up();
  });
}

Task<void> LambdaService::wake(FunctionId id, uint64_t number) {
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, id.home(), catalog_);
    auto version = co_await store.find_version(id.name, number);
    if (!version || version->state != to_string(State::Inactive)) co_return;
    publish(tx, store, id, *version);
  });
}

FunctionId LambdaService::owner_of(std::string_view version_key) {
  kv::KeyReader key(version_key.substr(kv::KeyWriter("lambda").raw("v").take().size()));
  FunctionId id;
  id.account = key.text();
  id.region = key.text();
  id.name = key.text();
  return id;
}

}  // namespace virga::lambda
