#include "services/cloudformation/engine.h"

#include <aws/sts/ops.h>

#include <variant>

#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "services/cloudformation/parameters.h"
#include "services/cloudformation/refusal.h"

namespace virga::cloudformation {

namespace {
constexpr Micros kPauseAfterFault = std::chrono::seconds(2);

void mask(Json& value, const std::vector<std::string>& secrets) {
  if (value.is_string()) {
    std::string text = value.as_string();
    for (const std::string& secret : secrets) {
      // A short one is hidden where it stands alone: elsewhere it says nothing, and would be found everywhere.
      if (text == secret || secret.size() >= 4) text = replace_all(text, secret, "****");
    }
    value = std::move(text);
  } else if (value.is_array()) {
    for (Json& one : value.as_array()) mask(one, secrets);
  } else if (value.is_object()) {
    for (auto& [key, member] : value.as_object()) mask(member, secrets);
  }
}

// Properties as events show them: without the values of NoEcho parameters.
std::string shown_properties(const std::string& properties, const DefinitionRecord& definition) {
  if (properties.empty() || definition.processed.find("NoEcho") == std::string::npos) return properties;
  std::vector<std::string> secrets;
  for (const DeclaredParameter& p : declared_parameters(Json::parse(definition.processed))) {
    const auto given = definition.parameters.find(p.name);
    if (p.no_echo && given != definition.parameters.end() && !given->second.empty()) secrets.push_back(given->second);
  }
  Json shown = Json::parse(properties);
  mask(shown, secrets);
  return shown.dump();
}
}  // namespace

PseudoParameters pseudo_parameters(const StackRecord& stack) {
  return {stack.account, stack.region, "aws", stack.id, stack.name, {}};
}

Json object_of(const std::string& text) { return text.empty() ? Json::object() : Json::parse(text); }

std::string name_in(const std::string& id) {
  const auto parts = split(id, '/');
  return std::string(parts.size() > 1 ? parts[1] : std::string_view(id));
}

std::string reason_of(const Failure& failure, const std::string& token) {
  const Error* error = error_of(failure);
  if (!error) {
    const auto* unexpected = std::get_if<std::exception_ptr>(&failure);
    try {
      if (unexpected) std::rethrow_exception(*unexpected);
    } catch (const std::bad_variant_access&) {
      return "Properties validation failed: a property is of another type than the resource expects";
    } catch (...) {
    }
    return cat("Internal failure: ", describe(failure));
  }
  if (error->shape->code == "ValidationError" && error->internal.empty()) return error->message;
  return cat("Resource handler returned message: \"", error->message, " (Service error: ", error->shape->code,
             ", Status Code: ", error->shape->status, ")\" (RequestToken: ", token, ", HandlerErrorCode: ",
             error->shape->status == 403   ? "AccessDenied"
             : error->shape->status == 404 ? "NotFound"
             : error->shape->status >= 500 ? "ServiceInternalError"
                                           : "InvalidRequest",
             ")");
}

Task<void> Engine::start() {
  std::vector<Store::Running> all;
  {
    auto snapshot = db_.snapshot();
    all = co_await Store(*snapshot).running();
  }
  for (const auto& one : all) run(one.account, one.region, one.stack_id);
}

Task<void> Engine::stop() {
  stopping_ = true;
  while (active_ > 0) co_await sleep_for(std::chrono::milliseconds(10));
}

void Engine::run(std::string account, std::string region, std::string stack_id) {
  if (stopping_) return;
  start_background("cloudformation", operate(std::move(account), std::move(region), std::move(stack_id)));
}

Task<void> Engine::wait(std::string stack_id, Micros timeout) {
  const std::string key = Store::running_key(stack_id);
  const auto until = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    auto snapshot = db_.snapshot();
    if (!co_await snapshot->get(key)) co_return;
    const kv::Version seen = snapshot->version();
    snapshot.reset();
    const auto left = std::chrono::duration_cast<Micros>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !co_await db_.wait_change(key, seen, left)) co_return;
  }
}

