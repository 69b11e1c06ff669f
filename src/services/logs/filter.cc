#include "services/logs/filter.h"

#include <algorithm>
#include <stdexcept>

#include "base/str.h"

namespace virga::logs {

bool Filter::matches(std::string_view message) const {
  if (json) return json->matches(message);
  const auto in = [&](const std::string& term) { return message.find(term) != message.npos; };
  return std::ranges::all_of(all, in) && std::ranges::none_of(none, in) &&
         (any.empty() || std::ranges::any_of(any, in));
}

Filter parse_filter(std::string_view pattern) {
  pattern = trim(pattern);
  Filter filter;
  if (pattern.starts_with('{')) {
    filter.json.emplace(pattern);
    return filter;
  }
  if (pattern.starts_with('[')) throw std::invalid_argument("space-delimited filter patterns ([ … ]) are not served");
  if (pattern.starts_with('%'))
    throw std::invalid_argument("regular expression filter patterns (% … %) are not served");
  while (!pattern.empty()) {
    std::vector<std::string>* where = &filter.all;
    if (pattern.front() == '-') where = &filter.none;
    if (pattern.front() == '?') where = &filter.any;
    if (where != &filter.all) pattern.remove_prefix(1);
    std::string term;
    if (pattern.starts_with('"')) {
      size_t at = 1;
      for (; at < pattern.size() && pattern[at] != '"'; ++at) {
        if (pattern[at] == '\\' && at + 1 < pattern.size()) ++at;
        term += pattern[at];
      }
      if (at == pattern.size()) throw std::invalid_argument("the filter pattern has an unbalanced quotation mark");
      pattern.remove_prefix(at + 1);
    } else {
      const size_t end = std::min(pattern.find(' '), pattern.size());
      term = pattern.substr(0, end);
      pattern.remove_prefix(end);
    }
    if (!term.empty()) where->push_back(std::move(term));
    pattern = trim(pattern);
  }
  return filter;
}

}  // namespace virga::logs
