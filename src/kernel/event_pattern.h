// The event pattern language of EventBridge, which SNS filter policies and Lambda's event filters share: parsing with
// AWS's messages, one pattern against one event, and a machine that finds which of many patterns match an event.
//
// An event is a JSON object. A pattern names fields by path; a field matches when any of its values passes any of the
// tests that the pattern lists, and a pattern matches when all of its fields do, within the same elements of whatever
// arrays of objects lie on their paths. A field that must be absent is absent from those elements; when no other field
// of the pattern chooses an element of an array, it is absent from all of them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace virga::kernel {

namespace pattern {
// What a match expression may be; values in themselves (exact, null) are always allowed.
enum Operator : uint32_t {
  kPrefix = 1 << 0,
  kSuffix = 1 << 1,
  kEqualsIgnoreCase = 1 << 2,
  kAffixIgnoreCase = 1 << 3,  // equals-ignore-case inside prefix and suffix
  kWildcard = 1 << 4,
  kNumeric = 1 << 5,
  kExists = 1 << 6,
  kCidr = 1 << 7,
  kAnythingBut = 1 << 8,
  kAnythingButPrefix = 1 << 9,
  kAnythingButSuffix = 1 << 10,
  kAnythingButIgnoreCase = 1 << 11,
  kAnythingButWildcard = 1 << 12,
  kOr = 1 << 13,  // $or; not allowed: a field's name like any other
  kAll = (1 << 14) - 1,
};
struct Rule;
class Compiled;
}  // namespace pattern

struct PatternOptions {
  uint32_t operators = pattern::kAll;
  // Combinations that $or may make of one pattern.
  size_t most_combinations = 1000;
  // Whether messages end in AWS's "\n at [Source: (String)"…"; line: 1, column: 2]".
  bool locations = true;
};

// A pattern that isn't one. what() is AWS's reason: a service puts its own words in front
// ("Event pattern is not valid. Reason: ").
struct PatternError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Reused between events to save allocations; belongs to one thread at a time, and to any machine.
class PatternScratch {
 public:
  PatternScratch();
  ~PatternScratch();
  PatternScratch(PatternScratch&&) noexcept;
  PatternScratch& operator=(PatternScratch&&) noexcept;

 private:
  friend class pattern::Compiled;
  struct State;
  std::unique_ptr<State> state_;
};

// One pattern; cheap to copy, immutable.
class EventPattern {
 public:
  static EventPattern parse(std::string_view text, const PatternOptions& options = {});  // throws PatternError
  // Whether it matches `event`, the text of a JSON object. Text that is no JSON object matches nothing.
  bool matches(std::string_view event) const;
  bool matches_value(const Json& event) const;
  bool matches(std::string_view event, PatternScratch& scratch) const;

 private:
  friend class PatternMachine;
  std::shared_ptr<const pattern::Rule> rule_;
  std::shared_ptr<const pattern::Compiled> compiled_;
};

// Many patterns compiled into one automaton. Immutable: build another one when the patterns change. The time of a match
// depends on what the event and the patterns have in common, not on how many patterns there are.
class PatternMachine {
 public:
  PatternMachine();
  explicit PatternMachine(std::span<const EventPattern> patterns);
  // Replaces `matched` with the positions of the patterns that match, in no particular order.
  void match(std::string_view event, PatternScratch& scratch, std::vector<uint32_t>& matched) const;

 private:
  std::shared_ptr<const pattern::Compiled> compiled_;
};

}  // namespace virga::kernel
