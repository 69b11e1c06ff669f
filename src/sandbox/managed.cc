// Instances of runtimes whose bootstrap is ours: Python and Node.js, over the private channel.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "base/json.h"
#include "base/str.h"
#include "sandbox/answer.h"
#include "sandbox/frames.h"
#include "sandbox/instance.h"

namespace virga::sandbox {
namespace {

// The kernel takes frames of this size whole: the launcher's own on the same channel never comes in between.
constexpr size_t kMostAhead = 16 * 1024;
constexpr size_t kRoomyHeader = 1024;

class Managed final : public Core {
 public:
  Managed(Backstage& backstage, Slot slot, const Spec& spec, std::string runtime, LogSink log)
      : Core(backstage, std::move(slot), spec, std::move(runtime), std::move(log)),
        java_(spec.runtime.starts_with("java")),
        reader_(kMostResponse + 4096) {}

  // A streamed answer has room again.
  void resume_reading() {
    if (paused_ && channel_) {
      paused_ = false;
      channel_->again();
      on_channel();
    }
  }

 protected:
  void open_channels() override {
    channel_ = watch(slot().channel.get(), [this] { on_channel(); });
    on_channel();
  }
  void close_channels() override {
    channel_.reset();
    break_streams("the function's instance has ended");
  }
  void drain_channels() override { on_channel(); }
  void break_streams(const std::string& why) override {
    for (const auto& [id, stream] : std::exchange(streams_, {})) stream->end(why);
  }
  void give_up(const std::string& id, const std::string& why) override { end_pipe(id, why); }

  void begin_restore() override { say(frame(ToRuntime::kRestore, {})); }

  void deliver(const Invocation& in) override { say(invoke_frame(in, false)); }
  bool deliver_ahead(const Invocation& in) override {
    if (in.payload.size() > kMostAhead) return false;
    say(invoke_frame(in, true));
    return true;
  }
  void greet(std::string frame) override { say(std::move(frame)); }

 private:
  // `ahead`: its deadline is meant for a program that were ready now, which the header tells by the clock of both.
  static std::string invoke_frame(const Invocation& in, bool ahead) {
    std::string bytes;
    bytes.reserve(in.payload.size() + in.client_context.size() + in.cognito_identity.size() + kRoomyHeader);
    bytes.resize(9);  // two lengths, and what the frame is
    JsonWriter w(bytes);
    w.begin_object();
    w.key("id");
    w.string(in.request_id);
    w.key("deadline");
    w.integer(in.deadline.millis());
    w.key("arn");
    w.string(in.function_arn);
    if (!in.client_context.empty()) {
      w.key("client");
      w.raw(in.client_context);
    }
    if (!in.cognito_identity.empty()) {
      w.key("cognito");
      w.raw(in.cognito_identity);
    }
    if (!in.tenant.empty()) {
      w.key("tenant");
      w.string(in.tenant);
    }
    if (!in.trace.empty()) {
      w.key("trace");
      w.string(in.trace);
    }
    if (ahead) {
      w.key("ahead");
      w.integer(std::chrono::ceil<Millis>(std::chrono::steady_clock::now().time_since_epoch()).count());
    }
    w.end_object();
    const auto put = [&](size_t at, size_t number) {
      for (int shift = 0; shift < 32; shift += 8) bytes[at++] = static_cast<char>(number >> shift);
    };
    put(5, bytes.size() - 9);
    bytes += in.payload;
    put(0, bytes.size() - 4);
    bytes[4] = static_cast<char>(ToRuntime::kInvoke);
    return bytes;
  }

  void say(std::string bytes) {
    if (unsent_.empty()) {
      unsent_ = std::move(bytes);
    } else {
      unsent_ += bytes;
    }
    flush();
  }

  void flush() {
    while (sent_ < unsent_.size()) {
      const ssize_t n =
          ::send(slot().channel.get(), unsent_.data() + sent_, unsent_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN && channel_) channel_->want_write();
        return;  // when it is gone, its end is told otherwise
      }
      sent_ += static_cast<size_t>(n);
    }
    unsent_.clear();
    sent_ = 0;
  }

  void on_channel() {
    const std::shared_ptr<Core> self = shared_from_this();  // an answer may make the caller drop the instance
    if (!unsent_.empty()) flush();
    if (turn_ended_) return;
    char buffer[65536];
    size_t total = 0;
    while (channel_ && !paused_) {
      const ssize_t n = ::recv(slot().channel.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) {
        if (!ended_) channel_ended();
        ended_ = true;
        channel_->hold();
        break;
      }
      reader_.feed({buffer, static_cast<size_t>(n)});
      take_frames();
      if (static_cast<size_t>(n) < sizeof buffer && alive()) break;  // that was all; what comes is told
      total += static_cast<size_t>(n);
      if (total > kMostPerTurn && channel_ && alive()) {
        turn_ended_ = true;
        channel_->hold();
        home().post([this, self] {
          turn_ended_ = false;
          if (!channel_ || paused_) return;
          channel_->again();
          on_channel();
        });
        return;
      }
    }
  }

  void take_frames() {
    FrameReader::Frame frame;
    while (reader_.next(frame)) take(std::move(frame));
  }

