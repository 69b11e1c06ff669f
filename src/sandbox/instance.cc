#include "sandbox/instance.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "sandbox/jail/files.h"

namespace virga::sandbox {
namespace {

constexpr size_t kMostOutputPerTurn = 256 * 1024;  // then others on this executor get their turn
constexpr auto kRestoreWithin = std::chrono::seconds(10);
constexpr auto kExitNewsWait = std::chrono::seconds(2);
constexpr auto kPeakGood = std::chrono::milliseconds(5);
constexpr Micros kThrottleAfter = std::chrono::milliseconds(2);
constexpr Micros kFirstLook = std::chrono::milliseconds(50), kLongestPause = std::chrono::milliseconds(800);

using Clock = std::chrono::steady_clock;

std::string variable(const Spec& spec, std::string_view name, std::string_view otherwise = {}) {
  for (const auto& [known, value] : spec.environment) {
    if (known == name) return value;
  }
  return std::string(otherwise);
}

std::chrono::microseconds since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
}

}  // namespace

std::string wrapper_of(const Spec& spec) {
  if (spec.image || spec.runtime.starts_with("provided")) return {};
  return variable(spec, "AWS_LAMBDA_EXEC_WRAPPER");
}

std::string error_type_in(const std::string& document) {
  try {
    return Json::parse(document).string_or("errorType", "Runtime.Unknown");
  } catch (const JsonError&) {
    return "Runtime.Unknown";
  }
}

std::string fault_named(std::string_view type) {
  static constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  static constexpr std::string_view kUpper = kLetters.substr(0, 26);
  for (const std::string_view origin : {"Runtime.", "Function."}) {
    const size_t at = type.find(origin);
    if (at == std::string_view::npos) continue;
    const std::string_view kind = type.substr(at + origin.size());
    if (kind.size() > 1 && kUpper.contains(kind[0]) && kLetters.contains(kind[1])) return std::string(type);
  }
  return type.starts_with("Function.") ? "Function.Unknown" : "Runtime.Unknown";
}

std::string error_document(std::string_view type, std::string_view message) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.key("errorType");
  w.string(type);
  w.key("errorMessage");
  w.string(message);
  w.end_object();
  return out;
}

Core::Core(Backstage& backstage, Slot slot, const Spec& spec, std::string runtime, LogSink log)
    : backstage_(backstage),
      home_(Executor::current() ? *Executor::current() : static_cast<Executor&>(backstage.loop)),
      slot_(std::move(slot)),
      log_(std::move(log)),
      memory_mb_(spec.limits.memory_mb),
      image_(spec.image.has_value()),
      wrapper_(wrapper_of(spec)),
      concurrency_(std::max(spec.concurrency, 1u)),
      init_timeout_(spec.init_timeout),
      phase_(spec.phase),
      init_again_(spec.init_again),
      snapshot_(spec.snapshot),
      facts_{.name = variable(spec, "AWS_LAMBDA_FUNCTION_NAME"),
             .version = variable(spec, "AWS_LAMBDA_FUNCTION_VERSION"),
             .handler = spec.handler,
             .account = spec.account},
      log_stream_(variable(spec, "AWS_LAMBDA_LOG_STREAM_NAME")),
      initialization_type_(variable(spec, "AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")),
      runtime_(std::move(runtime)),
      runtime_arns_(spec.runtime_arns),
      json_log_(spec.json_log),
      begun_(Clock::now()),
      init_told_(spec.phase == InitPhase::kInvoke) {
  output_.fd = std::move(slot_.output);
}

Core::~Core() = default;

void Core::open() {
  if (json_log_) log_event(wall_time(begun_), "platform.initStart", init_start());
  output_.readiness = watch(output_.fd.get(), [this] { drain(output_); });
  open_channels();
  drain_output();
  // Nobody calls before the order to start has gone out, which is not to wait for this.
  home_.post([self = shared_from_this()] {
    if (!self->closed_) self->api_.open(self->slot_.api_listener.get());
  });
}

