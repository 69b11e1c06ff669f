// What an instance does for its extensions: starts external ones before its runtime, waits for all of them at the end
// of its initialisation and of each invocation, tells those who subscribed to its telemetry what happens, and gives
// them time to end. A log that is JSON is told the same. An instance that has neither has none of this.
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/log.h"
#include "base/str.h"
#include "sandbox/instance.h"
#include "sandbox/json_log.h"
#include "sandbox/telemetry.h"

namespace virga::sandbox {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostBody = 256 * 1024;
constexpr std::string_view kTelemetryPath = "/2022-07-01/telemetry";
constexpr std::string_view kLogsPath = "/2020-08-15/logs";

// AWS's: the whole, and of that the runtime's part, which depends on whether it has extensions inside.
constexpr auto kExternalTime = std::chrono::milliseconds(2000);
constexpr auto kInternalTime = std::chrono::milliseconds(500);
constexpr auto kRuntimeTime = std::chrono::milliseconds(300);
// For the last telemetry, before extensions are told to end.
constexpr auto kTelemetryTime = std::chrono::milliseconds(200);

// With the precision that AWS gives: microseconds.
Json milliseconds(std::chrono::microseconds time) { return static_cast<double>(time.count()) / 1000; }

std::string_view status_of(const Outcome& outcome) {
  switch (outcome.status) {
    case Status::kOk:
      return "success";
    case Status::kTimedOut:
      return "timeout";
    default:
      return "error";
  }
}

Json trace_context(const std::string& trace) { return Json::object({{"type", "X-Amzn-Trace-Id"}, {"value", trace}}); }

// "exit status 1", "signal: killed"; AWS's words for an extension that ended well, too early.
std::string end_text(const Event& event) {
  const int status = event.status.value_or(0);
  if (WIFSIGNALED(status)) return cat("signal: ", lower(::strsignal(WTERMSIG(status))));
  return WEXITSTATUS(status) == 0 ? "exit code 0" : cat("exit status ", WEXITSTATUS(status));
}

std::string list_of(const Json::Array& words) {
  std::string list;
  for (const Json& word : words) append(list, list.empty() ? "" : ", ", word.as_string());
  return list;
}

}  // namespace

struct Core::Attendance {
  Extensions extensions;
  Telemetry telemetry;
  std::vector<std::unique_ptr<Output>> outputs;
  std::function<void()> start_runtime;  // until the external ones have registered
  // The end.
  std::string reason;  // empty: it has not begun
  bool runtime_gone = false, flushed = false, told = false;
  Steady runtime_until, telemetry_until, until;
};

Core::Attendance& Core::attendance() {
  if (attendance_) return *attendance_;
  attendance_.reset(new Attendance{
      .extensions = Extensions(facts_,
                               [this] {
                                 attended_ = attended_ || !attendance_->extensions.empty();
                                 progress();
                               }),
      .telemetry = Telemetry({.home = home_,
                              .clock = backstage_.clock,
                              .watch = [this](int fd, std::function<void()> f) { return watch(fd, std::move(f)); },
                              .ask_socket =
                                  [this] {
                                    try {
                                      backstage_.keeper.order({.kind = jail::Kind::kSocket, .id = slot_.id});
                                    } catch (const std::exception&) {
                                      attendance_->telemetry.give_socket({});
                                    }
                                  },
                              .settled = [this] { progress(); }})});
  if (runtime_ready_) attendance_->extensions.close_registration();
  if (ready_) attendance_->telemetry.close_subscriptions();
  attendance_->telemetry.platform(wall_time(begun_), "platform.initStart", init_start(), kTelemetry);
  return *attendance_;
}

Time Core::wall_time(Steady then) const {
  return backstage_.clock.now() - std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - then);
}

