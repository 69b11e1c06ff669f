#include "services/sns/filter.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "base/json.h"
#include "base/str.h"
#include "services/sns/limits.h"

namespace virga::sns {
namespace {

// docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html: fewer than EventBridge has.
constexpr kernel::PatternOptions kOptions{
    .operators = kernel::pattern::kPrefix | kernel::pattern::kSuffix | kernel::pattern::kEqualsIgnoreCase |
                 kernel::pattern::kNumeric | kernel::pattern::kExists | kernel::pattern::kCidr |
                 kernel::pattern::kAnythingBut | kernel::pattern::kAnythingButPrefix | kernel::pattern::kOr};

// What one way through the policy's alternatives ($or) asks for.
struct Way {
  size_t combinations = 1;
  std::set<std::string> keys;  // at the top
};

void cap(size_t& n) { n = std::min(n, kMaxFilterCombinations + 1); }

// $or holds when it is a list of at least two objects; else it is a field's name.
bool is_or(const std::string& name, const Json& value) {
  return name == "$or" && value.is_array() && value.as_array().size() > 1 &&
         std::ranges::all_of(value.as_array(), &Json::is_object);
}

std::vector<Way> ways_of(const Json& policy, size_t depth, const std::string& top);

void multiply(std::vector<Way>& all, const std::vector<Way>& more) {
  std::vector<Way> out;
  for (const Way& a : all) {
    for (const Way& b : more) {
      if (out.size() > kMaxFilterCombinations) break;
      Way way = a;
      way.combinations *= b.combinations;
      cap(way.combinations);
      way.keys.insert(b.keys.begin(), b.keys.end());
      out.push_back(std::move(way));
    }
  }
  all = std::move(out);
}

std::vector<Way> ways_of(const Json& policy, size_t depth, const std::string& top) {
  std::vector<Way> all(1);
  for (const auto& [name, value] : policy.as_object()) {
    if (is_or(name, value)) {
      std::vector<Way> either;
      for (const Json& one : value.as_array()) {
        for (Way& way : ways_of(one, depth, top)) either.push_back(std::move(way));
        if (either.size() > kMaxFilterCombinations) break;
      }
      multiply(all, either);
    } else if (value.is_object()) {
      multiply(all, ways_of(value, depth + 1, top.empty() ? name : top));
    } else if (value.is_array()) {
      Way way;
      way.combinations = std::max<size_t>(value.as_array().size(), 1) * depth;
      cap(way.combinations);
      way.keys.insert(top.empty() ? name : top);
      multiply(all, {std::move(way)});
    }
  }
  return all;
}

bool is_nested(const Json& policy) {
  return std::ranges::any_of(policy.as_object(), [](const auto& member) {
    const auto& [name, value] = member;
    if (is_or(name, value)) return std::ranges::any_of(value.as_array(), is_nested);
    // {"key": {"operator": …}} is no nesting but a mistake of its own.
    return value.is_object() && std::ranges::any_of(value.as_object(), [](const auto& inner) {
             return inner.second.is_array() || inner.second.is_object();
           });
  });
}

void check_complexity(const Json& policy) {
  size_t combinations = 0;
  for (const Way& way : ways_of(policy, 1, "")) {
    if (way.keys.size() > kMaxFilterKeys)
      throw std::invalid_argument(cat("FilterPolicy: Filter policy can not have more than ", kMaxFilterKeys, " keys"));
    combinations += way.combinations;
  }
  if (combinations > kMaxFilterCombinations) throw std::invalid_argument("FilterPolicy: Filter policy is too complex");
}

}  // namespace

void Filter::check(const std::string& policy, Scope scope) {
  Json json;
  try {
    json = Json::parse(policy);
  } catch (const JsonError& e) {
    throw std::invalid_argument(cat("FilterPolicy: failed to parse JSON. ", e.what()));
  }
  if (!json.is_object()) throw std::invalid_argument("FilterPolicy: Filter is not an object");
  if (scope == Scope::kAttributes && is_nested(json))
    throw std::invalid_argument("Filter policy scope MessageAttributes does not support nested filter policy");
  check_complexity(json);
  try {
    // What AWS finds wrong is located in the policy without its white space.
    kernel::EventPattern::parse(json.dump(), kOptions);
  } catch (const kernel::PatternError& e) {
    throw std::invalid_argument(cat("FilterPolicy: ", e.what()));
  }
}

bool Filter::matches(const std::string& body, const std::string& attributes) const {
  return pattern_.matches(scope_ == Scope::kBody ? body : attributes);
}

std::string attributes_event(const Message& message) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  for (const auto& [name, attribute] : message.attributes) {
    if (attribute.type.starts_with("Binary")) continue;  // no policy can name its value
    json.key(name);
    if (attribute.type.starts_with("Number")) {
      const auto whole = parse_int(attribute.value);
      const auto real = parse_double(attribute.value);
      whole ? json.integer(*whole) : real ? json.real(*real) : json.string(attribute.value);
    } else if (attribute.type == "String.Array") {
      try {
        json.value(Json::parse(attribute.value));
      } catch (const JsonError&) {
        json.string(attribute.value);
      }
    } else {
      json.string(attribute.value);
    }
  }
  json.end_object();
  return out;
}

FilterPtr Filters::of(const SubscriptionRecord& subscription) {
  const std::string policy = subscription.attribute("FilterPolicy");
  if (policy.empty()) return nullptr;
  const bool body = subscription.attribute("FilterPolicyScope") == "MessageBody";
  const std::string key = (body ? "b" : "a") + policy;
  {
    std::lock_guard lock(mutex_);
    if (const auto found = known_.find(key); found != known_.end()) return found->second;
  }
  auto filter = std::make_shared<const Filter>(policy, body ? Filter::Scope::kBody : Filter::Scope::kAttributes);
  std::lock_guard lock(mutex_);
  if (known_.size() >= kKnownFilters) known_.clear();
  known_.emplace(key, filter);
  return filter;
}

}  // namespace virga::sns
