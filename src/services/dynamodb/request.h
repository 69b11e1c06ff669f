// What requests have in common: naming a table, carrying expressions or their predecessors, asking what it cost.
#pragma once

#include <aws/dynamodb/types.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/context.h"
#include "services/dynamodb/expression.h"
#include "services/dynamodb/store.h"

namespace virga::dynamodb {

// A table given by name or ARN. Throws ValidationException on what can be neither.
TableName table_named(const kernel::Ctx& ctx, std::string_view name_or_arn);
// Whether it looks like the one or the other.
bool can_name_table(std::string_view name_or_arn);
// The name of a table to be, as its constraints have let it through.
TableName new_table_name(const kernel::Ctx& ctx, const std::string& name);
// As it stands in permissions; of any text, for it is asked before the request is judged.
std::string table_arn_of(const kernel::Ctx& ctx, std::string_view name_or_arn);

struct Parameter {
  std::string_view name;
  bool present;
};
// The checks on which of these parameters stand together.
void check_parameters(const std::vector<Parameter>& expressions, const std::vector<Parameter>& others, bool has_names,
                      bool has_values, Wording wording = Wording::kOlder);

// The Placeholders of any request.
template <class In>
Placeholders placeholders_of(const In& in, Wording wording = Wording::kOlder) {
  const auto* names = in.expression_attribute_names ? &*in.expression_attribute_names : nullptr;
  if constexpr (requires { in.expression_attribute_values; }) {
    return Placeholders(names, in.expression_attribute_values ? &*in.expression_attribute_values : nullptr, wording);
  } else {
    return Placeholders(names, nullptr);
  }
}

// Paths of a projection, whichever way it was asked for; nothing when all attributes are wanted.
std::optional<PathSet> path_set(const std::vector<Path>& paths);

std::optional<ConsumedCapacity> capacity_of_write(std::optional<ReturnConsumedCapacity> asked, const std::string& table,
                                                  const Written& written, double factor = 1);
std::optional<ConsumedCapacity> capacity_of_read(std::optional<ReturnConsumedCapacity> asked, const std::string& table,
                                                 double units);
// Adds the capacity of several writes to one table.
void add_units(Written& sum, const Written& part);

template <class In>
bool measures_collections(const In& in) {
  return in.return_item_collection_metrics == ReturnItemCollectionMetrics::SIZE;
}

inline bool is_asked(std::optional<ReturnConsumedCapacity> asked) {
  return asked && *asked != ReturnConsumedCapacity::NONE;
}

}  // namespace virga::dynamodb