// What the beginnings of an initialisation and of a restore tell of the instance.
void Core::describe_instance(Json& record) const {
  if (!image_) {
    record["runtimeVersion"] = runtime_in_words(runtime_);
    record["runtimeVersionArn"] = cat(runtime_arns_, runtime_);
  }
  record["functionName"] = facts_.name;
  record["functionVersion"] = facts_.version;
  record["instanceId"] = log_stream_;
  record["instanceMaxMemory"] = uint64_t{memory_mb_} << 20;
}

std::string_view Core::phase_name() const { return phase_ == InitPhase::kInit ? "init" : "invoke"; }

Json Core::init_start() const {
  Json record = Json::object({{"initializationType", initialization_type_}, {"phase", phase_name()}});
  describe_instance(record);
  return record;
}

// Tells the log where it is JSON, and whoever has subscribed.
void Core::tell(std::string_view type, const Json& record, uint8_t audience) {
  const Time now = backstage_.clock.now();
  if (audience & kTelemetry) log_event(now, type, record);
  if (attendance_) attendance_->telemetry.platform(now, type, record, audience);
}

void Core::log_event(Time time, std::string_view type, const Json& record) {
  if (json_log_ && level_of_event(type, record) >= json_log_->system)
    log_(request_id_, platform_event(time, type, record));
}

// One of the lines that a program wrote; an empty one is a bootstrap's mark.
void Core::take_line(bool extension, std::string_view line) {
  if (line.empty()) return extension ? void() : end_of_init_output();
  if (!json_log_ || extension || level_of_line(line) >= json_log_->application) log_(request_id_, line);
  if (attendance_) attendance_->telemetry.line(extension ? kExtensionLine : kFunctionLine, line, json_log_.has_value());
}

void Core::attend(std::vector<Attendant> external, std::function<void()> start_runtime) {
  Attendance& mine = attendance();
  attended_ = true;
  mine.start_runtime = std::move(start_runtime);
  if (external.size() > Extensions::kMost) {
    return init_failed(error_document("Extension.LaunchError", "RequestId:  Error: ErrTooManyExtensions"));
  }
  for (Attendant& one : external) {
    mine.extensions.expect(one.name, one.program);
    auto output = std::make_unique<Output>();
    output->fd = std::move(one.output);
    output->extension = true;
    output->readiness = watch(output->fd.get(), [this, at = output.get()] { drain(*at); });
    mine.outputs.push_back(std::move(output));
  }
}

void Core::prepare(ApiConnection& from) {
  from.most_body = kMostBody;
  prepare_runtime(from);
}

void Core::serve(ApiConnection& from) {
  const ApiRequest& request = from.request();
  if (request.path.starts_with("/2018-06-01/")) return serve_runtime(from);
  // A path may end in a slash, as documented.
  const std::string_view path = std::string_view(request.path).substr(0, request.path.find_last_not_of('/') + 1);
  const bool logs = path == kLogsPath;
  if (!logs && path != kTelemetryPath) {
    if (!request.path.starts_with("/2020-01-01/extension/")) return from.not_found();
    attendance().extensions.serve(from);
    return;
  }
  if (request.method != "PUT") return from.answer(405, "text/plain; charset=utf-8", {}, "");
  const Extension* sender = attendance().extensions.sender(from);
  if (!sender) return;
  const std::string name = sender->name;
  const auto types = attendance_->telemetry.subscribe(from, name, logs);
  if (!types) return;
  const Time now = backstage_.clock.now();
  const std::string_view type = logs ? "platform.logsSubscription" : "platform.telemetrySubscription";
  const Json record = Json::object({{"name", name}, {"state", "Subscribed"}, {"types", *types}});
  attendance_->telemetry.platform(now, type, record, logs ? kLogs : kTelemetry);
  if (json_log_) return log_event(now, type, record);
  log_(request_id_, cat(logs ? "LOGS" : "TELEMETRY", "\tName: ", name, "\tState: Subscribed\tTypes: [",
                        list_of(types->as_array()), "]\n"));
}

