// Instances of provided.* runtimes: the program speaks the Runtime API of AWS Lambda, version 2018-06-01, over HTTP on
// the sandbox's own loopback.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>

#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"
#include "sandbox/answer.h"
#include "sandbox/instance.h"
#include "sandbox/runtime_api.h"

namespace virga::sandbox {
namespace {

constexpr size_t kMostConnections = 64;
constexpr size_t kMostErrorDocument = 256 * 1024;
constexpr std::string_view kPrefix = "/2018-06-01/runtime/";

class Custom;

std::string refusal(std::string_view type, std::string_view message) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.key("errorMessage");
  w.string(message);
  w.key("errorType");
  w.string(type);
  w.end_object();
  return out;
}

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Custom& owner, Fd fd) : owner_(owner), fd_(std::move(fd)) {}
  void open(std::function<std::unique_ptr<Readiness>(int, std::function<void()>)> watch);
  void answer(int status, std::string_view content_type,
              const std::vector<std::pair<std::string, std::string>>& headers, std::string_view body);
  void go_on();
  void close();
  bool closed() const { return !fd_; }

 private:
  friend class Custom;
  void on_ready();
  void flush();
  void begin_body();
  void take_body(std::string_view bytes);

  Custom& owner_;
  Fd fd_;
  std::unique_ptr<Readiness> readiness_;
  ApiParser parser_;
  std::string input_;  // read, not yet parsed
  std::string body_;
  size_t most_body_ = 0;
  bool too_large_ = false;
  bool body_begun_ = false;
  bool waiting_ = false;  // an answer is owed; no more is read until it is given
  bool held_ = false;     // a streamed answer that nobody takes
  bool in_feed_ = false;
  bool turn_ended_ = false;  // goes on when the others had theirs
  std::shared_ptr<AnswerPipe> stream_;
  std::string output_;
  size_t sent_ = 0;
};

class Custom final : public Core {
 public:
  using Core::Core;

  // A request has come whole.
  void serve(Connection& from);
  // How much of a body to keep for this request, and whether it streams.
  void prepare(Connection& from);

 protected:
  void open_channels() override {
    listener_ = watch(slot().api_listener.get(), [this] { accept_all(); });
    accept_all();
  }
  void close_channels() override {
    listener_.reset();
    for (const auto& connection : connections_) connection->close();
    connections_.clear();
    parked_.reset();
  }
  void break_stream(const std::string& why) override {
    for (const auto& connection : connections_) {
      connection->held_ = false;
      if (connection->stream_) std::exchange(connection->stream_, nullptr)->end(why);
    }
  }
  void deliver(const Invocation& invocation) override {
    pending_ = invocation;
    give();
  }

 private:
  enum class Phase { kIdle, kRunning, kAnswered };

  void accept_all() {
    const std::shared_ptr<Core> self = shared_from_this();
    std::erase_if(connections_, [](const auto& c) { return c->closed(); });
    for (size_t i = 0; listener_; ++i) {
      if (i == kMostConnections) {
        home().post([this, self] { accept_all(); });  // then others get their turn
        return;
      }
      const int fd = ::accept4(slot().api_listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0 && errno == EINTR) continue;
      if (fd < 0) return;
      Fd owned(fd);
      if (connections_.size() >= kMostConnections) continue;
      auto connection = std::make_shared<Connection>(*this, std::move(owned));
      connections_.push_back(connection);
      connection->open([this](int fd, std::function<void()> f) { return watch(fd, std::move(f)); });
    }
  }

  void serve_next(Connection& from) {
    if (phase_ == Phase::kRunning) {
      return refuse(
          from, 403, "InvalidStateTransition",
          "State transition from Running to Ready failed for runtime. Error: State transition is not allowed");
    }
    phase_ = Phase::kIdle;
    parked_ = from.shared_from_this();
    if (!ready()) became_ready();  // which may deliver at once
    give();
  }

  // Hands the invocation to the program, once both are here.
  void give() {
    if (!pending_) return;
    const auto connection = parked_.lock();
    if (!connection || connection->closed()) return;
    const Invocation in = std::move(*pending_);
    pending_.reset();
    parked_.reset();
    phase_ = Phase::kRunning;
    connection->answer(200, "application/json",
                       {{"Lambda-Runtime-Aws-Request-Id", in.request_id},
                        {"Lambda-Runtime-Deadline-Ms", cat(in.deadline.millis())},
                        {"Lambda-Runtime-Invoked-Function-Arn", in.function_arn},
                        {"Lambda-Runtime-Trace-Id", in.trace},
                        {"Lambda-Runtime-Client-Context", in.client_context},
                        {"Lambda-Runtime-Cognito-Identity", in.cognito_identity}},
                       in.payload);
  }

