// Resource policies of functions and of layers' versions, one statement more or less. Pure.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "services/lambda/store.h"

namespace virga::lambda {

// The policy with the statement, under a new revision. Throws what AddPermission answers: its Sid taken, more than
// 20 KB, a principal that is none.
PolicyRecord with_statement(const std::optional<PolicyRecord>& policy, const Json& statement);
// Without the statement `id`, under this revision; nothing when none is left. Throws what RemovePermission answers.
std::optional<PolicyRecord> without_statement(const std::optional<PolicyRecord>& policy, const std::string& id,
                                              std::string revision);

}  // namespace virga::lambda