void Core::progress() {
  if (!attendance_) return;
  Attendance& mine = *attendance_;
  if (!mine.reason.empty()) return leave_on();
  if (mine.start_runtime && mine.extensions.all_registered()) {
    try {
      std::exchange(mine.start_runtime, nullptr)();
    } catch (const std::exception& e) {
      return init_failed(error_document("Sandbox.Failure", e.what()));
    }
  }
  if (runtime_ready_ && !ready_ && alive_ && mine.extensions.all_ready()) {
    tell_initialised();
    enter_service();
  }
  if (busy()) return;
  const auto runs = runs_;
  for (const auto& [id, run] : runs) {
    if (run->done) finish(id, *std::exchange(run->done, std::nullopt));
  }
}

// Whether the runtime or an extension still works on an invocation that the runtime has answered. Where several run at
// a time, extensions don't hear of each.
bool Core::busy() const { return concurrency_ == 1 && (!asks_next() || attendance_->extensions.running()); }

// While extensions are busy the caller has its answer, and the invocation goes on.
void Core::runtime_done(const std::string& id, Run& run, Outcome outcome) {
  drain_output();
  outcome.duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - run.started);
  tell_runtime_done(id, run, outcome);
  if (!busy()) return finish(id, std::move(outcome));
  run.done.emplace();
  run.done->status = outcome.status;
  if (run.ending) {
    run.done->payload = std::move(outcome.payload);  // of a stream that failed
    return;
  }
  outcome.ending = run.ending = std::make_shared<Outcome>();
  outcome.ended = run.ended = std::make_shared<virga::Event>();
  settle(run, std::move(outcome));
}

void Core::attend_invocation(const Invocation& in) {
  if (concurrency_ > 1) return;
  attendance_->extensions.invoke(invoke_event(in.deadline.millis(), in.request_id, in.function_arn, in.trace));
}

void Core::tell_start(const std::string& id, const Run& run) {
  Json record = Json::object({{"requestId", id}, {"version", facts_.version}});
  if (!run.trace.empty()) record["tracing"] = trace_context(run.trace);
  tell("platform.start", record, kEverybody);
}

Json Core::span(std::string_view name, Steady begin, Steady end) const {
  using std::chrono::duration_cast, std::chrono::microseconds;
  return Json::object({{"name", name},
                       {"start", iso8601_millis(wall_time(begin))},
                       {"durationMs", milliseconds(duration_cast<microseconds>(end - begin))}});
}

Json Core::init_record(const Outcome& outcome) const {
  Json record = Json::object(
      {{"initializationType", initialization_type_}, {"phase", phase_name()}, {"status", status_of(outcome)}});
  if (const auto type = outcome.error_type(); !type.empty()) record["errorType"] = type;
  return record;
}

// The runtime's part of the initialisation is over. Nobody registers any more.
void Core::runtime_initialised(const Outcome& outcome) {
  if (attendance_) attendance_->extensions.close_registration();
  tell("platform.initRuntimeDone", init_record(outcome), kTelemetry);
}

void Core::tell_initialised(const Outcome& outcome) {
  if (std::exchange(told_initialised_, true)) return;
  if (!runtime_ready_) runtime_initialised(outcome);
  if (attendance_) tell_extensions();
  Json report = init_record(outcome);
  const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun_);
  report["metrics"] = Json::object({{"durationMs", milliseconds(duration)}});
  tell("platform.initReport", report, kTelemetry);
  if (attendance_) attendance_->telemetry.close_subscriptions();
}

void Core::tell_extensions() {
  for (const auto& extension : attendance_->extensions.all()) {
    std::string line = cat("EXTENSION\tName: ", extension->name, "\tState: ", extension->state_name(), "\tEvents: [",
                           list_of(extension->events()), "]");
    Json record =
        Json::object({{"name", extension->name}, {"state", extension->state_name()}, {"events", extension->events()}});
    if (!extension->error_type.empty()) {
      append(line, "\tError Type: ", extension->error_type);
      record["errorType"] = extension->error_type;
    }
    if (!json_log_) log_(request_id_, line += '\n');
    tell("platform.extension", record, kEverybody);
  }
}

