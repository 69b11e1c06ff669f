// The record of management calls: who did what when from where, and how it ended. Durable, bounded, without secrets.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/task.h"
#include "base/time.h"
#include "kernel/context.h"
#include "kv/db.h"

namespace virga::kernel {

struct AuditRecord {
  Time time;
  std::string id;              // a UUID; made when empty
  std::string principal_type;  // as aws:PrincipalType
  std::string principal_arn, principal_id, access_key;
  std::string account, region;
  std::string service;    // "dynamodb.amazonaws.com"
  std::string operation;  // "CreateTable"
  std::string request_id, source_ip, user_agent;
  std::string error_code, error_message;  // empty: success
  bool read_only = false;
  uint64_t count = 1;  // calls it stands for: reads that one caller repeats within a moment are one record
  template <class A>
  void fields(A& a) {
    a(1, time), a(2, id), a(3, principal_type), a(4, principal_arn), a(5, principal_id), a(6, access_key),
        a(7, account);
    a(8, region), a(9, service), a(10, operation), a(11, request_id), a(12, source_ip), a(13, user_agent);
    a(14, error_code), a(15, error_message), a(16, read_only);
    a(17, count);
  }
};

// What `ctx` says of a record: time, caller, account, region, source.
AuditRecord audit_record(const Ctx& ctx);
// Whether an operation of this name only reads: Get…, List…, Describe… and kin.
bool is_read_only(std::string_view operation);

// A call as somebody is told of it: its record, and its input and output as JSON in the style of CloudTrail.
struct ToldCall {
  AuditRecord record;
  std::string input, output;  // "null": none, or too large to tell
  template <class A>
  void fields(A& a) {
    a(1, record), a(2, input), a(3, output);
  }
};

// Who is told of management calls: EventBridge, when somebody's rule could want them.
class AuditListener {
 public:
  virtual ~AuditListener() = default;
  // Whether to be told of such a call. Asked for every call, from any thread.
  virtual bool wants(const Ctx& ctx, bool read_only) const = 0;
  // Part of the transaction that writes their records; runs again when that conflicts.
  virtual Task<void> tell(kv::Txn& tx, const std::vector<ToldCall>& calls) = 0;
};

struct AuditLimits {
  uint64_t most = 200'000;  // records kept; the oldest go first
  std::chrono::hours oldest{24 * 90};
  size_t most_waiting = 20'000;  // not yet written; more are dropped and counted
  size_t most_told = 32 << 20;   // bytes of calls that somebody is to be told of and is not yet
};

class Audit {
 public:
  Audit(kv::Db& db, const Clock& clock, AuditLimits limits = {});
  ~Audit();

  // Takes note, from any thread, without waiting: written with others within a moment, and before stop() completes.
  void record(AuditRecord record);
  // The same, of a call that the listener wants.
  void record_and_tell(ToldCall call);
  bool is_wanted(const Ctx& ctx, bool read_only) const;
  // Before the first record. It is told until stop() completes.
  void set_listener(AuditListener* listener);
  // Counts a successful read onto the record of the same one by the same caller, if that is not yet written. False:
  // it is to be recorded.
  bool repeat(const Ctx& ctx, std::string_view service, std::string_view operation);
  uint64_t dropped() const;

  // Begins writing on the calling executor.
  void start();
  Task<void> stop();
  // Writes what waits, now.
  Task<void> flush();

  struct Page {
    std::vector<AuditRecord> records;
    std::string next;  // where to go on; empty at the end
  };
  // Newest first, of one account and region, within [from, to] (zero: open), those that `wanted` says yes to.
  Task<Page> find(std::string account, std::string region, Time from, Time to,
                  std::function<bool(const AuditRecord&)> wanted, std::string next, size_t limit);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace virga::kernel
