#include "wire/router.h"

#include <tuple>

#include "base/encoding.h"
#include "base/str.h"

namespace virga::wire {

using Labels = std::vector<std::pair<std::string, std::string>>;

UriPattern::UriPattern(std::string_view uri) {
  const auto [path, query] = split_once(uri, '?');
  for (const std::string_view part : split(path.substr(path.starts_with('/') ? 1 : 0), '/')) {
    if (part.empty()) continue;
    if (!part.starts_with('{') || !part.ends_with('}')) {
      segments_.push_back({part});
      continue;
    }
    const std::string_view name = part.substr(1, part.size() - 2);
    const bool greedy = name.ends_with('+');
    segments_.push_back({greedy ? name.substr(0, name.size() - 1) : name, true, greedy});
  }
  for (const Segment& segment : segments_) {
    if (segment.label) break;
    append(start_, "/", segment.text);
  }
  if (query.empty()) return;
  for (const std::string_view part : split(query, '&')) {
    const size_t equals = part.find('=');
    QueryPart wanted{part.substr(0, equals), {}, equals != std::string_view::npos};
    if (wanted.has_value) wanted.value = part.substr(equals + 1);
    query_.push_back(wanted);
  }
}

bool UriPattern::begins(std::string_view path) const {
  if (!path.starts_with('/')) return true;
  path = path.substr(0, start_.size());
  return path == start_ || path.find('%') != path.npos;
}

std::optional<Labels> UriPattern::match(std::string_view path) const {
  Labels labels;
  if (path.starts_with('/')) path.remove_prefix(1);
  bool ended = path.empty();  // nothing is left, not even an empty last part
  for (size_t i = 0; i < segments_.size(); ++i) {
    const Segment& segment = segments_[i];
    if (ended) return std::nullopt;
    std::string_view part;
    if (segment.greedy) {
      // As much as leaves a part for each segment that follows.
      size_t end = path.size();
      for (size_t after = segments_.size() - 1; after > i; --after) {
        end = end == 0 ? std::string_view::npos : path.rfind('/', end - 1);
        if (end == std::string_view::npos) return std::nullopt;
      }
      part = path.substr(0, end);
      ended = end == path.size();
      path.remove_prefix(ended ? end : end + 1);
    } else {
      const size_t slash = path.find('/');
      part = path.substr(0, slash);
      ended = slash == std::string_view::npos;
      path.remove_prefix(ended ? path.size() : slash + 1);
    }
    if (part.empty()) return std::nullopt;
    if (!segment.label) {
      if (part == segment.text) continue;
      if (part.find('%') == part.npos || percent_decode(part) != segment.text) return std::nullopt;
      continue;
    }
    std::optional<std::string> value = percent_decode(part);
    if (!value) return std::nullopt;
    labels.emplace_back(segment.text, std::move(*value));
  }
  if (!path.empty()) return std::nullopt;
  return labels;
}

Router::Router(const ServiceModel& service) {
  for (const OperationModel& operation : service.operations) {
    Entry entry{&operation, UriPattern(operation.uri), 0, {}, {}};
    for (const auto& segment : entry.pattern.segments()) {
      // A literal counts most, then a label; a greedy one least.
      entry.literals += segment.greedy ? 0 : segment.label ? 1 : 100;
    }
    if (operation.input) {
      for (const Member& member : operation.input->structure->members) {
        if (!member.required) continue;
        if (member.location == Location::kQuery) entry.required_query.push_back(member.wire_name);
        if (member.location == Location::kHeader) entry.required_headers.push_back(member.wire_name);
      }
    }
    entries_.push_back(std::move(entry));
  }
}

std::optional<Router::Route> Router::find(std::string_view method, std::string_view path, std::string_view query,
                                          const Headers& headers) const {
  // What can't be decoded matches no fixed part; reading the input then refuses it.
  const auto parameters = parse_query(query).value_or(Labels());
  const auto parameter = [&](std::string_view name) -> const std::string* {
    for (const auto& [key, value] : parameters) {
      if (key == name) return &value;
    }
    return nullptr;
  };
  const std::string* named = parameter("x-id");

  using Rank = std::tuple<int, int, int, int, int, bool>;
  std::optional<Rank> best_rank;
  std::optional<Route> best;
  for (const Entry& entry : entries_) {
    if (entry.operation->method != method || !entry.pattern.begins(path)) continue;
    int fixed = 0;
    bool all = true;
    for (const auto& part : entry.pattern.query()) {
      // The SDKs' x-id only says what the client calls it.
      if (part.name == "x-id") continue;
      const std::string* value = parameter(part.name);
      all = all && value && (!part.has_value || *value == part.value);
      ++fixed;
    }
    if (!all) continue;
    std::optional<Labels> labels = entry.pattern.match(path);
    if (!labels) continue;
    int present = 0, missing = 0;
    for (const std::string_view name : entry.required_query) ++(parameter(name) ? present : missing);
    for (const std::string_view name : entry.required_headers) ++(headers.has(name) ? present : missing);
    const Rank rank{entry.literals,         fixed, -missing, present, named && *named == entry.operation->name,
                    entry.operation->served};
    if (best_rank && rank <= *best_rank) continue;
    best_rank = rank;
    best = Route{entry.operation, std::move(*labels)};
  }
  return best;
}

}  // namespace virga::wire