void Core::tell_runtime_done(const std::string& id, Run& run, const Outcome& outcome) {
  if (std::exchange(run.told_runtime_done, true)) return;
  run.runtime_done = Clock::now();
  Json record = Json::object({{"requestId", id}, {"status", status_of(outcome)}});
  tell("platform.runtimeDone", record, kLogs2021);
  Json metrics = Json::object({{"durationMs", milliseconds(outcome.duration)}});
  if (!run.ending) metrics["producedBytes"] = outcome.payload.size();
  record["metrics"] = std::move(metrics);
  if (outcome.status == Status::kOk || outcome.status == Status::kError) {
    const auto responded = run.ending ? run.responded : run.runtime_done;
    Json::Array spans;
    spans.push_back(span("responseLatency", run.started, responded));
    spans.push_back(span("responseDuration", responded, run.runtime_done));
    record["spans"] = std::move(spans);
  }
  if (const auto type = outcome.error_type(); !type.empty()) record["errorType"] = type;
  if (!run.trace.empty()) record["tracing"] = trace_context(run.trace);
  tell("platform.runtimeDone", record, kTelemetry);
}

// The invocation is over.
void Core::tell_report(const std::string& id, Run& run, const Outcome& outcome) {
  if (!run.delivered) tell_start(id, run);  // the instance ended before it could have it
  const bool early = run.told_runtime_done;
  tell_runtime_done(id, run, outcome);
  if (outcome.status == Status::kExited || outcome.status == Status::kExtension) {
    tell("platform.fault", cat("RequestId: ", id, " Error: ", outcome.exit, "\n", outcome.error_type()), kLogs);
  }
  tell("platform.end", Json::object({{"requestId", id}}), kLogs);
  const auto init = run.cold ? init_duration() : std::chrono::microseconds(0);
  const int64_t restore = run.restore ? billed_milliseconds(*run.restore) : 0;
  Json metrics = Json::object({{"durationMs", milliseconds(outcome.duration)},
                               {"billedDurationMs", billed_milliseconds(outcome.duration + init) + restore},
                               {"memorySizeMB", memory_mb_},
                               {"maxMemoryUsedMB", outcome.max_memory_mb}});
  if (init.count()) metrics["initDurationMs"] = milliseconds(init);
  if (run.restore) {
    metrics["restoreDurationMs"] = milliseconds(*run.restore);
    metrics["billedRestoreDurationMs"] = restore;
  }
  Json record = Json::object({{"requestId", id}, {"metrics", std::move(metrics)}});
  tell("platform.report", record, kLogs);
  record["status"] = status_of(outcome);
  if (const auto type = outcome.error_type(); !type.empty()) record["errorType"] = type;
  if (!run.trace.empty()) record["tracing"] = trace_context(run.trace);
  if (early) {
    Json::Array spans;
    spans.push_back(span("extensionOverhead", run.runtime_done, Clock::now()));
    record["spans"] = std::move(spans);
  }
  tell("platform.report", record, kTelemetry);
}

void Core::tell_restore_start() {
  Json record;
  describe_instance(record);
  tell("platform.restoreStart", record, kTelemetry);
}

void Core::tell_restored(const Outcome& outcome) {
  Json record = Json::object({{"status", status_of(outcome)}});
  if (const auto type = outcome.error_type(); !type.empty()) record["errorType"] = type;
  tell("platform.restoreRuntimeDone", record, kTelemetry);
  record["metrics"] = Json::object({{"durationMs", milliseconds(outcome.duration)}});
  tell("platform.restoreReport", record, kTelemetry);
}

