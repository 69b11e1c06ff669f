// What a service is to the rest of Virga: a model, a table of operations, perhaps endpoints of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/task.h"
#include "kernel/context.h"
#include "wire/http.h"
#include "wire/shape.h"

namespace virga::kernel {

// One question to the policy engine: may this principal do `action` on `resource` under these condition keys?
struct Access {
  std::string action;          // "dynamodb:PutItem"
  std::string resource = "*";  // an ARN, or "*" where AWS has no resource level
  std::vector<std::pair<std::string, std::vector<std::string>>>
      conditions;  // service keys: {"dynamodb:LeadingKeys", {…}}
};

class Service;

// One served operation, its types erased.
struct Operation {
  const wire::OperationModel* model = nullptr;
  Service* service = nullptr;
  std::function<Task<void>(Ctx& ctx, const void* in, void* out)> run;
  std::function<std::vector<Access>(const Ctx& ctx, const void* in)> access;
  // May change the questions by what the store knows and the request does not say; unset where requests say it all.
  std::function<Task<void>(Ctx& ctx, const void* in, std::vector<Access>& questions)> complete;
  bool open = false;        // needs no permission (sts:GetCallerIdentity)
  bool guarded = false;     // a resource policy may allow or deny: Service::resource_policy is asked
  bool data_plane = false;  // not in the audit record by default (GetItem, PutObject, Invoke)
  uint64_t body_limit = 0;  // bytes of request body; 0: the door's default
};

class OpTable;

// Refines an operation just added: t.add<op::Invoke>(…).action("lambda:InvokeFunction").resource(…).guarded();
template <class In>
class OpBuilder {
 public:
  explicit OpBuilder(Operation& op) : op_(op) {}
  // The action where it is not <signing name>:<operation name>.
  OpBuilder& action(std::string action) {
    return each([action](const Ctx&, const In&, Access& a) { a.action = action; });
  }
  // The ARN the permission is about: std::string(const Ctx&, const In&).
  template <class F>
  OpBuilder& resource(F f) {
    return each([f](const Ctx& ctx, const In& in, Access& a) { a.resource = f(ctx, in); });
  }
  // All questions at once, for operations that touch several things: std::vector<Access>(const Ctx&, const In&).
  template <class F>
  OpBuilder& access(F f) {
    op_.access = [f](const Ctx& ctx, const void* in) { return f(ctx, *static_cast<const In*>(in)); };
    return *this;
  }
  // Completes the questions from the store before they are asked: Task<void>(Ctx&, const In&, std::vector<Access>&).
  template <class F>
  OpBuilder& complete(F f) {
    op_.complete = [f](Ctx& ctx, const void* in, std::vector<Access>& questions) {
      return f(ctx, *static_cast<const In*>(in), questions);
    };
    return *this;
  }
  OpBuilder& open() {
    op_.open = true;
    return *this;
  }
  OpBuilder& guarded() {
    op_.guarded = true;
    return *this;
  }
  OpBuilder& data_plane() {
    op_.data_plane = true;
    return *this;
  }
  OpBuilder& body_limit(uint64_t bytes) {
    op_.body_limit = bytes;
    return *this;
  }

 private:
  template <class F>
  OpBuilder& each(F edit) {
    op_.access = [previous = std::move(op_.access), edit](const Ctx& ctx, const void* in) {
      std::vector<Access> all = previous(ctx, in);
      for (Access& a : all) edit(ctx, *static_cast<const In*>(in), a);
      return all;
    };
    return *this;
  }
  Operation& op_;
};

class OpTable {
 public:
  explicit OpTable(Service& service) : service_(service) {}

  // `handler` is Task<Op::Output> (S::*)(Ctx&, const Op::Input&).
  template <class Op, class S>
  OpBuilder<typename Op::Input> add(S* self, Task<typename Op::Output> (S::*handler)(Ctx&, const typename Op::Input&)) {
    auto op = std::make_unique<Operation>();
    op->model = &Op::model();
    op->service = &service_;
    op->run = [self, handler](Ctx& ctx, const void* in, void* out) -> Task<void> {
      *static_cast<typename Op::Output*>(out) =
          co_await (self->*handler)(ctx, *static_cast<const typename Op::Input*>(in));
    };
    op->access = [action = default_action(*op->model)](const Ctx&, const void*) {
      return std::vector<Access>{{action, "*", {}}};
    };
    operations_.push_back(std::move(op));
    return OpBuilder<typename Op::Input>(*operations_.back());
  }
  std::vector<std::unique_ptr<Operation>>& operations() { return operations_; }

 private:
  static std::string default_action(const wire::OperationModel& model);
  Service& service_;
  std::vector<std::unique_ptr<Operation>> operations_;
};

// A request to something a user made, not to an AWS API: an HTTP API's stage, a function URL, a website. Reached by
// host, "<id>.<label>.…", or by path, "/_aws/<label>/<id>/…".
struct EndpointRequest {
  std::string id;
  std::string path;  // undecoded, starts with '/', without what selected the endpoint
  wire::HttpRequest& http;
};
using EndpointHandler = std::function<Task<wire::HttpResponse>(Ctx& ctx, EndpointRequest& request)>;
struct Endpoint {
  std::string label;  // "execute-api", "lambda-url", "s3-website"
  EndpointHandler serve;
};

class Service {
 public:
  virtual ~Service() = default;
  virtual const wire::ServiceModel& model() const = 0;
  virtual void operations(OpTable& table) = 0;
  virtual std::vector<Endpoint> endpoints() { return {}; }
  // After every service is registered and the store is open; before the door opens. Background loops begin here.
  virtual Task<void> start() { co_return; }
  // The door is closed and no operation runs any more.
  virtual Task<void> stop() { co_return; }
  // The policy document attached to `resource` (an ARN in an Access of a guarded operation), or nothing.
  virtual Task<std::optional<std::string>> resource_policy(Ctx& ctx, std::string resource) { co_return std::nullopt; }
};

}  // namespace virga::kernel
