#include "services/lambda/invoker.h"

#include <aws/lambda/errors.h>

#include <algorithm>

#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "services/lambda/limits.h"
#include "services/lambda/report.h"

namespace virga::lambda {

namespace {

// Instances are shared by what they run, not by the name they were called by.
std::string instance_key(const std::string& function, const VersionRecord& version) {
  return cat(function, ":", version.version, ":", version.revision);
}
// And never by tenants.
std::string instance_key(const std::string& function, const Call& call) {
  std::string key = instance_key(function, *call.version);
  if (call.version->per_tenant) append(key, ":", call.tenant);
  return key;
}

// In a group of its choice, which it may share, a function's streams have its name.
std::string stream_name(Time now, const FunctionId& id, const VersionRecord& version, const std::string& group) {
  const std::string date = iso8601(now);  // YYYY-MM-DD…
  const std::string id_of_stream = random_id(32, "0123456789abcdef");
  const std::string day = cat(date.substr(0, 4), "/", date.substr(5, 2), "/", date.substr(8, 2), "/");
  if (group == cat("/aws/lambda/", id.name)) return cat(day, "[", version_name(version.version), "]", id_of_stream);
  return cat(day, id.name, "[", version_name(version.version), "][", id_of_stream, "]");
}

std::string error_document(std::string_view type, std::string_view message) {
  return Json::object({{"errorType", type}, {"errorMessage", message}}).dump();
}

// An answer on its way to the caller. Its end waits until the invocation is over, so that whoever took it all knows how
// it went.
class AnswerStream final : public ByteSource {
 public:
  AnswerStream(Body inner, std::shared_ptr<StreamEnd> end) : inner_(std::move(inner)), end_(std::move(end)) {}

  Task<std::optional<std::string>> next() override {
    if (!inner_) co_return std::nullopt;
    Result<std::optional<std::string>> chunk = co_await as_result(inner_->next());
    if (chunk && *chunk) {
      passed_ += (*chunk)->size();
      if (passed_ <= kMaxStreamedPayload) co_return std::move(*chunk);
      inner_ = nullptr;  // what is left goes into nothing
      throw std::runtime_error("the function's answer is larger than 200 MB");
    }
    inner_ = nullptr;
    co_await end_->done.wait();
    if (!chunk) co_await fail_with(std::move(chunk.error()));
    co_return std::nullopt;
  }

 private:
  Body inner_;
  std::shared_ptr<StreamEnd> end_;
  uint64_t passed_ = 0;
};

Error throttled(std::string_view reason) {
  return err::TooManyRequestsException("Rate Exceeded.", Json::object({{"Reason", reason}, {"Type", "User"}}));
}

std::string unqualified_arn(const FunctionId& id) {
  return cat("arn:aws:lambda:", id.region, ":", id.account, ":function:", id.name);
}

constexpr Micros kRenewAfter = std::chrono::milliseconds(20);
constexpr Micros kLateTime = std::chrono::seconds(2);  // that a stop gives invocations whose answer is out
constexpr size_t kMostMeters = 4000;                   // functions with counters of their own
constexpr double kDurationBounds[] = {1, 10, 100, 1000, 10'000};

}  // namespace

// A function's counters, as CloudWatch names them.
struct Invoker::Meter {
  const Clock& clock;
  Counter &invocations, &errors, &throttles;
  Histogram& duration;
  Gauge& concurrent;
  Measures measures;
  Meter(const Clock& clock, MeasuredFunctions& measured, const FunctionId& id, MetricRegistry& all,
        const MetricLabels& labels)
      : clock(clock),
        invocations(all.counter("virga_lambda_invocations_total", "Invocations of a function", labels)),
        errors(all.counter("virga_lambda_errors_total", "Invocations that ended with a function error", labels)),
        throttles(all.counter("virga_lambda_throttles_total", "Invocations refused for concurrency", labels)),
        duration(all.histogram("virga_lambda_duration_milliseconds", "Time a function ran", labels, kDurationBounds)),
        concurrent(all.gauge("virga_lambda_concurrent_executions", "Invocations under way", labels)),
        measures(measured, {id.account, id.region}, id.name) {}

