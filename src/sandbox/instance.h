// One sandbox with a function in it. What all runtimes have in common: the log, the clock that ends an invocation, how
// an end is told apart. How an event reaches the program is a subclass's business.
//
// A Core belongs to one executor, its home; everything but the constructor and kill runs there.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sandbox/api_server.h"
#include "sandbox/extensions.h"
#include "sandbox/keeper.h"
#include "sandbox/lines.h"
#include "sandbox/loop.h"
#include "sandbox/sandbox.h"

namespace virga::sandbox {

inline constexpr size_t kMostResponse = 6 * 1024 * 1024 + 100;  // AWS's 6,291,556 bytes

// What a Core needs of the pool, which outlives it.
struct Backstage {
  Loop& loop;
  Keeper& keeper;
  const Clock& clock;
  bool processor_share = true;
  std::function<void(uint32_t id)> leaving;  // nobody uses the instance any more, but its extensions still end
  std::function<void(uint32_t id)> forget;   // the instance is over
};

// What one of an instance's programs writes.
struct Output {
  Fd fd;
  Lines lines;
  std::unique_ptr<Readiness> readiness;
  bool extension = false;
};

// An external extension's program, as it is being started.
struct Attendant {
  std::string name;
  uint64_t program;
  Fd output;
};

class Core : public ApiHandler, public std::enable_shared_from_this<Core> {
 public:
  // `runtime`: what runs it, as Sandboxes::Runtime::version.
  Core(Backstage& backstage, Slot slot, const Spec& spec, std::string runtime, LogSink log);
  ~Core() override;

  Executor& home() override { return home_; }
  std::shared_ptr<void> keep() override { return shared_from_this(); }
  std::unique_ptr<Readiness> watch(int fd, std::function<void()> f) override;
  void prepare(ApiConnection& from) override;
  void serve(ApiConnection& from) override;
  uint32_t id() const { return slot_.id; }
  const std::string& runtime() const { return runtime_; }
  // At home, once: begins to hear the sandbox.
  void open();
  Task<Outcome> invoke(Invocation invocation);
  Task<Outcome> initialised();
  Task<Outcome> restore();
  bool alive() const { return alive_; }
  // The keeper's news, at home.
  void on_event(const Event& event);
  // Ends the sandbox; safe from any thread.
  void kill();
  // At home: nobody will call any more.
  void close();

  // Extensions: attend.cc. At home, before the programs are started: `start_runtime` is called when they all have
  // registered.
  void attend(std::vector<Attendant> external, std::function<void()> start_runtime);
  // Whether it has extensions, which are to be given time at its end. Any thread.
  bool attended() const { return attended_; }
  // At home: keeps `run` for begin(), which gives it the rest of the environment.
  void hold(std::move_only_function<void(Environment)> run) { run_ = std::move(run); }
  Task<void> begin(Environment rest);
  // What a prepared runtime waits for.
  virtual void greet(std::string frame) {}

 protected:
  using Steady = std::chrono::steady_clock::time_point;

  // The invocation is to be given to the program, which is ready for it.
  virtual void deliver(const Invocation& invocation) = 0;
  // The same to a program that begins with it once it is ready; false where that isn't possible.
  virtual bool deliver_ahead(const Invocation& invocation) { return false; }
  // An initialised snapshot is to go on.
  virtual void begin_restore() = 0;
  // The program's descriptors may have something to say.
  virtual void open_channels() = 0;
  virtual void close_channels() = 0;
  // Whatever the program said before it ended.
  virtual void drain_channels() {}
  // The streams of streamed answers, where there are any, fail.
  virtual void break_streams(const std::string& why) {}
  // Whatever the program still says of this invocation goes into nothing; its stream fails.
  virtual void give_up(const std::string& id, const std::string& why) {}

  // Requests that only a runtime of its own makes.
  virtual void prepare_runtime(ApiConnection& from) {}
  virtual void serve_runtime(ApiConnection& from) { from.not_found(); }
  // Whether the runtime waits for the next invocation, once it has answered one.
  virtual bool asks_next() const { return true; }

