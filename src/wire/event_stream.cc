#include "wire/event_stream.h"

#include <memory>
#include <new>

#include "base/cbor.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/str.h"
#include "wire/access.h"
#include "wire/cbor_shape.h"
#include "wire/json_shape.h"
#include "wire/xml_shape.h"

namespace virga::wire {

namespace {

constexpr size_t kPreludeSize = 12, kChecksumSize = 4;
constexpr size_t kMostMessage = 16 << 20;
using Type = EventHeader::Type;

void append_header(std::string& out, const EventHeader& header) {
  out += static_cast<char>(header.name.size());
  out += header.name;
  out += static_cast<char>(header.type);
  switch (header.type) {
    case Type::kTrue:
    case Type::kFalse:
      return;
    case Type::kByte:
      out += static_cast<char>(header.number);
      return;
    case Type::kShort:
      append_be16(out, static_cast<uint16_t>(header.number));
      return;
    case Type::kInteger:
      append_be32(out, static_cast<uint32_t>(header.number));
      return;
    case Type::kLong:
    case Type::kTimestamp:
      append_be64(out, static_cast<uint64_t>(header.number));
      return;
    case Type::kBytes:
    case Type::kString:
      append_be16(out, static_cast<uint16_t>(header.text.size()));
      out += header.text;
      return;
    case Type::kUuid:
      out += header.text;
      return;
  }
}

EventHeader take_header(std::string_view& bytes) {
  const auto take = [&](size_t size) {
    if (bytes.size() < size) throw BadInput{"an event's header is cut off"};
    const std::string_view part = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return part;
  };
  EventHeader header;
  header.name = take(static_cast<unsigned char>(take(1)[0]));
  const auto type = static_cast<unsigned char>(take(1)[0]);
  if (type > static_cast<unsigned char>(Type::kUuid)) throw BadInput{"an event's header has an unknown type"};
  header.type = static_cast<Type>(type);
  switch (header.type) {
    case Type::kTrue:
    case Type::kFalse:
      break;
    case Type::kByte:
      header.number = static_cast<signed char>(take(1)[0]);
      break;
    case Type::kShort:
      header.number = static_cast<int16_t>(read_be16(take(2).data()));
      break;
    case Type::kInteger:
      header.number = static_cast<int32_t>(read_be32(take(4).data()));
      break;
    case Type::kLong:
    case Type::kTimestamp:
      header.number = static_cast<int64_t>(read_be64(take(8).data()));
      break;
    case Type::kBytes:
    case Type::kString:
      header.text = take(read_be16(take(2).data()));
      break;
    case Type::kUuid:
      header.text = take(16);
      break;
  }
  return header;
}

EventHeader header_of(const Member& member, const void* value) {
  EventHeader header{.name = std::string(member.wire_name)};
  switch (member.shape->kind) {
    case Kind::kBoolean:
      header.type = *static_cast<const bool*>(value) ? Type::kTrue : Type::kFalse;
      break;
    case Kind::kInteger:
      header.type = Type::kInteger;
      header.number = *static_cast<const int32_t*>(value);
      break;
    case Kind::kLong:
      header.type = Type::kLong;
      header.number = *static_cast<const int64_t*>(value);
      break;
    case Kind::kTimestamp:
      header.type = Type::kTimestamp;
      header.number = static_cast<const Time*>(value)->millis();
      break;
    case Kind::kBlob:
      header.type = Type::kBytes;
      header.text = *static_cast<const std::string*>(value);
      break;
    case Kind::kEnum:
      header.text = enum_name(*member.shape, member.shape->enumeration->get(value));
      break;
    default:
      header.text = *static_cast<const std::string*>(value);
      break;
  }
  return header;
}

std::string_view document_type(Protocol protocol) {
  switch (protocol) {
    case Protocol::kJson10:
      return "application/x-amz-json-1.0";
    case Protocol::kJson11:
      return "application/x-amz-json-1.1";
    case Protocol::kRestXml:
    case Protocol::kQuery:
    case Protocol::kEc2Query:
      return "text/xml";
    case Protocol::kCbor:
      return "application/cbor";
    case Protocol::kRestJson:
      return "application/json";
  }
  return "application/json";
}

std::string document_of(Protocol protocol, const Shape& shape, std::string_view name, const void* value) {
  std::string out;
  switch (protocol) {
    case Protocol::kRestXml:
    case Protocol::kQuery:
    case Protocol::kEc2Query: {
      XmlWriter writer(out);
      write_xml(writer, name, shape, value, false, TimestampFormat::kIso8601, {});
      break;
    }
    case Protocol::kCbor: {
      CborWriter writer(out);
      write_cbor(writer, shape, value);
      break;
    }
    default: {
      JsonWriter writer(out);
      write_json(writer, shape, value);
    }
  }
  return out;
}

EventMessage message_of(Protocol protocol, const Member& event, const void* value) {
  EventMessage message;
  message.add(":message-type", "event");
  message.add(":event-type", event.wire_name);
  const StructInfo& info = *event.shape->structure;
  bool explicit_payload = false, any_body = false;
  for (const Member& member : info.members) {
    const void* field = field_of(value, member);
    if (member.location == Location::kEventHeader) {
      if (member.access->has(field)) message.headers.push_back(header_of(member, member.access->get(field)));
    } else if (member.location == Location::kEventPayload) {
      explicit_payload = true;
      if (!member.access->has(field)) continue;
      const void* payload = member.access->get(field);
      if (member.shape->kind == Kind::kBlob || member.shape->kind == Kind::kString) {
        message.add(":content-type", member.shape->kind == Kind::kBlob ? "application/octet-stream" : "text/plain");
        message.payload = *static_cast<const std::string*>(payload);
      } else {
        message.add(":content-type", document_type(protocol));
        message.payload = document_of(protocol, *member.shape, member.wire_name, payload);
      }
    } else {
      any_body = true;
    }
  }
  if (!explicit_payload && any_body) {
    message.add(":content-type", document_type(protocol));
    message.payload = document_of(protocol, *event.shape, event.wire_name, value);
  }
  return message;
}

// Room for one event, constructed by its table.
class UnionValue {
 public:
  explicit UnionValue(const StructInfo& info) : info_(info), memory_(::operator new(info.size, kAlignment)) {
    info_.construct(memory_);
  }
  ~UnionValue() {
    info_.destroy(memory_);
    ::operator delete(memory_, kAlignment);
  }
  UnionValue(const UnionValue&) = delete;
  UnionValue& operator=(const UnionValue&) = delete;
  void* get() { return memory_; }

