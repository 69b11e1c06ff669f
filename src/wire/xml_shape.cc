#include "wire/xml_shape.h"

#include "base/str.h"
#include "wire/scalar.h"

namespace virga::wire {

namespace {

bool is_flattened(const Member& member) {
  if (member.flattened) return true;
  if (member.shape->kind == Kind::kList) return member.shape->list->flattened;
  return member.shape->kind == Kind::kMap && member.shape->map->flattened;
}

// The element that repeats for a flattened list: the element's own name where the model gives one.
std::string_view flattened_name(const Member& member) {
  if (member.shape->kind == Kind::kList && member.shape->list->xml_element != "member")
    return member.shape->list->xml_element;
  return member.wire_name;
}

void begin(XmlWriter& out, std::string_view name, const Shape& shape) {
  out.begin(name);
  if (shape.kind != Kind::kStructure && shape.kind != Kind::kUnion) return;
  const StructInfo& info = *shape.structure;
  if (info.xml_namespace.empty()) return;
  out.attribute(info.xml_prefix.empty() ? std::string("xmlns") : cat("xmlns:", info.xml_prefix), info.xml_namespace);
}

struct XmlEntryWriter {
  XmlWriter& out;
  std::string_view name;
  const MapInfo& info;
  const XmlStyle& style;
  static void write(void* context, const std::string& key, const void* value) {
    auto& self = *static_cast<XmlEntryWriter*>(context);
    self.out.begin(self.name);
    self.out.element(self.info.xml_key, key);
    write_xml(self.out, self.info.xml_value, *self.info.value, value, false, TimestampFormat::kIso8601, self.style);
    self.out.end(self.name);
  }
};

}  // namespace

void write_xml_members(XmlWriter& out, const StructInfo& info, const void* structure, bool body_only,
                       const XmlStyle& style) {
  for (const Member& member : info.members) {
    if (!member.xml_attribute) continue;
    const void* field = field_of(structure, member);
    if (!member.access->has(field)) continue;
    out.attribute(member.wire_name, scalar_text(*member.shape, member.access->get(field), TimestampFormat::kIso8601));
  }
  for (const Member& member : info.members) {
    if (member.xml_attribute || (body_only && member.location != Location::kBody)) continue;
    const void* field = field_of(structure, member);
    if (!member.access->has(field)) continue;
    const bool flattened = is_flattened(member);
    const std::string_view name = style.query && !member.query_name.empty() ? member.query_name
                                  : flattened                               ? flattened_name(member)
                                                                            : member.wire_name;
    write_xml(out, name, *member.shape, member.access->get(field), flattened,
              format_of(member, TimestampFormat::kIso8601), style);
  }
}

void write_xml(XmlWriter& out, std::string_view name, const Shape& shape, const void* value, bool flattened,
               TimestampFormat format, const XmlStyle& style) {
  switch (shape.kind) {
    case Kind::kStructure:
    case Kind::kUnion:
      begin(out, name, shape);
      write_xml_members(out, *shape.structure, value, false, style);
      out.end(name);
      return;
    case Kind::kList: {
      const ListInfo& info = *shape.list;
      const std::string_view element = flattened                                   ? name
                                       : style.ec2 && info.xml_element == "member" ? "item"
                                                                                   : info.xml_element;
      if (!flattened) out.begin(name);
      const size_t size = info.size(value);
      for (size_t i = 0; i < size; ++i) {
        write_xml(out, element, *info.element, info.at(value, i), false, TimestampFormat::kIso8601, style);
      }
      if (!flattened) out.end(name);
      return;
    }
    case Kind::kMap: {
      XmlEntryWriter entries{out, flattened ? name : "entry", *shape.map, style};
      if (!flattened) out.begin(name);
      shape.map->each(value, &entries, &XmlEntryWriter::write);
      if (!flattened) out.end(name);
      return;
    }
    case Kind::kTimestamp:
      if (style.millis && format_of(shape, format) == TimestampFormat::kIso8601) {
        out.element(name, iso8601_millis(*static_cast<const Time*>(value)));
      } else {
        out.element(name, scalar_text(shape, value, format));
      }
      return;
    case Kind::kDocument:
    case Kind::kStreamingBlob:
    case Kind::kEventStream:
    case Kind::kCustom:
      return;
    default:
      out.element(name, scalar_text(shape, value, format));
      return;
  }
}

namespace {

void read_entry(const XmlNode& node, const MapInfo& info, void* map, const Path& at, Findings& findings) {
  const XmlNode* key = node.child(info.xml_key);
  const XmlNode* value = node.child(info.xml_value);
  if (!key) throw BadInput{"a map's entry has no key"};
  if (value) read_xml(*value, *info.value, info.emplace(map, key->text), at.key(key->text), findings);
}

}  // namespace

void read_xml_structure(const XmlNode& node, const StructInfo& info, void* structure, bool body_only, const Path& at,
                        Findings& findings) {
  Seen seen;
  for (size_t i = 0; i < info.members.size(); ++i) {
    const Member& member = info.members[i];
    if (body_only && member.location != Location::kBody) {
      seen.mark(i);  // whoever reads its place reports it
      continue;
    }
    void* field = field_of(structure, member);
    const Path here = at.member(member.name);
    if (member.xml_attribute) {
      if (const std::string* text = node.attribute(member.wire_name)) {
        seen.mark(i);
        read_scalar(*member.shape, *text, member.access->emplace(field), here, findings);
      }
      continue;
    }
    const bool flattened = is_flattened(member);
    const std::string_view name = flattened ? flattened_name(member) : member.wire_name;
    void* value = nullptr;
    for (const XmlNode& child : node.children) {
      if (child.name != name) continue;
      if (!flattened) {
        seen.mark(i);
        read_xml(child, *member.shape, member.access->emplace(field), here, findings);
        break;
      }
      if (!value) value = member.access->emplace(field);
      seen.mark(i);
      if (member.shape->kind == Kind::kMap) {
        read_entry(child, *member.shape->map, value, here, findings);
      } else {
        const ListInfo& list = *member.shape->list;
        const size_t index = list.size(value);
        read_xml(child, *list.element, list.append(value), here.element(index), findings);
      }
    }
  }
  seen.report_missing(info, at, findings);
}

void read_xml(const XmlNode& node, const Shape& shape, void* value, const Path& at, Findings& findings) {
  switch (shape.kind) {
    case Kind::kStructure:
    case Kind::kUnion:
      read_xml_structure(node, *shape.structure, value, false, at, findings);
      return;
    case Kind::kList: {
      const ListInfo& info = *shape.list;
      size_t index = 0;
      for (const XmlNode& child : node.children) {
        if (child.name != info.xml_element && child.name != "item") continue;
        read_xml(child, *info.element, info.append(value), at.element(index++), findings);
      }
      return;
    }
    case Kind::kMap:
      for (const XmlNode& child : node.children) {
        if (child.name == "entry") read_entry(child, *shape.map, value, at, findings);
      }
      return;
    case Kind::kDocument:
    case Kind::kStreamingBlob:
    case Kind::kEventStream:
    case Kind::kCustom:
      throw BadInput{cat(shape.name, " has no form in XML")};
    default:
      read_scalar(shape, node.text, value, at, findings);
      return;
  }
}

}  // namespace virga::wire
