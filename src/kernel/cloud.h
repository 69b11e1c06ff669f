// The services together: who serves what, typed calls between them, and delivery to ARNs. One Cloud per process;
// app/ builds it and hands out references.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/metrics.h"
#include "kernel/authorize.h"
#include "kernel/service.h"

namespace virga::kernel {

class Audit;

// What a target is given: an event's body (usually JSON), and whatever else the target's kind knows what to do with.
// A record (kv/record.h), so that it can wait in the store.
struct TargetInput {
  struct Attribute {
    std::string value;            // of Binary: the bytes
    std::string type = "String";  // as SQS and SNS spell it: "String", "Number", "Binary", "String.Array"
    template <class A>
    void fields(A& a) {
      a(1, value), a(2, type);
    }
  };
  std::string body;
  std::map<std::string, Attribute> attributes;  // message attributes
  std::string group, deduplication;             // of FIFO targets: message group and deduplication id
  std::string trace;                            // X-Amzn-Trace-Id
  // By the names AWS gives them in target parameters: "PartitionKey", "DetailType", "Source", "Subject", "Key",
  // "ClientContext". A target ignores those it has no use for.
  std::map<std::string, std::string> parameters;
  // Wait for what the target answers (Lambda's RequestResponse) instead of handing over.
  bool wait = false;
  template <class A>
  void fields(A& a) {
    a(1, body), a(2, attributes), a(3, group), a(4, deduplication), a(5, trace), a(6, parameters), a(7, wait);
  }
};

// Takes an event for an ARN, as ctx.principal, through the service's own authorised operation. Answers with what the
// target answered; empty when it answers nothing or `wait` was not asked for.
using Deliver = std::function<Task<std::string>(Ctx& ctx, const Arn& target, TargetInput input)>;
// A session of a role, assumed by ctx.principal.
using AssumeRole = std::function<Task<Principal>(Ctx& ctx, std::string role_arn, std::string session_name)>;

class Cloud {
 public:
  Cloud(const Clock& clock, Authorizer& authorizer, Audit& audit, MetricRegistry& metrics);
  ~Cloud();

  // Registers a service. All are added before start().
  void add(std::unique_ptr<Service> service);
  Task<void> start();
  Task<void> stop();

  // Every served operation and endpoint; null when there is none.
  Service* find_service(std::string_view id) const;
  const Operation* find(const wire::OperationModel& model) const;
  const Endpoint* find_endpoint(std::string_view label) const;
  const std::vector<std::unique_ptr<Service>>& services() const { return services_; }

  // The one place an operation runs: authorisation, the handler, metrics, audit. `in` and `out` are of
  // the operation's shapes. Fails with what the handler or the authoriser refused with.
  Task<void> dispatch(Ctx& ctx, const Operation& operation, const void* in, void* out);

  // A typed call in this process, as ctx.principal: `auto out = co_await cloud.call<sqs::op::SendMessage>(ctx, in)`.
  // `in` is held by the coroutine.
  template <class Op>
  Task<typename Op::Output> call(Ctx& ctx, typename Op::Input in) {
    typename Op::Output out{};
    co_await dispatch(ctx, require(Op::model()), &in, &out);
    co_return std::move(out);
  }

  // A context for work that no outside request caused.
  Ctx internal_context(Principal principal, std::string account, std::string region) const;

  // Events to ARNs, once, now: kernel/target_delivery.h is how an event that must arrive gets there. A service says
  // what it takes, by the ARN's service part ("lambda", "sqs"), before start().
  void accept(std::string service, Deliver deliver);
  bool accepts(std::string_view arn) const;
  Task<std::string> deliver(Ctx& ctx, std::string arn, TargetInput input);

  // The principal of a session of `role_arn`, assumed by `service` ("events.amazonaws.com") through the role's trust
  // policy, on behalf of `source_arn` (may be empty). Sessions are kept for some minutes. Fails as sts:AssumeRole does.
  void set_role_source(AssumeRole assume) { assume_role_ = std::move(assume); }
  Task<Principal> assume_role(std::string service, std::string role_arn, std::string session_name,
                              std::string source_arn = {});

  const Clock& clock() const { return clock_; }
  MetricRegistry& metrics() { return metrics_; }
  Authorizer& authorizer() { return authorizer_; }

 private:
  const Operation& require(const wire::OperationModel& model) const;  // throws door::not_served when not registered

  const Clock& clock_;
  Authorizer& authorizer_;
  Audit& audit_;
  MetricRegistry& metrics_;
  std::vector<std::unique_ptr<Service>> services_;
  struct Registered;
  std::vector<std::unique_ptr<Registered>> registered_;
  std::map<const wire::OperationModel*, const Registered*> by_model_;
  std::map<std::string, Endpoint, std::less<>> endpoints_;
  std::map<std::string, Deliver, std::less<>> targets_;
  AssumeRole assume_role_;
  struct Sessions;
  std::unique_ptr<Sessions> sessions_;
};

}  // namespace virga::kernel
