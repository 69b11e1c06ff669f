#include "kernel/cloud.h"

#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>

#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/audit.h"
#include "kernel/typed_json.h"
#include "wire/protocol.h"

namespace virga::kernel {

// An operation with its metrics, found once at start-up so that a call takes no lock.
struct Cloud::Registered : Operation {
  explicit Registered(Operation operation) : Operation(std::move(operation)) {}
  std::string audit_service;  // "dynamodb.amazonaws.com"
  bool read_only = false;
  Counter* calls;
  Counter* refused;  // the caller's fault
  Counter* failed;   // ours
  Histogram* latency;
};

// Roles' sessions that services assumed lately.
struct Cloud::Sessions {
  static constexpr size_t kMost = 4096;
  static constexpr std::chrono::minutes kKept{5};
  struct Session {
    Principal principal;
    Time since;
  };
  std::mutex mutex;
  std::map<std::string, Session, std::less<>> by_name;
};

namespace {

AuditRecord audit_of(const Ctx& ctx, std::string_view service, std::string_view operation, bool read_only,
                     const Result<void>& result) {
  AuditRecord record = audit_record(ctx);
  record.service = service;
  record.operation = operation;
  record.read_only = read_only;
  if (const Error* error = error_of(result)) {
    record.error_code = error->shape->code;
    record.error_message = error->message;
  } else if (!result) {
    record.error_code = "InternalFailure";
  }
  return record;
}

constexpr size_t kMostTold = 100 << 10;  // bytes of an input or output: CloudTrail leaves out larger ones

std::string told(const wire::Shape* shape, const void* value) {
  if (!shape || !value || shape->structure->members.empty()) return "null";
  std::string text = read(*shape, value, Style::kTrail).dump();
  return text.size() > kMostTold ? "null" : text;
}

// `out`: null when the call changed nothing.
ToldCall told_call(AuditRecord record, const Operation& operation, const void* in, const void* out) {
  return {std::move(record), told(operation.model->input, in), told(operation.model->output, out)};
}

// Apart from dispatch, whose frame waits with the operation and would keep room for all this.
[[gnu::noinline]] void note_call(Audit& audit, const Ctx& ctx, const Operation& operation, std::string_view service,
                                 bool read_only, const void* in, const void* out, const Result<void>& result) {
  const std::string_view name = operation.model->name;
  if (audit.is_wanted(ctx, read_only)) {
    audit.record_and_tell(told_call(audit_of(ctx, service, name, read_only, result), operation, in,
                                    result && !read_only ? out : nullptr));
  } else if (!(result && read_only && audit.repeat(ctx, service, name))) {
    audit.record(audit_of(ctx, service, name, read_only, result));
  }
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
    : clock_(clock),
      authorizer_(authorizer),
      audit_(audit),
      metrics_(metrics),
      sessions_(std::make_unique<Sessions>()) {}

Cloud::~Cloud() = default;

void Cloud::add(std::unique_ptr<Service> service) {
  OpTable table(*service);
  service->operations(table);
  check_complete(service->model(), table);
  for (auto& operation : table.operations()) {
    const wire::OperationModel& model = *operation->model;
    const MetricLabels labels{{"service", std::string(service->model().id)}, {"operation", std::string(model.name)}};
    auto registered = std::make_unique<Registered>(std::move(*operation));
    registered->audit_service = cat(model.service->signing_name, ".amazonaws.com");
    registered->read_only = is_read_only(model.name);
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
  return found == by_model_.end() ? nullptr : found->second;
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
  const auto& registered = static_cast<const Registered&>(operation);  // there are no others
  registered.calls->add();
  const auto began = std::chrono::steady_clock::now();

  Result<void> result;
  if (!operation.open) result = co_await as_result(authorizer_.authorize(ctx, operation, in));
  if (result) result = co_await as_result(operation.run(ctx, in, out));

  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
  registered.latency->observe(took.count());
  const Error* error = error_of(result);
  if (!result) (error && error->shape->status < 500 ? registered.refused : registered.failed)->add();
  if (!operation.data_plane)
    note_call(audit_, ctx, operation, registered.audit_service, registered.read_only, in, out, result);
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

bool Cloud::accepts(std::string_view text) const {
  const auto arn = parse_arn(text);
  return arn && targets_.contains(arn->service);
}

Task<std::string> Cloud::deliver(Ctx& ctx, std::string target, TargetInput input) {
  const auto arn = parse_arn(target);
  const auto accepts = arn ? targets_.find(arn->service) : targets_.end();
  if (accepts == targets_.end()) {
    static constexpr ErrorShape kNoTarget{"InvalidTarget", 400, Fault::kSender, {}};
    co_return Error{&kNoTarget, cat("Nothing here takes events for ", target), nullptr, {}};
  }
  if (!input.trace.empty()) ctx.trace = input.trace;
  co_return co_await accepts->second(ctx, *arn, std::move(input));
}

Task<Principal> Cloud::assume_role(std::string service, std::string role_arn, std::string session_name,
                                   std::string source_arn) {
  const std::string name = cat(service, ' ', role_arn, ' ', session_name, ' ', source_arn);
  const Time now = clock_.now();
  {
    std::lock_guard lock(sessions_->mutex);
    const auto kept = sessions_->by_name.find(name);
    if (kept != sessions_->by_name.end() && now >= kept->second.since && now - kept->second.since < Sessions::kKept)
      co_return kept->second.principal;
  }
  const auto role = parse_arn(role_arn);
  if (!role || !assume_role_) {
    static constexpr ErrorShape kNoRole{"AccessDenied", 403, Fault::kSender, {}};
    co_return Error{&kNoRole, cat("The role ", role_arn, " cannot be assumed by ", service), nullptr, {}};
  }
  Ctx ctx = internal_context(service_principal(service, role->account), role->account, "us-east-1");
  if (const auto source = parse_arn(source_arn)) ctx.source_account = source->account;
  ctx.source_arn = std::move(source_arn);
  Principal principal = co_await assume_role_(ctx, std::move(role_arn), std::move(session_name));
  std::lock_guard lock(sessions_->mutex);
  if (sessions_->by_name.size() >= Sessions::kMost) sessions_->by_name.clear();
  sessions_->by_name.insert_or_assign(name, Sessions::Session{principal, now});
  co_return principal;
}

}  // namespace virga::kernel
