#include "services/lambda/invoker.h"

#include <aws/lambda/errors.h>
#include <aws/sts/ops.h>

#include <algorithm>
#include <cmath>

#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "services/lambda/limits.h"

namespace virga::lambda {

// An instance with what goes with it.
struct Invoker::Warm {
  std::string key;       // of the version it runs
  std::string function;  // unqualified ARN
  std::unique_ptr<sandbox::Instance> instance;
  std::shared_ptr<LogWriter> log;
  std::shared_ptr<std::string> current;  // log lines of the running invocation, for the tail
  Executor* home = nullptr;              // where its channel lives
  std::chrono::steady_clock::time_point started, used;
  ~Warm() {
    // A channel ends on the executor it lives on.
    if (instance && home && home != Executor::current()) home->post([ending = std::move(instance)] {});
  }
};

// Counts an invocation while it runs.
struct Invoker::Slot {
  Invoker& invoker;
  std::string function, place;
  bool reserved;
  Slot(Invoker& i, std::string f, std::string p, bool r)
      : invoker(i), function(std::move(f)), place(std::move(p)), reserved(r) {}
  ~Slot() {
    std::lock_guard lock(invoker.mutex_);
    if (--invoker.running_[function] == 0) invoker.running_.erase(function);
    if (!reserved && --invoker.unreserved_running_[place] == 0) invoker.unreserved_running_.erase(place);
  }
};

namespace {

// Instances are shared by what they run, not by the name they were called by.
std::string instance_key(const std::string& function, const VersionRecord& version) {
  return cat(function, ":", version.version, ":", version.revision);
}

std::string stream_name(Time now, uint64_t version) {
  const std::string date = iso8601(now);  // YYYY-MM-DD…
  return cat(date.substr(0, 4), "/", date.substr(5, 2), "/", date.substr(8, 2), "/[", version_name(version), "]",
             random_id(32, "0123456789abcdef"));
}

// "12.34 ms", as REPORT lines write times.
std::string milliseconds(std::chrono::microseconds time) {
  const int64_t hundredths = (time.count() + 5) / 10;
  const int64_t rest = hundredths % 100;
  return cat(hundredths / 100, ".", rest < 10 ? "0" : "", rest, " ms");
}

std::string report_line(const std::string& request_id, const VersionRecord& version, const sandbox::Outcome& outcome) {
  const int64_t billed =
      static_cast<int64_t>(std::ceil(static_cast<double>((outcome.duration + outcome.init_duration).count()) / 1000.0));
  std::string line = cat("REPORT RequestId: ", request_id, "\tDuration: ", milliseconds(outcome.duration),
                         "\tBilled Duration: ", billed, " ms\tMemory Size: ", version.memory,
                         " MB\tMax Memory Used: ", outcome.max_memory_mb, " MB\t");
  if (outcome.init_duration.count() > 0) append(line, "Init Duration: ", milliseconds(outcome.init_duration), "\t");
  if (outcome.status == sandbox::Status::kTimedOut) line += "Status: timeout";
  if (outcome.status == sandbox::Status::kOutOfMemory || outcome.status == sandbox::Status::kExited) {
    append(line, "Status: error\tError Type: ",
           outcome.status == sandbox::Status::kExited ? "Runtime.ExitError" : "Runtime.OutOfMemory");
  }
  return line;
}

std::string error_document(std::string_view type, std::string_view message) {
  return Json::object({{"errorType", type}, {"errorMessage", message}}).dump();
}

}  // namespace

Invoker::Invoker(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, CodeCache& code, Options options)
    : deps_(deps), sandboxes_(sandboxes), code_(code), options_(options) {}

Invoker::~Invoker() = default;

Task<Answer> Invoker::invoke(Ctx& ctx, Call call) {
  const std::string function = function_arn(ctx, call.id);
  const std::string place = cat(call.id.account, ":", call.id.region);
  {
    std::lock_guard lock(mutex_);
    if (stopped_) co_return err::ServiceException("Virga is stopping.");
    int32_t& mine = running_[function];
    if (call.reserved && mine >= *call.reserved) {
      if (mine == 0) running_.erase(function);
      co_return err::TooManyRequestsException(
          "Rate Exceeded.",
          Json::object({{"Reason", "ReservedFunctionConcurrentInvocationLimitExceeded"}, {"Type", "User"}}));
    }
    if (!call.reserved && unreserved_running_[place] >= kConcurrency) {
      if (mine == 0) running_.erase(function);
      co_return err::TooManyRequestsException(
          "Rate Exceeded.", Json::object({{"Reason", "ConcurrentInvocationLimitExceeded"}, {"Type", "User"}}));
    }
    ++mine;
    if (!call.reserved) ++unreserved_running_[place];
  }
  const Slot slot(*this, function, place, call.reserved.has_value());
  Executor* const caller = Executor::current();

  std::unique_ptr<Warm> warm = co_await obtain(ctx, call);
  if (warm->home != caller) co_await move_to(*warm->home);
  if (warm->used != std::chrono::steady_clock::time_point{}) warm->current->clear();  // at home, where lines are added
  sandbox::Invocation invocation;
  invocation.request_id = call.request_id;
  invocation.payload = std::move(call.payload);
  invocation.timeout = std::chrono::seconds(call.version->timeout);
  invocation.deadline = ctx.now() + std::chrono::seconds(call.version->timeout);
  invocation.function_arn = call.invoked_arn;
  invocation.client_context = call.client_context;
  invocation.trace = call.trace;

  const auto say = [&](const std::string& line) {
    append(*warm->current, line, "\n");
    warm->log->add(line);
  };
  say(cat("START RequestId: ", call.request_id, " Version: ", version_name(call.version->version)));
  Result<sandbox::Outcome> ran = co_await as_result(warm->instance->invoke(std::move(invocation)));
  if (!ran) {
    warm.reset();
    if (caller && caller != Executor::current()) co_await move_to(*caller);  // a connection lives on one executor
    co_await fail_with(std::move(ran.error()));
  }
  sandbox::Outcome& outcome = *ran;

  Answer answer;
  answer.payload = std::move(outcome.payload);
  switch (outcome.status) {
    case sandbox::Status::kOk:
      break;
    case sandbox::Status::kError:
    case sandbox::Status::kInitError:
      answer.function_error = "Unhandled";
      break;
    case sandbox::Status::kTimedOut: {
      const std::string text = cat("Task timed out after ", call.version->timeout, ".00 seconds");
      say(cat(iso8601_millis(ctx.now()), " ", call.request_id, " ", text, "\n"));
      answer.function_error = "Unhandled";
      answer.payload = error_document("Sandbox.Timedout", cat("RequestId: ", call.request_id, " Error: ", text));
      break;
    }
    case sandbox::Status::kOutOfMemory:
      answer.function_error = "Unhandled";
      answer.payload = error_document("Runtime.OutOfMemory", cat("RequestId: ", call.request_id,
                                                                 " Error: Runtime exited with error: signal: killed"));
      break;
    case sandbox::Status::kExited:
      answer.function_error = "Unhandled";
      answer.payload = error_document(
          "Runtime.ExitError",
          cat("RequestId: ", call.request_id, " Error: Runtime exited ",
              outcome.exit == "exit status 0" ? "without providing a reason" : cat("with error: ", outcome.exit)));
      say(cat("RequestId: ", call.request_id, " Error: Runtime exited with error: ", outcome.exit,
              "\nRuntime.ExitError"));
      break;
  }
  say(cat("END RequestId: ", call.request_id));
  say(report_line(call.request_id, *call.version, outcome));
  const std::string& all = *warm->current;
  answer.log_tail = all.size() > kLogTail ? all.substr(all.size() - kLogTail) : all;

  if (outcome.reusable) {
    give_back(std::move(warm));
  } else {
    warm.reset();
  }
  if (caller && caller != Executor::current()) co_await move_to(*caller);
  co_return answer;
}

Task<std::unique_ptr<Invoker::Warm>> Invoker::obtain(Ctx& ctx, const Call& call) {
  if (auto warm = take_idle(call)) co_return std::move(warm);
  co_return co_await start(ctx, call);
}

std::unique_ptr<Invoker::Warm> Invoker::take_idle(const Call& call) {
  const std::string key = instance_key(
      cat("arn:aws:lambda:", call.id.region, ":", call.id.account, ":function:", call.id.name), *call.version);
  std::vector<std::unique_ptr<Warm>> dead;  // destroyed after the lock is gone
  std::lock_guard lock(mutex_);
  const auto found = idle_.find(key);
  if (found == idle_.end()) return nullptr;
  auto& stack = found->second;
  // The most recent one that lives on this executor, else the most recent.
  Executor* const here = Executor::current();
  const auto near = std::find_if(stack.rbegin(), stack.rend(), [&](const auto& warm) { return warm->home == here; });
  const auto chosen = near == stack.rend() ? stack.end() - 1 : near.base() - 1;
  std::unique_ptr<Warm> warm = std::move(*chosen);
  stack.erase(chosen);
  if (stack.empty()) idle_.erase(found);
  --idle_count_;
  if (!warm->instance->alive()) {
    dead.push_back(std::move(warm));
    return nullptr;
  }
  return warm;
}

Task<std::unique_ptr<Invoker::Warm>> Invoker::start(Ctx& ctx, const Call& call) {
  const VersionRecord& version = *call.version;
  auto warm = std::make_unique<Warm>();
  warm->function = cat("arn:aws:lambda:", call.id.region, ":", call.id.account, ":function:", call.id.name);
  warm->key = instance_key(warm->function, version);
  warm->home = Executor::current();
  warm->started = std::chrono::steady_clock::now();
  warm->current = std::make_shared<std::string>();

  sandbox::Spec spec;
  spec.runtime = version.runtime;
  spec.handler = version.handler;
  spec.limits.memory_mb = static_cast<uint32_t>(version.memory);
  spec.limits.tmp_mb = static_cast<uint32_t>(version.tmp);
  auto& env = spec.environment;
  env.assign(version.environment.begin(), version.environment.end());
  const kernel::Principal role = co_await assume_role(call, env);
  const std::string group = version.log_group.empty() ? cat("/aws/lambda/", call.id.name) : version.log_group;
  warm->log = std::make_shared<LogWriter>(deps_.cloud, role, call.id.account, call.id.region, group,
                                          stream_name(ctx.now(), version.version));
  for (auto& [name, value] : std::initializer_list<std::pair<std::string, std::string>>{
           {"AWS_REGION", call.id.region},
           {"AWS_DEFAULT_REGION", call.id.region},
           {"AWS_LAMBDA_FUNCTION_NAME", call.id.name},
           {"AWS_LAMBDA_FUNCTION_VERSION", version_name(version.version)},
           {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", cat(version.memory)},
           {"AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"},
           {"AWS_LAMBDA_LOG_GROUP_NAME", group},
           {"AWS_LAMBDA_LOG_STREAM_NAME", warm->log->stream()},
           {"AWS_ENDPOINT_URL", cat("http://127.0.0.1:", options_.api_port)},
           {"_HANDLER", version.handler},
           {"TZ", ":UTC"}}) {
    const bool user_set = std::ranges::any_of(env, [&](const auto& pair) { return pair.first == name; });
    if (!user_set) env.emplace_back(name, value);
  }

  spec.code_directory = co_await code_.ensure(version.code_sha256, version.code);
  for (const LayerUse& layer : version.layers)
    spec.layer_directories.push_back(co_await code_.ensure(layer.sha256, layer.code));

  warm->instance = co_await sandboxes_.start(
      std::move(spec), [log = warm->log, current = warm->current](std::string_view, std::string_view line) {
        if (current->size() < 4 * kLogTail)
          append(*current, line, "\n");
        else
          current->erase(0, current->size() - 2 * kLogTail), append(*current, line, "\n");
        log->add(line);
      });
  co_return std::move(warm);
}

Task<void> Invoker::check_role(Ctx& ctx, std::string role) {
  Call call;
  call.id = {ctx.account, ctx.region, "check", {}};
  auto version = std::make_shared<VersionRecord>();
  version->role = std::move(role);
  call.version = std::move(version);
  std::vector<std::pair<std::string, std::string>> ignored;
  co_await assume_role(call, ignored);
}

// Credentials of the function's role for one instance, put into its environment; and the role's session as a principal.
Task<kernel::Principal> Invoker::assume_role(const Call& call,
                                             std::vector<std::pair<std::string, std::string>>& environment) {
  Ctx ctx = deps_.cloud.internal_context(kernel::service_principal("lambda.amazonaws.com", call.id.account),
                                         call.id.account, call.id.region);
  sts::AssumeRoleRequest request;
  request.role_arn = call.version->role;
  request.role_session_name = call.id.name;
  Result<sts::AssumeRoleResponse> session =
      co_await as_result(deps_.cloud.call<sts::op::AssumeRole>(ctx, std::move(request)));
  if (!session) {
    log_warning("lambda", "a function's role can't be assumed",
                {{"role", call.version->role}, {"error", describe(session.error())}});
    co_return err::InvalidParameterValueException("The role defined for the function cannot be assumed by Lambda.");
  }
  const sts::Credentials& credentials = *session->credentials;
  environment.emplace_back("AWS_ACCESS_KEY_ID", credentials.access_key_id);
  environment.emplace_back("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key);
  environment.emplace_back("AWS_SESSION_TOKEN", credentials.session_token);
  const auto credential =
      co_await deps_.cloud.authorizer().find_credential(credentials.access_key_id, credentials.session_token);
  if (!credential) co_return err::ServiceException("The role's session is not known.");
  co_return credential->principal;
}

void Invoker::give_back(std::unique_ptr<Warm> warm) {
  const auto now = std::chrono::steady_clock::now();
  warm->used = now;
  std::unique_ptr<Warm> evicted;
  {
    std::lock_guard lock(mutex_);
    const bool old = now - warm->started > kInstanceLife;
    if (stopped_ || old || idle_count_ >= kMostIdle) {
      evicted = std::move(warm);
    } else {
      idle_[warm->key].push_back(std::move(warm));
      ++idle_count_;
    }
  }
  schedule_reaper();
}

void Invoker::retire(const FunctionId& id) {
  const std::string prefix = cat("arn:aws:lambda:", id.region, ":", id.account, ":function:", id.name, ":");
  std::vector<std::vector<std::unique_ptr<Warm>>> dropped;
  std::lock_guard lock(mutex_);
  for (auto at = idle_.lower_bound(prefix); at != idle_.end() && at->first.starts_with(prefix);) {
    idle_count_ -= at->second.size();
    dropped.push_back(std::move(at->second));
    at = idle_.erase(at);
  }
}

void Invoker::schedule_reaper() {
  {
    std::lock_guard lock(mutex_);
    if (reaping_ || stopped_ || idle_.empty()) return;
    reaping_ = true;
  }
  Executor::current()->post_after(std::chrono::seconds(15), [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    reap();
  });
}

void Invoker::reap() {
  std::vector<std::unique_ptr<Warm>> ended;
  {
    std::lock_guard lock(mutex_);
    reaping_ = false;
    const auto now = std::chrono::steady_clock::now();
    for (auto at = idle_.begin(); at != idle_.end();) {
      auto& stack = at->second;
      for (auto& warm : stack) {
        if (now - warm->used > kIdleLife || !warm->instance->alive()) ended.push_back(std::move(warm));
      }
      const size_t before = stack.size();
      std::erase(stack, nullptr);
      idle_count_ -= before - stack.size();
      at = stack.empty() ? idle_.erase(at) : std::next(at);
    }
  }
  ended.clear();
  schedule_reaper();
}

Task<void> Invoker::stop() {
  std::map<std::string, std::vector<std::unique_ptr<Warm>>, std::less<>> ended;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    ended.swap(idle_);
    idle_count_ = 0;
  }
  for (const auto& [key, stack] : ended) {
    for (const auto& warm : stack) co_await warm->log->flush();
  }
}

}  // namespace virga::lambda