  void throttle() {
    throttles.add();
    measures.throttled(clock.now());
  }
  void fail() {  // what did not come to an end of its own
    errors.add();
    measures.failed(clock.now());
  }
  void begin() {
    invocations.add();
    concurrent.add(1);
    measures.begun(clock.now(), static_cast<double>(concurrent.value()));
  }
  void end(double milliseconds, bool failed) {
    concurrent.add(-1);
    duration.observe(milliseconds);
    if (failed) errors.add();
    measures.ended(clock.now(), milliseconds, failed);
  }
};

Invoker::Invoker(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, CodeCache& code, Options options)
    : deps_(deps),
      sandboxes_(sandboxes),
      code_(code),
      options_(options),
      scaling_(options.scaling),
      roles_(std::make_shared<RoleSessions>(deps)),
      provisions_([this](Call call) { return start_ahead(std::move(call), Kind::kProvisioned); }),
      snapshots_([this](Snapshots::Of of) { return make_snapshot(std::move(of)); }),
      fleets_([this](Call call) { return start_ahead(std::move(call), Kind::kOnDemand); }) {
  none_late_.set();
}

Invoker::~Invoker() = default;

Invoker::Meter& Invoker::meter_of(const FunctionId& id, const std::string& arn) {
  std::lock_guard lock(mutex_);
  if (const auto found = meters_.find(arn); found != meters_.end()) return *found->second;
  const bool many = meters_.size() >= kMostMeters;
  auto& meter = meters_[many ? std::string() : arn];
  if (!meter) {
    const MetricLabels labels =
        many ? MetricLabels{{"function", "others"}}
             : MetricLabels{{"account", id.account}, {"region", id.region}, {"function", id.name}};
    meter = std::make_unique<Meter>(deps_.clock, measured_, many ? FunctionId() : id, deps_.cloud.metrics(), labels);
  }
  return *meter;
}

void check_tenant(const Call& call) {
  if (auto refusal = refusal_by_tenant(call)) throw std::move(*refusal);
}

std::optional<Error> refusal_by_tenant(const Call& call) {
  if (call.version->per_tenant == !call.tenant.empty()) return std::nullopt;
  return err::InvalidParameterValueException(
      call.version->per_tenant
          ? "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try "
            "again."
          : "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request "
            "and try again.");
}

Task<Answer> Invoker::invoke(Ctx& ctx, Call call) {
  if (stopped_) co_return err::ServiceException("Virga is stopping.");
  if (auto refusal = refusal_by_state(*call.version)) co_return std::move(*refusal);
  check_tenant(call);
  const std::string function = unqualified_arn(call.id);
  const std::string version = instance_key(function, *call.version);
  const std::string key = call.version->per_tenant ? instance_key(function, call) : version;
  const bool managed = !call.version->capacity_provider.empty();
  Refusal refusal{};
  // Instances of a capacity provider have limits of their own.
  std::optional<Admission::Ticket> ticket =
      managed ? std::optional<Admission::Ticket>()
              : admission_.enter({.function = function,
                                  .place = cat(call.id.account, ":", call.id.region),
                                  .version = version,
                                  .reserved = call.reserved,
                                  .unreserved = call.unreserved,
                                  .provisioned = provision_of(call.id, *call.version).ready,
                                  .set_aside = call.reserved ? provisions_.ready(cat(function, ":")) : 0},
                                 refusal);
  if (!managed && !ticket) {
    meter_of(call.id, function).throttle();
    co_return throttled(refusal == Refusal::kReserved ? "ReservedFunctionConcurrentInvocationLimitExceeded"
                                                      : "ConcurrentInvocationLimitExceeded");
  }
  Executor* const caller = Executor::current();

  Result<WarmPtr> obtained =
      co_await as_result(managed ? fleets_.take(key) : obtain(ctx, call, key, ticket->provisioned()));
  Meter& meter = meter_of(call.id, function);  // while what was obtained starts
  if (!obtained) {
    if (const Error* error = error_of(obtained); error && error->shape->status == 429) meter.throttle();
    co_await fail_with(std::move(obtained.error()));
  }
  WarmPtr warm = std::move(*obtained);
  if (warm->home != caller) co_await move_to(*warm->home);
  if (warm->used != std::chrono::steady_clock::time_point{}) warm->current->clear();  // at home, where lines are added
  if (warm->snapshot) {
    Result<void> restored = co_await as_result(restore(ctx, *warm, *call.version));
    if (!restored) {
      meter.fail();
      warm.reset();
      if (caller && caller != Executor::current()) co_await move_to(*caller);
      co_await fail_with(std::move(restored.error()));
    }
  }
  sandbox::Invocation invocation;
  invocation.request_id = call.request_id;
  invocation.payload = std::move(call.payload);
  invocation.timeout = std::chrono::seconds(call.version->timeout);
  invocation.deadline = ctx.now() + std::chrono::seconds(call.version->timeout);
  invocation.function_arn = call.invoked_arn;
  invocation.client_context = call.client_context;
  invocation.trace = call.trace;
  invocation.tenant = call.tenant;
  invocation.stream = call.stream;

  if (!logs_json(*call.version)) {
    const std::string started =
        cat("START RequestId: ", call.request_id, " Version: ", version_name(call.version->version), "\n");
    warm->start_line = std::make_shared<StartLine>(started, warm->current, warm->log);
  }
  meter.begin();
  Result<sandbox::Outcome> ran = co_await as_result(run(ctx, call, warm, std::move(invocation)));
  if (!ran) {
    meter.concurrent.add(-1);
    meter.fail();
    give_back(std::move(warm), false);
    if (caller && caller != Executor::current()) co_await move_to(*caller);  // a connection lives on one executor
    co_await fail_with(std::move(ran.error()));
  }

  Answer answer;
  if (ran->stream) {
    answer.end = std::make_shared<StreamEnd>();
    answer.stream = std::make_shared<AnswerStream>(std::move(ran->stream), answer.end);
    answer.content_type = std::move(ran->content_type);
    // The invocation goes on whether or not anybody takes its answer.
    start_background("lambda stream",
                     finish_late(std::move(call), std::move(warm), std::move(ticket), std::move(*ran), answer.end));
  } else if (ran->ended) {
    // Extensions go on with the invocation. Who asks for the log's end waits for it.
    answer.payload = ran->payload;
    if (ran->status != sandbox::Status::kOk) answer.function_error = "Unhandled";
    const auto end = std::make_shared<StreamEnd>();
    const bool tail = call.tail;
    start_background("lambda extensions",
                     finish_late(std::move(call), std::move(warm), std::move(ticket), std::move(*ran), end));
    if (tail) {
      co_await end->done.wait();
      answer.log_tail = std::move(end->answer.log_tail);
    }
  } else {
    const bool reusable = ran->reusable, lost = ran->status == sandbox::Status::kLost;
    answer = conclude(call, *warm, std::move(*ran), meter);
    give_back(std::move(warm), reusable);
    if (caller && caller != Executor::current()) co_await move_to(*caller);
    // Not the function's failure: callers and events try again, as with any internal error.
    if (lost) co_return err::ServiceException("The function's execution environment was lost. Try again.");
  }
  if (caller && caller != Executor::current()) co_await move_to(*caller);
  co_return answer;
}

// One invocation. An instance that fails to be initialised for it is replaced by another, whose initialisation is a
// part of the invocation.
Task<sandbox::Outcome> Invoker::run(Ctx& ctx, const Call& call, WarmPtr& warm, sandbox::Invocation invocation) {
  const auto begin = [](const Warm& with, sandbox::Invocation& of) {
    if (!with.start_line) return;
    if (with.used != std::chrono::steady_clock::time_point{}) return with.start_line->write();
    of.begun = [line = with.start_line] { line->write(); };
  };
  begin(*warm, invocation);
  sandbox::Outcome outcome = co_await warm->instance->invoke(std::move(invocation));
  if (!outcome.failed_init || !warm->init_again) co_return outcome;
  say_init_failed(*warm, outcome, sandbox::InitPhase::kInit);

  invocation = std::move(outcome.failed_init->invocation);
  invocation.deadline = deps_.clock.now() + invocation.timeout;
  warm = co_await start(ctx, call, Kind::kOnDemand, warm.get());
  begin(*warm, invocation);
  outcome = co_await warm->instance->invoke(std::move(invocation));
  if (outcome.failed_init) say_init_failed(*warm, outcome, sandbox::InitPhase::kInvoke);
  co_return outcome;
}

void Invoker::say_init_failed(const Warm& warm, const sandbox::Outcome& outcome, sandbox::InitPhase phase) {
  if (!warm.start_line) return;  // the instance has told it in events
  const std::string line = init_report_line(outcome, outcome.failed_init->duration, phase);
  *warm.current += line;
  warm.log->add(line);
}

Task<void> Invoker::finish_late(Call call, WarmPtr warm, std::optional<Admission::Ticket> ticket,
                                sandbox::Outcome begun, std::shared_ptr<StreamEnd> end) {
  const std::weak_ptr<bool> alive = alive_;
  {
    std::lock_guard lock(mutex_);
    ++late_;
    none_late_.reset();
  }
  co_await begun.ended->wait();
  if (alive.expired()) co_return;
  sandbox::Outcome outcome = std::move(*begun.ending);
  outcome.init_duration = begun.init_duration;
  outcome.restore_duration = begun.restore_duration;
  const bool reusable = outcome.reusable;
  end->answer = conclude(call, *warm, std::move(outcome), meter_of(call.id, warm->function));
  const auto log = warm->log;
  give_back(std::move(warm), reusable);
  end->done.set();
  std::lock_guard lock(mutex_);
  if (stopped_) last_logs_.push_back(log);
  if (--late_ == 0) none_late_.set();
}

// What the log and the caller are told of an invocation that is over. At the instance's home.
Answer Invoker::conclude(const Call& call, Warm& warm, sandbox::Outcome outcome, Meter& meter) {
  const auto say = [&, text = !logs_json(*call.version)](const std::string& line) {
    if (!text) return;  // the instance has told it in events
    *warm.current += line;
    warm.log->add(line);
  };
  if (warm.start_line) warm.start_line->write();
  Answer answer;
  answer.payload = std::move(outcome.payload);
  if (outcome.status != sandbox::Status::kOk) answer.function_error = "Unhandled";
  switch (outcome.status) {
    case sandbox::Status::kOk:
    case sandbox::Status::kError:
    case sandbox::Status::kInitError:
    case sandbox::Status::kExtension:
    case sandbox::Status::kLost:
      break;
    case sandbox::Status::kTimedOut:
      answer.payload = error_document(
          "Sandbox.Timedout",
          cat("RequestId: ", call.request_id, " Error: Task timed out after ", call.version->timeout, ".00 seconds"));
      break;
    case sandbox::Status::kOutOfMemory:
      answer.payload = error_document("Runtime.OutOfMemory", cat("RequestId: ", call.request_id,
                                                                 " Error: Runtime exited with error: signal: killed"));
      break;
    case sandbox::Status::kExited:
      answer.payload = error_document(
          "Runtime.ExitError",
          cat("RequestId: ", call.request_id, " Error: Runtime exited ",
              outcome.exit == "exit status 0" ? "without providing a reason" : cat("with error: ", outcome.exit)));
      break;
  }
  say(cat("END RequestId: ", call.request_id, "\n"));
  say(report_line(call.request_id, call.version->memory, outcome));
  const std::string& all = *warm.current;
  answer.log_tail = all.size() > kLogTail ? all.substr(all.size() - kLogTail) : all;
  meter.end(static_cast<double>(outcome.duration.count()) / 1000, !answer.function_error.empty());
  return answer;
}

// For no call, but for those to come.
Task<WarmPtr> Invoker::start_ahead(Call call, Kind kind) {
  Ctx ctx = deps_.cloud.internal_context(kernel::service_principal("lambda.amazonaws.com", call.id.account),
                                         call.id.account, call.id.region);
  co_return co_await start(ctx, call, kind);
}

void Invoker::keep_fleets(const FunctionId& id, std::vector<std::pair<Call, FleetSize>> wanted) {
  const std::string function = unqualified_arn(id);
  std::vector<std::tuple<std::string, Call, FleetSize>> keyed;
  for (auto& [call, size] : wanted) {
    std::string key = instance_key(function, call);
    keyed.emplace_back(std::move(key), std::move(call), size);
  }
  fleets_.keep(cat(function, ":"), std::move(keyed));
  schedule_reaper();
}

// `provisioned`: the invocation is counted against a provisioned instance, of which one should be idle.
Task<WarmPtr> Invoker::obtain(Ctx& ctx, const Call& call, const std::string& key, bool provisioned) {
  Executor* const here = Executor::current();
  if (provisioned) {
    if (auto warm = provisions_.take(key, here)) co_return std::move(warm);
  }
  if (auto warm = idle_.take(key, here)) co_return std::move(warm);
  if (!scaling_.take(unqualified_arn(call.id), std::chrono::steady_clock::now()))
    co_return throttled("ConcurrentInvocationLimitExceeded");
  if (!is_snapshot(*call.version)) {
    sandboxes_.rouse(call.version->runtime);
    co_return co_await start(ctx, call, Kind::kOnDemand);
  }
  const Snapshots::Of of{call.id, call.version, key};
  if (auto warm = snapshots_.take(of, here)) co_return std::move(warm);
  auto [warm, outcome] = co_await initialise(of);
  if (outcome.status != sandbox::Status::kOk) warm->snapshot = false;  // the invocation tells why
  co_return std::move(warm);
}

// An instance of a version with SnapStart, not yet restored, and how its initialisation went.
Task<std::pair<WarmPtr, sandbox::Outcome>> Invoker::initialise(Snapshots::Of of) {
  Call call;
  call.id = std::move(of.id);
  call.version = std::move(of.version);
  Ctx ctx = deps_.cloud.internal_context(kernel::service_principal("lambda.amazonaws.com", call.id.account),
                                         call.id.account, call.id.region);
  WarmPtr warm = co_await start(ctx, call, Kind::kSnapshot);
  sandbox::Outcome outcome = co_await warm->instance->initialised();
  warm->used = std::chrono::steady_clock::now();
  warm->memory_mb = outcome.max_memory_mb;
  if (!logs_json(*call.version))
    warm->log->add(init_report_line(outcome, outcome.init_duration, sandbox::InitPhase::kInit));
  if (outcome.status != sandbox::Status::kOk) co_await warm->log->flush();
  co_return std::pair(std::move(warm), std::move(outcome));
}

Task<WarmPtr> Invoker::make_snapshot(Snapshots::Of of) {
  auto [warm, outcome] = co_await initialise(std::move(of));
  if (outcome.status != sandbox::Status::kOk)
    throw std::runtime_error(cat("its initialisation failed: ", outcome.payload));
  co_return std::move(warm);
}

Task<sandbox::Outcome> Invoker::publish(Snapshots::Of of) {
  constexpr int kTries = 4;  // when what runs it is lost
  of.key = instance_key(unqualified_arn(of.id), *of.version);
  auto [warm, outcome] = co_await initialise(of);
  for (int i = 1; outcome.status == sandbox::Status::kLost && i < kTries; ++i)
    std::tie(warm, outcome) = co_await initialise(of);
  if (outcome.status == sandbox::Status::kOk) snapshots_.put(of, std::move(warm));
  schedule_reaper();
  co_return std::move(outcome);
}

void Invoker::expect(Snapshots::Of of, bool now) {
  of.key = instance_key(unqualified_arn(of.id), *of.version);
  if (!now) return snapshots_.know(of);
  snapshots_.expect(of);
  schedule_reaper();
}

void Invoker::forget_snapshots(const FunctionId& id, uint64_t version) {
  const std::string function = cat(unqualified_arn(id), ":");
  snapshots_.forget(version ? cat(function, version, ":") : function);
}

// At the instance's home.
Task<void> Invoker::restore(const Ctx& ctx, Warm& warm, const VersionRecord& version) {
  warm.snapshot = false;
  const bool text = !logs_json(version);
  if (text) {
    const std::string_view runtime = warm.instance->runtime();
    warm.log->add(version.image ? "RESTORE_START\n" : phase_start_line("RESTORE", runtime, runtime_arn(ctx, runtime)));
  }
  const sandbox::Outcome outcome = co_await warm.instance->restore();
  if (text) warm.log->add(restore_report_line(outcome));
  if (outcome.status == sandbox::Status::kOk) co_return;
  co_await warm.log->flush();
  if (outcome.status == sandbox::Status::kLost)
    co_await fail(err::ServiceException("The function's execution environment was lost. Try again."));
  const bool late = outcome.status == sandbox::Status::kTimedOut;
  co_await fail(late ? err::SnapStartTimeoutException("Lambda couldn't restore the snapshot within the timeout limit.")
                     : err::SnapStartException("The afterRestore() runtime hook encountered an error. For more "
                                               "information, check the Amazon CloudWatch logs."));
}

// An instance of our limit may be idle for another function: the one unused for longest makes room.
Task<std::unique_ptr<sandbox::Instance>> Invoker::start_instance(sandbox::Spec spec, sandbox::LogSink log) {
  constexpr int kTries = 200;
  for (int i = 0;; ++i) {
    Result<std::unique_ptr<sandbox::Instance>> made = co_await as_result(sandboxes_.start(spec, log));
    if (made) co_return std::move(*made);
    bool full = false;
    if (const auto* exception = std::get_if<std::exception_ptr>(&made.error())) {
      try {
        std::rethrow_exception(*exception);
      } catch (const sandbox::Full&) {
        full = true;
      } catch (...) {
      }
    }
    if (!full) co_await fail_with(std::move(made.error()));
    WarmPtr oldest = idle_.take_oldest();
    if ((!oldest && !snapshots_.give_way() && i == 0) || i == kTries) {
      co_return throttled("ConcurrentInvocationLimitExceeded");
    }
    oldest.reset();
    co_await sleep_for(Micros(500));  // it ends on its own executor
  }
}

// `failed`: whose initialisation did; what this one does is a part of its invocation, and its log goes on.
Task<WarmPtr> Invoker::start(Ctx& ctx, const Call& call, Kind kind, const Warm* failed) {
  const VersionRecord& version = *call.version;
  const bool managed = !version.capacity_provider.empty();
  auto warm = std::make_unique<Warm>();
  warm->function = unqualified_arn(call.id);
  warm->provisioned = kind == Kind::kProvisioned;
  warm->snapshot = kind == Kind::kSnapshot;
  warm->key = instance_key(warm->function, call);
  warm->home = Executor::current();
  warm->current = failed ? failed->current : std::make_shared<std::string>();
  if (failed) warm->start_line = failed->start_line;
  warm->init_again = kind == Kind::kOnDemand && !managed && !failed;

  sandbox::Spec spec;
  spec.account = call.id.account;
  spec.runtime = version.runtime;
  spec.runtime_arns = runtime_arn(ctx, "");
  spec.handler = version.handler;
  spec.limits.memory_mb = static_cast<uint32_t>(version.memory);
  spec.limits.tmp_mb = static_cast<uint32_t>(version.tmp);
  spec.snapshot = warm->snapshot;
  spec.held = true;
  spec.init_again = warm->init_again;
  if (failed) spec.phase = sandbox::InitPhase::kInvoke;
  if (managed) spec.concurrency = static_cast<uint32_t>(at_a_time(version));
  if (managed || kind != Kind::kOnDemand)
    spec.init_timeout = std::max<Millis>(kInitAhead, std::chrono::seconds(version.timeout));
  auto& env = spec.environment;
  if (version.image) {
    image::Settings settings = image_settings(version);
    env.assign(settings.environment.begin(), settings.environment.end());
    std::vector<std::string> arguments = std::move(settings.entry_point);
    arguments.insert(arguments.end(), settings.command.begin(), settings.command.end());
    spec.image = sandbox::Image{{}, std::move(arguments), std::move(settings.working_directory)};
  } else {
    env.assign(version.environment.begin(), version.environment.end());
    env.emplace_back("_HANDLER", version.handler);
  }
  const std::string group = log_group(call.id, version);
  warm->log = failed ? failed->log
                     : std::make_shared<LogWriter>(deps_.cloud, call.id.account, call.id.region, group,
                                                   stream_name(ctx.now(), call.id, version, group));
  if (logs_json(version)) {
    spec.json_log.emplace();
    spec.json_log->system = sandbox::log_level(version.system_level).value();
    spec.json_log->application = sandbox::log_level(version.application_level).value();
  }
  for (auto& [name, value] : std::initializer_list<std::pair<std::string, std::string>>{
           {"AWS_REGION", call.id.region},
           {"AWS_DEFAULT_REGION", call.id.region},
           {"AWS_LAMBDA_FUNCTION_NAME", call.id.name},
           {"AWS_LAMBDA_FUNCTION_VERSION", version_name(version.version)},
           {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", cat(version.memory)},
           {"AWS_LAMBDA_INITIALIZATION_TYPE", managed ? "lambda-managed-instances" : initialization_type(kind)},
           {"AWS_LAMBDA_LOG_FORMAT", logs_json(version) ? version.log_format : ""},  // empty: not set
           {"AWS_LAMBDA_LOG_LEVEL", version.application_level},
           {"AWS_LAMBDA_LOG_GROUP_NAME", group},
           {"AWS_LAMBDA_LOG_STREAM_NAME", warm->log->stream()},
           {"AWS_ENDPOINT_URL", cat("http://127.0.0.1:", options_.api_port)},
           {"TZ", ":UTC"}}) {
    const bool user_set = std::ranges::any_of(env, [&](const auto& pair) { return pair.first == name; });
    if (!user_set && !value.empty()) env.emplace_back(name, value);
  }

  if (managed) env.emplace_back("AWS_LAMBDA_MAX_CONCURRENCY", cat(spec.concurrency));

  if (spec.image) {
    spec.image->root = co_await code_.ensure_image(version.code_sha256, version.code);
  } else {
    spec.code_directory = co_await code_.ensure(version.code_sha256, version.code);
  }
  for (const LayerUse& layer : version.layers) {
    std::string folder = co_await code_.ensure(layer.sha256, layer.code);
    std::erase(spec.layer_directories, folder);  // of the same content: an overlay takes a folder once
    spec.layer_directories.push_back(std::move(folder));
  }

  warm->instance = co_await start_instance(
      std::move(spec),
      [log = warm->log, current = warm->current, json = logs_json(version)](std::string_view, std::string_view event) {
        if (current->size() > 4 * kLogTail) current->erase(0, current->size() - 2 * kLogTail);
        *current += event;
        if (json && !event.ends_with('\n')) *current += '\n';
        log->add(event);
      });
  // While the sandbox is made ready for the function; nothing of that runs before.
  const bool awaited = kind == Kind::kOnDemand && !managed;
  RoleSession session =
      awaited ? co_await roles_->take(call.id, version.role) : co_await roles_->assume(call.id, version.role);
  warm->started = session.since;
  if (awaited) renew_role(call, *warm, session.principal.user_id);
  if (!version.image && !logs_json(version) && !failed) {
    const std::string_view runtime = warm->instance->runtime();
    warm->log->add(phase_start_line("INIT", runtime, runtime_arn(ctx, runtime)));
  }
  warm->log->act_as(std::move(session.principal));
  co_await warm->instance->begin(std::move(session.credentials));
  co_return std::move(warm);
}

Task<void> Invoker::check_role(FunctionId id, std::string role) {
  co_await roles_->check(std::move(id), std::move(role));
}

// Makes the session for the function's next start, once this one's call has had the machine. An instance whose role is
// gone, or is another, serves nobody else.
void Invoker::renew_role(const Call& call, const Warm& warm, std::string principal) {
  const auto renew = [](Invoker* self, std::weak_ptr<bool> alive, FunctionId id, std::string role,
                        std::string principal, std::shared_ptr<bool> lost) -> Task<void> {
    const auto roles = self->roles_;
    const Result<std::string> next = co_await as_result(roles->keep_next(id, std::move(role)));
    if ((next && *next == principal) || alive.expired()) co_return;
    *lost = true;
    self->retire(id);
  };
  Executor::current()->post_after(kRenewAfter, [=, this, id = call.id, role = call.version->role, lost = warm.role_lost,
                                                alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired() && !stopped_) start_background("lambda role", renew(this, alive, id, role, principal, lost));
  });
}

void Invoker::give_back(WarmPtr warm, bool reusable) {
  const auto now = std::chrono::steady_clock::now();
  if (warm->seat) return;  // its place is free again
  warm->used = now;
  reusable = reusable && !stopped_ && !*warm->role_lost && now - warm->started < kInstanceLife;
  if (warm->provisioned) return provisions_.give_back(std::move(warm), reusable);
  if (!reusable) return;
  idle_.put(std::move(warm));
  while (idle_.size() > kMostIdle) idle_.take_oldest();
  schedule_reaper();
}

const char* Invoker::initialization_type(Kind kind) {
  switch (kind) {
    case Kind::kProvisioned:
      return "provisioned-concurrency";
    case Kind::kSnapshot:
      return "snap-start";
    case Kind::kOnDemand:
      return "on-demand";
  }
}

void Invoker::retire(const FunctionId& id) { idle_.take_function(unqualified_arn(id)); }

Provision Invoker::provision_of(const FunctionId& id, const VersionRecord& version) const {
  if (version.version == 0 || provisions_.empty()) return {};
  const std::string key = instance_key(unqualified_arn(id), version);
  Provision state = provisions_.of(key);
  state.running = admission_.running_provisioned(key);
  return state;
}

void Invoker::provision(const FunctionId& id, std::vector<std::pair<Call, int32_t>> wanted) {
  const std::string function = unqualified_arn(id);
  std::vector<std::tuple<std::string, Call, int32_t>> keyed;
  for (auto& [call, count] : wanted) {
    std::string key = instance_key(function, *call.version);
    keyed.emplace_back(std::move(key), std::move(call), count);
  }
  provisions_.keep(cat(function, ":"), std::move(keyed));
  schedule_reaper();
}

void Invoker::schedule_reaper() {
  {
    std::lock_guard lock(mutex_);
    if (reaping_ || stopped_ || (idle_.size() == 0 && provisions_.empty() && snapshots_.empty() && fleets_.empty()))
      return;
    reaping_ = true;
  }
  const auto pause = std::min<Micros>(std::chrono::seconds(15), std::max<Micros>(options_.idle_life / 2, Millis(100)));
  Executor::current()->post_after(pause, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    reap();
  });
}

void Invoker::reap() {
  const auto now = std::chrono::steady_clock::now();
  {
    std::lock_guard lock(mutex_);
    reaping_ = false;
  }
  idle_.take_stale(now - options_.idle_life);
  snapshots_.sweep(now - kSnapshotLife);
  fleets_.tend(options_.idle_life);
  provisions_.tend();
  schedule_reaper();
}

Task<void> Invoker::stop() {
  stopped_ = true;
  std::vector<WarmPtr> ended = provisions_.stop();
  snapshots_.stop();
  co_await snapshots_.settle();
  co_await fleets_.stop();
  co_await none_late_.wait_for(kLateTime);
  std::vector<std::shared_ptr<LogWriter>> logs;
  std::ranges::move(idle_.take_all(), std::back_inserter(ended));
  for (const WarmPtr& warm : ended) logs.push_back(warm->log);
  ended.clear();
  co_await sandboxes_.settle();
  {
    std::lock_guard lock(mutex_);
    std::ranges::move(last_logs_, std::back_inserter(logs));
  }
  for (const auto& log : logs) co_await log->flush();
}

}  // namespace virga::lambda