 private:
  static constexpr std::align_val_t kAlignment{alignof(std::max_align_t)};
  const StructInfo& info_;
  void* memory_;
};

class EventBody : public ByteSource {
 public:
  EventBody(const Shape& shape, std::shared_ptr<const void> stream, Protocol protocol, std::string initial)
      : info_(*shape.events), stream_(std::move(stream)), protocol_(protocol), initial_(std::move(initial)) {}

  Task<std::optional<std::string>> next() override {
    if (ended_) co_return std::nullopt;
    if (!initial_.empty()) {
      EventMessage message;
      message.add(":message-type", "event");
      message.add(":event-type", "initial-response");
      message.add(":content-type", document_type(protocol_));
      message.payload = std::exchange(initial_, {});
      co_return encode_message(message);
    }
    const StructInfo& events = *info_.events->structure;
    UnionValue value(events);
    const Result<bool> more = co_await as_result(info_.next(stream_.get(), value.get()));
    if (!more) {
      ended_ = true;
      co_return encode_message(refusal(more.error()));
    }
    ended_ = !*more;
    if (ended_) co_return std::nullopt;
    for (const Member& event : events.members) {
      const void* field = field_of(value.get(), event);
      if (event.access->has(field)) co_return encode_message(message_of(protocol_, event, event.access->get(field)));
    }
    ended_ = true;
    co_return std::nullopt;
  }

 private:
  static EventMessage refusal(const Failure& failure) {
    EventMessage message;
    const Error* error = error_of(failure);
    if (!error) {
      log_error("wire", "an event stream failed", {{"failure", describe(failure)}});
      message.add(":message-type", "error");
      message.add(":error-code", "InternalFailure");
      message.add(":error-message", "An internal error occurred.");
      return message;
    }
    message.add(":message-type", "exception");
    message.add(":exception-type", error->shape->code);
    message.add(":content-type", "application/json");
    message.payload = Json::object({{std::string(error->shape->message_name), error->message}}).dump();
    return message;
  }

  const EventStreamInfo& info_;
  std::shared_ptr<const void> stream_;
  Protocol protocol_;
  std::string initial_;
  bool ended_ = false;
};

}  // namespace

std::string_view EventMessage::header(std::string_view name) const {
  for (const EventHeader& header : headers) {
    if (header.name == name) return header.text;
  }
  return {};
}

void EventMessage::add(std::string_view name, std::string_view text) {
  headers.push_back({std::string(name), Type::kString, std::string(text), 0});
}

std::string encode_message(const EventMessage& message) {
  std::string headers;
  for (const EventHeader& header : message.headers) append_header(headers, header);
  const size_t total = kPreludeSize + headers.size() + message.payload.size() + kChecksumSize;
  std::string out;
  out.reserve(total);
  append_be32(out, static_cast<uint32_t>(total));
  append_be32(out, static_cast<uint32_t>(headers.size()));
  append_be32(out, crc32(out));
  out += headers;
  out += message.payload;
  append_be32(out, crc32(out));
  return out;
}

std::optional<EventMessage> decode_message(std::string_view& bytes) {
  if (bytes.size() < kPreludeSize) return std::nullopt;
  const size_t total = read_be32(bytes.data()), header_size = read_be32(bytes.data() + 4);
  if (crc32(bytes.substr(0, 8)) != read_be32(bytes.data() + 8))
    throw BadInput{"an event's prelude has a wrong checksum"};
  if (total < kPreludeSize + kChecksumSize || total > kMostMessage ||
      header_size > total - kPreludeSize - kChecksumSize)
    throw BadInput{"an event has an impossible length"};
  if (bytes.size() < total) return std::nullopt;
  const std::string_view whole = bytes.substr(0, total);
  if (crc32(whole.substr(0, total - kChecksumSize)) != read_be32(whole.data() + total - kChecksumSize))
    throw BadInput{"an event has a wrong checksum"};
  EventMessage message;
  std::string_view headers = whole.substr(kPreludeSize, header_size);
  while (!headers.empty()) message.headers.push_back(take_header(headers));
  message.payload = whole.substr(kPreludeSize + header_size, total - kPreludeSize - header_size - kChecksumSize);
  bytes.remove_prefix(total);
  return message;
}

Body encode_events(const Shape& shape, const void* stream, Protocol protocol, std::string initial) {
  return std::make_shared<EventBody>(shape, shape.events->keep(stream), protocol, std::move(initial));
}

}  // namespace virga::wire
