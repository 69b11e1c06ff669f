#include "services/lambda/esm/filter.h"

#include <aws/lambda/errors.h>

#include <algorithm>

namespace virga::lambda::esm {
namespace {

// docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax: fewer than EventBridge has.
constexpr kernel::PatternOptions kOptions{.operators = kernel::pattern::kPrefix | kernel::pattern::kSuffix |
                                                       kernel::pattern::kEqualsIgnoreCase | kernel::pattern::kNumeric |
                                                       kernel::pattern::kExists | kernel::pattern::kAnythingBut |
                                                       kernel::pattern::kOr};

}  // namespace

void check_filters(const std::vector<std::string>& patterns) {
  try {
    for (const std::string& pattern : patterns) {
      if (pattern != "{}") kernel::EventPattern::parse(pattern, kOptions);
    }
  } catch (const kernel::PatternError&) {
    throw err::InvalidParameterValueException("Invalid filter pattern definition.");
  }
}

Filters::Filters(const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) {
    if (pattern == "{}") {  // excludes nothing
      patterns_.clear();
      return;
    }
    patterns_.push_back(kernel::EventPattern::parse(pattern, kOptions));
  }
}

bool Filters::passes(std::string_view record) const {
  return patterns_.empty() ||
         std::ranges::any_of(patterns_, [&](const kernel::EventPattern& p) { return p.matches(record); });
}

}  // namespace virga::lambda::esm
