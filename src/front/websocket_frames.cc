#include "front/websocket_frames.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/str.h"

namespace virga::front {

int FrameDecoder::parse_header(std::string_view bytes) {
  if (bytes.size() < 2) return 0;
  const auto first = static_cast<uint8_t>(bytes[0]), second = static_cast<uint8_t>(bytes[1]);
  code_ = CloseCode::kProtocol;
  if (first & 0x70) return -1;      // no extension was agreed on
  if (!(second & 0x80)) return -1;  // a client masks everything
  opcode_ = static_cast<Opcode>(first & 0x0f);
  final_ = first & 0x80;
  is_control_ = (first & 0x08) != 0;
  uint64_t length = second & 0x7f;
  switch (opcode_) {
    case Opcode::kContinuation:
      if (!in_message_) return -1;
      break;
    case Opcode::kText:
    case Opcode::kBinary:
      if (in_message_) return -1;
      break;
    case Opcode::kClose:
    case Opcode::kPing:
    case Opcode::kPong:
      if (!final_ || length > 125) return -1;
      break;
    default:
      return -1;
  }
  size_t at = 2;
  if (length == 126) {
    if (bytes.size() < 4) return 0;
    length = read_be16(bytes.data() + 2);
    at = 4;
    if (length < 126) return -1;
  } else if (length == 127) {
    if (bytes.size() < 10) return 0;
    length = read_be64(bytes.data() + 2);
    at = 10;
    if (length < 65536 || length >> 63) return -1;
  }
  if (bytes.size() < at + 4) return 0;
  std::copy_n(bytes.data() + at, 4, mask_);
  mask_at_ = 0;
  left_ = length;
  return static_cast<int>(at + 4);
}

FrameDecoder::Event FrameDecoder::step(std::string_view& in) {
  if (message_given_) {
    message_.clear();
    message_given_ = false;
  }
  while (true) {
    if (state_ == State::kHeader) {
      if (in.empty()) return Event::kMore;
      // A torn header is gathered byte by byte; fourteen of them at the most.
      int used;
      if (header_.empty()) {
        used = parse_header(in);
        if (used > 0) in.remove_prefix(used);
      } else {
        used = 0;
      }
      while (used == 0) {
        if (in.empty()) return Event::kMore;
        header_.push_back(in.front());
        in.remove_prefix(1);
        used = parse_header(header_);
      }
      if (used < 0) return fail(CloseCode::kProtocol);
      header_.clear();
      if (is_control_) {
        control_.clear();
      } else {
        if (!in_message_) {
          message_.clear();
          message_kind_ = opcode_;
        }
        in_message_ = !final_;
        if (left_ > most_message_ || message_.size() + left_ > most_message_) return fail(CloseCode::kTooBig);
      }
      state_ = State::kPayload;
    }
    const size_t n = std::min<uint64_t>(left_, in.size());
    std::string& out = is_control_ ? control_ : message_;
    const size_t at = out.size();
    out.append(in.substr(0, n));
    for (size_t i = 0; i < n; ++i) out[at + i] = static_cast<char>(out[at + i] ^ mask_[(mask_at_ + i) & 3]);
    mask_at_ = (mask_at_ + n) & 3;
    in.remove_prefix(n);
    left_ -= n;
    if (left_ > 0) return Event::kMore;
    state_ = State::kHeader;
    const Event event = finish_frame();
    if (event != Event::kMore) return event;
  }
}

FrameDecoder::Event FrameDecoder::finish_frame() {
  switch (opcode_) {
    case Opcode::kPing:
      return Event::kPing;
    case Opcode::kPong:
      return Event::kPong;
    case Opcode::kClose:
      if (control_.empty()) {
        code_ = CloseCode::kNone;
        return Event::kClose;
      }
      if (control_.size() == 1) return fail(CloseCode::kProtocol);
      code_ = read_be16(control_.data());
      control_.erase(0, 2);
      if (!may_be_sent(code_)) return fail(CloseCode::kProtocol);
      if (!is_utf8(control_)) return fail(CloseCode::kBadText);
      return Event::kClose;
    default:
      if (!final_) return Event::kMore;
      if (message_kind_ == Opcode::kText && !is_utf8(message_)) return fail(CloseCode::kBadText);
      message_given_ = true;
      return Event::kMessage;
  }
}

std::string frame_header(Opcode opcode, uint64_t size) {
  std::string out;
  out.push_back(static_cast<char>(0x80 | static_cast<uint8_t>(opcode)));
  if (size < 126) {
    out.push_back(static_cast<char>(size));
  } else if (size < 65536) {
    out.push_back(126);
    append_be16(out, static_cast<uint16_t>(size));
  } else {
    out.push_back(127);
    append_be64(out, size);
  }
  return out;
}

std::string close_payload(uint16_t code, std::string_view reason) {
  std::string out;
  if (!may_be_sent(code)) return out;
  append_be16(out, code);
  // 123 bytes are left for the reason, which must stay valid UTF-8.
  reason = reason.substr(0, 123);
  while (!reason.empty() && !is_utf8(reason)) reason.remove_suffix(1);
  out += reason;
  return out;
}

bool may_be_sent(uint16_t code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace virga::front
