#include "services/lambda/policy.h"

#include <aws/lambda/errors.h>

#include <algorithm>

#include "base/id.h"
#include "base/str.h"
#include "kernel/policy.h"
#include "services/lambda/model.h"

namespace virga::lambda {
namespace {

constexpr size_t kMaxPolicy = 20'480;  // bytes: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html

}  // namespace

PolicyRecord with_statement(const std::optional<PolicyRecord>& policy, const Json& statement) {
  Json document = policy ? Json::parse(policy->document)
                         : Json::object({{"Version", "2012-10-17"}, {"Id", "default"}, {"Statement", Json::array()}});
  Json::Array& statements = document["Statement"].as_array();
  const std::string id = statement.string_or("Sid");
  if (std::ranges::any_of(statements, [&](const Json& s) { return s.string_or("Sid") == id; })) {
    throw err::ResourceConflictException(
        cat("The statement id (", id,
            ") provided already exists. Please provide a new statement id, or remove the existing statement."));
  }
  statements.push_back(statement);
  PolicyRecord out{document.dump(), uuid()};
  if (out.document.size() > kMaxPolicy) {
    throw err::PolicyLengthExceededException(
        cat("The final policy size (", out.document.size(), ") is bigger than the limit (", kMaxPolicy, ")."));
  }
  // A policy that can't be read would keep everybody out. Of what a statement holds only the principal isn't checked
  // yet.
  try {
    kernel::policy::parse(out.document, kernel::policy::Type::kResource);
  } catch (const std::invalid_argument&) {
    throw err::InvalidParameterValueException(
        "The provided principal was invalid. Please check the principal and try again.");
  }
  return out;
}

std::optional<PolicyRecord> without_statement(const std::optional<PolicyRecord>& policy, const std::string& id,
                                              std::string revision) {
  if (!policy) throw err::ResourceNotFoundException("No policy is associated with the given resource.");
  Json document = Json::parse(policy->document);
  Json::Array& statements = document["Statement"].as_array();
  if (!std::erase_if(statements, [&](const Json& s) { return s.string_or("Sid") == id; }))
    throw err::ResourceNotFoundException(cat("Statement ", id, " is not found in resource policy."));
  if (statements.empty()) return std::nullopt;
  return PolicyRecord{document.dump(), std::move(revision)};
}

}  // namespace virga::lambda
