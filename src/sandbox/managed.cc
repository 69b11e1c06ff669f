// Instances of runtimes whose bootstrap is ours: Python and Node.js, over the private channel.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/json.h"
#include "base/str.h"
#include "sandbox/answer.h"
#include "sandbox/frames.h"
#include "sandbox/instance.h"

namespace virga::sandbox {
namespace {

class Managed final : public Core {
 public:
  Managed(Backstage& backstage, Slot slot, const Spec& spec, LogSink log)
      : Core(backstage, std::move(slot), spec, std::move(log)), reader_(kMostResponse + 4096) {}

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
    break_stream("the function's instance has ended");
  }
  void drain_channels() override { on_channel(); }
  void break_stream(const std::string& why) override {
    if (const auto stream = std::exchange(stream_, nullptr)) stream->end(why);
  }

  void begin_restore() override { say(frame(ToRuntime::kRestore, {})); }

  void deliver(const Invocation& in) override {
    std::string header;
    JsonWriter w(header);
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
    if (!in.trace.empty()) {
      w.key("trace");
      w.string(in.trace);
    }
    w.end_object();
    const auto length = static_cast<uint32_t>(5 + header.size() + in.payload.size());
    const auto header_length = static_cast<uint32_t>(header.size());
    std::string bytes;
    bytes.reserve(length + 4);
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(length >> shift);
    bytes += static_cast<char>(ToRuntime::kInvoke);
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(header_length >> shift);
    bytes += header;
    bytes += in.payload;
    say(std::move(bytes));
  }

 private:
  void say(std::string bytes) {
    unsent_ = std::move(bytes);
    sent_ = 0;
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

  void take(FrameReader::Frame frame) {
    Outcome out;
    switch (frame.type) {
      case FromRuntime::kReady:
        return became_ready();
      case FromRuntime::kInitError:
        return init_failed(std::move(frame.body));
      case FromRuntime::kRestored:
        return restored();
      case FromRuntime::kRestoreError:
        if (restoring()) init_failed(std::move(frame.body));
        return;
      case FromRuntime::kResponse:
        if (frame.too_large || frame.body.size() > kMostResponse) {
          out.status = Status::kError;
          out.payload = error_document("Function.ResponseSizeTooLarge",
                                       "Response payload size exceeded maximum allowed payload size (6291556 bytes).");
        } else {
          out.payload = std::move(frame.body);
        }
        return complete(std::move(out));
      case FromRuntime::kError:
        out.status = Status::kError;
        out.payload = std::move(frame.body);
        return complete(std::move(out));
      case FromRuntime::kFatal:
        die();
        if (const auto stream = std::exchange(stream_, nullptr)) {
          end_stream(Status::kError, std::move(frame.body));
          return stream->end("the function failed while it was answering");
        }
        out.status = Status::kError;
        out.payload = std::move(frame.body);
        return complete(std::move(out));
      case FromRuntime::kStreamBegin:
        if (!running() || stream_) return;
        stream_ = std::make_shared<AnswerPipe>(home(), [weak = weak_from_this()] {
          if (const auto self = std::static_pointer_cast<Managed>(weak.lock())) self->resume_reading();
        });
        return complete_streaming(body_of_answer(stream_), std::move(frame.body));
      case FromRuntime::kStreamChunk:
        if (stream_) stream_->push(std::move(frame.body));
        if (stream_ && stream_->full()) {
          paused_ = true;
          channel_->hold();
        }
        return;
      case FromRuntime::kStreamEnd:
      case FromRuntime::kStreamError: {
        const bool good = frame.type == FromRuntime::kStreamEnd;
        const auto stream = std::exchange(stream_, nullptr);
        if (paused_ && channel_) {
          paused_ = false;  // its end came with the bytes that filled it
          channel_->again();
        }
        end_stream(good ? Status::kOk : Status::kError, std::move(frame.body));
        if (stream) stream->end(good ? "" : "the function failed while it was answering");
        return;
      }
    }
    kill();  // no such frame: the channel is not to be trusted any more
  }

  std::unique_ptr<Readiness> channel_;
  FrameReader reader_;
  std::string unsent_;
  size_t sent_ = 0;
  bool paused_ = false;
  bool ended_ = false;
  bool turn_ended_ = false;  // goes on when the others had theirs
  std::shared_ptr<AnswerPipe> stream_;
};

}  // namespace

std::shared_ptr<Core> make_managed(Backstage& backstage, Slot slot, const Spec& spec, LogSink log) {
  return std::make_shared<Managed>(backstage, std::move(slot), spec, std::move(log));
}

std::string init_frame(const Spec& spec, const std::vector<std::pair<std::string, std::string>>& environment) {
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
  w.key("env");
  w.begin_object();
  for (const auto& [name, value] : environment) {
    w.key(name);
    w.string(value);
  }
  w.end_object();
  w.end_object();
  return frame(ToRuntime::kInit, body);
}

}  // namespace virga::sandbox