  void became_ready();
  // `fault`: as the log names it; empty: as the document does.
  void init_failed(std::string document, std::string fault = {});
  void restored();
  void complete(const std::string& id, Outcome outcome);
  // All that are under way end like that.
  void complete_all(const Outcome& outcome);
  // The answer of the invocation begins; it ends later with end_stream.
  void complete_streaming(const std::string& id, Body body, std::string content_type);
  void end_stream(const std::string& id, Status status, std::string document);
  void drain_output();
  void channel_ended();
  // At home: no invocation is taken from now on, and the program is killed.
  void die();
  bool running(const std::string& id) const { return runs_.contains(id); }
  bool ready() const { return runtime_ready_; }
  // Something happened that extensions, or the instance because of them, wait for.
  void progress();
  bool is_snapshot() const { return snapshot_; }
  bool restoring() const { return restoring_; }
  uint32_t concurrency() const { return concurrency_; }
  // Of the latest invocation; empty when there may be several at a time.
  const std::string& request_id() const { return request_id_; }
  Slot& slot() { return slot_; }
  Backstage& backstage() { return backstage_; }
  ApiServer& api() { return api_; }

 private:
  struct Attendance;
  // An invocation under way, from its call to its answer's end.
  struct Run {
    std::optional<Invocation> waiting;  // until the program is ready for it
    std::optional<Outcome> done;        // the runtime's part, while extensions still work on it
    std::optional<Outcome> result;
    std::optional<Resume> resume;
    std::shared_ptr<Outcome> ending;  // of an answer that comes before its end
    std::shared_ptr<virga::Event> ended;
    Steady started, deadline = Steady::max();
    bool ahead = false;           // the program has it, perhaps before it is ready
    bool delivered = false;       // the program has it and is ready
    std::function<void()> begun;  // until it has been called
    // For what is told of it.
    std::string trace;
    bool cold = false, told_runtime_done = false;
    std::optional<std::chrono::microseconds> restore;
    Steady responded, runtime_done;  // a streamed answer began; the runtime was done
  };

  Task<Outcome> collect(Outcome begun);
  // The invocation that waits for this initialisation is over only once another has been tried.
  bool goes_on() const { return init_again_ && !ready_; }
  static void tell_begun(Run& run);
  void end_of_init_output();
  void give(const std::string& id, Run& run, Invocation invocation);
  static void settle(Run& run, Outcome outcome);
  void enter_service();
  void throttle();
  void finish(const std::string& id, Outcome outcome);
  void fail(Outcome outcome);
  void drain(Output& output);
  void finish_close();
  Outcome exit_outcome(const Event& event);
  void wrapper_failed(int error);
  void arm(Steady deadline);
  void check_deadlines();
  void time_out(const std::string& id);
  void ended(const Event& event);
  void watch_memory(Micros pause);
  void look_at_memory(Micros pause);
  void order(jail::Kind kind, std::vector<uint64_t> numbers);
  uint64_t peak_bytes() const;
  uint32_t used_mb(uint64_t peak) const;
  uint32_t max_memory_after(std::chrono::microseconds ran);
  std::string exit_text(const Event& event) const;

  // attend.cc
  Attendance& attendance();
  bool busy() const;
  void runtime_done(const std::string& id, Run& run, Outcome outcome);
  void attend_invocation(const Invocation& invocation);
  void runtime_initialised(const Outcome& outcome = {});

