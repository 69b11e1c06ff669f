// Keys and records of EventBridge Scheduler. The only file that knows how they are spelled.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "kernel/context.h"
#include "kv/db.h"

namespace virga::scheduler {

using kernel::Home;

struct TargetRecord {
  std::string arn, role, dead_letter;
  std::optional<std::string> input;
  std::string detail_type, source;  // of a bus
  std::string message_group;        // of a queue
  std::string partition_key;        // of a stream
  std::optional<int64_t> retries, max_age;
  template <class A>
  void fields(A& a) {
    a(1, arn), a(2, role), a(3, dead_letter), a(4, input), a(5, detail_type), a(6, source), a(7, message_group),
        a(8, partition_key), a(9, retries), a(10, max_age);
  }
};

struct ScheduleRecord {
  std::string group, name, description, expression, zone, token;
  std::optional<Time> start, end;
  bool enabled = true, delete_after = false;
  int64_t window = 0;  // minutes; 0: exactly on time
  TargetRecord target;
  Time created, modified;
  Time from;  // a rate's times count from here
  template <class A>
  void fields(A& a) {
    a(1, group), a(2, name), a(3, description), a(4, expression), a(5, zone), a(6, token), a(7, start), a(8, end),
        a(9, enabled), a(10, delete_after), a(11, window), a(12, target), a(13, created), a(14, modified), a(15, from);
  }
};

struct GroupRecord {
  std::string name;
  std::map<std::string, std::string> tags;
  Time created, modified;
  bool deleting = false;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, tags), a(3, created), a(4, modified), a(5, deleting);
  }
};

class Store {
 public:
  Store(kv::Reader& reader, Home home) : reader_(reader), home_(std::move(home)) {}

  // The default group is there without a record.
  Task<std::optional<GroupRecord>> find_group(std::string name) const;
  Task<std::vector<GroupRecord>> list_groups(std::string prefix, std::string after, size_t limit) const;
  Task<std::optional<ScheduleRecord>> find(std::string group, std::string name) const;
  // Of one group, or of all when `group` is empty, after the schedule that `after` names (its position).
  Task<std::vector<ScheduleRecord>> list(std::string group, std::string prefix, std::string after, size_t limit) const;
  static std::string position(const ScheduleRecord& schedule);

 protected:
  std::string group_key(std::string_view name) const;
  std::string prefix_of(std::string_view tag) const;

  kv::Reader& reader_;
  Home home_;
};

class WriteStore : public Store {
 public:
  WriteStore(kv::Txn& tx, Home home) : Store(tx, std::move(home)), tx_(tx) {}
  void put(const GroupRecord& group);
  void erase_group(const std::string& name);
  void put(const ScheduleRecord& schedule);
  void erase(const ScheduleRecord& schedule);

 private:
  kv::Txn& tx_;
};

}  // namespace virga::scheduler
