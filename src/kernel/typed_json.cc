#include "kernel/typed_json.h"

#include <algorithm>
#include <new>

#include "base/str.h"
#include "wire/protocol.h"
#include "wire/scalar.h"

namespace virga::kernel {

namespace {

using wire::Kind;

bool same_but_first_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && !a.empty() && equals_ignoring_case(a.substr(0, 1), b.substr(0, 1)) &&
         a.substr(1) == b.substr(1);
}

[[noreturn]] void mismatch(const std::string& path, std::string_view wanted, const Json& found) {
  constexpr const char* kNames[] = {"Null", "Boolean", "Integer", "Number", "String", "JSONArray", "JSONObject"};
  throw TypedJsonError(cat("Model validation failed (", path, ": expected type: ", wanted,
                           ", found: ", kNames[static_cast<int>(found.type())], ")"));
}

bool boolean(const Json& value, const std::string& path) {
  if (value.is_bool()) return value.as_bool();
  if (value.is_string() && lower(value.as_string()) == "true") return true;
  if (value.is_string() && lower(value.as_string()) == "false") return false;
  mismatch(path, "Boolean", value);
}

// Numbers and booleans as text, as people mean them.
std::string text(const Json& value, const std::string& path, std::string_view wanted = "String") {
  if (value.is_array() || value.is_object() || value.is_null()) mismatch(path, wanted, value);
  return value.is_string() ? value.as_string() : value.dump();
}

// By way of text, from which every simple value can be read.
void fill_scalar(const wire::Shape& shape, const Json& value, void* out, const std::string& path) {
  std::string_view wanted = "String";
  if (shape.kind == Kind::kInteger || shape.kind == Kind::kLong) wanted = "Integer";
  if (shape.kind == Kind::kFloat || shape.kind == Kind::kDouble) wanted = "Number";
  if (shape.kind == Kind::kTimestamp) wanted = "Timestamp";
  if (shape.kind == Kind::kBlob) wanted = "base64";
  wire::Findings none;
  try {
    wire::read_scalar(shape, text(value, path, wanted), out, {}, none);
  } catch (const wire::BadInput&) {
    mismatch(path, wanted, value);
  }
}

void fill_enum(const wire::EnumInfo& info, const Json& value, void* out, const std::string& path) {
  const std::string wanted = text(value, path);
  const auto found = std::find(info.values.begin(), info.values.end(), wanted);
  if (found == info.values.end()) {
    std::vector<std::string> all(info.values.begin(), info.values.end());
    if (all.size() > 20) all.resize(20);
    throw TypedJsonError(cat("Model validation failed (", path, ": #: ", wanted, " is not a valid enum value; one of [",
                             join(all, ", "), "])"));
  }
  info.set(out, static_cast<int>(found - info.values.begin()));
}

void fill_struct(const wire::StructInfo& info, const Json& value, void* out, const std::string& path, Blobs blobs) {
  if (!value.is_object()) mismatch(path, "JSONObject", value);
  for (const auto& [key, member_value] : value.as_object()) {
    const wire::Member* member = find_member(info, key);
    if (!member)
      throw TypedJsonError(
          cat("Properties validation failed with message: ", path, ": extraneous key [", key, "] is not permitted"));
    void* field = static_cast<char*>(out) + member->offset;
    fill(*member->shape, member_value, member->access->emplace(field), cat(path, "/", key), blobs);
  }
}

struct MapReader {
  const wire::MapInfo* info;
  Json* out;
  Style style;
};

std::string written(std::string_view name, Style style) {
  std::string out(name);
  if (out.empty()) return out;
  const auto first = static_cast<unsigned char>(out[0]);
  out[0] = static_cast<char>(style == Style::kTrail ? std::tolower(first) : std::toupper(first));
  return out;
}

}  // namespace

const wire::Member* find_member(const wire::StructInfo& structure, std::string_view name) {
  for (const wire::Member& member : structure.members) {
    if (member.name == name || member.wire_name == name) return &member;
  }
  for (const wire::Member& member : structure.members) {
    if (same_but_first_case(member.name, name) || same_but_first_case(member.wire_name, name)) return &member;
  }
  return nullptr;
}