  // The stream of an invocation's answer ends; what else comes of the channel
  // is read again.
  void end_pipe(const std::string& id, const std::string& why) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    const auto stream = std::move(found->second);
    streams_.erase(found);
    stream->end(why);
    if (!paused_ || !channel_) return;
    paused_ = false;  // its end came with the bytes that filled it
    channel_->again();
    home().post([this, self = shared_from_this()] {
      if (channel_ && !paused_) on_channel();
    });
  }

  // AWS's Java has one name for whatever the function's classes do then.
  void initialisation_failed(std::string document) {
    std::string fault = java_ ? "Runtime.BadFunctionCode" : fault_named(error_type_in(document));
    init_failed(std::move(document), std::move(fault));
  }

  void take(FrameReader::Frame frame) {
    std::string id = request_id();
    if (frame.type == FromRuntime::kOf) {
      const size_t length = frame.body.empty() ? 0 : static_cast<unsigned char>(frame.body[0]);
      if (frame.too_large || frame.body.size() < length + 2) return kill();
      id = frame.body.substr(1, length);
      frame.type = static_cast<FromRuntime>(frame.body[length + 1]);
      frame.body.erase(0, length + 2);
      if (frame.type < FromRuntime::kResponse || frame.type > FromRuntime::kStreamError) return kill();
    } else if (concurrency() > 1 && frame.type > FromRuntime::kInitError && frame.type != FromRuntime::kFatal) {
      return kill();
    }
    Outcome out;
    switch (frame.type) {
      case FromRuntime::kOf:
        break;
      case FromRuntime::kReady:
        return became_ready();
      case FromRuntime::kInitError:
        return initialisation_failed(std::move(frame.body));
      case FromRuntime::kRestored:
        return restored();
      case FromRuntime::kRestoreError:
        if (restoring()) initialisation_failed(std::move(frame.body));
        return;
      case FromRuntime::kResponse:
        if (frame.too_large || frame.body.size() > kMostResponse) {
          out.status = Status::kError;
          out.payload = error_document("Function.ResponseSizeTooLarge",
                                       "Response payload size exceeded maximum allowed payload size (6291556 bytes).");
        } else {
          out.payload = std::move(frame.body);
        }
        return complete(id, std::move(out));
      case FromRuntime::kError:
        out.status = Status::kError;
        out.payload = std::move(frame.body);
        return complete(id, std::move(out));
      case FromRuntime::kFatal:
        die();
        out.status = Status::kError;
        out.payload = std::move(frame.body);
        complete_all(out);
        return break_streams("the function failed while it was answering");
      case FromRuntime::kStreamBegin: {
        if (!running(id) || streams_.contains(id)) return;
        const auto stream = std::make_shared<AnswerPipe>(home(), [weak = weak_from_this()] {
          if (const auto self = std::static_pointer_cast<Managed>(weak.lock())) self->resume_reading();
        });
        streams_.emplace(id, stream);
        return complete_streaming(id, body_of_answer(stream), std::move(frame.body));
      }
      case FromRuntime::kStreamChunk: {
        const auto found = streams_.find(id);
        if (found == streams_.end()) return;
        found->second->push(std::move(frame.body));
        if (found->second->full()) {
          paused_ = true;
          channel_->hold();
        }
        return;
      }
      case FromRuntime::kStreamEnd:
      case FromRuntime::kStreamError: {
        const bool good = frame.type == FromRuntime::kStreamEnd;
        end_stream(id, good ? Status::kOk : Status::kError, std::move(frame.body));
        return end_pipe(id, good ? "" : "the function failed while it was answering");
      }
    }
    kill();  // no such frame: the channel is not to be trusted any more
  }

  const bool java_;
  std::unique_ptr<Readiness> channel_;
  FrameReader reader_;
  std::string unsent_;
  size_t sent_ = 0;
  bool paused_ = false;
  bool ended_ = false;
  bool turn_ended_ = false;                                     // goes on when the others had theirs
  std::map<std::string, std::shared_ptr<AnswerPipe>> streams_;  // by request id
};

}  // namespace

std::shared_ptr<Core> make_managed(Backstage& backstage, Slot slot, const Spec& spec, std::string runtime,
                                   LogSink log) {
  return std::make_shared<Managed>(backstage, std::move(slot), spec, std::move(runtime), std::move(log));
}

namespace {

void write(JsonWriter& w, const Environment& environment) {
  w.begin_object();
  for (const auto& [name, value] : environment) {
    w.key(name);
    w.string(value);
  }
  w.end_object();
}

}  // namespace

std::string init_frame(const Spec& spec, const Environment& environment, bool more) {
  std::string body;
  JsonWriter w(body);
  w.begin_object();
  w.key("handler");
  w.string(spec.handler);
  w.key("runtime");
  w.string(spec.runtime);
  if (spec.snapshot) {
    w.key("snapshot");
    w.boolean(true);
  }
  if (spec.concurrency > 1) {
    w.key("concurrency");
    w.integer(spec.concurrency);
  }
  if (more) {
    w.key("more");
    w.boolean(true);
  }
  w.key("env");
  write(w, environment);
  w.end_object();
  return frame(ToRuntime::kInit, body);
}

std::string environment_frame(const Environment& rest) {
  std::string body;
  JsonWriter w(body);
  write(w, rest);
  return frame(ToRuntime::kEnvironment, body);
}

}  // namespace virga::sandbox
