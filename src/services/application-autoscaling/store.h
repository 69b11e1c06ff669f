// Keys and records of Application Auto Scaling. The only files that know how they are spelled.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "kernel/context.h"
#include "kv/db.h"
#include "services/application-autoscaling/tracking.h"

namespace virga::applicationautoscaling {

using kernel::Home;

// One thing's one number: ("lambda", "function:f:live", "lambda:function:ProvisionedConcurrency").
struct Scalable {
  std::string space, resource, dimension;
  auto operator<=>(const Scalable&) const = default;
  template <class A>
  void fields(A& a) {
    a(1, space), a(2, resource), a(3, dimension);
  }
};

struct TargetRecord {
  Scalable what;
  std::string id;  // of its ARN
  int32_t min = 0, max = 0;
  bool in_suspended = false, out_suspended = false, schedule_suspended = false;
  std::map<std::string, std::string> tags;
  Time created;
  template <class A>
  void fields(A& a) {
    a(1, what), a(2, id), a(3, min), a(4, max), a(5, in_suspended), a(6, out_suspended), a(7, schedule_suspended);
    a(8, tags), a(9, created);
  }
};

struct ActionRecord {
  Scalable what;
  std::string name, id, schedule, zone;
  std::optional<Time> start, end;
  std::optional<int32_t> min, max;
  Time created;
  Time from;  // a rate's times count from here
  Time next;  // when it runs; kNever: not any more; none: its timer knows
  static constexpr Time kNever{INT64_MAX};
  template <class A>
  void fields(A& a) {
    a(1, what), a(2, name), a(3, id), a(4, schedule), a(5, zone), a(6, start), a(7, end), a(8, min), a(9, max),
        a(10, created), a(11, from), a(12, next);
  }
};

struct PolicyRecord {
  Scalable what;
  std::string name, id;
  Tracking rule;
  Tracked state;
  Time created;
  template <class A>
  void fields(A& a) {
    a(1, what), a(2, name), a(3, id), a(4, rule), a(5, state), a(6, created);
  }
};

struct ActivityRecord {
  Scalable what;
  std::string id, description, cause, status, message;
  Time start;
  std::optional<Time> end;
  template <class A>
  void fields(A& a) {
    a(1, what), a(2, id), a(3, description), a(4, cause), a(5, status), a(6, message), a(7, start), a(8, end);
  }
};

class Store {
 public:
  Store(kv::Reader& reader, Home home) : reader_(reader), home_(std::move(home)) {}

  Task<std::optional<TargetRecord>> find_target(Scalable what) const;
  Task<std::optional<TargetRecord>> find_target_by_id(std::string id) const;
  Task<std::optional<ActionRecord>> find_action(Scalable what, std::string name) const;
  Task<std::optional<PolicyRecord>> find_policy(Scalable what, std::string name) const;

  // Those of one kind in a namespace, in the order of their keys, after the one whose position is `after`.
  template <class R>
  using Page = std::vector<std::pair<std::string, R>>;  // positions and records
  Task<Page<TargetRecord>> list_targets(std::string space, std::string after, size_t limit) const;
  Task<Page<ActionRecord>> list_actions(std::string space, std::string after, size_t limit) const;
  Task<Page<PolicyRecord>> list_policies(std::string space, std::string after, size_t limit) const;
  Task<Page<ActivityRecord>> list_activities(std::string space, std::string after, size_t limit) const;  // newest first

  // All of one target.
  Task<Page<ActionRecord>> actions_of(Scalable what) const;
  Task<Page<PolicyRecord>> policies_of(Scalable what) const;

 protected:
  std::string prefix(std::string_view kind, std::string_view space) const;
  std::string key(std::string_view kind, const Scalable& what) const;
  std::string id_key(std::string_view id) const;
  std::string activity_key(const ActivityRecord& activity) const;
  template <class R>
  Task<std::optional<R>> find(std::string key) const;
  template <class R>
  Task<Page<R>> list(std::string prefix, std::string after, size_t limit) const;

  kv::Reader& reader_;
  Home home_;
};

class WriteStore : public Store {
 public:
  WriteStore(kv::Txn& tx, Home home) : Store(tx, std::move(home)), tx_(tx) {}
  void put(const TargetRecord& target);
  void erase(const TargetRecord& target);
  void put(const ActionRecord& action);
  void erase(const ActionRecord& action);
  void put(const PolicyRecord& policy);
  void erase(const PolicyRecord& policy);
  void put(const ActivityRecord& activity);
  // Some of those that began before `since`.
  Task<void> forget_activities(std::string space, Time since);

 private:
  kv::Txn& tx_;
};

}  // namespace virga::applicationautoscaling