  // attend.cc: what happens, as the log and subscribers are told it. `tells` when there is anybody to tell.
  bool tells() const { return attended_ || json_log_; }
  void tell(std::string_view type, const Json& record, uint8_t audience);
  void log_event(Time time, std::string_view type, const Json& record);
  void take_line(bool extension, std::string_view line);
  std::string_view phase_name() const;
  Json init_start() const;
  Json init_record(const Outcome& outcome) const;
  void describe_instance(Json& record) const;
  void tell_initialised(const Outcome& outcome = {});
  void tell_extensions();
  void tell_start(const std::string& id, const Run& run);
  void tell_runtime_done(const std::string& id, Run& run, const Outcome& outcome);
  void tell_report(const std::string& id, Run& run, const Outcome& outcome);
  void tell_restore_start();
  void tell_restored(const Outcome& outcome);
  Json span(std::string_view name, Steady begin, Steady end) const;
  Time wall_time(Steady then) const;
  std::chrono::microseconds init_duration() const;
  void program_ended(const Event& event);
  void extension_failed(std::string_view type, const std::string& message);
  void leave(std::string_view reason);
  void leave_on();
  void dismiss();
  void signal(uint64_t program, int number);

  Backstage& backstage_;
  Executor& home_;
  Slot slot_;
  LogSink log_;
  const uint32_t memory_mb_;
  const bool image_;
  const std::string wrapper_;
  const uint32_t concurrency_;
  const Millis init_timeout_;
  const InitPhase phase_;
  const bool init_again_;
  const bool snapshot_;
  const FunctionFacts facts_;
  const std::string log_stream_, initialization_type_, runtime_, runtime_arns_;
  const std::optional<JsonLog> json_log_;
  Output output_;
  ApiServer api_{*this};
  std::atomic<bool> alive_ = true;                  // written at home, read anywhere
  std::atomic<bool> attended_ = false;              // the same
  std::move_only_function<void(Environment)> run_;  // until it begins
  bool closed_ = false;
  bool gone_ = false;  // nothing of the sandbox is left
  bool runtime_ready_ = false;
  bool ready_ = false;  // the runtime, and every extension
  bool restoring_ = false;
  std::string request_id_;
  std::map<std::string, std::shared_ptr<Run>, std::less<>> runs_;  // by request id
  virga::Event settled_;                                           // its initialisation is over, well or ill
  std::optional<Outcome> fate_;                                    // how it ended while nobody was calling
  Steady begun_, armed_ = Steady::max();
  std::chrono::microseconds init_duration_{0};
  uint32_t used_mb_ = 0;                   // of memory at most, as it was last read
  std::chrono::microseconds ran_since_{};  // time of invocations since then
  bool watching_memory_ = false;           // a look at it is due
  uint64_t peak_at_look_ = 0;              // of the last look
  bool idle_at_look_ = false;
  bool init_told_;                 // how long it took, where that isn't an invocation's time
  bool told_initialised_ = false;  // in events: that it is, or has failed to be
  std::optional<std::chrono::microseconds> restore_duration_;  // until it is told
  std::shared_ptr<Attendance> attendance_;                     // null: no extension was ever here
  std::shared_ptr<Core> leaving_;  // itself, while its extensions end and nobody else holds it
};

std::unique_ptr<Instance> instance_of(std::shared_ptr<Core> core);

std::shared_ptr<Core> make_managed(Backstage& backstage, Slot slot, const Spec& spec, std::string runtime, LogSink log);
std::shared_ptr<Core> make_custom(Backstage& backstage, Slot slot, const Spec& spec, std::string runtime, LogSink log);

// The first frame that a managed runtime's bootstrap gets. No environment: its program was started with it, and what a
// wrapper made of it counts. `more`: environment_frame() follows.
std::string init_frame(const Spec& spec, const Environment& environment, bool more);
std::string environment_frame(const Environment& rest);

// The program that starts a managed runtime in its stead; empty: none. Others don't ask for one.
std::string wrapper_of(const Spec& spec);

// Of an error document that may come from a function.
std::string error_type_in(const std::string& document);
// As the log names a failed initialisation that its runtime has named so: as AWS, by few names but its own.
std::string fault_named(std::string_view type);

// AWS's error document.
std::string error_document(std::string_view type, std::string_view message);

}  // namespace virga::sandbox
