#include "kernel/cloud.h"

#include <chrono>
#include <set>
#include <stdexcept>

#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/audit.h"
#include "wire/protocol.h"

namespace virga::kernel {

// An operation with its metrics, found once at start-up so that a call takes no lock.
struct Cloud::Registered {
  std::unique_ptr<Operation> operation;
  Counter* calls;
  Counter* refused;  // the caller's fault
  Counter* failed;   // ours
  Histogram* latency;
};

namespace {

AuditRecord audit_of(const Ctx& ctx, const wire::OperationModel& model, const Result<void>& result) {
  AuditRecord record = audit_record(ctx);
  record.service = cat(model.service->signing_name, ".amazonaws.com");
  record.operation = model.name;
  record.read_only = is_read_only(model.name);
  if (const Error* error = error_of(result)) {
    record.error_code = error->shape->code;
    record.error_message = error->message;
  } else if (!result) {
    record.error_code = "InternalFailure";
  }
  return record;
}

// What a model says is served is what the service's table has, or `virga services` and the documents would lie.
void check_complete(const wire::ServiceModel& model, OpTable& table) {
  std::set<const wire::OperationModel*> listed;
  for (const wire::OperationModel& operation : model.operations) {
    if (operation.served) listed.insert(&operation);
  }
  for (const auto& operation : table.operations()) {
    if (!listed.erase(operation->model)) {
      throw std::logic_error(cat(model.id, " has ", operation->model->name, " twice, or serves.txt does not list it"));
    }
  }
  if (!listed.empty())
    throw std::logic_error(
        cat("models/", model.id, "/serves.txt lists ", (*listed.begin())->name, ", which has no handler"));
}

}  // namespace

Cloud::Cloud(const Clock& clock, Authorizer& authorizer, Audit& audit, MetricRegistry& metrics)
    : clock_(clock), authorizer_(authorizer), audit_(audit), metrics_(metrics) {}

Cloud::~Cloud() = default;

void Cloud::add(std::unique_ptr<Service> service) {
  OpTable table(*service);
  service->operations(table);
  check_complete(service->model(), table);
  for (auto& operation : table.operations()) {
    const wire::OperationModel& model = *operation->model;
    const MetricLabels labels{{"service", std::string(service->model().id)}, {"operation", std::string(model.name)}};
    auto registered = std::make_unique<Registered>();
    registered->operation = std::move(operation);
    registered->calls = &metrics_.counter("virga_calls_total", "Operations called, from outside or inside", labels);
    registered->refused =
        &metrics_.counter("virga_calls_refused_total", "Operations refused for the caller's fault", labels);
    registered->failed =
        &metrics_.counter("virga_calls_failed_total", "Operations that failed for Virga's fault", labels);
    registered->latency = &metrics_.histogram("virga_call_milliseconds", "Time an operation took", labels);
    by_model_.emplace(&model, registered.get());
    registered_.push_back(std::move(registered));
  }
  for (Endpoint& endpoint : service->endpoints()) endpoints_.emplace(endpoint.label, endpoint);
  services_.push_back(std::move(service));
}

Task<void> Cloud::start() {
  for (const auto& service : services_) co_await service->start();
}

Task<void> Cloud::stop() {
  for (auto service = services_.rbegin(); service != services_.rend(); ++service) co_await (*service)->stop();
}

Service* Cloud::find_service(std::string_view id) const {
  for (const auto& service : services_) {
    if (service->model().id == id) return service.get();
  }
  return nullptr;
}

const Operation* Cloud::find(const wire::OperationModel& model) const {
  const auto found = by_model_.find(&model);
  return found == by_model_.end() ? nullptr : found->second->operation.get();
}

const Endpoint* Cloud::find_endpoint(std::string_view label) const {
  const auto found = endpoints_.find(label);
  return found == endpoints_.end() ? nullptr : &found->second;
}

const Operation& Cloud::require(const wire::OperationModel& model) const {
  const Operation* operation = find(model);
  if (!operation) throw wire::door::not_served(*model.service, model.name);
  return *operation;
}

Task<void> Cloud::dispatch(Ctx& ctx, const Operation& operation, const void* in, void* out) {
  const Registered& registered = *by_model_.at(operation.model);
  registered.calls->add();
  const auto began = std::chrono::steady_clock::now();

  Result<void> result = co_await as_result(authorizer_.authorize(ctx, operation, in));
  if (result) result = co_await as_result(operation.run(ctx, in, out));

  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
  registered.latency->observe(took.count());
  const Error* error = error_of(result);
  if (!result) (error && error->shape->status < 500 ? registered.refused : registered.failed)->add();
  if (!operation.data_plane) audit_.record(audit_of(ctx, *operation.model, result));
  if (result) co_return;
  if (!error) {
    log_error("kernel", "an operation failed unexpectedly",
              {{"operation", cat(operation.model->service->id, ".", operation.model->name)},
               {"request", ctx.request_id},
               {"error", describe(result.error())}});
  }
  co_await fail_with(std::move(result.error()));
}

Ctx Cloud::internal_context(Principal principal, std::string account, std::string region) const {
  Ctx ctx;
  ctx.request_id = uuid();
  ctx.principal = std::move(principal);
  ctx.account = std::move(account);
  ctx.region = std::move(region);
  ctx.clock = &clock_;
  ctx.user_agent = "virga";
  ctx.secure = true;
  return ctx;
}

void Cloud::accept(std::string service, Deliver deliver) { targets_.emplace(std::move(service), std::move(deliver)); }

Task<void> Cloud::deliver(Ctx& ctx, std::string target, std::string event) {
  const auto arn = parse_arn(target);
  const auto accepts = arn ? targets_.find(arn->service) : targets_.end();
  if (accepts == targets_.end()) {
    static constexpr ErrorShape kNoTarget{"InvalidTarget", 400, Fault::kSender, {}};
    co_await fail(Error{&kNoTarget, cat("Nothing here takes events for ", target), nullptr, {}});
  }
  co_await accepts->second(ctx, *arn, std::move(event));
}

}  // namespace virga::kernel