  void serve_response(Connection& from) {
    if (phase_ != Phase::kRunning) return refuse_answered(from, "InvocationResponse");
    phase_ = Phase::kAnswered;
    if (from.too_large_) {
      Outcome out;
      out.status = Status::kError;
      out.payload = error_document("Function.ResponseSizeTooLarge",
                                   "Response payload size exceeded maximum allowed payload size (6291556 bytes).");
      refuse(from, 413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (6291556 bytes).");
      return complete(std::move(out));
    }
    Outcome out;
    out.payload = std::move(from.body_);
    accepted(from);
    complete(std::move(out));
  }

  void end_streamed(Connection& from) {
    phase_ = Phase::kAnswered;
    const auto stream = std::exchange(from.stream_, nullptr);
    from.held_ = false;  // its end came with the bytes that filled it
    const auto& request = from.parser_.request();
    const std::string type(request.header("lambda-runtime-function-error-type"));
    std::string document;
    if (!type.empty()) {
      document = error_document(type, "");
      if (auto body = base64_decode(request.header("lambda-runtime-function-error-body"))) document = std::move(*body);
    }
    accepted(from);
    end_stream(type.empty() ? Status::kOk : Status::kError, std::move(document));
    stream->end(type.empty() ? "" : "the function failed while it was answering");
  }

  void serve_error(Connection& from) {
    if (phase_ != Phase::kRunning) return refuse_answered(from, "InvocationErrorResponse");
    phase_ = Phase::kAnswered;
    Outcome out;
    out.status = Status::kError;
    out.payload = error_body(from);
    accepted(from);
    complete(std::move(out));
  }

  static std::string error_body(Connection& from) {
    if (!from.too_large_ && !from.body_.empty()) {
      try {
        Json::parse(from.body_);
        return std::move(from.body_);
      } catch (const JsonError&) {
      }
    }
    const std::string_view type = from.parser_.request().header("lambda-runtime-function-error-type");
    return error_document(type.empty() ? "Unhandled" : type, from.too_large_ ? "" : from.body_);
  }

  void refuse(Connection& from, int status, std::string_view type, std::string_view message) {
    from.answer(status, "application/json", {}, refusal(type, message));
  }
  void refuse_answered(Connection& from, std::string_view what) {
    refuse(from, 403, "InvalidStateTransition",
           cat("State transition from Ready to ", what, " failed for runtime. Error: State transition is not allowed"));
  }
  void accepted(Connection& from) { from.answer(202, "application/json", {}, "{\"status\":\"OK\"}\n"); }

  std::unique_ptr<Readiness> listener_;
  std::list<std::shared_ptr<Connection>> connections_;
  std::weak_ptr<Connection> parked_;   // waits for the next invocation
  std::optional<Invocation> pending_;  // waits for the program to ask
  Phase phase_ = Phase::kIdle;
};

// The part after "/2018-06-01/runtime/invocation/<id>/", when the path is one of those.
std::pair<std::string_view, std::string_view> invocation_path(std::string_view path) {
  constexpr std::string_view kInvocation = "invocation/";
  if (!path.starts_with(kPrefix)) return {};
  path.remove_prefix(kPrefix.size());
  if (!path.starts_with(kInvocation)) return {};
  path.remove_prefix(kInvocation.size());
  return split_once(path, '/');
}

void Custom::prepare(Connection& from) {
  const ApiRequest& request = from.parser_.request();
  const auto [id, verb] = invocation_path(request.path);
  from.most_body_ = verb == "response" ? kMostResponse : kMostErrorDocument;
  if (request.method != "POST" || verb != "response" || phase_ != Phase::kRunning || id != request_id()) return;
  if (!equals_ignoring_case(request.header("lambda-runtime-function-response-mode"), "streaming")) return;
  const std::string_view type = request.header("content-type");
  from.stream_ = std::make_shared<AnswerPipe>(home(), [weak = from.weak_from_this()] {
    if (const auto connection = weak.lock()) connection->go_on();
  });
  complete_streaming(body_of_answer(from.stream_), std::string(type.empty() ? "application/octet-stream" : type));
}

void Custom::serve(Connection& from) {
  const ApiRequest& request = from.parser_.request();
  const std::string_view path = request.path;
  const bool get = request.method == "GET";
  if (path == cat(kPrefix, "invocation/next") && get) return serve_next(from);
  if (path == cat(kPrefix, "init/error") && !get) {
    if (ready()) return refuse_answered(from, "InitError");
    std::string document = error_body(from);
    accepted(from);
    return init_failed(std::move(document));
  }
  const auto [id, verb] = invocation_path(path);
  if (request.method == "POST" && (verb == "response" || verb == "error")) {
    if (id != request_id()) return refuse(from, 400, "InvalidRequestID", "Invalid request ID");
    if (from.stream_) return end_streamed(from);
    return verb == "response" ? serve_response(from) : serve_error(from);
  }
  from.answer(404, "text/plain; charset=utf-8", {}, "404 page not found\n");
}

void Connection::open(std::function<std::unique_ptr<Readiness>(int, std::function<void()>)> watch) {
  parser_.on_body = [this](std::string_view bytes) { take_body(bytes); };
  // The owner keeps the connection until its watch is gone.
  readiness_ = watch(fd_.get(), [this] { on_ready(); });
  on_ready();
}

void Connection::take_body(std::string_view bytes) {
  if (stream_) {
    stream_->push(std::string(bytes));
    if (stream_->full()) held_ = true;
  } else if (body_.size() + bytes.size() > most_body_) {
    too_large_ = true;
    body_.clear();
    most_body_ = 0;
  } else {
    body_ += bytes;
  }
}

void Connection::on_ready() {
  const auto self = shared_from_this();
  const auto owner = owner_.shared_from_this();
  if (!output_.empty()) {
    flush();
    if (fd_ && output_.empty()) readiness_->again();
  }
  if (in_feed_ || turn_ended_) return;
  in_feed_ = true;
  char buffer[65536];
  size_t total = 0;
  while (fd_) {
    // What was read goes first; an answer that is owed or not taken yet, or a full stream, stops it.
    while (fd_ && !waiting_ && !held_ && output_.empty() && !input_.empty()) {
      const bool was_head = parser_.state() == ApiParser::State::kHead;
      const size_t used = parser_.feed(input_);
      input_.erase(0, used);
      if (parser_.state() == ApiParser::State::kBad) {
        close();
        break;
      }
      if (was_head && parser_.state() != ApiParser::State::kHead) {
        owner_.prepare(*this);
        if (parser_.state() == ApiParser::State::kBody && parser_.expects_continue()) {
          output_ += "HTTP/1.1 100 Continue\r\n\r\n";
          flush();
        }
      }
      if (parser_.state() == ApiParser::State::kDone) {
        waiting_ = true;
        owner_.serve(*this);
      }
    }
    if (!fd_) break;
    if (waiting_ || held_ || !output_.empty()) {
      if (input_.size() > sizeof buffer) {
        readiness_->hold();
        break;
      }
    }
    const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) {
      close();
      break;
    }
    input_.append(buffer, static_cast<size_t>(n));
    total += static_cast<size_t>(n);
    if (total > kMostPerTurn) {
      turn_ended_ = true;
      readiness_->hold();
      owner_.home().post([self] {
        self->turn_ended_ = false;
        if (!self->fd_) return;
        self->readiness_->again();
        self->on_ready();
      });
      break;
    }
  }
  in_feed_ = false;
}

