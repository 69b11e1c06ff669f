// Policies of tables and streams as documents: what DynamoDB refuses of one, and the form in which it keeps them. Pure.
#pragma once

#include <string>
#include <string_view>

namespace virga::dynamodb {

enum class PolicyOf { kTable, kStream };

// The document as it is kept: members in one order, lists of one as what is in them, accounts as the ARNs of their
// roots. Documents that are kept alike are one policy. Throws ValidationException.
std::string canonical_policy(std::string_view document, PolicyOf what);
// As it is told: one without a version has the first that there was.
std::string shown_policy(const std::string& kept);

}  // namespace virga::dynamodb
