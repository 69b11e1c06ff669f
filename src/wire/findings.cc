#include "wire/findings.h"

#include "base/str.h"

namespace virga::wire {

std::string Path::text() const {
  std::string out;
  if (up) out = up->text();
  switch (kind) {
    case Kind::kRoot:
      break;
    case Kind::kMember: {
      if (!out.empty()) out += '.';
      const size_t begin = out.size();
      out += name;
      if (out.size() > begin && out[begin] >= 'A' && out[begin] <= 'Z') out[begin] = static_cast<char>(out[begin] + 32);
      break;
    }
    case Kind::kElement:
      append(out, '.', index + 1, ".member");
      break;
    case Kind::kKey:
      append(out, '.', name, ".member");
      break;
  }
  return out;
}

std::string enum_value_set(const Shape& shape) {
  std::string out = "[";
  for (const std::string_view value : shape.enumeration->values) append(out, out.size() > 1 ? ", " : "", value);
  return out + "]";
}

void Findings::missing(const Path& at) {
  add(at, cat("Value null at '", at.text(), "' failed to satisfy constraint: Member must not be null"));
}

void Findings::no_such_value(const Path& at, const Shape& shape, std::string_view text) {
  add(at, cat("Value '", text, "' at '", at.text(),
              "' failed to satisfy constraint: Member must satisfy enum value set: ", enum_value_set(shape)));
}

void Findings::no_such_element(const Path& at, const ListInfo& list, std::string_view rendered) {
  add(at, cat("Value '", rendered, "' at '", at.text(),
              "' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: ",
              enum_value_set(*list.element), list.not_null ? ", Member must not be null]" : "]"));
}

void Seen::report_missing(const StructInfo& info, const Path& at, Findings& findings) const {
  for (size_t i = 0; i < info.members.size(); ++i) {
    const Member& member = info.members[i];
    if (member.required && !has(i)) findings.missing(at.member(member.name));
  }
}

}  // namespace virga::wire