Task<void> Core::begin(Environment rest) {
  const std::shared_ptr<Core> self = shared_from_this();
  Executor* const caller = Executor::current();
  co_await move_to(home_);
  auto run = std::exchange(run_, nullptr);
  if (run && alive_) run(std::move(rest));
  if (caller && caller != &home_) co_await move_to(*caller);
}

std::unique_ptr<Readiness> Core::watch(int fd, std::function<void()> f) {
  // The core outlives every call: it is destroyed with its watches, at home.
  return watch_readiness(backstage_.loop, home_, fd, std::move(f));
}

void Core::kill() { ::syscall(SYS_pidfd_send_signal, slot_.process.get(), SIGKILL, nullptr, 0); }

void Core::die() {
  alive_ = false;
  if (attended_ && !gone_) return leave("failure");
  kill();
}

void Core::close() {
  if (closed_) return;
  closed_ = true;
  if (attended_ && !gone_) {
    leaving_ = shared_from_this();
    backstage_.leaving(slot_.id);
    return leave("spindown");
  }
  die();
  finish_close();
}

void Core::finish_close() {
  drain_output();
  output_.readiness.reset();
  dismiss();
  api_.close();
  close_channels();
  if (slot_.leave_door) slot_.leave_door();
  slot_.leave_door = nullptr;
  backstage_.forget(slot_.id);
}

void Core::drain(Output& output) {
  char buffer[65536];
  size_t total = 0;
  const auto event = [&](std::string_view line) { take_line(output.extension, line); };
  while (output.readiness) {
    const ssize_t n = ::read(output.fd.get(), buffer, sizeof buffer);
    if (n == 0) output.readiness->hold();  // its end: readable for ever
    if (n <= 0) break;
    output.lines.feed({buffer, static_cast<size_t>(n)}, event);
    total += static_cast<size_t>(n);
    if (total > kMostOutputPerTurn && alive_) {
      output.readiness->hold();
      home_.post([self = shared_from_this(), &output] {
        if (!output.readiness) return;
        output.readiness->again();
        self->drain(output);
      });
      return;
    }
  }
}

void Core::drain_output() { drain(output_); }

// A bootstrap's mark in its output: the initialisation's ends here.
void Core::end_of_init_output() {
  for (const auto& [id, run] : runs_) {
    if (run->ahead) tell_begun(*run);
  }
}

