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

// What an ARN is delivered: an event (usually JSON), with the delivering service's principal in ctx.
using Deliver = std::function<Task<void>(Ctx& ctx, const Arn& target, std::string event)>;

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

  // The one place an operation runs: authorisation, metrics, audit, deadline, then the handler. `in` and `out` are of
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

  // Events to ARNs. A service says what it takes; deliver finds it by the ARN's service part.
  void accept(std::string service, Deliver deliver);
  Task<void> deliver(Ctx& ctx, std::string arn, std::string event);

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
};

}  // namespace virga::kernel