Task<void> Engine::operate(std::string account, std::string region, std::string stack_id) {
  ++active_;
  while (!stopping_) {
    auto work = std::make_unique<Work>();
    auto result = co_await as_result(load(*work, account, region, stack_id));
    if (result && !work->stack.running()) break;
    if (result) result = co_await as_result(step(*work));
    if (!result) {
      log_error("cloudformation", "a step of a stack operation failed; it is taken again",
                {{"stack", stack_id}, {"why", describe(result.error())}});
      co_await sleep_for(kPauseAfterFault);
    }
  }
  --active_;
}

Task<void> Engine::load(Work& work, std::string account, std::string region, std::string stack_id) {
  auto snapshot = db_.snapshot();
  Store store(*snapshot);
  const auto stack = co_await store.find_stack(account, region, stack_id);
  if (!stack) co_return;
  work.stack = *stack;
  for (ResourceRecord& resource : co_await store.resources(stack_id)) {
    const std::string name = resource.logical_id;
    work.resources.emplace(name, std::move(resource));
  }
  for (const ExportRecord& record : co_await store.exports(account, region, "", SIZE_MAX))
    work.exports[record.name] = record.value;
}

// What the definition says there should be, and a resolver over what there is.
Task<void> Engine::prepare_work(Work& work) {
  prepare_again(work.prepared, work.stack.now.processed, work.stack.now.parameters, pseudo_parameters(work.stack),
                &work.exports);
  work.resolver = work.prepared.resolver;
  work.resolver.unknown = Resolver::Unknown::kRefuse;
  Work* w = &work;
  work.resolver.ref = [w](const std::string& name) -> std::optional<Json> {
    const auto found = w->resources.find(name);
    if (found == w->resources.end() || !found->second.exists()) return std::nullopt;
    return Json(found->second.made.physical_id);
  };
  work.resolver.get_att = [w](const std::string& name, const std::string& attribute) -> std::optional<Json> {
    const auto found = w->resources.find(name);
    if (found == w->resources.end() || !found->second.exists()) return std::nullopt;
    const Json attributes = object_of(found->second.made.attributes);
    const Json* value = attributes.find(attribute);
    if (!value)
      throw template_error(cat("resource ", name, " does not support attribute type ", attribute, " in Fn::GetAtt"));
    return *value;
  };
  co_return;
}

Task<void> Engine::step(Work& work) {
  co_await set_actor(work);
  switch (work.stack.phase) {
    case Phase::kNone:
      co_return;
    case Phase::kApply: {
      auto result = co_await as_result(apply(work));
      if (!result) co_await turn_back(work, reason_of(result.error(), work.stack.operation));
      co_return;
    }
    case Phase::kCleanup:
    case Phase::kRollbackCleanup:
      co_return co_await clean_up(work);
    case Phase::kRollback:
      if (work.stack.creating) co_return co_await roll_back_creation(work);
      co_return co_await roll_back_update(work);
    case Phase::kDelete:
      co_return co_await remove_stack(work);
  }
}

Task<kernel::Principal> assume(kernel::Cloud& cloud, std::string role_arn, std::string account, std::string region) {
  kernel::Ctx ctx =
      cloud.internal_context(kernel::service_principal("cloudformation.amazonaws.com", account), account, region);
  sts::AssumeRoleRequest request;
  request.role_arn = role_arn;
  request.role_session_name = "AWSCloudFormation";
  auto session = co_await as_result(cloud.call<sts::op::AssumeRole>(ctx, std::move(request)));
  if (session && session->credentials) {
    const auto& keys = *session->credentials;
    const auto credential = co_await cloud.authorizer().find_credential(keys.access_key_id, keys.session_token);
    if (credential) co_return credential->principal;
  }
  co_return validation_error(cat("Role ", role_arn, " is invalid or cannot be assumed"));
}

Task<void> Engine::set_actor(Work& work) {
  if (work.stack.now.role_arn.empty()) {
    work.actor = principal_of(work.stack.actor);
    co_return;
  }
  auto session = co_await as_result(assume(cloud_, work.stack.now.role_arn, work.stack.account, work.stack.region));
  // Without its role a stack acts as nobody: each step is refused, and says so.
  if (session) work.actor = std::move(*session);
}

