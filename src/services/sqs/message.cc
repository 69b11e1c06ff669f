#include "services/sqs/message.h"

#include <aws/sqs/errors.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "kv/key.h"
#include "services/sqs/limits.h"

namespace virga::sqs {
namespace {

constexpr uint64_t kFirstSequence = 10'000'000'000'000'000'000u;  // so that all have twenty digits

void add_part(Hasher& hash, std::string_view text) {
  std::string length;
  append_be32(length, static_cast<uint32_t>(text.size()));
  hash.update(length);
  hash.update(text);
}

void add_attribute(Hasher& hash, std::string_view name, std::string_view type, bool binary, std::string_view value) {
  add_part(hash, name);
  add_part(hash, type);
  hash.update(binary ? std::string_view("\x02", 1) : std::string_view("\x01", 1));
  add_part(hash, value);
}

Error bad_value(std::string message) { return err::InvalidParameterValueException(std::move(message)); }

void check_name(const std::string& name) {
  // Letters of other alphabets too, though AWS's own words below say otherwise: all but the symbols from U+0080 and
  // U+2000 on.
  const auto good = [](char c) {
    return (static_cast<unsigned char>(c) >= 0x80 && c != '\xC2' && c != '\xE2') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  };
  if (name.empty() || name.size() > kMaxAttributeName) {
    throw bad_value("Message (user) attribute name must be between 1 and 256 characters long.");
  }
  if (!std::ranges::all_of(name, good)) {
    throw bad_value(
        cat("The message attribute name '", name,
            "' contains invalid characters. The attribute name can contain A-Z, a-z, 0-9, underscore (_), hyphen "
            "(-), and period (.)."));
  }
  if (name.front() == '.' || name.back() == '.' || name.find("..") != name.npos) {
    throw bad_value(cat("The message attribute name '", name,
                        "' is invalid: it must not start or end with a period or have two in succession."));
  }
  const std::string low = lower(name);
  if (low.starts_with("aws.") || low.starts_with("amazon.")) {
    throw bad_value(cat("Message (user) attribute name cannot start with 'AWS.' or 'Amazon.': ", name));
  }
}

bool is_number(const std::string& text) {
  const auto value = parse_double(text);
  return value && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
         });
}

}  // namespace

std::string attributes_md5(const std::vector<StoredAttribute>& attributes) {
  if (attributes.empty()) return {};
  Hasher hash(HashKind::kMd5);
  for (const StoredAttribute& a : attributes) add_attribute(hash, a.name, a.type, a.binary, a.value);
  return hex_encode(hash.finish());
}

std::string trace_md5(std::string_view trace) {
  if (trace.empty()) return {};
  Hasher hash(HashKind::kMd5);
  add_attribute(hash, "AWSTraceHeader", "String", false, trace);
  return hex_encode(hash.finish());
}

std::vector<StoredAttribute> message_attributes(const std::map<std::string, MessageAttributeValue>& attributes) {
  if (attributes.size() > kMaxAttributes) {
    throw bad_value(cat("Number of message attributes [", attributes.size(), "] exceeds the allowed maximum [",
                        kMaxAttributes, "]."));
  }
  std::vector<StoredAttribute> out;
  for (const auto& [name, value] : attributes) {
    check_name(name);
    if ((value.string_list_values && !value.string_list_values->empty()) ||
        (value.binary_list_values && !value.binary_list_values->empty())) {
      throw err::UnsupportedOperation("Message attribute list values in SendMessage operation are not supported.");
    }
    const std::string_view kind = split_once(value.data_type, '.').first;
    if (value.data_type.empty()) {
      throw bad_value(cat("The message attribute '", name, "' must contain a non-empty message attribute type."));
    }
    if (value.data_type.size() > kMaxAttributeName || (kind != "String" && kind != "Number" && kind != "Binary")) {
      throw bad_value(cat("The message attribute '", name,
                          "' has an invalid message attribute type, the set of supported type prefixes is Binary, "
                          "Number, and String."));
    }
    const bool binary = kind == "Binary";
    const auto& given = binary ? value.binary_value : value.string_value;
    if (!given || given->empty()) {
      throw bad_value(
          cat("Message (user) attribute '", name, "' must contain a non-empty value of type '", kind, "'."));
    }
    if (kind == "Number" && !is_number(*given)) {
      throw bad_value(cat("Can't cast the value of message (user) attribute '", name, "' to a number."));
    }
    if (!binary && !is_valid_body(*given)) {
      throw bad_value(cat("The message attribute '", name, "' contains invalid characters."));
    }
    out.push_back({name, value.data_type, *given, binary});
  }
  return out;
}

std::string trace_header(const std::map<std::string, MessageSystemAttributeValue>& attributes) {
  std::string trace;
  for (const auto& [name, value] : attributes) {
    if (name != "AWSTraceHeader") {
      throw bad_value(cat("Message system attribute name '", name, "' is not supported. Supported: AWSTraceHeader."));
    }
    if (value.data_type != "String" || !value.string_value || value.string_value->empty()) {
      throw bad_value("The message system attribute 'AWSTraceHeader' must contain a non-empty value of type String.");
    }
    trace = *value.string_value;
  }
  return trace;
}

size_t message_size(std::string_view body, const std::vector<StoredAttribute>& attributes) {
  size_t size = body.size();
  for (const StoredAttribute& a : attributes) size += a.name.size() + a.type.size() + a.value.size();
  return size;
}

bool is_valid_body(std::string_view body) {
  bool refused = false;  // gathered without a branch a character, so that the compiler takes many at once
  for (const char c : body) refused |= static_cast<unsigned char>(c) < 0x20 && c != 0x09 && c != 0x0a && c != 0x0d;
  if (refused) return false;
  if (!is_utf8(body)) return false;
  // U+FFFE and U+FFFF are EF BF BE and EF BF BF.
  for (size_t at = body.find("\xEF\xBF"); at != body.npos; at = body.find("\xEF\xBF", at + 1)) {
    const auto last = at + 2 < body.size() ? static_cast<unsigned char>(body[at + 2]) : 0;
    if (last == 0xBE || last == 0xBF) return false;
  }
  return true;
}

std::string sequence_number(uint64_t sequence) { return cat(kFirstSequence + sequence); }

std::string encode_handle(const Handle& handle) {
  std::string bytes = kv::KeyWriter("1")
                          .u64(handle.queue)
                          .u64(handle.contents)
                          .u64(handle.receive)
                          .time(handle.deadline)
                          .text(handle.place)
                          .u64(handle.sequence)
                          .text(handle.group)
                          .take();
  append_be32(bytes, crc32(bytes));
  return base64_encode(bytes);
}

std::optional<Handle> decode_handle(std::string_view text) {
  const auto bytes = base64_decode(text);
  if (!bytes || bytes->size() < 8) return std::nullopt;
  const std::string_view content = std::string_view(*bytes).substr(0, bytes->size() - 4);
  if (read_be32(bytes->data() + content.size()) != crc32(content)) return std::nullopt;
  try {
    kv::KeyReader reader(content);
    if (reader.text() != "1") return std::nullopt;
    Handle handle;
    handle.queue = reader.u64();
    handle.contents = reader.u64();
    handle.receive = reader.u64();
    handle.deadline = reader.time();
    handle.place = reader.text();
    handle.sequence = reader.u64();
    handle.group = reader.text();
    return handle;
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
}

}  // namespace virga::sqs