void Connection::answer(int status, std::string_view content_type,
                        const std::vector<std::pair<std::string, std::string>>& headers, std::string_view body) {
  if (!fd_) return;
  output_ += api_response(status, content_type, headers, body);
  const bool keep = parser_.keep_alive();
  flush();
  if (!keep && output_.empty()) return close();
  parser_.next();
  body_.clear();
  too_large_ = false;
  waiting_ = false;
  if (!in_feed_ && fd_) {
    readiness_->again();
    on_ready();
  }
}

void Connection::go_on() {
  if (!held_ || !fd_) return;
  held_ = false;
  readiness_->again();
  on_ready();
}

void Connection::flush() {
  while (fd_ && sent_ < output_.size()) {
    const ssize_t n = ::send(fd_.get(), output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (errno == EAGAIN) {
        readiness_->want_write();
      } else {
        close();
      }
      return;
    }
    sent_ += static_cast<size_t>(n);
  }
  output_.clear();
  sent_ = 0;
}

void Connection::close() {
  readiness_.reset();
  fd_.reset();
  if (stream_) std::exchange(stream_, nullptr)->end("the runtime closed the connection while it was answering");
}

}  // namespace

std::shared_ptr<Core> make_custom(Backstage& backstage, Slot slot, const Spec& spec, LogSink log) {
  return std::make_shared<Custom>(backstage, std::move(slot), spec, std::move(log));
}

}  // namespace virga::sandbox
