// What the files of Executions share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/str.h"
#include "kernel/tokens.h"
#include "services/lambda/durable/executions.h"

namespace virga::lambda::durable {

inline constexpr std::string_view kPrincipal = "lambda.amazonaws.com";
// Kinds of deliveries: an invocation of an execution's function, and a chained invoke of one that is not durable.
inline constexpr std::string_view kInvocation = "lambda.durable";
inline constexpr std::string_view kChain = "lambda.durable.chain";
inline constexpr std::chrono::seconds kThrottledPause{5};

// What a callback's id says.
struct Callback {
  std::string execution, operation;  // the execution's ARN
  template <class A>
  void fields(A& a) {
    a(1, execution), a(2, operation);
  }
};
std::optional<Callback> open_callback(const kernel::Tokens& tokens, std::string_view text);

inline std::string state_page(const Execution& x) { return cat("lambda:GetDurableExecutionState:", x.id); }

struct Executions::Beginning {
  FunctionId function;  // as it was called
  std::shared_ptr<const VersionRecord> version;
  std::string name, id, trace, request_id;
  std::optional<std::string> input;
  bool waited_for = false;
  Parent parent;
};

}  // namespace virga::lambda::durable
