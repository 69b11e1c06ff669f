// Filter policies: which messages a subscription wants.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "kernel/event_pattern.h"
#include "services/sns/store.h"

namespace virga::sns {

class Filter {
 public:
  enum class Scope : uint8_t { kAttributes, kBody };

  // Throws std::invalid_argument with AWS's reason, which begins with "FilterPolicy: " where AWS's does.
  static void check(const std::string& policy, Scope scope);
  // Of a policy that was checked when it was set.
  Filter(const std::string& policy, Scope scope) : pattern_(kernel::EventPattern::parse(policy)), scope_(scope) {}
  // `attributes` is attributes_event() of the message.
  bool matches(const std::string& body, const std::string& attributes) const;

 private:
  kernel::EventPattern pattern_;
  Scope scope_;
};
using FilterPtr = std::shared_ptr<const Filter>;

// A message's attributes as the event that patterns are matched against.
std::string attributes_event(const Message& message);

// Compiled filters by their text; as many as fit. Safe from any thread.
class Filters {
 public:
  // Null when the subscription has none.
  FilterPtr of(const SubscriptionRecord& subscription);

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, FilterPtr> known_;
};

}  // namespace virga::sns
