#include "wire/cbor_shape.h"

#include "base/source.h"
#include "base/str.h"
#include "wire/access.h"

namespace virga::wire {

namespace {

using CborToken = CborReader::Token;

struct CborEntryWriter {
  CborWriter& out;
  const Shape& value;
  static void write(void* context, const std::string& key, const void* entry) {
    auto& self = *static_cast<CborEntryWriter*>(context);
    self.out.key(key);
    write_cbor(self.out, self.value, entry);
  }
};

Json read_document(CborReader& in) {
  switch (in.peek()) {
    case CborToken::kNull:
      in.read_null();
      return Json();
    case CborToken::kBool:
      return Json(in.read_bool());
    case CborToken::kInteger:
      return Json(static_cast<long>(in.read_integer()));
    case CborToken::kFloat:
      return Json(in.read_double());
    case CborToken::kBytes:
    case CborToken::kString: {
      std::string text;
      in.read_string(text);
      return Json(std::move(text));
    }
    case CborToken::kTag:
      in.read_tag();
      return read_document(in);
    case CborToken::kArray: {
      Json::Array out;
      in.begin_array();
      while (in.next_element()) out.push_back(read_document(in));
      return Json(std::move(out));
    }
    case CborToken::kMap:
      break;
  }
  Json out = Json::object();
  std::string key;
  in.begin_map();
  while (in.next_key(key)) out[key] = read_document(in);
  return out;
}

void read_cbor_structure(CborReader& in, const StructInfo& info, void* structure, const Path& at, Findings& findings) {
  Seen seen;
  std::string key;
  in.begin_map();
  while (in.next_key(key)) {
    size_t i = 0;
    while (i < info.members.size() && info.members[i].wire_name != key) ++i;
    if (i == info.members.size()) {
      in.skip_value();
      continue;
    }
    if (in.peek() == CborToken::kNull) {
      in.read_null();
      continue;
    }
    const Member& member = info.members[i];
    seen.mark(i);
    read_cbor(in, *member.shape, member.access->emplace(field_of(structure, member)), at.member(member.name), findings);
  }
  seen.report_missing(info, at, findings);
}

void read_list(CborReader& in, const ListInfo& info, void* list, const Path& at, Findings& findings) {
  size_t index = 0;
  in.begin_array();
  while (in.next_element()) {
    if (in.peek() == CborToken::kNull) {
      in.read_null();
      if (info.sparse) info.append(list);
      continue;
    }
    read_cbor(in, *info.element, info.append(list), at.element(index++), findings);
  }
}

void read_map(CborReader& in, const MapInfo& info, void* map, const Path& at, Findings& findings) {
  std::string key;
  in.begin_map();
  while (in.next_key(key)) {
    if (in.peek() == CborToken::kNull) {
      in.read_null();
      continue;
    }
    read_cbor(in, *info.value, info.emplace(map, key), at.key(key), findings);
  }
}

}  // namespace

void write_cbor_document(CborWriter& out, const Json& value) {
  switch (value.type()) {
    case Json::Type::kNull:
      return out.null();
    case Json::Type::kBool:
      return out.boolean(value.as_bool());
    case Json::Type::kInt:
      return out.integer(value.as_int());
    case Json::Type::kDouble:
      return out.real(value.as_double());
    case Json::Type::kString:
      return out.string(value.as_string());
    case Json::Type::kArray:
      out.array(value.as_array().size());
      for (const Json& element : value.as_array()) write_cbor_document(out, element);
      return;
    case Json::Type::kObject:
      out.map(value.as_object().size());
      for (const auto& [key, member] : value.as_object()) {
        out.key(key);
        write_cbor_document(out, member);
      }
      return;
  }
}

void write_cbor(CborWriter& out, const Shape& shape, const void* value) {
  switch (shape.kind) {
    case Kind::kBoolean:
      return out.boolean(*static_cast<const bool*>(value));
    case Kind::kInteger:
      return out.integer(*static_cast<const int32_t*>(value));
    case Kind::kLong:
      return out.integer(*static_cast<const int64_t*>(value));
    case Kind::kFloat:
      return out.real(*static_cast<const float*>(value));
    case Kind::kDouble:
      return out.real(*static_cast<const double*>(value));
    case Kind::kString:
      return out.string(*static_cast<const std::string*>(value));
    case Kind::kEnum:
      return out.string(enum_name(shape, shape.enumeration->get(value)));
    case Kind::kBlob:
      return out.bytes(*static_cast<const std::string*>(value));
    case Kind::kTimestamp:
      return out.time(*static_cast<const Time*>(value));
    case Kind::kStructure:
    case Kind::kUnion:
      out.begin_map();
      for (const Member& member : shape.structure->members) {
        const void* field = field_of(value, member);
        if (!member.access->has(field)) continue;
        if (member.shape->kind == Kind::kStreamingBlob || member.shape->kind == Kind::kEventStream) continue;
        out.key(member.wire_name);
        write_cbor(out, *member.shape, member.access->get(field));
      }
      return out.end();
    case Kind::kList: {
      const ListInfo& info = *shape.list;
      const size_t size = info.size(value);
      out.array(size);
      for (size_t i = 0; i < size; ++i) write_cbor(out, *info.element, info.at(value, i));
      return;
    }
    case Kind::kMap: {
      CborEntryWriter entries{out, *shape.map->value};
      out.map(shape.map->size(value));
      return shape.map->each(value, &entries, &CborEntryWriter::write);
    }
    case Kind::kDocument:
      return write_cbor_document(out, *static_cast<const Json*>(value));
    case Kind::kStreamingBlob:
    case Kind::kEventStream:
      return out.null();
    case Kind::kCustom:
      return shape.custom->write_cbor(out, value);
  }
}

void read_cbor(CborReader& in, const Shape& shape, void* value, const Path& at, Findings& findings) {
  switch (shape.kind) {
    case Kind::kBoolean:
      *static_cast<bool*>(value) = in.read_bool();
      return;
    case Kind::kInteger: {
      const int64_t number = in.read_integer();
      if (number < INT32_MIN || number > INT32_MAX) throw BadInput{cat(at.text(), " is no 32-bit integer")};
      *static_cast<int32_t*>(value) = static_cast<int32_t>(number);
      return;
    }
    case Kind::kLong:
      *static_cast<int64_t*>(value) = in.read_integer();
      return;
    case Kind::kFloat:
      *static_cast<float*>(value) = static_cast<float>(in.read_double());
      return;
    case Kind::kDouble:
      *static_cast<double*>(value) = in.read_double();
      return;
    case Kind::kString:
      in.read_string(*static_cast<std::string*>(value));
      return;
    case Kind::kEnum: {
      std::string text;
      in.read_string(text);
      if (!enum_value(shape, text, value)) findings.no_such_value(at, shape, text);
      return;
    }
    case Kind::kBlob:
      in.read_bytes(*static_cast<std::string*>(value));
      return;
    case Kind::kTimestamp:
      *static_cast<Time*>(value) = in.read_time();
      return;
    case Kind::kStructure:
    case Kind::kUnion:
      read_cbor_structure(in, *shape.structure, value, at, findings);
      return;
    case Kind::kList:
      read_list(in, *shape.list, value, at, findings);
      return;
    case Kind::kMap:
      read_map(in, *shape.map, value, at, findings);
      return;
    case Kind::kDocument:
      *static_cast<Json*>(value) = read_document(in);
      return;
    case Kind::kStreamingBlob:
    case Kind::kEventStream:
      throw BadInput{"A stream can not be part of a document"};
    case Kind::kCustom:
      shape.custom->read_cbor(in, value, at.name);
      return;
  }
}

}  // namespace virga::wire
