// What CloudFormation keeps, and the only place that knows the keys:
//   cfn name <account> <region> <stack name>                 the id of the stack that has the name now
//   cfn stack <account> <region> <stack id>                  StackRecord; deleted stacks stay
//   cfn resource <stack id> <logical id>                     ResourceRecord
//   cfn trash <stack id> <u32 order>                         TrashRecord: what an update deletes at its end
//   cfn event <stack id> <u64 number>                        EventRecord, oldest first
//   cfn changeset <stack id> <change set name>               ChangeSetRecord; cfn changesetid <id>: its stack's id
//   cfn export <account> <region> <export name>              ExportRecord
//   cfn import <account> <region> <export name> <stack id>   empty: the stack uses the export
//   cfn running <stack id>                                   account and region: an operation is under way
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/task.h"
#include "base/time.h"
#include "kernel/context.h"
#include "kv/db.h"

namespace virga::cloudformation {

using TagList = std::vector<std::pair<std::string, std::string>>;

// Who an operation acts as; kept, so that it goes on as them after a restart.
struct ActorRecord {
  uint8_t kind = 0;  // kernel::Principal::Kind
  std::string account, arn, user_id, access_key, role_arn, service, base_url;
  std::vector<std::string> session_policies;
  std::map<std::string, std::string> session_tags;
  Time issued;
  template <class A>
  void fields(A& a) {
    a(1, kind);
    a(2, account);
    a(3, arn);
    a(4, user_id);
    a(5, access_key);
    a(6, role_arn);
    a(7, service);
    a(8, base_url);
    a(9, session_policies);
    a(10, session_tags);
    a(11, issued);
  }
};
ActorRecord actor_of(const kernel::Ctx& ctx);
kernel::Principal principal_of(const ActorRecord& actor);

struct OutputRecord {
  std::string key, value, description, export_name;
  template <class A>
  void fields(A& a) {
    a(1, key);
    a(2, value);
    a(3, description);
    a(4, export_name);
  }
};

// What a stack is made from. An update keeps the former one until it is done.
struct DefinitionRecord {
  std::string text;                               // the template as it was given
  std::string processed;                          // as JSON, after its transforms
  std::map<std::string, std::string> parameters;  // every declared one, bound
  std::vector<std::string> capabilities;
  TagList tags;
  std::string role_arn;
  template <class A>
  void fields(A& a) {
    a(1, text);
    a(2, processed);
    a(3, parameters);
    a(4, capabilities);
    a(5, tags);
    a(6, role_arn);
  }
};

enum class Phase : uint8_t { kNone, kApply, kCleanup, kRollback, kRollbackCleanup, kDelete };

struct StackRecord {
  std::string id, name, account, region, status, reason;
  DefinitionRecord now;
  std::optional<DefinitionRecord> former;
  std::vector<OutputRecord> outputs;
  Time created, updated, deleted;  // zero: never
  bool disable_rollback = false, termination_protection = false;
  std::string on_failure;                       // of the creation: ROLLBACK, DELETE, DO_NOTHING
  std::string token, change_set_id, operation;  // client request token; the running or last operation's id
  Phase phase = Phase::kNone;
  bool creating = false;  // the running operation creates the stack
  bool retain_except_on_create = false;
  std::vector<std::string> retain;  // of a deletion: logical ids to leave alone
  ActorRecord actor;
  uint64_t next_event = 0;
  uint32_t next_order = 0;
  std::string parent, root;  // stack ids, of a nested stack
  std::string failure;       // why the running operation turns back
  template <class A>
  void fields(A& a) {
    a(1, id);
    a(2, name);
    a(3, account);
    a(4, region);
    a(5, status);
    a(6, reason);
    a(7, now);
    a(8, former);
    a(9, outputs);
    a(10, created);
    a(11, updated);
    a(12, deleted);
    a(13, disable_rollback);
    a(14, termination_protection);
    a(15, on_failure);
    a(16, token);
    a(17, change_set_id);
    a(18, operation);
    a(19, phase);
    a(20, creating);
    a(21, retain_except_on_create);
    a(22, retain);
    a(23, actor);
    a(24, next_event);
    a(25, next_order);
    a(26, parent);
    a(27, root);
    a(28, failure);
  }
  bool running() const { return phase != Phase::kNone; }
};

// A physical resource as it was last made.
struct MadeRecord {
  std::string type, physical_id;
  std::string properties;  // JSON, resolved
  std::string attributes;  // JSON object: what Fn::GetAtt answers
  std::string deletion_policy, update_replace_policy;
  template <class A>
  void fields(A& a) {
    a(1, type);
    a(2, physical_id);
    a(3, properties);
    a(4, attributes);
    a(5, deletion_policy);
    a(6, update_replace_policy);
  }
};

struct ResourceRecord {
  std::string logical_id, status, reason;
  MadeRecord made;
  std::optional<MadeRecord> former;  // before the running operation touched it
  std::string operation;             // that touched it last
  std::string started;               // physical id planned for a creation under way; empty: none
  Time updated;
  uint32_t order = 0;  // grows with creation
  std::vector<std::string> depends;
  std::string description, metadata;
  bool added = false;  // the running operation made it
  template <class A>
  void fields(A& a) {
    a(1, logical_id);
    a(2, status);
    a(3, reason);
    a(4, made);
    a(5, former);
    a(6, operation);
    a(7, started);
    a(8, updated);
    a(9, order);
    a(10, depends);
    a(11, description);
    a(12, metadata);
    a(13, added);
  }
  bool exists() const { return !made.physical_id.empty(); }
};

struct TrashRecord {
  std::string logical_id;
  MadeRecord made;
  bool replaced = false;  // its logical id lives on; UpdateReplacePolicy governs, not DeletionPolicy
  template <class A>
  void fields(A& a) {
    a(1, logical_id);
    a(2, made);
    a(3, replaced);
  }
};

struct EventRecord {
  std::string event_id, logical_id, physical_id, type, status, reason, properties, token, operation;
  Time at;
  template <class A>
  void fields(A& a) {
    a(1, event_id);
    a(2, logical_id);
    a(3, physical_id);
    a(4, type);
    a(5, status);
    a(6, reason);
    a(7, properties);
    a(8, token);
    a(9, at);
    a(10, operation);
  }
};

struct ChangeSetRecord {
  std::string id, name, stack_id, stack_name, description, type, status, reason, execution, token,
      changes;  // changes: JSON
  DefinitionRecord definition;
  Time created;
  std::string on_failure;
  template <class A>
  void fields(A& a) {
    a(1, id);
    a(2, name);
    a(3, stack_id);
    a(4, stack_name);
    a(5, description);
    a(6, type);
    a(7, status);
    a(8, reason);
    a(9, execution);
    a(10, token);
    a(11, changes);
    a(12, definition);
    a(13, created);
    a(14, on_failure);
  }
};

struct ExportRecord {
  std::string name, value, stack_id;
  template <class A>
  void fields(A& a) {
    a(1, name);
    a(2, value);
    a(3, stack_id);
  }
};

// Reads and writes at one instant. Writing needs a transaction: made from a Txn.
class Store {
 public:
  explicit Store(kv::Txn& tx) : reader_(tx), tx_(&tx) {}
  explicit Store(kv::Reader& reader) : reader_(reader) {}
  kv::Txn& txn() { return *tx_; }  // of a store made on one

