// RFC 6455 framing, without I/O: bytes of a client to events, and a server's frames to bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace virga::front {

struct CloseCode {
  static constexpr uint16_t kNormal = 1000, kGoingAway = 1001, kProtocol = 1002, kUnsupported = 1003, kNone = 1005,
                            kAbnormal = 1006, kBadText = 1007, kPolicy = 1008, kTooBig = 1009, kInternal = 1011;
};

enum class Opcode : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

class FrameDecoder {
 public:
  enum class Event : uint8_t { kMore, kMessage, kPing, kPong, kClose, kFailed };

  explicit FrameDecoder(uint64_t most_message) : most_message_(most_message) {}
  // Takes bytes off the front of `in` up to the next event; kMore: all of them. After kFailed and kClose, no more.
  Event step(std::string_view& in);

  // kMessage: the whole message, to be moved out. kPing, kPong: the payload. kClose: the reason.
  std::string& payload() { return is_control_ ? control_ : message_; }
  bool is_text() const { return message_kind_ == Opcode::kText; }
  // kClose: what the client gave, kNone when nothing. kFailed: what to close with.
  uint16_t code() const { return code_; }

 private:
  enum class State : uint8_t { kHeader, kPayload };
  Event fail(uint16_t code) {
    code_ = code;
    return Event::kFailed;
  }
  // 0 when the header needs more bytes, else how many were used; -1 when malformed.
  int parse_header(std::string_view bytes);
  Event finish_frame();

  const uint64_t most_message_;
  State state_ = State::kHeader;
  std::string header_;  // of a frame whose header is torn
  std::string message_, control_;
  uint64_t left_ = 0;
  uint32_t mask_at_ = 0;
  char mask_[4] = {};
  Opcode opcode_ = Opcode::kText, message_kind_ = Opcode::kText;
  bool final_ = false, in_message_ = false, is_control_ = false, message_given_ = false;
  uint16_t code_ = 0;
};

// The header of a server's frame; the payload follows unmasked.
std::string frame_header(Opcode opcode, uint64_t size);
std::string close_payload(uint16_t code, std::string_view reason);
bool may_be_sent(uint16_t close_code);

}  // namespace virga::front
