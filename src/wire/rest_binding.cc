#include "wire/rest_binding.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/str.h"
#include "wire/router.h"
#include "wire/scalar.h"

namespace virga::wire {

namespace {

// The elements of a header's list: commas separate, quotes keep them.
std::vector<std::string> header_elements(std::string_view text) {
  std::vector<std::string> out;
  while (true) {
    text = trim(text);
    std::string element;
    if (text.starts_with('"')) {
      size_t i = 1;
      for (; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        element += text[i];
      }
      text.remove_prefix(std::min(i + 1, text.size()));
      const size_t comma = text.find(',');
      out.push_back(std::move(element));
      if (comma == std::string_view::npos) return out;
      text.remove_prefix(comma + 1);
      continue;
    }
    const size_t comma = text.find(',');
    const std::string_view part = trim(text.substr(0, comma));
    if (!part.empty()) out.emplace_back(part);
    if (comma == std::string_view::npos) return out;
    text.remove_prefix(comma + 1);
  }
}

// HTTP dates have a comma of their own.
std::vector<std::string> date_elements(std::string_view text) {
  std::vector<std::string> parts = header_elements(text), out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].size() <= 9 && i + 1 < parts.size()) {
      out.push_back(cat(parts[i], ", ", parts[i + 1]));
      ++i;
    } else {
      out.push_back(std::move(parts[i]));
    }
  }
  return out;
}

void read_header_value(const Shape& shape, std::string_view text, void* value, const Path& at, Findings& findings) {
  if (shape.kind == Kind::kDocument) {
    // A jsonvalue: JSON in base64.
    const std::optional<std::string> json = base64_decode(text);
    if (!json) throw BadInput{cat("the header of ", at.text(), " is not base64")};
    *static_cast<Json*>(value) = Json::parse(*json);
    return;
  }
  read_scalar(shape, trim(text), value, at, findings);
}

void read_header(const Member& member, const HttpRequest& request, void* input, const Path& at, Findings& findings) {
  void* field = field_of(input, member);
  if (member.shape->kind != Kind::kList) {
    read_header_value(*member.shape, request.headers.get(member.wire_name), member.access->emplace(field), at,
                      findings);
    return;
  }
  const ListInfo& list = *member.shape->list;
  void* value = member.access->emplace(field);
  const std::string text = request.headers.joined(member.wire_name);
  const bool dates =
      list.element->kind == Kind::kTimestamp &&
      format_of(*list.element, format_of(member, TimestampFormat::kHttpDate)) == TimestampFormat::kHttpDate;
  size_t index = 0;
  for (const std::string& element : dates ? date_elements(text) : header_elements(text)) {
    read_header_value(*list.element, element, list.append(value), at.element(index++), findings);
  }
}

bool read_prefix_headers(const Member& member, const HttpRequest& request, void* input) {
  void* map = nullptr;
  for (const auto& [name, value] : request.headers.fields()) {
    if (name.size() < member.wire_name.size() ||
        !equals_ignoring_case(std::string_view(name).substr(0, member.wire_name.size()), member.wire_name)) {
      continue;
    }
    if (!map) map = member.access->emplace(field_of(input, member));
    // A header that comes twice is one value: its parts joined.
    auto& text = *static_cast<std::string*>(
        member.shape->map->emplace(map, lower(std::string_view(name).substr(member.wire_name.size()))));
    append(text, text.empty() ? "" : ",", trim(value));
  }
  return map != nullptr;
}

bool read_query_member(const Member& member, const Labels& parameters, void* input, const Path& at,
                       Findings& findings) {
  void* value = nullptr;
  size_t index = 0;
  for (const auto& [name, text] : parameters) {
    if (name != member.wire_name) continue;
    if (member.shape->kind == Kind::kList) {
      const ListInfo& list = *member.shape->list;
      if (!value) value = member.access->emplace(field_of(input, member));
      read_scalar(*list.element, text, list.append(value), at.element(index++), findings);
      continue;
    }
    // A number or enumerator without text is one that was not given.
    if (text.empty() && member.shape->kind != Kind::kString) continue;
    read_scalar(*member.shape, text, member.access->emplace(field_of(input, member)), at, findings);
    return true;
  }
  return value != nullptr;
}

