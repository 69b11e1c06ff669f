// How many invocations run, against the limits of the account, the function and its provisioned instances.
// docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace virga::lambda {

struct Demand {
  std::string function;             // unqualified ARN
  std::string place;                // account and region
  std::string version;              // what provisioned instances are counted by
  std::optional<int32_t> reserved;  // the function's reserved concurrency
  int32_t unreserved = 0;           // what the place has for functions without, after all that is set aside
  int32_t provisioned = 0;          // instances provisioned for `version` and ready
  int32_t set_aside = 0;            // the same of all versions of the function: taken from what is reserved
};

enum class Refusal : uint8_t { kReserved, kUnreserved };

// How fast a function scales: so many new instances in ten seconds, what is not used of which is not saved up.
// docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html
class ScalingRate {
 public:
  using Steady = std::chrono::steady_clock::time_point;
  explicit ScalingRate(int32_t in_ten_seconds)
      : pause_(std::chrono::nanoseconds(std::chrono::seconds(10)) / in_ten_seconds) {}
  // Whether the function may have one more instance now.
  bool take(const std::string& function, Steady now);

 private:
  void forget_refilled(Steady now);

  const std::chrono::nanoseconds pause_;  // after which there is one more
  std::mutex mutex_;
  std::unordered_map<std::string, Steady> full_;  // when all may be had again
  size_t forget_at_ = 64;                         // functions
};

class Admission {
 public:
  // One invocation while it runs. Outlives the Admission safely.
  class Ticket {
   public:
    Ticket(Ticket&&) = default;
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket();
    bool provisioned() const { return provisioned_; }

   private:
    friend class Admission;
    struct State;
    Ticket() = default;
    std::shared_ptr<State> state_;
    std::string function_, place_, version_;
    bool unreserved_ = false, provisioned_ = false;
  };

  Admission();
  ~Admission();
  // A ticket, or why not.
  std::optional<Ticket> enter(Demand demand, Refusal& why);
  int32_t running(const std::string& function) const;
  // On provisioned instances of a version.
  int32_t running_provisioned(const std::string& version) const;

 private:
  std::shared_ptr<Ticket::State> state_;
};

}  // namespace virga::lambda