kernel::Ctx Engine::context_for(const Work& work) const {
  kernel::Ctx ctx = cloud_.internal_context(work.actor, work.stack.account, work.stack.region);
  ctx.via = "cloudformation.amazonaws.com";
  ctx.base_url = work.stack.actor.base_url;
  ctx.source_arn = work.stack.id;
  ctx.source_account = work.stack.account;
  return ctx;
}

Call Engine::call_for(Work& work, kernel::Ctx& ctx, const std::string& logical_id, const MadeRecord& made) const {
  return Call{.cloud = cloud_,
              .ctx = ctx,
              .stack_id = work.stack.id,
              .stack_name = work.stack.name,
              .logical_id = logical_id,
              .type = made.type,
              .physical_id = made.physical_id,
              .token = cat(work.stack.operation, "-", logical_id),
              .properties = object_of(made.properties),
              .attributes = object_of(made.attributes),
              .stack_tags = work.stack.now.tags};
}

void Engine::set_status(Store& store, StackRecord& stack, std::string status, std::string reason) const {
  stack.status = std::move(status);
  stack.reason = std::move(reason);
  add_event(store, stack,
            {.event_id = uuid(),
             .logical_id = stack.name,
             .physical_id = stack.id,
             .type = "AWS::CloudFormation::Stack",
             .status = stack.status,
             .reason = stack.reason,
             .token = stack.token,
             .operation = stack.operation,
             .at = clock_.now()});
}

// What becomes of a stack and its resources is shown, and told to the account's rules.
void Engine::add_event(Store& store, StackRecord& stack, EventRecord event) const {
  const bool of_resource = event.physical_id != stack.id;
  kernel::TargetDelivery news;
  news.target = cat("arn:aws:events:", stack.region, ":", stack.account, ":event-bus/default");
  Json detail = Json::object({{"stack-id", stack.id}});
  if (of_resource) {
    detail["logical-resource-id"] = event.logical_id;
    detail["physical-resource-id"] = event.physical_id;
    detail["resource-type"] = event.type;
  }
  detail["status-details"] = Json::object({{"status", event.status}, {"status-reason", event.reason}});
  detail["client-request-token"] = event.token;
  store.add_event(stack, std::move(event));
  if (!cloud_.accepts(news.target)) return;
  news.input.body = detail.dump();
  news.input.parameters = {{"Source", "aws.cloudformation"},
                           {"DetailType", cat("CloudFormation ", of_resource ? "Resource" : "Stack", " Status Change")},
                           {"Resources", Json(Json::Array{Json(stack.id)}).dump()}};
  news.account = stack.account;
  news.region = stack.region;
  news.service = "cloudformation.amazonaws.com";
  news.group = stack.id;
  targets_.enqueue(store.txn(), std::move(news));
}

Task<void> Engine::record(Work& work, ResourceRecord resource, std::string status, std::string reason,
                          std::string physical_id) {
  resource.status = std::move(status);
  resource.reason = std::move(reason);
  resource.updated = clock_.now();
  resource.operation = work.stack.operation;
  work.stack = co_await db_.transact([&](kv::Txn& tx) -> Task<StackRecord> {
    Store store(tx);
    auto stack = co_await store.find_stack(work.stack.account, work.stack.region, work.stack.id);
    store.put_resource(stack->id, resource);
    add_event(store, *stack,
              {.event_id = cat(resource.logical_id, "-", resource.status, "-", iso8601_millis(resource.updated)),
               .logical_id = resource.logical_id,
               .physical_id = physical_id,
               .type = resource.made.type,
               .status = resource.status,
               .reason = resource.reason,
               .properties = shown_properties(resource.made.properties, stack->now),
               .token = stack->token,
               .operation = stack->operation,
               .at = resource.updated});
    store.put_stack(*stack);
    co_return std::move(*stack);
  });
  work.resources[resource.logical_id] = std::move(resource);
}

Task<void> Engine::end(Work& work, std::string status, std::string reason) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx);
    auto stack = co_await store.find_stack(work.stack.account, work.stack.region, work.stack.id);
    stack->phase = Phase::kNone;
    stack->former.reset();
    stack->failure.clear();
    stack->creating = false;
    set_status(store, *stack, status, reason);
    store.put_stack(*stack);
    store.set_running(*stack, false);
  });
}

}  // namespace virga::cloudformation
