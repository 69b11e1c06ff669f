#include "services/apigatewayv2/routing.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/str.h"

namespace virga::apigatewayv2 {
namespace {

constexpr std::array<std::string_view, 8> kMethods = {"ANY",    "GET",   "POST", "PUT",
                                                      "DELETE", "PATCH", "HEAD", "OPTIONS"};

bool is_variable(std::string_view segment) {
  return segment.size() > 2 && segment.starts_with('{') && segment.ends_with('}');
}
bool is_greedy(std::string_view segment) {
  return segment.size() > 3 && segment.starts_with('{') && segment.ends_with("+}");
}

std::vector<std::string_view> segments(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.empty() ? std::vector<std::string_view>() : split(path, '/');
}

// How specific a match is: one letter a segment, literal before variable before greedy; then the method. Smaller is
// better.
struct Candidate {
  std::string rank;
  Match match;
};

std::optional<Candidate> try_route(const RouteRecord& route, std::string_view method,
                                   const std::vector<std::string_view>& path) {
  if (route.key == "$default") return Candidate{"z", {&route, {}}};
  const auto [route_method, route_path] = split_once(route.key, ' ');
  if (route_method != "ANY" && route_method != method) return std::nullopt;
  const auto pattern = segments(route_path);
  Candidate candidate{"", {&route, {}}};
  for (size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view part = pattern[i];
    if (is_greedy(part)) {
      if (i >= path.size()) return std::nullopt;
      const char* end = path.back().data() + path.back().size();
      const std::string_view rest(path[i].data(), static_cast<size_t>(end - path[i].data()));
      candidate.match.parameters.emplace(part.substr(1, part.size() - 3),
                                         percent_decode(rest).value_or(std::string(rest)));
      candidate.rank.insert(0, "g");  // any full match comes first
      candidate.rank += 'c';          // and a longer prefix before a shorter one
      candidate.rank += route_method == "ANY" ? 'b' : 'a';
      return candidate;
    }
    if (i >= path.size()) return std::nullopt;
    if (is_variable(part)) {
      candidate.match.parameters.emplace(part.substr(1, part.size() - 2),
                                         percent_decode(path[i]).value_or(std::string(path[i])));
      candidate.rank += 'b';
    } else if (part == path[i]) {
      candidate.rank += 'a';
    } else {
      return std::nullopt;
    }
  }
  if (pattern.size() != path.size()) return std::nullopt;
  candidate.rank += route_method == "ANY" ? 'b' : 'a';
  return candidate;
}

}  // namespace

bool valid_route_key(std::string_view key) {
  if (key == "$default") return true;
  const auto [method, path] = split_once(key, ' ');
  if (std::ranges::find(kMethods, method) == kMethods.end() || !path.starts_with('/')) return false;
  const auto parts = segments(path);
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool brace = parts[i].find_first_of("{}") != parts[i].npos;
    if (brace && !is_variable(parts[i])) return false;
    if (is_greedy(parts[i]) && i + 1 != parts.size()) return false;
  }
  return true;
}

std::optional<Match> match_route(const std::map<std::string, RouteRecord>& routes, std::string_view method,
                                 std::string_view path) {
  const auto parts = segments(path);
  std::optional<Candidate> best;
  for (const auto& [id, route] : routes) {
    auto candidate = try_route(route, method, parts);
    if (candidate && (!best || candidate->rank < best->rank)) best = std::move(candidate);
  }
  if (!best) return std::nullopt;
  return std::move(best->match);
}

}  // namespace virga::apigatewayv2