// All parameters that no other member takes.
void read_query_rest(const StructInfo& info, const Member& member, const Labels& parameters, void* input) {
  void* map = nullptr;
  const Shape& element = *member.shape->map->value;
  for (const auto& [name, text] : parameters) {
    const bool taken = std::any_of(info.members.begin(), info.members.end(), [&](const Member& other) {
      return other.location == Location::kQuery && other.wire_name == name;
    });
    if (taken) continue;
    if (!map) map = member.access->emplace(field_of(input, member));
    void* value = member.shape->map->emplace(map, name);
    if (element.kind == Kind::kList) value = element.list->append(value);
    *static_cast<std::string*>(value) = text;
  }
}

std::string header_text(const Shape& shape, const void* value, TimestampFormat format) {
  if (shape.kind == Kind::kDocument) return base64_encode(static_cast<const Json*>(value)->dump());
  if (shape.kind != Kind::kList) return scalar_text(shape, value, format);
  const ListInfo& list = *shape.list;
  std::string out;
  for (size_t i = 0; i < list.size(value); ++i) {
    if (i > 0) out += ", ";
    std::string element = scalar_text(*list.element, list.at(value, i), format);
    const bool text = list.element->kind == Kind::kString || list.element->kind == Kind::kEnum;
    if (text && element.find_first_of(",\"") != std::string::npos) {
      element = cat('"', replace_all(replace_all(element, "\\", "\\\\"), "\"", "\\\""), '"');
    }
    out += element;
  }
  return out;
}

// A line end in a value would begin a header of the caller's choosing.
std::string safe_header(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
  return text;
}

struct PrefixWriter {
  Headers& headers;
  std::string_view prefix;
  static void write(void* context, const std::string& key, const void* value) {
    auto& self = *static_cast<PrefixWriter*>(context);
    self.headers.add(safe_header(cat(self.prefix, key)), safe_header(*static_cast<const std::string*>(value)));
  }
};

void write_headers(const StructInfo& info, const void* structure, Headers& headers) {
  for (const Member& member : info.members) {
    const void* field = field_of(structure, member);
    if (!member.access->has(field)) continue;
    if (member.location == Location::kHeader) {
      headers.add(member.wire_name, safe_header(header_text(*member.shape, member.access->get(field),
                                                            format_of(member, TimestampFormat::kHttpDate))));
    } else if (member.location == Location::kPrefixHeaders) {
      PrefixWriter entries{headers, member.wire_name};
      member.shape->map->each(member.access->get(field), &entries, &PrefixWriter::write);
    }
  }
}

}  // namespace

bool has_body_members(const StructInfo& info) {
  return std::any_of(info.members.begin(), info.members.end(),
                     [](const Member& m) { return m.location == Location::kBody; });
}

void read_bound_input(const StructInfo& info, const HttpRequest& request, const Labels& labels, void* input, Seen& seen,
                      Findings& findings) {
  std::optional<Labels> parameters;
  const Path root;
  for (size_t i = 0; i < info.members.size(); ++i) {
    const Member& member = info.members[i];
    const Path here = root.member(member.name);
    switch (member.location) {
      case Location::kUri:
        for (const auto& [name, text] : labels) {
          if (name != member.wire_name) continue;
          read_scalar(*member.shape, text, member.access->emplace(field_of(input, member)), here, findings);
          seen.mark(i);
        }
        break;
      case Location::kHeader:
        if (!request.headers.has(member.wire_name)) break;
        read_header(member, request, input, here, findings);
        seen.mark(i);
        break;
      case Location::kPrefixHeaders:
        if (read_prefix_headers(member, request, input)) seen.mark(i);
        break;
      case Location::kQuery:
      case Location::kQueryParams:
        if (!parameters) {
          parameters = parse_query(request.query);
          if (!parameters) throw BadInput{"The query string is not properly encoded"};
        }
        if (member.location == Location::kQueryParams) {
          read_query_rest(info, member, *parameters, input);
        } else if (read_query_member(member, *parameters, input, here, findings)) {
          seen.mark(i);
        }
        break;
      default:
        break;
    }
  }
}

