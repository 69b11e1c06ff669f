// What an update would do, before anything is done: the entries of a change set. Pure.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "services/cloudformation/prepare.h"

namespace virga::cloudformation {

// What changing a property takes.
enum class Recreation { kNever, kConditionally, kAlways };
using RecreationRule = std::function<Recreation(std::string_view type, std::string_view property)>;

// A list of {"Type": "Resource", "ResourceChange": {…}}, additions and modifications in order of creation, then
// removals. `physical_ids` are those of the existing resources.
Json plan_changes(const std::vector<LiveResource>& before, const std::vector<LiveResource>& after,
                  const std::map<std::string, std::string>& physical_ids, const RecreationRule& rule);

}  // namespace virga::cloudformation
