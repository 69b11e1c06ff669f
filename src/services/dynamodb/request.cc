#include "services/dynamodb/request.h"

#include <algorithm>

#include "base/str.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/legacy.h"

namespace virga::dynamodb {

namespace {

constexpr std::string_view kNamePattern = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+";

std::string violated(std::string_view name, std::string_view constraint) {
  return cat("Value '", name, "' at 'tableName' failed to satisfy constraint: Member must ", constraint);
}

std::vector<std::string> faults_of_name(std::string_view name) {
  std::vector<std::string> found;
  if (name.size() < 3) found.push_back(violated(name, "have length greater than or equal to 3"));
  if (name.size() > 255) found.push_back(violated(name, "have length less than or equal to 255"));
  const bool fits = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  });
  if (!fits) found.push_back(violated(name, kNamePattern));
  return found;
}

void check_table_name(std::string_view name) {
  const std::vector<std::string> found = faults_of_name(name);
  if (found.empty()) return;
  throw validation(cat(found.size(), found.size() == 1 ? " validation error" : " validation errors",
                       " detected: ", join(found, "; ")));
}

}  // namespace

TableName table_named(const kernel::Ctx& ctx, std::string_view text) {
  std::string_view name = text;
  TableName out{ctx.account, ctx.region, {}};
  if (text.starts_with("arn:")) {
    const auto arn = kernel::parse_arn(text);
    const auto refuse = [&](std::string_view what) {
      throw validation(cat("1 validation error detected: Invalid ", what, " in '", text, "'"));
    };
    if (!arn || arn->service != "dynamodb") {
      throw validation("Invalid TableArn: Invalid ResourceArn provided as input");
    }
    if (arn->region != ctx.region) refuse("AWS region");
    if (!arn->resource.starts_with("table/") || std::ranges::count(arn->resource, '/') != 1) refuse("resource type");
    // Those of other accounts were allowed by their policy, or the request would not have come this far.
    out.account = arn->account;
    out.name = arn->resource.substr(6);
    return out;
  }
  check_table_name(name);
  out.name = name;
  return out;
}

bool can_name_table(std::string_view text) { return text.starts_with("arn:") || faults_of_name(text).empty(); }

TableName new_table_name(const kernel::Ctx& ctx, const std::string& name) { return {ctx.account, ctx.region, name}; }

std::string table_arn_of(const kernel::Ctx& ctx, std::string_view text) {
  if (text.starts_with("arn:")) return std::string(text);
  return kernel::arn(ctx, "dynamodb", cat("table/", text));
}

void check_parameters(const std::vector<Parameter>& expressions, const std::vector<Parameter>& others, bool has_names,
                      bool has_values, Wording wording) {
  const auto present = [](const std::vector<Parameter>& parameters) {
    std::vector<std::string_view> names;
    for (const Parameter& p : parameters) {
      if (p.present) names.push_back(p.name);
    }
    return names;
  };
  const auto given = present(expressions);
  check_not_mixed(given, present(others));
  if (has_names && given.empty())
    throw validation("ExpressionAttributeNames can only be specified when using expressions");
  if (!has_values) return;
  std::string that_take_values;
  size_t count = 0;
  for (const Parameter& p : expressions) {
    if (p.name == "ProjectionExpression") continue;
    if (p.present) return;
    append(that_take_values, count++ ? " and " : "", p.name);
  }
  std::string refusal = "ExpressionAttributeValues can only be specified when using expressions";
  if (wording == Wording::kOlder) append(refusal, ": ", that_take_values, count > 1 ? " are null" : " is null");
  throw validation(std::move(refusal));
}

std::optional<PathSet> path_set(const std::vector<Path>& paths) {
  if (paths.empty()) return std::nullopt;
  PathSet set;
  for (const Path& path : paths) set.add(path);
  return set;
}

std::optional<ConsumedCapacity> capacity_of_write(std::optional<ReturnConsumedCapacity> asked, const std::string& table,
                                                  const Written& written, double factor) {
  if (!is_asked(asked)) return std::nullopt;
  ConsumedCapacity out;
  out.table_name = table;
  double total = written.table_units * factor;
  const auto per_index = [&](const std::map<std::string, double>& units) {
    std::map<std::string, Capacity> indexes;
    for (const auto& [name, value] : units) {
      // An index costs the same within a transaction.
      indexes[name].capacity_units = value;
      if (factor != 1) indexes[name].write_capacity_units = value;
      total += value;
    }
    return indexes;
  };
  auto local = per_index(written.local_units);
  auto global = per_index(written.global_units);
  out.capacity_units = total;
  // Transactions, and only they, also tell reads and writes apart.
  if (factor != 1) out.write_capacity_units = total;
  if (*asked == ReturnConsumedCapacity::INDEXES) {
    out.table.emplace().capacity_units = written.table_units * factor;
    if (factor != 1) out.table->write_capacity_units = written.table_units * factor;
    if (!local.empty()) out.local_secondary_indexes = std::move(local);
    if (!global.empty()) out.global_secondary_indexes = std::move(global);
  }
  return out;
}

std::optional<ConsumedCapacity> capacity_of_read(std::optional<ReturnConsumedCapacity> asked, const std::string& table,
                                                 double units) {
  if (!is_asked(asked)) return std::nullopt;
  ConsumedCapacity out;
  out.table_name = table;
  out.capacity_units = units;
  if (*asked == ReturnConsumedCapacity::INDEXES) out.table.emplace().capacity_units = units;
  return out;
}

void add_units(Written& sum, const Written& part) {
  sum.table_units += part.table_units;
  for (const auto& [name, units] : part.local_units) sum.local_units[name] += units;
  for (const auto& [name, units] : part.global_units) sum.global_units[name] += units;
}

}  // namespace virga::dynamodb