// The keeper's news of one program; and the socket that a subscriber waits for.
void Core::program_ended(const Event& event) {
  if (!attendance_) return;
  Attendance& mine = *attendance_;
  if (event.kind == Event::Kind::kSocket) return mine.telemetry.give_socket(std::move(*event.socket));
  drain_output();
  for (const auto& output : mine.outputs) drain(*output);
  Extension* const extension = mine.extensions.find_program(event.program);
  const bool launched = event.kind == Event::Kind::kEnded;
  if (!extension) {
    drain_channels();
    mine.runtime_gone = true;
  } else {
    extension->gone = true;
  }
  if (!alive_) return progress();  // it is ending anyway
  if (!extension) {
    alive_ = false;
    Outcome out = exit_outcome(event);
    if (!ready_) tell_initialised(out);
    leave("failure");
    return fail(std::move(out));
  }
  if (launched) {
    const std::string& reported = mine.extensions.first_failure();
    return extension_failed(reported.empty() ? "Extension.Crash" : reported, end_text(event));
  }
  extension->state = Extension::State::kLaunchError;
  extension->error_type = event.error == EACCES ? "PermissionDenied" : "UnknownError";
  extension_failed("Extension.LaunchError", cat("fork/exec ", event.text));
}

void Core::extension_failed(std::string_view type, const std::string& message) {
  std::string document = error_document(type, cat("RequestId: ", request_id_, " Error: ", message));
  if (!ready_) return init_failed(std::move(document));
  alive_ = false;
  leave("failure");
  if (runs_.empty()) return;  // nobody is told of it: the next invocation finds another instance
  break_streams(cat("an extension failed: ", message));
  Outcome out;
  out.status = Status::kExtension;
  out.fault = type;
  out.exit = message;
  out.payload = std::move(document);
  complete_all(out);
}

void Core::dismiss() {
  if (!attendance_) return;
  for (const auto& output : attendance_->outputs) {
    drain(*output);
    output->readiness.reset();
  }
  attendance_->telemetry.close();
}

void Core::signal(uint64_t program, int number) {
  try {
    backstage_.keeper.order(
        {.kind = jail::Kind::kSignal, .id = slot_.id, .numbers = {program, static_cast<uint64_t>(number)}});
  } catch (const std::exception& e) {
    log_warning("sandbox", "a program can't be signalled", {{"why", e.what()}});
  }
}

// The instance ends: first the runtime, then the extensions, each with a time to do it by itself. Nobody waits for it.
void Core::leave(std::string_view reason) {
  alive_ = false;
  Attendance& mine = attendance();
  if (!mine.reason.empty()) return;
  mine.reason = reason;
  const auto now = Clock::now();
  const bool inside = mine.extensions.any_internal();
  mine.until = now + (mine.extensions.any_external() ? kExternalTime : kInternalTime);
  mine.runtime_until = now + (inside ? kInternalTime : kRuntimeTime);
  if (mine.start_runtime) mine.runtime_gone = true;  // it never began
  if (!mine.runtime_gone) signal(jail::kMainProgram, SIGTERM);
  for (const auto at : {now, mine.runtime_until, mine.until}) {
    home_.post_after(std::chrono::ceil<Micros>(at - now), [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->progress();
    });
  }
}

void Core::leave_on() {
  Attendance& mine = *attendance_;
  const auto now = Clock::now();
  if (gone_) return;
  if (!mine.runtime_gone) {
    if (now < mine.runtime_until) return;
    signal(jail::kMainProgram, SIGKILL);
    mine.runtime_gone = true;
  }
  const auto ended = [](const auto& extension) { return !extension->external() || extension->gone; };
  if (now >= mine.until || std::ranges::all_of(mine.extensions.all(), ended)) return kill();
  if (mine.told) return;
  if (!std::exchange(mine.flushed, true)) {
    mine.telemetry_until = now + kTelemetryTime;
    home_.post_after(kTelemetryTime, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->progress();
    });
    mine.telemetry.flush();
  }
  if (mine.told || (!mine.telemetry.settled() && now < mine.telemetry_until)) return;
  mine.told = true;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(mine.until - now);
  const int64_t deadline = (backstage_.clock.now() + left).millis();
  for (const uint64_t program : mine.extensions.shut_down(shutdown_event(deadline, mine.reason))) {
    signal(program, SIGKILL);
  }
}

}  // namespace virga::sandbox
