// Instances of provided.* runtimes: the program speaks the Runtime API of AWS Lambda, version 2018-06-01, over HTTP on
// the sandbox's own loopback.
#include <deque>
#include <map>
#include <set>

#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"
#include "sandbox/answer.h"
#include "sandbox/instance.h"

namespace virga::sandbox {
namespace {

constexpr std::string_view kPrefix = "/2018-06-01/runtime/";
constexpr std::string_view kErrorType = "lambda-runtime-function-error-type";

// The part after "/2018-06-01/runtime/invocation/<id>/", when the path is one of those.
std::pair<std::string_view, std::string_view> invocation_path(std::string_view path) {
  constexpr std::string_view kInvocation = "invocation/";
  if (!path.starts_with(kPrefix)) return {};
  path.remove_prefix(kPrefix.size());
  if (!path.starts_with(kInvocation)) return {};
  path.remove_prefix(kInvocation.size());
  return split_once(path, '/');
}

class Custom final : public Core {
 public:
  using Core::Core;

 protected:
  void prepare_runtime(ApiConnection& from) override {
    const ApiRequest& request = from.request();
    const auto [id, verb] = invocation_path(request.path);
    if (verb == "response") from.most_body = kMostResponse;
    if (request.method != "POST" || verb != "response" || !in_flight_.contains(id)) return;
    if (!equals_ignoring_case(request.header("lambda-runtime-function-response-mode"), "streaming")) return;
    const std::string_view type = request.header("content-type");
    from.stream = std::make_shared<AnswerPipe>(home(), [weak = from.weak_from_this()] {
      if (const auto connection = weak.lock()) connection->go_on();
    });
    streaming_[std::string(id)] = from.weak_from_this();
    complete_streaming(std::string(id), body_of_answer(from.stream),
                       std::string(type.empty() ? "application/octet-stream" : type));
  }

  void serve_runtime(ApiConnection& from) override {
    const ApiRequest& request = from.request();
    const std::string_view path = request.path;
    const bool get = request.method == "GET";
    if (path == cat(kPrefix, "invocation/next") && get) return serve_next(from);
    if (is_snapshot() && path == cat(kPrefix, "restore/next") && get) return serve_restore_next(from);
    if (is_snapshot() && path == cat(kPrefix, "restore/error") && !get) return serve_restore_error(from);
    if (path == cat(kPrefix, "init/error") && !get) {
      if (ready()) return refuse_answered(from, "InitError");
      return serve_init_error(from);
    }
    const auto [id, verb] = invocation_path(path);
    if (request.method == "POST" && (verb == "response" || verb == "error")) {
      const auto found = in_flight_.find(id);
      if (found == in_flight_.end()) {
        if (id != request_id()) return from.refuse(400, "InvalidRequestID", "Invalid request ID");
        return refuse_answered(from, verb == "response" ? "InvocationResponse" : "InvocationErrorResponse");
      }
      const std::string answered = *found;
      in_flight_.erase(found);
      if (from.stream) return end_streamed(from, answered);
      return verb == "response" ? serve_response(from, answered) : serve_error(from, answered);
    }
    from.not_found();
  }

  bool asks_next() const override { return !parked_.empty(); }
  void open_channels() override { api().expect(concurrency()); }
  void close_channels() override { parked_.clear(); }
  void break_streams(const std::string& why) override { api().break_streams(why); }
  void give_up(const std::string& id, const std::string& why) override {
    in_flight_.erase(id);
    std::erase_if(pending_, [&](const Invocation& waiting) { return waiting.request_id == id; });
    const auto found = streaming_.find(id);
    if (found == streaming_.end()) return;
    const auto connection = found->second.lock();
    streaming_.erase(found);
    if (!connection || !connection->stream) return;
    std::exchange(connection->stream, nullptr)->end(why);
    connection->go_on();
  }
  void deliver(const Invocation& invocation) override {
    pending_.push_back(invocation);
    give();
  }
  // A program that waits for its invocation already has nothing to do after a restore.
  void begin_restore() override {
    if (const auto connection = at_snapshot_.lock(); connection && !connection->closed()) {
      at_snapshot_.reset();
      connection->answer(200, "application/json", {}, "");
    } else if (!parked_.empty()) {
      restored();
    }
  }

 private:
  void serve_next(ApiConnection& from) {
    if (in_flight_.size() >= concurrency()) {
      return from.refuse(
          403, "InvalidStateTransition",
          "State transition from Running to Ready failed for runtime. Error: State transition is not allowed");
    }
    std::erase_if(parked_, [](const auto& one) {
      const auto connection = one.lock();
      return !connection || connection->closed();
    });
    parked_.push_back(from.weak_from_this());
    if (!ready()) became_ready();  // which may deliver at once
    restored();
    give();
    progress();
  }

