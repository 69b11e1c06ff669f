// The extensions of one instance, by AWS's Extensions API of 2020-01-01: who has registered, who waits for its next
// event, and whether a phase of the instance's life is over for all of them. What follows from that is the instance's
// business (attend.cc).
//
// External extensions are programs of their own, known before they register; internal ones are part of the runtime's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "sandbox/api_server.h"

namespace virga::sandbox {

struct Extension {
  enum class State { kStarted, kRegistered, kReady, kRunning, kInitError, kExitError, kLaunchError };

  std::string name;
  std::string id;
  uint64_t program = 0;  // of an external one, in the sandbox
  State state = State::kStarted;
  bool on_invoke = false;
  bool on_shutdown = false;
  bool gone = false;  // its program has ended
  std::string error_type;
  std::weak_ptr<ApiConnection> asking;  // waits for the next event
  std::optional<std::string> event;     // waits to be asked for

  bool external() const { return program != 0; }
  std::string_view state_name() const;
  Json::Array events() const;
};

// What a registration is told of the function.
struct FunctionFacts {
  std::string name, version, handler, account;
};

class Extensions {
 public:
  static constexpr size_t kMost = 10;

  // `changed`: somebody registered, asked for its next event or failed.
  Extensions(FunctionFacts function, std::function<void()> changed)
      : function_(std::move(function)), changed_(std::move(changed)) {}

  // An external extension's program is being started.
  void expect(std::string name, uint64_t program);
  // No one registers from now on.
  void close_registration() { closed_ = true; }
  // Answers a request of the Extensions API; false when it is none.
  bool serve(ApiConnection& from);
  // The extension that a request names; without one it has been answered.
  Extension* sender(ApiConnection& from);

  bool empty() const { return all_.empty(); }
  bool any_external() const;
  bool any_internal() const;
  const std::vector<std::unique_ptr<Extension>>& all() const { return all_; }
  Extension* find_program(uint64_t program);
  // What the first of them that failed reported: "Extension.InitError", "Extension.ExitError".
  const std::string& first_failure() const { return first_failure_; }

  bool all_registered() const;  // those with a program
  bool all_ready() const;       // each has asked for its first event
  bool running() const;         // one is still busy with an event, or has said that it is about to end

  void invoke(const std::string& event);
  // To the external ones that want it; the others' programs.
  std::vector<uint64_t> shut_down(const std::string& event);

 private:
  void serve_register(ApiConnection& from);
  void serve_next(ApiConnection& from);
  void serve_error(ApiConnection& from, Extension::State state, std::string_view kind);
  void give(Extension& to, const std::string& event);
  void refuse_state(ApiConnection& from, const Extension& of, std::string_view target, std::string_view name);

  const FunctionFacts function_;
  const std::function<void()> changed_;
  std::vector<std::unique_ptr<Extension>> all_;
  std::string first_failure_;
  bool closed_ = false;
};

std::string invoke_event(int64_t deadline_ms, std::string_view request_id, std::string_view function_arn,
                         std::string_view trace);
std::string shutdown_event(int64_t deadline_ms, std::string_view reason);

}  // namespace virga::sandbox
