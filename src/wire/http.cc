#include "wire/http.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/str.h"

namespace virga::wire {

const std::string* Headers::find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (field.first.size() == name.size() && equals_ignoring_case(field.first, name)) return &field.second;
  }
  return nullptr;
}

std::string_view Headers::get(std::string_view name) const {
  const std::string* value = find(name);
  return value ? std::string_view(*value) : std::string_view();
}

std::string Headers::joined(std::string_view name) const {
  std::string out;
  bool first = true;
  for (const Field& field : fields_) {
    if (!equals_ignoring_case(field.first, name)) continue;
    if (!std::exchange(first, false)) out += ", ";
    out += field.second;
  }
  return out;
}

void Headers::add(std::string_view name, std::string_view value) { fields_.emplace_back(name, value); }

void Headers::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

void Headers::remove(std::string_view name) {
  std::erase_if(fields_, [&](const Field& field) { return equals_ignoring_case(field.first, name); });
}

std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!query.empty()) {
    const auto [part, rest] = split_once(query, '&');
    query = rest;
    if (part.empty()) continue;
    const auto [name, value] = split_once(part, '=');
    std::optional<std::string> decoded_name = percent_decode(name, true);
    std::optional<std::string> decoded_value = percent_decode(value, true);
    if (!decoded_name || !decoded_value) return std::nullopt;
    out.emplace_back(std::move(*decoded_name), std::move(*decoded_value));
  }
  return out;
}

}  // namespace virga::wire
