// The standard delivery: an event to an ARN, as a service or a role's session, retried within a policy, and at the end
// given to a dead-letter queue. What SNS, EventBridge, Scheduler, Pipes and Lambda's destinations send goes this way.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "kernel/cloud.h"
#include "kernel/delivery.h"

namespace virga::kernel {

// When to stop trying. An error that will not pass (no permission, no such target, an event it refuses) is not tried
// again.
struct RetryPolicy {
  int64_t retries = 185;     // after the first attempt
  int64_t max_age = 86'400;  // seconds since it was enqueued
  template <class A>
  void fields(A& a) {
    a(1, retries), a(2, max_age);
  }
};

// Where an event goes that could not be delivered. In values of attributes these stand for what became of it, and an
// attribute that is empty then is left out:
//   ${code}       of the last error: "AccessDeniedException", "SDK_CLIENT_ERROR" for what has no code
//   ${kind}       the same, as EventBridge sorts them: "NO_PERMISSIONS"
//   ${status}     its HTTP status
//   ${message}    its message
//   ${retries}    attempts after the first
//   ${attempts}   attempts
//   ${condition}  "MaximumRetryAttempts" or "MaximumEventAgeInSeconds"; empty after an error that will not pass
struct DeadLetter {
  std::string target;  // ARN; empty: none
  TargetInput input;   // with an empty body: the event's
  std::string role;    // as a session of this role; empty: as the service itself
  template <class A>
  void fields(A& a) {
    a(1, target), a(2, input), a(3, role);
  }
};

struct TargetDelivery {
  std::string target;  // ARN
  TargetInput input;
  std::string account, region;  // of whoever sends
  std::string service;          // as whom: "events.amazonaws.com"
  std::string role;             // as a session of this role, which `service` assumes; empty: as the service itself
  std::string source_arn;       // aws:SourceArn: the rule, topic or schedule
  RetryPolicy retry;
  DeadLetter dead_letter;
  std::string lane, group;  // where they are not the target and no order
  template <class A>
  void fields(A& a) {
    a(1, target), a(2, input), a(3, account), a(4, region), a(5, service), a(6, role), a(7, source_arn), a(8, retry),
        a(9, dead_letter), a(10, lane), a(11, group);
  }
};

// Whether trying again can't help: the sender's fault, and no throttle, conflict or time-out.
bool is_permanent(const Failure& failure);

class Targets {
 public:
  static constexpr std::string_view kKind = "target";

  Targets(Cloud& cloud, Deliveries& deliveries) : cloud_(cloud), deliveries_(deliveries) {}
  // Registers the kind. Before the deliveries start.
  void serve();

  // Part of the transaction: the event will be delivered.
  void enqueue(kv::Txn& tx, TargetDelivery delivery, Time not_before = {}, std::string id = {});
  // Part of the transaction: the event can't be delivered, so it becomes its dead letter without an attempt.
  void refuse(kv::Txn& tx, const TargetDelivery& delivery, const Error& why);

  // One call of the target as the delivery says: for services with a handler of their own. Answers what the target
  // answered.
  Task<std::string> call(TargetDelivery delivery, std::string request_id);
  // What a delivery does next that failed like this, its dead letter included.
  Verdict after_failure(const Attempt& attempt, const TargetDelivery& delivery, const Failure& failure);

 private:
  struct End {
    int64_t attempts = 0;
    std::string condition;
  };
  Task<Verdict> attempt(Attempt attempt);
  // Nothing when the delivery has no dead-letter queue.
  std::optional<TargetDelivery> dead_letter(const TargetDelivery& delivery, const Failure& failure, const End& end);

  Cloud& cloud_;
  Deliveries& deliveries_;
};

}  // namespace virga::kernel