void fill(const wire::Shape& shape, const Json& value, void* out, const std::string& path, Blobs blobs) {
  switch (shape.kind) {
    case Kind::kBoolean:
      *static_cast<bool*>(out) = boolean(value, path);
      return;
    case Kind::kInteger:
    case Kind::kLong:
    case Kind::kFloat:
    case Kind::kDouble:
    case Kind::kString:
    case Kind::kTimestamp:
      fill_scalar(shape, value, out, path);
      return;
    case Kind::kEnum:
      fill_enum(*shape.enumeration, value, out, path);
      return;
    case Kind::kBlob:
      if (blobs == Blobs::kBase64) return fill_scalar(shape, value, out, path);
      *static_cast<Bytes*>(out) = value.is_string() ? value.as_string() : value.dump();
      return;
    case Kind::kStructure:
    case Kind::kUnion:
      fill_struct(*shape.structure, value, out, path, blobs);
      return;
    case Kind::kList: {
      const Json::Array one = value.is_array() ? Json::Array{} : Json::Array{value};
      const Json::Array& all = value.is_array() ? value.as_array() : one;
      size_t index = 0;
      for (const Json& element : all)
        fill(*shape.list->element, element, shape.list->append(out), cat(path, "/", index++), blobs);
      return;
    }
    case Kind::kMap:
      if (!value.is_object()) mismatch(path, "JSONObject", value);
      for (const auto& [key, element] : value.as_object())
        fill(*shape.map->value, element, shape.map->emplace(out, key), cat(path, "/", key), blobs);
      return;
    case Kind::kDocument:
      *static_cast<Json*>(out) = value;
      return;
    case Kind::kStreamingBlob:
      *static_cast<Body*>(out) = body_of(text(value, path));
      return;
    case Kind::kCustom: {
      const std::string json = value.dump();
      JsonReader in(json);
      shape.custom->read_json(in, out, path);
      return;
    }
    case Kind::kEventStream:
      throw TypedJsonError(cat(path, " is an event stream, which no value can give"));
  }
}

Json read(const wire::Shape& shape, const void* value, Style style) {
  switch (shape.kind) {
    case Kind::kBoolean:
    case Kind::kInteger:
    case Kind::kLong:
    case Kind::kFloat:
    case Kind::kDouble:
    case Kind::kString:
    case Kind::kEnum:
    case Kind::kBlob:
      return wire::to_json(shape, value);
    case Kind::kTimestamp:
      return iso8601(*static_cast<const Time*>(value));
    case Kind::kStructure:
    case Kind::kUnion: {
      Json out = Json::object();
      for (const wire::Member& member : shape.structure->members) {
        const void* field = static_cast<const char*>(value) + member.offset;
        if (member.shape->kind == Kind::kStreamingBlob || member.shape->kind == Kind::kEventStream) continue;
        if (member.shape->kind == Kind::kBlob && style == Style::kTrail) continue;
        if (!member.access->has(field)) continue;
        const bool hidden = member.sensitive && style == Style::kTrail;
        out.as_object().emplace_back(
            written(member.name, style),
            hidden ? Json("HIDDEN_DUE_TO_SECURITY_REASONS") : read(*member.shape, member.access->get(field), style));
      }
      return out;
    }
    case Kind::kList: {
      Json out = Json::array();
      for (size_t i = 0; i < shape.list->size(value); ++i)
        out.push_back(read(*shape.list->element, shape.list->at(value, i), style));
      return out;
    }
    case Kind::kMap: {
      Json out = Json::object();
      MapReader reader{shape.map, &out, style};
      shape.map->each(value, &reader, [](void* context, const std::string& key, const void* element) {
        auto* r = static_cast<MapReader*>(context);
        r->out->as_object().emplace_back(key, read(*r->info->value, element, r->style));
      });
      return out;
    }
    case Kind::kDocument:
      return *static_cast<const Json*>(value);
    case Kind::kCustom: {
      std::string json;
      JsonWriter out(json);
      shape.custom->write_json(out, value);
      return Json::parse(json);
    }
    case Kind::kStreamingBlob:
    case Kind::kEventStream:
      return nullptr;
  }
  return nullptr;
}

TypedValue::TypedValue(const wire::Shape* shape) : structure_(shape ? shape->structure : nullptr) {
  if (!structure_) return;
  at_ = ::operator new(std::max<size_t>(structure_->size, 1));
  structure_->construct(at_);
}

TypedValue::~TypedValue() {
  if (!structure_) return;
  structure_->destroy(at_);
  ::operator delete(at_);
}

}  // namespace virga::kernel
