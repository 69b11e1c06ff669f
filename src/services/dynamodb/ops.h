// Shared by the files of operations.
#pragma once

#include <optional>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "services/dynamodb/attribute_value.h"
#include "services/dynamodb/path.h"

namespace virga::dynamodb {

// ConditionalCheckFailedException, with the item when that was asked for.
Error condition_failed(const std::optional<Item>& item, bool with_item);
Json json_value(View item);  // as in answers
inline std::vector<const Path*> pointers_to(const std::vector<Path>& paths) {
  std::vector<const Path*> out;
  for (const Path& path : paths) out.push_back(&path);
  return out;
}

}  // namespace virga::dynamodb
