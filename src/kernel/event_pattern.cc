#include "kernel/event_pattern.h"

#include "kernel/event_pattern_compile.h"

namespace virga::kernel {

EventPattern EventPattern::parse(std::string_view text, const PatternOptions& options) {
  EventPattern out;
  out.rule_ = std::make_shared<const pattern::Rule>(pattern::parse_rule(text, options));
  out.compiled_ = std::make_shared<const pattern::Compiled>(std::vector{out.rule_});
  return out;
}

bool EventPattern::matches(std::string_view event, PatternScratch& scratch) const {
  std::vector<uint32_t> matched;
  if (compiled_) compiled_->match(event, scratch, matched);
  return !matched.empty();
}

bool EventPattern::matches(std::string_view event) const {
  PatternScratch scratch;
  return matches(event, scratch);
}

bool EventPattern::matches_value(const Json& event) const { return matches(event.dump()); }

PatternMachine::PatternMachine() : PatternMachine(std::span<const EventPattern>()) {}

PatternMachine::PatternMachine(std::span<const EventPattern> patterns) {
  std::vector<std::shared_ptr<const pattern::Rule>> rules;
  rules.reserve(patterns.size());
  for (const EventPattern& p : patterns) rules.push_back(p.rule_);
  compiled_ = std::make_shared<const pattern::Compiled>(std::move(rules));
}

void PatternMachine::match(std::string_view event, PatternScratch& scratch, std::vector<uint32_t>& matched) const {
  compiled_->match(event, scratch, matched);
}

}  // namespace virga::kernel