  // Initialised; goes on once it is restored.
  void serve_restore_next(ApiConnection& from) {
    if (ready()) return refuse_answered(from, "RestoreNext");
    at_snapshot_ = from.shared_from_this();
    became_ready();
  }

  void serve_restore_error(ApiConnection& from) {
    if (!restoring()) return refuse_answered(from, "RestoreError");
    serve_init_error(from);
  }

  void serve_init_error(ApiConnection& from) {
    std::string fault = fault_named(from.request().header(kErrorType));
    std::string document = error_body(from);
    accepted(from);
    init_failed(std::move(document), std::move(fault));
  }

  // Hands invocations to the program, where both are here.
  void give() {
    while (!pending_.empty() && !parked_.empty()) {
      const auto connection = parked_.front().lock();
      parked_.pop_front();
      if (!connection || connection->closed()) continue;
      const Invocation in = std::move(pending_.front());
      pending_.pop_front();
      in_flight_.insert(in.request_id);
      hand_over(*connection, in);
    }
  }

  void hand_over(ApiConnection& to, const Invocation& in) {
    ApiConnection::Headers headers{{"Lambda-Runtime-Aws-Request-Id", in.request_id},
                                   {"Lambda-Runtime-Deadline-Ms", cat(in.deadline.millis())},
                                   {"Lambda-Runtime-Invoked-Function-Arn", in.function_arn},
                                   {"Lambda-Runtime-Trace-Id", in.trace},
                                   {"Lambda-Runtime-Client-Context", in.client_context},
                                   {"Lambda-Runtime-Cognito-Identity", in.cognito_identity}};
    if (!in.tenant.empty()) headers.emplace_back("Lambda-Runtime-Aws-Tenant-Id", in.tenant);
    to.answer(200, "application/json", headers, in.payload);
  }

  void serve_response(ApiConnection& from, const std::string& id) {
    if (from.too_large) {
      Outcome out;
      out.status = Status::kError;
      out.payload = error_document("Function.ResponseSizeTooLarge",
                                   "Response payload size exceeded maximum allowed payload size (6291556 bytes).");
      from.refuse(413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (6291556 bytes).");
      return complete(id, std::move(out));
    }
    Outcome out;
    out.payload = std::move(from.body);
    accepted(from);
    complete(id, std::move(out));
  }

  void end_streamed(ApiConnection& from, const std::string& id) {
    streaming_.erase(id);
    const auto stream = std::exchange(from.stream, nullptr);
    from.held = false;  // its end came with the bytes that filled it
    const auto& request = from.request();
    const std::string type(request.header(kErrorType));
    std::string document;
    if (!type.empty()) {
      document = error_document(type, "");
      if (auto body = base64_decode(request.header("lambda-runtime-function-error-body"))) document = std::move(*body);
    }
    accepted(from);
    end_stream(id, type.empty() ? Status::kOk : Status::kError, std::move(document));
    stream->end(type.empty() ? "" : "the function failed while it was answering");
  }

  void serve_error(ApiConnection& from, const std::string& id) {
    Outcome out;
    out.status = Status::kError;
    out.payload = error_body(from);
    accepted(from);
    complete(id, std::move(out));
  }

  static std::string error_body(ApiConnection& from) {
    if (!from.too_large && !from.body.empty()) {
      try {
        Json::parse(from.body);
        return std::move(from.body);
      } catch (const JsonError&) {
      }
    }
    const std::string_view type = from.request().header(kErrorType);
    return error_document(type.empty() ? "Unhandled" : type, from.too_large ? "" : from.body);
  }

  void refuse_answered(ApiConnection& from, std::string_view what) {
    from.refuse(
        403, "InvalidStateTransition",
        cat("State transition from Ready to ", what, " failed for runtime. Error: State transition is not allowed"));
  }
  void accepted(ApiConnection& from) { from.answer(202, "application/json", {}, "{\"status\":\"OK\"}\n"); }

  std::weak_ptr<ApiConnection> at_snapshot_;                       // waits to be restored
  std::deque<std::weak_ptr<ApiConnection>> parked_;                // wait for the next invocation
  std::deque<Invocation> pending_;                                 // wait for the program to ask
  std::set<std::string, std::less<>> in_flight_;                   // ids that the program has and has not answered
  std::map<std::string, std::weak_ptr<ApiConnection>> streaming_;  // by id
};

}  // namespace

std::shared_ptr<Core> make_custom(Backstage& backstage, Slot slot, const Spec& spec, std::string runtime, LogSink log) {
  return std::make_shared<Custom>(backstage, std::move(slot), spec, std::move(runtime), std::move(log));
}

}  // namespace virga::sandbox