void write_bound_output(const StructInfo& info, const void* output, HttpResponse& response) {
  for (const Member& member : info.members) {
    if (member.location != Location::kStatusCode) continue;
    const void* field = field_of(output, member);
    if (!member.access->has(field)) continue;
    const int32_t status = *static_cast<const int32_t*>(member.access->get(field));
    if (status >= 100 && status < 600) response.status = static_cast<uint16_t>(status);
  }
  write_headers(info, output, response.headers);
}

namespace {

struct QueryWriter {
  std::string& query;
  const Shape& element;
  void add(std::string_view name, std::string_view value) {
    append(query, query.empty() ? "" : "&", percent_encode(name), '=', percent_encode(value));
  }
  static void write(void* context, const std::string& key, const void* value) {
    auto& self = *static_cast<QueryWriter*>(context);
    if (self.element.kind != Kind::kList) return self.add(key, *static_cast<const std::string*>(value));
    const ListInfo& list = *self.element.list;
    for (size_t i = 0; i < list.size(value); ++i) self.add(key, *static_cast<const std::string*>(list.at(value, i)));
  }
};

}  // namespace

void write_bound_request(const OperationModel& op, const void* input, HttpRequest& request) {
  request.method = op.method;
  const UriPattern pattern(op.uri);
  static const StructInfo kNoMembers{};
  const StructInfo& info = op.input && input ? *op.input->structure : kNoMembers;
  const auto label = [&](const UriPattern::Segment& segment) -> std::string {
    for (const Member& member : info.members) {
      if (member.location != Location::kUri || member.wire_name != segment.text) continue;
      const void* field = field_of(input, member);
      if (!member.access->has(field)) continue;
      return percent_encode(
          scalar_text(*member.shape, member.access->get(field), format_of(member, TimestampFormat::kIso8601)),
          segment.greedy);
    }
    return {};
  };
  for (const auto& segment : pattern.segments())
    append(request.path, '/', segment.label ? label(segment) : std::string(segment.text));
  if (request.path.empty()) request.path = "/";
  for (const auto& part : pattern.query()) {
    append(request.query, request.query.empty() ? "" : "&", part.name, part.has_value ? "=" : "", part.value);
  }
  for (const Member& member : info.members) {
    const void* field = field_of(input, member);
    if (!member.access->has(field)) continue;
    const void* value = member.access->get(field);
    const TimestampFormat format = format_of(member, TimestampFormat::kIso8601);
    if (member.location == Location::kQueryParams) {
      QueryWriter entries{request.query, *member.shape->map->value};
      member.shape->map->each(value, &entries, &QueryWriter::write);
    } else if (member.location == Location::kQuery) {
      QueryWriter out{request.query, *member.shape};
      if (member.shape->kind != Kind::kList) {
        out.add(member.wire_name, scalar_text(*member.shape, value, format));
        continue;
      }
      const ListInfo& list = *member.shape->list;
      for (size_t i = 0; i < list.size(value); ++i)
        out.add(member.wire_name, scalar_text(*list.element, list.at(value, i), format));
    }
  }
  request.target = request.query.empty() ? request.path : cat(request.path, '?', request.query);
  write_headers(info, input, request.headers);
}

void read_bound_output(const StructInfo& info, const HttpResponse& response, void* output) {
  HttpRequest carrier;  // headers are read alike on either side
  carrier.headers = response.headers;
  Seen seen;
  Findings ignored;
  for (const Member& member : info.members) {
    if (member.location != Location::kStatusCode) continue;
    *static_cast<int32_t*>(member.access->emplace(field_of(output, member))) = response.status;
  }
  read_bound_input(info, carrier, {}, output, seen, ignored);
}

}  // namespace virga::wire