Task<Outcome> Core::collect(Outcome begun) {
  static constexpr ErrorShape kTooLarge{.code = "Function.ResponseSizeTooLarge"};
  Result<std::string> all = co_await as_result(
      read_all(*begun.stream, kMostResponse,
               {.shape = &kTooLarge,
                .message = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."}));
  const Error* refused = error_of(all);
  begun.stream = nullptr;  // what is left of a stream that is too large goes into nothing
  co_await begun.ended->wait();
  Outcome out = std::move(*begun.ending);
  if (out.status == Status::kOk && all) out.payload = std::move(*all);
  if (out.status == Status::kOk && refused) {
    out.status = Status::kError;
    out.payload = error_document(refused->shape->code, refused->message);
  }
  co_return out;
}

Task<Outcome> Core::invoke(Invocation invocation) {
  const bool as_it_comes = invocation.stream;
  const std::string id = invocation.request_id;
  const auto run = std::make_shared<Run>();
  run->trace = invocation.trace;
  const std::shared_ptr<Core> self = shared_from_this();
  Executor* const caller = Executor::current();
  co_await move_to(home_);
  if (runs_.size() >= concurrency_ || runs_.contains(id)) {
    throw std::logic_error("an instance runs no more invocations at a time than it was made for");
  }
  run->started = Clock::now();
  if (phase_ == InitPhase::kInvoke && !ready_) run->started = begun_;
  run->begun = std::exchange(invocation.begun, nullptr);
  run->cold = !init_told_;
  run->restore = restore_duration_;
  if (concurrency_ == 1) request_id_ = id;
  if (!watching_memory_) watch_memory(kFirstLook);
  Outcome out;
  if (fate_ || !alive_) {
    if (fate_) {
      // It ended before this call: during its start, or between calls.
      out = *std::exchange(fate_, std::nullopt);
    } else {
      out.status = Status::kExited;
      out.exit = "ended";
      out.payload = error_document("Runtime.ExitError",
                                   cat("RequestId: ", id, " Error: Runtime exited without providing a reason"));
    }
    if (phase_ == InitPhase::kInvoke && !ready_) out.duration = since(run->started);
    if (tells() && !goes_on()) tell_report(id, *run, out);
    run->waiting = std::move(invocation);
  } else {
    runs_.emplace(id, run);
    if (ready_) {
      give(id, *run, std::move(invocation));
    } else {
      const bool apart = phase_ == InitPhase::kInit;
      run->deadline = apart ? begun_ + init_timeout_ : run->started + invocation.timeout;
      arm(run->deadline);
      // Where events are told, its start comes before what it writes.
      run->ahead = apart && !tells() && !attendance_ && concurrency_ == 1 && !snapshot_ && deliver_ahead(invocation);
      run->waiting = std::move(invocation);
    }
    if (!run->result) {
      co_await suspend_until([&](Resume resume) { run->resume.emplace(resume); });
    }
    out = std::move(*run->result);
    if (out.stream && !as_it_comes) out = co_await collect(std::move(out));
  }
  if (out.status == Status::kInitError || out.status == Status::kExited || out.status == Status::kExtension ||
      out.status == Status::kLost) {
    // The document was made before the invocation was known. What a runtime has told of its initialisation stays so.
    constexpr std::string_view kUnnamed = "RequestId:  Error";
    if (const auto at = out.payload.find(kUnnamed); at != std::string::npos) {
      out.payload.replace(at, kUnnamed.size(), cat("RequestId: ", id, " Error"));
    }
  }
  if (!init_told_) {
    init_told_ = true;
    out.init_duration = init_duration();
  }
  if (!ready_ && out.status != Status::kLost) {
    out.failed_init = std::make_shared<FailedInit>(init_duration(), std::move(*run->waiting));
  }
  out.restore_duration = std::exchange(restore_duration_, std::nullopt);
  out.reusable = alive_ && out.status != Status::kInitError;
  if (caller && caller != &home_) co_await move_to(*caller);
  co_return out;
}

std::chrono::microseconds Core::init_duration() const {
  return init_duration_.count() ? init_duration_ : since(begun_);
}

void Core::give(const std::string& id, Run& run, Invocation invocation) {
  run.deadline = run.started + invocation.timeout;
  arm(run.deadline);
  run.delivered = true;
  if (!run.ahead) tell_begun(run);
  if (tells()) tell_start(id, run);
  if (attendance_) attend_invocation(invocation);
  if (!run.ahead) deliver(invocation);
}

Task<Outcome> Core::initialised() {
  const std::shared_ptr<Core> self = shared_from_this();
  Executor* const caller = Executor::current();
  co_await move_to(home_);
  if (!ready_ && alive_) co_await settled_.wait_for(init_timeout_);
  init_told_ = true;
  Outcome out;
  if (fate_) {
    out = *fate_;
  } else if (!ready_ || !alive_) {
    out.status = alive_ ? Status::kTimedOut : Status::kExited;
    if (tells()) tell_initialised(out);
    die();
  }
  out.init_duration = ready_ ? init_duration_ : since(begun_);
  out.max_memory_mb = used_mb(peak_bytes());
  if (caller && caller != &home_) co_await move_to(*caller);
  co_return out;
}

Task<Outcome> Core::restore() {
  const std::shared_ptr<Core> self = shared_from_this();
  Executor* const caller = Executor::current();
  co_await move_to(home_);
  Outcome out;
  if (fate_ || !alive_ || !ready_ || !runs_.empty()) {
    out.status = fate_ ? fate_->status : Status::kExited;
    die();
  } else {
    restoring_ = true;
    request_id_.clear();
    const auto run = std::make_shared<Run>();
    runs_.emplace(request_id_, run);
    run->started = Clock::now();
    run->deadline = run->started + kRestoreWithin;
    run->delivered = true;
    arm(run->deadline);
    if (tells()) tell_restore_start();
    begin_restore();
    if (!run->result) {
      co_await suspend_until([&](Resume resume) { run->resume.emplace(resume); });
    }
    out = std::move(*run->result);
    restoring_ = false;
    restore_duration_ = out.duration;
    if (tells()) tell_restored(out);
  }
  if (caller && caller != &home_) co_await move_to(*caller);
  co_return out;
}

void Core::restored() {
  if (restoring_) complete(std::string(), {});
}

void Core::became_ready() {
  if (runtime_ready_) return;
  runtime_ready_ = true;
  drain_output();
  if (attendance_) {
    runtime_initialised();
    return progress();
  }
  if (json_log_) {
    runtime_initialised();
    tell_initialised();
  }
  enter_service();
}

void Core::enter_service() {
  ready_ = true;
  settled_.set();
  init_duration_ = since(begun_);
  // A program that answers at once changes them.
  const auto runs = runs_;
  for (const auto& [id, run] : runs) {
    if (!run->waiting) continue;
    Invocation invocation = std::move(*run->waiting);
    run->waiting.reset();
    if (phase_ == InitPhase::kInit) {
      // The time spent starting is not the invocation's.
      const auto now = Clock::now();
      invocation.deadline =
          invocation.deadline + std::chrono::duration_cast<std::chrono::microseconds>(now - run->started);
      run->started = now;
    }
    give(id, *run, std::move(invocation));
  }
  if (!backstage_.processor_share || !alive_) return;
  // Not at once: the launcher would take the processor from a first call.
  home_.post_after(kThrottleAfter, [weak = weak_from_this()] {
    if (const auto self = weak.lock(); self && self->alive_) self->throttle();
  });
}

void Core::throttle() { order(jail::Kind::kThrottle, {memory_mb_}); }

void Core::order(jail::Kind kind, std::vector<uint64_t> numbers) {
  try {
    backstage_.keeper.order({.kind = kind, .id = slot_.id, .numbers = std::move(numbers)});
  } catch (const std::exception& e) {
    log_warning("sandbox", "a limit could not be set", {{"why", e.what()}});
  }
}

// Files in /tmp are memory to the kernel, whose limit has room for them, so that a full /tmp ends nobody. Whether the
// function's own memory is kept is looked at while it runs, and until two looks in a row have found it idle.
void Core::watch_memory(Micros pause) {
  watching_memory_ = true;
  home_.post_after(pause, [weak = weak_from_this(), pause] {
    if (const auto self = weak.lock(); self && self->alive_) self->look_at_memory(pause);
  });
}

void Core::look_at_memory(Micros pause) {
  const uint64_t peak = peak_bytes();
  const bool more = peak > peak_at_look_, idle = runs_.empty() && ready_;
  peak_at_look_ = peak;
  const bool over = peak > uint64_t(memory_mb_) << 20;
  if (over) order(jail::Kind::kMemory, {});
  watching_memory_ = false;
  if (!idle || !idle_at_look_) watch_memory(more || over ? kFirstLook : std::min(pause * 2, kLongestPause));
  idle_at_look_ = idle;
}

void Core::init_failed(std::string document, std::string fault) {
  drain_output();
  Outcome out;
  out.status = Status::kInitError;
  out.fault = fault.empty() ? error_type_in(document) : std::move(fault);
  out.payload = std::move(document);
  if (tells()) tell_initialised(out);
  die();
  settled_.set();
  fail(std::move(out));
}

void Core::fail(Outcome outcome) {
  if (!ready_) init_duration_ = since(begun_);
  if (runs_.empty()) {
    fate_ = std::move(outcome);
  } else {
    complete_all(outcome);
  }
}

void Core::complete_all(const Outcome& outcome) {
  const auto runs = runs_;
  for (const auto& [id, run] : runs) complete(id, outcome);
}

void Core::complete(const std::string& id, Outcome outcome) {
  const auto found = runs_.find(id);
  if (found == runs_.end()) return;
  const std::shared_ptr<Run> run = found->second;
  if (attended_ && alive_ && run->delivered && !restoring_) {
    if (!run->done) runtime_done(id, *run, std::move(outcome));
  } else {
    finish(id, std::move(outcome));
  }
}

// The invocation is over.
void Core::finish(const std::string& id, Outcome outcome) {
  const auto found = runs_.find(id);
  if (found == runs_.end()) return;
  const std::shared_ptr<Run> run = found->second;
  drain_output();
  if (!alive_) output_.lines.finish([this](std::string_view line) { take_line(false, line); });
  if (run->delivered || phase_ == InitPhase::kInvoke) outcome.duration = since(run->started);
  if (outcome.status == Status::kTimedOut) {
    const auto allowed = std::chrono::duration_cast<std::chrono::microseconds>(run->deadline - run->started);
    outcome.duration = std::min(outcome.duration, allowed);
  }
  if (!outcome.max_memory_mb) outcome.max_memory_mb = max_memory_after(outcome.duration);
  runs_.erase(id);
  if (tells() && !restoring_ && !goes_on()) tell_report(id, *run, outcome);
  if (!run->ending) return settle(*run, std::move(outcome));
  *run->ending = std::move(outcome);
  run->ending->reusable = alive_;
  run->ended->set();
}

void Core::complete_streaming(const std::string& id, Body body, std::string content_type) {
  const auto found = runs_.find(id);
  if (found == runs_.end() || found->second->ending) return;
  const std::shared_ptr<Run> run = found->second;
  drain_output();
  tell_begun(*run);
  Outcome out;
  out.stream = std::move(body);
  out.content_type = std::move(content_type);
  out.ending = run->ending = std::make_shared<Outcome>();
  out.ended = run->ended = std::make_shared<virga::Event>();
  run->responded = Clock::now();
  out.duration = since(run->started);
  settle(*run, std::move(out));
}

void Core::tell_begun(Run& run) {
  if (const auto begun = std::exchange(run.begun, nullptr)) begun();
}

void Core::settle(Run& run, Outcome outcome) {
  run.result = std::move(outcome);
  if (!run.resume) return;
  const Resume resume = *run.resume;
  run.resume.reset();
  resume();
}

void Core::end_stream(const std::string& id, Status status, std::string document) {
  Outcome out;
  out.status = status;
  out.payload = std::move(document);
  complete(id, std::move(out));
}

void Core::arm(Steady deadline) {
  // One timer at most is under way for a deadline this early; it arms itself again when it comes too soon.
  if (armed_ <= deadline) return;
  armed_ = deadline;
  const auto wait = std::chrono::ceil<Micros>(deadline - Clock::now());
  home_.post_after(wait, [weak = weak_from_this(), deadline] {
    const auto self = weak.lock();
    if (!self || self->armed_ != deadline) return;
    self->armed_ = Steady::max();
    self->check_deadlines();
  });
}

void Core::check_deadlines() {
  const auto now = Clock::now();
  Steady next = Steady::max();
  std::vector<std::string> late;
  for (const auto& [id, run] : runs_) {
    if (run->deadline <= now) {
      late.push_back(id);
    } else {
      next = std::min(next, run->deadline);
    }
  }
  if (next != Steady::max()) arm(next);
  for (const std::string& id : late) time_out(id);
}

// Others that run beside it are not disturbed.
void Core::time_out(const std::string& id) {
  constexpr std::string_view kWhy = "the function timed out";
  const bool alone = concurrency_ == 1 || !ready_;
  if (alone) {
    alive_ = false;
    if (attended_) {
      leave("timeout");
    } else {
      kill();
    }
  }
  give_up(id, std::string(kWhy));
  Outcome out;
  out.status = Status::kTimedOut;
  if (!ready_) init_duration_ = since(begun_);
  if (tells() && !ready_) tell_initialised(out);
  finish(id, std::move(out));
  if (!alone) return;
  // Others that waited for its start with it.
  Outcome ended;
  ended.status = Status::kExited;
  ended.exit = "signal: killed";
  complete_all(ended);
}

// The kernel takes longer to tell than a short function runs, which has no time to touch much.
uint32_t Core::max_memory_after(std::chrono::microseconds ran) {
  ran_since_ += ran;
  if (used_mb_ == 0 || ran_since_ >= kPeakGood) {
    used_mb_ = used_mb(peak_bytes());
    ran_since_ = {};
  }
  return used_mb_;
}

// Of the most memory that the kernel counted: without what lies in /tmp, and no more than there may be.
uint32_t Core::used_mb(uint64_t peak) const {
  const uint64_t tmp = peak ? jail::bytes_in(cat("/proc/", slot_.first, "/root/tmp")) : 0;
  const uint64_t bytes = peak - std::min(peak, tmp);
  return std::min(static_cast<uint32_t>((bytes + (1 << 20) - 1) >> 20), memory_mb_);
}

// The most memory used so far, files in /tmp included.
uint64_t Core::peak_bytes() const {
  char text[4096];
  const ssize_t n = slot_.memory ? ::pread(slot_.memory.get(), text, sizeof text, 0) : 0;
  if (n <= 0) return 0;
  std::string_view view(text, static_cast<size_t>(n));
  if (view[0] >= '0' && view[0] <= '9') {
    return static_cast<uint64_t>(parse_int(trim(view)).value_or(0));
  }
  const auto at = view.find("VmHWM:");
  if (at == std::string_view::npos) return 0;
  view = trim(view.substr(at + 6));
  return static_cast<uint64_t>(parse_int(view.substr(0, view.find(' '))).value_or(0)) << 10;
}

void Core::channel_ended() {
  // The launcher tells how the program ended. Should it not, the instance must not hang: a program that is still there
  // has closed its channel; one that is gone without news was lost with its launcher, whose end a busy machine may be
  // slow to notice.
  home_.post_after(kExitNewsWait, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || !self->alive_) return;
    const bool there = ::syscall(SYS_pidfd_send_signal, self->slot_.process.get(), 0, nullptr, 0) == 0;
    self->kill();
    self->ended({.kind = there ? Event::Kind::kExited : Event::Kind::kLost});
  });
}

std::string Core::exit_text(const Event& event) const {
  if (!event.status) return "signal: killed";
  const int status = *event.status;
  if (WIFSIGNALED(status)) {
    std::string name = ::strsignal(WTERMSIG(status)) ? ::strsignal(WTERMSIG(status)) : "unknown";
    return cat("signal: ", lower(name));
  }
  return cat("exit status ", WEXITSTATUS(status));
}

void Core::on_event(const Event& event) {
  if (event.kind == Event::Kind::kExited || event.kind == Event::Kind::kLost) {
    drain_channels();
    return ended(event);
  }
  if (event.kind == Event::Kind::kEnded || event.kind == Event::Kind::kSocket) return program_ended(event);
  if (event.kind != Event::Kind::kFailed) return;
  log_warning("sandbox", "a sandbox failed", {{"why", event.text}});
  if (event.program != jail::kMainProgram) return program_ended(event);
  if (event.stage == jail::Stage::kEnter) {
    return init_failed(
        error_document("Runtime.InvalidWorkingDir", cat("RequestId: ", request_id_, " Error: ", event.text)));
  }
  if (event.stage == jail::Stage::kExecute) {
    if (!wrapper_.empty()) return wrapper_failed(event.error);
    const std::string why = event.error == ENOENT && !image_
                                ? std::string("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]")
                                : cat("fork/exec ", event.text);
    return init_failed(error_document("Runtime.InvalidEntrypoint", cat("RequestId: ", request_id_, " Error: ", why)));
  }
  init_failed(error_document("Sandbox.Failure", event.text));
}

// On AWS a script starts it, which tells so and exits.
void Core::wrapper_failed(int error) {
  const bool missing = error == ENOENT;
  take_line(false, cat(wrapper_, missing ? ": does not exist\n" : ": is not an executable\n"));
  Outcome out = exit_outcome({.kind = Event::Kind::kExited, .status = W_EXITCODE(missing ? 127 : 126, 0)});
  if (tells()) tell_initialised(out);
  die();
  settled_.set();
  fail(std::move(out));
}

void Core::ended(const Event& event) {
  drain_output();
  const bool was_alive = alive_;
  alive_ = false;
  settled_.set();
  gone_ = true;
  if (const auto self = std::exchange(leaving_, nullptr)) return finish_close();
  if (!was_alive) return;  // we ended it: the outcome is told already
  Outcome out = exit_outcome(event);
  if (tells() && !ready_) tell_initialised(out);
  fail(std::move(out));
}

Outcome Core::exit_outcome(const Event& event) {
  Outcome out;
  out.exit = exit_text(event);
  out.max_memory_mb = used_mb(event.peak_bytes);
  const bool killed = !event.status || (WIFSIGNALED(*event.status) && WTERMSIG(*event.status) == SIGKILL);
  if (event.kind == Event::Kind::kLost) {
    out.status = Status::kLost;
    out.payload = error_document("Sandbox.Failure",
                                 cat("RequestId: ", request_id_, " Error: the execution environment was lost"));
  } else if (event.out_of_memory && killed) {
    out.status = Status::kOutOfMemory;
    out.exit = "signal: killed";
    out.payload = error_document("Runtime.OutOfMemory",
                                 cat("RequestId: ", request_id_, " Error: Runtime exited with error: signal: killed"));
  } else {
    out.status = Status::kExited;
    const bool clean = event.status && WIFEXITED(*event.status) && WEXITSTATUS(*event.status) == 0;
    out.payload = error_document(
        "Runtime.ExitError", cat("RequestId: ", request_id_, " Error: Runtime exited ",
                                 clean ? std::string("without providing a reason") : cat("with error: ", out.exit)));
  }
  break_streams(cat("the runtime ended: ", out.exit));
  return out;
}

namespace {

class Handle final : public Instance {
 public:
  explicit Handle(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~Handle() override {
    if (!core_->attended()) core_->kill();
    if (Executor::current() == &core_->home()) {
      core_->close();
    } else {
      // Bound before the move: the order of evaluating the two is not given.
      Executor& home = core_->home();
      home.post([core = std::move(core_)] { core->close(); });
    }
  }
  Task<void> begin(Environment rest) override { return core_->begin(std::move(rest)); }
  Task<Outcome> invoke(Invocation invocation) override { return core_->invoke(std::move(invocation)); }
  Task<Outcome> initialised() override { return core_->initialised(); }
  Task<Outcome> restore() override { return core_->restore(); }
  bool alive() const override { return core_->alive(); }
  std::string_view runtime() const override { return core_->runtime(); }

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace

std::unique_ptr<Instance> instance_of(std::shared_ptr<Core> core) { return std::make_unique<Handle>(std::move(core)); }

}  // namespace virga::sandbox
