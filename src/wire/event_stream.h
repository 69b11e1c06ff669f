// application/vnd.amazon.eventstream: messages of headers and a payload, each with two checksums.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/source.h"
#include "wire/shape.h"

namespace virga::wire {

inline constexpr std::string_view kEventStreamType = "application/vnd.amazon.eventstream";

struct EventHeader {
  enum class Type : uint8_t { kTrue, kFalse, kByte, kShort, kInteger, kLong, kBytes, kString, kTimestamp, kUuid };
  std::string name;
  Type type = Type::kString;
  std::string text;    // of kBytes, kString and kUuid
  int64_t number = 0;  // of the numbers; milliseconds of a timestamp
};

struct EventMessage {
  std::vector<EventHeader> headers;
  std::string payload;
  // The text of a string header, or empty.
  std::string_view header(std::string_view name) const;
  void add(std::string_view name, std::string_view text);
};

std::string encode_message(const EventMessage& message);
// The first message of `bytes`, which it then drops from them; nothing when it is not whole yet. Throws BadInput on
// wrong checksums and lengths beyond 16 MB.
std::optional<EventMessage> decode_message(std::string_view& bytes);

// The events of an output's event stream as a body. `stream` is the field of shape `shape` (kEventStream); `initial`,
// when not empty, travels first as the event initial-response. An Error ends the stream as an exception message.
Body encode_events(const Shape& shape, const void* stream, Protocol protocol, std::string initial);

}  // namespace virga::wire