  Task<std::optional<std::string>> find_name(std::string account, std::string region, std::string name);
  void put_name(const StackRecord& stack);
  void drop_name(const StackRecord& stack);
  Task<std::optional<StackRecord>> find_stack(std::string account, std::string region, std::string id);
  void put_stack(const StackRecord& stack);
  // At most `limit` stacks with ids after `after`.
  Task<std::vector<StackRecord>> stacks(std::string account, std::string region, std::string after, size_t limit);

  Task<std::optional<ResourceRecord>> find_resource(std::string stack_id, std::string logical_id);
  Task<std::vector<ResourceRecord>> resources(std::string stack_id);
  void put_resource(const std::string& stack_id, const ResourceRecord& resource);
  void drop_resource(const std::string& stack_id, const std::string& logical_id);

  Task<std::vector<std::pair<uint32_t, TrashRecord>>> trash(std::string stack_id);
  void put_trash(const std::string& stack_id, uint32_t order, const TrashRecord& trash);
  void drop_trash(const std::string& stack_id, uint32_t order);

  // Numbers the event by the stack's counter, and forgets the oldest beyond the limit.
  void add_event(StackRecord& stack, EventRecord event);
  // Newest first, from numbers below `before`.
  Task<std::vector<std::pair<uint64_t, EventRecord>>> events(std::string stack_id, uint64_t before, size_t limit);

  Task<std::optional<ChangeSetRecord>> find_change_set(std::string stack_id, std::string name);
  Task<std::optional<std::string>> find_change_set_stack(std::string id);
  Task<std::vector<ChangeSetRecord>> change_sets(std::string stack_id);
  void put_change_set(const ChangeSetRecord& change_set);
  void drop_change_set(const ChangeSetRecord& change_set);

  Task<std::vector<ExportRecord>> exports(std::string account, std::string region, std::string after, size_t limit);
  Task<std::optional<ExportRecord>> find_export(std::string account, std::string region, std::string name);
  void put_export(const StackRecord& stack, const ExportRecord& record);
  void drop_export(const StackRecord& stack, const std::string& name);
  Task<std::vector<std::string>> importers(std::string account, std::string region, std::string name);
  void put_import(const StackRecord& stack, const std::string& name);
  void drop_import(const StackRecord& stack, const std::string& name);

  void set_running(const StackRecord& stack, bool running);
  static std::string running_key(const std::string& stack_id);
  struct Running {
    std::string stack_id, account, region;
  };
  Task<std::vector<Running>> running();

 private:
  kv::Reader& reader_;
  kv::Txn* tx_ = nullptr;
};

}  // namespace virga::cloudformation
