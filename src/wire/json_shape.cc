#include "wire/json_shape.h"

#include <cmath>
#include <limits>

#include "base/encoding.h"
#include "base/source.h"
#include "base/str.h"
#include "wire/access.h"
#include "wire/dynamodb_json.h"

namespace virga::wire {

using JsonToken = JsonReader::Token;

namespace {

// The member called `key`. Clients write members in the model's order more often than not, so the search begins
// where the last one ended.
const Member* find_member(std::span<const Member> members, std::string_view key, size_t& hint, bool body_only) {
  for (size_t n = 0; n < members.size(); ++n) {
    const size_t i = hint + n < members.size() ? hint + n : hint + n - members.size();
    const Member& member = members[i];
    const std::string_view name = member.location == Location::kBody ? member.wire_name : member.name;
    if (name.size() != key.size() || name != key) continue;
    if (body_only && member.location != Location::kBody) continue;
    hint = i + 1 < members.size() ? i + 1 : 0;
    return &member;
  }
  return nullptr;
}

std::string java_type(const ServiceModel& service, const Shape& shape) {
  switch (shape.kind) {
    case Kind::kList:
      return cat("java.util.List<", java_type(service, *shape.list->element), ">");
    case Kind::kMap:
      return cat("java.util.Map<java.lang.String, ", java_type(service, *shape.map->value), ">");
    case Kind::kString:
    case Kind::kEnum:
      return "java.lang.String";
    default:
      return cat(service.error_namespace, ".", shape.name);
  }
}

}  // namespace

// AWS names what it found and what it wanted; the wording differs for containers.
void JsonShapeReader::mismatch(const char* type) {
  if (java_) dynamodb_json::refuse_scalar(in_, std::string_view(type).substr(std::string_view(type).find(' ') + 1));
  switch (in_.peek()) {
    case JsonToken::kArray:
      throw BadInput{"Start of list found where not expected"};
    case JsonToken::kObject:
      throw BadInput{"Start of structure or map found where not expected."};
    case JsonToken::kString:
      throw BadInput{cat("STRING_VALUE can not be converted to ", type)};
    case JsonToken::kNumber:
      throw BadInput{cat("NUMBER_VALUE can not be converted to ", type)};
    case JsonToken::kBool:
      throw BadInput{cat(in_.read_bool() ? "TRUE_VALUE" : "FALSE_VALUE", " can not be converted to ", type)};
    case JsonToken::kNull:
      break;
  }
  throw BadInput{"Unexpected null"};
}

int64_t JsonShapeReader::read_integer(const char* type) {
  if (in_.peek() != JsonToken::kNumber) mismatch(type);
  const std::string_view text = in_.read_number();
  if (const std::optional<int64_t> value = parse_int(text)) return *value;
  // A fraction is cut off, as AWS does.
  const std::optional<double> real = parse_double(text);
  if (!real || !(std::abs(*real) < 9.2e18)) throw BadInput{cat("NUMBER_VALUE can not be converted to ", type)};
  return static_cast<int64_t>(*real);
}

double JsonShapeReader::read_double(const char* type) {
  if (in_.peek() == JsonToken::kString) {
    std::string text;
    in_.read_string(text);
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
    throw BadInput{cat("STRING_VALUE can not be converted to ", type)};
  }
  if (in_.peek() != JsonToken::kNumber) mismatch(type);
  return Json::parse(in_.read_number()).as_double();
}

void JsonShapeReader::read_string(std::string& out, const char* type) {
  if (in_.peek() != JsonToken::kString) mismatch(type);
  in_.read_string(out);
}

void JsonShapeReader::read_timestamp(Time& out, TimestampFormat format) {
  if (in_.peek() == JsonToken::kNumber) {
    const std::string_view text = in_.read_number();
    if (const std::optional<int64_t> seconds = parse_int(text); seconds && std::abs(*seconds) < 9'000'000'000'000) {
      out = Time::from_seconds(*seconds);
      return;
    }
    const std::optional<double> seconds = parse_double(text);
    if (!seconds || !(std::abs(*seconds) < 9e12)) throw BadInput{"Unable to parse timestamp"};
    out = Time{std::llround(*seconds * 1e6)};
    return;
  }
  std::string text;
  read_string(text, "a Timestamp");
  std::optional<Time> time = format == TimestampFormat::kHttpDate ? parse_http_date(text) : parse_iso8601(text);
  if (!time) time = format == TimestampFormat::kHttpDate ? parse_iso8601(text) : parse_http_date(text);
  if (!time) {
    if (const std::optional<double> seconds = parse_double(text); seconds && std::abs(*seconds) < 9e12)
      time = Time{std::llround(*seconds * 1e6)};
  }
  if (!time) throw BadInput{"STRING_VALUE can not be converted to a Timestamp"};
  out = *time;
}

void JsonShapeReader::read_enum(const Shape& shape, void* value, const Path& at) {
  std::string text;
  read_string(text, "a String");
  if (!enum_value(shape, text, value)) findings_.no_such_value(at, shape, text);
}

void JsonShapeReader::expect_container(const Shape& shape, const Path& at) {
  const bool nested = at.kind == Path::Kind::kElement || at.kind == Path::Kind::kKey;
  const bool is_list = shape.kind == Kind::kList;
  if (in_.peek() == (is_list ? JsonToken::kArray : JsonToken::kObject)) return;
  if (is_list) return dynamodb_json::expect_list(in_, nested);
  const std::string type = java_type(*java_, shape);
  if (shape.kind == Kind::kMap) return dynamodb_json::expect_map(in_, type, nested);
  dynamodb_json::expect_structure(in_, cat("class ", type), nested);
}

void JsonShapeReader::read(const Shape& shape, void* value, const Path& at, TimestampFormat format) {
  const bool container = shape.kind >= Kind::kStructure && shape.kind <= Kind::kMap;
  if (java_ && container) expect_container(shape, at);
  switch (shape.kind) {
    case Kind::kBoolean:
      if (java_) {
        *static_cast<bool*>(value) = dynamodb_json::read_boolean(in_);
        return;
      }
      if (in_.peek() != JsonToken::kBool) mismatch("a Boolean");
      *static_cast<bool*>(value) = in_.read_bool();
      return;
    case Kind::kInteger: {
      const int64_t number = read_integer("an Integer");
      if (number < INT32_MIN || number > INT32_MAX) throw BadInput{"NUMBER_VALUE can not be converted to an Integer"};
      *static_cast<int32_t*>(value) = static_cast<int32_t>(number);
      return;
    }
    case Kind::kLong:
      *static_cast<int64_t*>(value) = read_integer("a Long");
      return;
    case Kind::kFloat:
      *static_cast<float*>(value) = static_cast<float>(read_double("a Float"));
      return;
    case Kind::kDouble:
      *static_cast<double*>(value) = read_double("a Double");
      return;
    case Kind::kString:
      read_string(*static_cast<std::string*>(value), "a String");
      return;
    case Kind::kEnum:
      read_enum(shape, value, at);
      return;
    case Kind::kBlob: {
      if (java_) return dynamodb_json::read_blob(in_, *static_cast<std::string*>(value));
      std::string text;
      read_string(text, "a Blob");
      std::optional<std::string> bytes = base64_decode(text);
      if (!bytes) {
        throw BadInput{text.size() % 4 == 0
                           ? cat("'", text, "' can not be converted to a Blob: Invalid Base64 character")
                           : cat("'", text,
                                 "' can not be converted to a Blob: Base64 encoded length is expected a "
                                 "multiple of 4 bytes but found: ",
                                 text.size())};
      }
      *static_cast<std::string*>(value) = std::move(*bytes);
      return;
    }
    case Kind::kTimestamp:
      read_timestamp(*static_cast<Time*>(value), format_of(shape, format));
      return;
    case Kind::kStructure:
    case Kind::kUnion:
      read_structure(*shape.structure, value, at, false);
      return;
    case Kind::kList:
      read_list(shape, value, at);
      return;
    case Kind::kMap:
      read_map(shape, value, at);
      return;
    case Kind::kDocument:
      *static_cast<Json*>(value) = in_.read_value();
      return;
    case Kind::kStreamingBlob: {
      std::string text;
      read_string(text, "a Blob");
      *static_cast<Body*>(value) = body_of(std::move(text));
      return;
    }
    case Kind::kEventStream:
      throw BadInput{"An event stream can not be part of a document"};
    case Kind::kCustom:
      shape.custom->read_json(in_, value, at.name);
      return;
  }
}

void JsonShapeReader::read_structure(const StructInfo& info, void* structure, const Path& at, bool body_only,
                                     bool root) {
  switch (in_.peek()) {
    case JsonToken::kObject:
      break;
    case JsonToken::kArray:
      throw BadInput{"Start of list found where not expected"};
    // At the top AWS says nothing about what it found.
    default:
      throw BadInput{root ? "" : "Expected null"};
  }
  Seen seen;
  size_t hint = 0;
  in_.begin_object();
  while (in_.next_key(key_)) {
    const Member* member = find_member(info.members, key_, hint, body_only);
    if (!member) {
      in_.skip_value();
      continue;
    }
    if (in_.peek() == JsonToken::kNull) {
      in_.read_null();
      continue;
    }
    seen.mark(static_cast<size_t>(member - info.members.data()));
    const Path here = at.member(member->name);
    read(*member->shape, member->access->emplace(field_of(structure, *member)), here,
         format_of(*member, TimestampFormat::kEpochSeconds));
  }
  for (size_t i = 0; i < info.members.size(); ++i) {
    const Member& member = info.members[i];
    if (!member.required || seen.has(i) || (body_only && member.location != Location::kBody)) continue;
    findings_.missing(at.member(member.name));
  }
}

void JsonShapeReader::read_list(const Shape& shape, void* list, const Path& at) {
  const ListInfo& info = *shape.list;
  switch (in_.peek()) {
    case JsonToken::kArray:
      break;
    case JsonToken::kObject:
      throw BadInput{"Start of structure or map found where not expected."};
    default:
      throw BadInput{"Expected list or null"};
  }
  in_.begin_array();
  size_t index = 0;
  std::string spelled;  // the list as the client wrote it, once an element is no enumerator
  bool unknown = false;
  while (in_.next_element()) {
    if (in_.peek() == JsonToken::kNull) {
      in_.read_null();
      if (info.sparse) info.append(list);
      continue;
    }
    void* element = info.append(list);
    if (info.element->kind == Kind::kEnum) {
      std::string text;
      read_string(text, "a String");
      unknown = !enum_value(*info.element, text, element) || unknown;
      append(spelled, spelled.empty() ? "" : ", ", text);
    } else {
      read(*info.element, element, at.element(index));
    }
    ++index;
  }
  if (unknown) findings_.no_such_element(at, info, cat("[", spelled, "]"));
}

void JsonShapeReader::read_map(const Shape& shape, void* map, const Path& at) {
  const MapInfo& info = *shape.map;
  switch (in_.peek()) {
    case JsonToken::kObject:
      break;
    case JsonToken::kArray:
      throw BadInput{"Start of list found where not expected"};
    default:
      throw BadInput{"Expected map or null"};
  }
  in_.begin_object();
  std::string key;
  while (in_.next_key(key)) {
    if (in_.peek() == JsonToken::kNull) {
      in_.read_null();
      continue;
    }
    read(*info.value, info.emplace(map, key), at.key(key));
  }
}

namespace {

void write_timestamp(JsonWriter& out, Time time, TimestampFormat format) {
  switch (format) {
    case TimestampFormat::kIso8601:
      out.string(iso8601(time));
      return;
    case TimestampFormat::kHttpDate:
      out.string(http_date(time));
      return;
    case TimestampFormat::kDefault:
    case TimestampFormat::kEpochSeconds:
      out.raw(epoch_seconds(time));
      return;
  }
}

struct JsonEntryWriter {
  JsonWriter& out;
  const Shape& value;
  static void write(void* context, const std::string& key, const void* entry) {
    auto& self = *static_cast<JsonEntryWriter*>(context);
    self.out.key(key);
    write_json(self.out, self.value, entry);
  }
};

}  // namespace

void write_json_members(JsonWriter& out, const StructInfo& info, const void* structure, bool body_only) {
  for (const Member& member : info.members) {
    if (body_only && member.location != Location::kBody) continue;
    const void* field = field_of(structure, member);
    if (!member.access->has(field)) continue;
    // Streams are no part of a document.
    if (member.shape->kind == Kind::kStreamingBlob || member.shape->kind == Kind::kEventStream) continue;
    out.key(member.location == Location::kBody ? member.wire_name : member.name);
    write_json(out, *member.shape, member.access->get(field), format_of(member, TimestampFormat::kEpochSeconds));
  }
}

void write_json(JsonWriter& out, const Shape& shape, const void* value, TimestampFormat format) {
  switch (shape.kind) {
    case Kind::kBoolean:
      out.boolean(*static_cast<const bool*>(value));
      return;
    case Kind::kInteger:
      out.integer(*static_cast<const int32_t*>(value));
      return;
    case Kind::kLong:
      out.integer(*static_cast<const int64_t*>(value));
      return;
    // Through its shortest decimal form: 0.1f is 0.1 and not 0.10000000149011612.
    case Kind::kFloat: {
      const float number = *static_cast<const float*>(value);
      out.real(std::isfinite(number) ? *parse_double(cat(number)) : static_cast<double>(number));
      return;
    }
    case Kind::kDouble:
      out.real(*static_cast<const double*>(value));
      return;
    case Kind::kString:
      out.string(*static_cast<const std::string*>(value));
      return;
    case Kind::kEnum:
      out.string(enum_name(shape, shape.enumeration->get(value)));
      return;
    case Kind::kBlob:
      out.string(base64_encode(*static_cast<const std::string*>(value)));
      return;
    case Kind::kTimestamp:
      write_timestamp(out, *static_cast<const Time*>(value), format_of(shape, format));
      return;
    case Kind::kStructure:
    case Kind::kUnion:
      out.begin_object();
      write_json_members(out, *shape.structure, value, false);
      out.end_object();
      return;
    case Kind::kList: {
      const ListInfo& info = *shape.list;
      out.begin_array();
      const size_t size = info.size(value);
      for (size_t i = 0; i < size; ++i) write_json(out, *info.element, info.at(value, i));
      out.end_array();
      return;
    }
    case Kind::kMap: {
      JsonEntryWriter entries{out, *shape.map->value};
      out.begin_object();
      shape.map->each(value, &entries, &JsonEntryWriter::write);
      out.end_object();
      return;
    }
    case Kind::kDocument:
      out.value(*static_cast<const Json*>(value));
      return;
    case Kind::kStreamingBlob:
    case Kind::kEventStream:
      out.null();
      return;
    case Kind::kCustom:
      shape.custom->write_json(out, value);
      return;
  }
}

}  // namespace virga::wire
