#include <aws/dynamodb/errors.h>

#include <algorithm>

#include "base/str.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/legacy.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/ops.h"
#include "services/dynamodb/page.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/service.h"

namespace virga::dynamodb {

namespace {

// What Query and Scan share of a request.
struct Selection {
  std::optional<Node> filter;
  std::vector<Path> paths;
  std::optional<PathSet> projection;
};

template <class In>
void check_select(const In& in) {
  const bool some = in.attributes_to_get || in.projection_expression;
  const std::string_view what = in.projection_expression ? "ProjectionExpression" : "AttributesToGet";
  if (!in.select) return;
  if (*in.select == Select::SPECIFIC_ATTRIBUTES && !some) {
    throw validation(
        "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES");
  }
  if (*in.select != Select::SPECIFIC_ATTRIBUTES && some) {
    throw validation(cat("Cannot specify the ", what, " when choosing to get ",
                         *in.select == Select::COUNT ? "only the Count" : to_string(*in.select)));
  }
  if (*in.select == Select::ALL_PROJECTED_ATTRIBUTES && !in.index_name) {
    throw validation("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName");
  }
}

template <class In>
const Index* index_in(const In& in, const Table& table) {
  if (!in.index_name) return nullptr;
  const Index* index = table.find_index(*in.index_name);
  if (!index) throw validation(cat("The table does not have the specified index: ", *in.index_name));
  if (!index->local && in.consistent_read.value_or(false)) {
    throw validation("Consistent reads are not supported on global secondary indexes");
  }
  if (index->state == IndexState::kCreating) {
    throw validation(cat("Cannot read from backfilling global secondary index: ", index->name));
  }
  return index;
}

// Whether the answer needs attributes that the index does not hold. Throws where AWS does not look them up.
template <class In>
bool needs_fetch(const In& in, const Table& table, const Index* index, const Selection& selection) {
  if (!index || index->projection == IndexProjection::kAll) return false;
  const bool all = in.select == Select::ALL_ATTRIBUTES;
  if (all && !index->local) {
    throw invalid_parameter(cat("Select type ALL_ATTRIBUTES is not supported for global secondary index ", index->name,
                                " because its projection type is not ALL"));
  }
  if (all) return true;
  const auto keys = start_key_names(table, index);
  for (const Path& path : selection.paths) {
    const std::string& name = path[0].name;
    const bool held = std::find(keys.begin(), keys.end(), name) != keys.end() ||
                      std::find(index->non_key.begin(), index->non_key.end(), name) != index->non_key.end();
    if (held) continue;
    if (index->local) return true;
    throw invalid_parameter(cat("Global secondary index ", index->name, " does not project [", name, "]"));
  }
  return false;
}

void check_start_key_values(const std::optional<Item>& key, Wording wording) {
  if (!key) return;
  if (wording == Wording::kCurrent && !is_structural(key->view().malformed())) return check_well_formed(*key, wording);
  const std::string_view fault = key->view().malformed();
  if (fault.empty()) return;
  // AWS says some of these with a prefix and some without.
  for (const std::string_view bare :
       {"contains duplicates", "number set", "numeric value", "significant digits", "number with magnitude"}) {
    if (fault.find(bare) != std::string_view::npos) throw validation(std::string(fault));
  }
  throw validation(cat("The provided starting key is invalid: ", fault));
}

const std::string kBadStart = "The provided starting key is invalid";

// The table's own key within a start key, which says of every fault the same.
void check_own_start_key(const Table& table, View start) {
  for (const std::string& name : {table.key.hash, table.key.range}) {
    if (name.empty()) continue;
    const View value = start.find(name);
    if (!value.present() || value.type() != table.type_of(name)) {
      throw validation(cat(kBadStart, ": The provided key element does not match the schema"));
    }
  }
}

void check_start_key_part(const Table& table, View start, const std::string& name, bool hash) {
  if (!start.find(name).present()) throw validation(kBadStart);
  check_key_value(table, start, name, hash);
}

void check_index_start(const Table& table, const Index& index, View start) {
  for (const std::string_view name : index.key.hashes()) check_start_key_part(table, start, std::string(name), true);
  for (const std::string_view name : index.key.ranges()) check_start_key_part(table, start, std::string(name), false);
}

void check_scan_start(const Table& table, const Index* index, View start) {
  if (start.size() != start_key_names(table, index).size()) {
    throw validation(index ? kBadStart : cat(kBadStart, ": The provided key element does not match the schema"));
  }
  if (index) check_index_start(table, *index, start);
}

void check_no_key_filter(const KeyNames& key, const Node& filter, std::string_view label) {
  std::vector<const Path*> paths;
  collect_paths(filter, paths);
  auto names = key.hashes();
  for (const std::string_view name : key.ranges()) names.push_back(name);
  for (const std::string_view name : names) {
    for (const Path* path : paths) {
      if ((*path)[0].name == name) {
        throw validation(cat(label, " can only contain non-primary key attributes: Primary key attribute: ", name));
      }
    }
  }
}

Item partition_of(const KeyNames& key, const std::vector<View>& hash) {
  std::vector<std::pair<std::string_view, View>> entries;
  const auto names = key.hashes();
  for (size_t i = 0; i < names.size(); ++i) entries.emplace_back(names[i], hash[i]);
  return make_item(std::move(entries));
}

void check_filter_paths(const Table& table, const Node& filter) {
  std::vector<const Path*> paths;
  collect_paths(filter, paths);
  check_key_paths(table, paths);
}

template <class Out>
void answer(Out& out, Page page, bool count_only) {
  out.count = page.count;
  out.scanned_count = page.scanned;
  out.last_evaluated_key = std::move(page.last_key);
  if (!count_only) out.items = std::move(page.items);
}

// A query's conditions on the key it reads by, and where it starts, judged attribute by attribute as AWS does.
struct KeyQuestion {
  std::vector<View> hash;
  std::vector<View> equal;             // of the first sort keys, where an index has several
  const KeyCondition* sort = nullptr;  // of the next one
};

void check_condition_values(const Table& table, const KeyCondition& condition) {
  for (const View value : condition.values) {
    if (value.type() != table.type_of(condition.attribute)) {
      throw invalid_parameter("Condition parameter type does not match schema type");
    }
    if ((value.is(Type::kS) || value.is(Type::kB)) && value.content().empty()) {
      throw validation(cat(
          "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty ",
          value.is(Type::kS) ? "string" : "binary", " value. Key: ", condition.attribute));
    }
  }
}

void check_indexable(const Table& table, const KeyCondition& condition) {
  if (condition.comparison == NodeKind::kNot) {
    throw validation("Attempted conditional constraint is not an indexable operation");
  }
  check_condition_values(table, condition);
}

// Of an index whose keys have several attributes: all of the partition's by equality, those of the sort key from the
// left on, all but the last by equality.
KeyQuestion check_composite_conditions(const Table& table, const Index& index,
                                       const std::vector<KeyCondition>& conditions, const std::optional<Item>& start) {
  if (start && start->size() != start_key_names(table, &index).size()) throw validation(kBadStart);
  if (start) check_index_start(table, index, *start);
  const auto find = [&](std::string_view name) {
    const auto found =
        std::find_if(conditions.begin(), conditions.end(), [&](const auto& c) { return c.attribute == name; });
    if (found != conditions.end()) check_indexable(table, *found);
    return found == conditions.end() ? nullptr : &*found;
  };
  constexpr std::string_view kNeedEquality = " must have equality conditions specified in the query";
  KeyQuestion out;
  std::vector<std::string> without;
  for (const std::string_view name : index.key.hashes()) {
    const KeyCondition* condition = find(name);
    if (condition && condition->comparison == NodeKind::kEq) {
      out.hash.push_back(condition->values[0]);
    } else {
      without.emplace_back(name);
    }
  }
  if (!without.empty()) throw validation(cat("HASH key attributes ", join(without, ", "), kNeedEquality));
  for (const std::string_view name : index.key.ranges()) {
    const KeyCondition* condition = find(name);
    if (condition && !without.empty()) {
      throw validation(cat("RANGE key attributes ", join(without, ", "), kNeedEquality,
                           " because a condition is present on key attribute ", name));
    }
    if (condition && condition->comparison == NodeKind::kEq) {
      out.equal.push_back(condition->values[0]);
      continue;
    }
    if (condition) out.sort = condition;
    without.emplace_back(name);
  }
  if (out.hash.size() + out.equal.size() + (out.sort ? 1 : 0) != conditions.size()) {
    throw validation("Query key condition not supported");
  }
  if (!start) return out;
  check_own_start_key(table, *start);
  const auto same = [&](const std::vector<std::string_view>& names, const std::vector<View>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (!(start->find(names[i]) == values[i])) return false;
    }
    return true;
  };
  if (!same(index.key.hashes(), out.hash)) {
    throw validation("The provided starting key is outside query boundaries based on provided conditions");
  }
  if (!same(index.key.ranges(), out.equal) || (out.sort && !satisfies(start->find(out.sort->attribute), *out.sort))) {
    throw validation("The provided starting key does not match the range key predicate");
  }
  return out;
}

KeyQuestion check_key_conditions(const Table& table, const Index* index, const std::vector<KeyCondition>& conditions,
                                 const std::optional<Item>& start) {
  const KeyNames& key = index ? index->key : table.key;
  const size_t attributes = key.hashes().size() + key.ranges().size();
  if (conditions.size() > attributes) {
    throw validation(cat("The number of query conditions (", conditions.size(),
                         ") exceeds the number of key attributes defined in the schema (", attributes, ")"));
  }
  if (key.composite()) return check_composite_conditions(table, *index, conditions, start);
  if (start && start->size() != start_key_names(table, index).size()) throw validation(kBadStart);
  KeyQuestion out;
  for (const bool hash : {true, false}) {
    const std::string& name = hash ? key.hash : key.range;
    if (name.empty()) continue;
    if (start) check_start_key_part(table, *start, name, hash);
    const auto condition =
        std::find_if(conditions.begin(), conditions.end(), [&](const auto& c) { return c.attribute == name; });
    if (condition == conditions.end()) {
      if (hash || conditions.size() > 1) throw validation(cat("Query condition missed key schema element: ", name));
      continue;
    }
    check_indexable(table, *condition);
    if (hash && condition->comparison != NodeKind::kEq) throw validation("Query key condition not supported");
    if (hash) {
      out.hash = {condition->values[0]};
    } else {
      out.sort = &*condition;
    }
  }
  if (!start) return out;
  check_own_start_key(table, *start);
  const bool same_partition = start->find(key.hash) == out.hash[0];
  if (!index && key.range.empty()) {
    throw validation(cat("The provided exclusive start key is invalid: ExclusiveStartKey: {", key.hash,
                         "=AttributeValue: ", describe(start->find(key.hash)), "}"));
  }
  if (!out.sort) {
    if (!same_partition)
      throw validation("The provided starting key is outside query boundaries based on provided conditions");
    return out;
  }
  if (!satisfies(start->find(key.range), *out.sort)) {
    throw validation("The provided starting key does not match the range key predicate");
  }
  if (!same_partition) throw validation("The query can return at most one row and cannot be restarted");
  return out;
}

}  // namespace

Task<QueryOutput> DynamoService::query(Ctx& ctx, const QueryInput& in) {
  if (in.limit && *in.limit < 1) throw out_of_bounds("Limit", "Member must have value greater than or equal to 1");
  const TableName name = table_named(ctx, in.table_name);
  check_parameters({{"ProjectionExpression", in.projection_expression.has_value()},
                    {"FilterExpression", in.filter_expression.has_value()},
                    {"KeyConditionExpression", in.key_condition_expression.has_value()}},
                   {{"AttributesToGet", in.attributes_to_get.has_value()},
                    {"QueryFilter", in.query_filter.has_value()},
                    {"ConditionalOperator", in.conditional_operator.has_value()},
                    {"KeyConditions", in.key_conditions.has_value() && in.key_condition_expression.has_value()}},
                   in.expression_attribute_names.has_value(), in.expression_attribute_values.has_value());
  Selection selection;
  if (in.query_filter) selection.filter = condition_of(*in.query_filter, in.conditional_operator);
  if (in.attributes_to_get) selection.paths = paths_of(*in.attributes_to_get);
  counting([&] { check_select(in); });
  check_start_key_values(in.exclusive_start_key, Wording::kCurrent);
  if (!in.key_conditions && !in.key_condition_expression) {
    throw validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.");
  }
  Placeholders placeholders = placeholders_of(in, Wording::kCurrent);
  std::optional<Node> key_tree;
  if (in.key_condition_expression) {
    key_tree = parse_condition(*in.key_condition_expression, ExpressionKind::kKeyCondition, placeholders);
  }
  if (in.filter_expression)
    selection.filter = parse_condition(*in.filter_expression, ExpressionKind::kFilter, placeholders);
  if (in.projection_expression) selection.paths = parse_projection(*in.projection_expression, placeholders);
  placeholders.check_all_used();
  const std::vector<KeyCondition> conditions =
      key_tree ? key_conditions_of(*key_tree) : key_conditions_of(*in.key_conditions);
  selection.projection = path_set(selection.paths);

  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  PageRequest request;
  request.table = co_await store.require_table(name);
  const Table& table = *request.table;
  request.index = index_in(in, table);
  const KeyNames& key = request.index ? request.index->key : table.key;
  const KeyQuestion question = check_key_conditions(table, request.index, conditions, in.exclusive_start_key);
  request.range = partition_range(table, request.index, question.hash, question.equal, question.sort);
  if (insights_of(table, request.index)) request.partition = partition_of(key, question.hash);
  request.reverse = !in.scan_index_forward.value_or(true);
  if (in.exclusive_start_key) {
    std::string start = row_key(table, request.index, *in.exclusive_start_key);
    if (request.reverse) {
      request.range.end = std::move(start);
    } else {
      request.range.begin = start + '\0';
    }
  }
  check_key_paths(table, pointers_to(selection.paths));
  if (selection.filter)
    check_no_key_filter(key, *selection.filter, in.query_filter ? "QueryFilter" : "Filter Expression");
  request.fetch = needs_fetch(in, table, request.index, selection);
  if (selection.filter) {
    check_filter_paths(table, *selection.filter);
    request.filter = &*selection.filter;
  }
  request.consistent = in.consistent_read.value_or(false);
  if (in.limit) request.limit = static_cast<size_t>(*in.limit);
  if (selection.projection) request.projection = &*selection.projection;
  request.count_only = in.select == Select::COUNT;
  Page page = co_await read_page(*reader, store, request);

  QueryOutput out;
  out.consumed_capacity =
      capacity_of_pages(in.return_consumed_capacity, request, read_units(page.bytes, request.consistent), page.fetched);
  answer(out, std::move(page), request.count_only);
  co_return out;
}

Task<ScanOutput> DynamoService::scan(Ctx& ctx, const ScanInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  check_parameters({{"ProjectionExpression", in.projection_expression.has_value()},
                    {"FilterExpression", in.filter_expression.has_value()}},
                   {{"AttributesToGet", in.attributes_to_get.has_value()},
                    {"ScanFilter", in.scan_filter.has_value()},
                    {"ConditionalOperator", in.conditional_operator.has_value()}},
                   in.expression_attribute_names.has_value(), in.expression_attribute_values.has_value());
  Selection selection;
  if (in.attributes_to_get) selection.paths = paths_of(*in.attributes_to_get);
  check_select(in);
  if (in.scan_filter) selection.filter = condition_of(*in.scan_filter, in.conditional_operator);
  check_start_key_values(in.exclusive_start_key, Wording::kOlder);
  if (in.segment && !in.total_segments) {
    throw validation(
        "The TotalSegments parameter is required but was not present in the request when Segment parameter is present");
  }
  if (in.total_segments && !in.segment) {
    throw validation(
        "The Segment parameter is required but was not present in the request when parameter TotalSegments is present");
  }
  if (in.segment && *in.segment >= *in.total_segments) {
    throw validation(cat("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: ",
                         *in.segment, " is not less than TotalSegments: ", *in.total_segments));
  }
  Placeholders placeholders = placeholders_of(in);
  if (in.filter_expression)
    selection.filter = parse_condition(*in.filter_expression, ExpressionKind::kFilter, placeholders);
  if (in.projection_expression) selection.paths = parse_projection(*in.projection_expression, placeholders);
  placeholders.check_all_used();
  selection.projection = path_set(selection.paths);

  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  PageRequest request;
  request.table = co_await store.require_table(name);
  const Table& table = *request.table;
  request.index = index_in(in, table);
  if (in.exclusive_start_key) check_scan_start(table, request.index, *in.exclusive_start_key);
  request.fetch = needs_fetch(in, table, request.index, selection);
  request.counts_items = is_counted(table, request.index, Counted::kAccess);
  request.range = segment_range(table, request.index, static_cast<uint32_t>(in.segment.value_or(0)),
                                static_cast<uint32_t>(in.total_segments.value_or(1)));
  if (in.exclusive_start_key) {
    check_own_start_key(table, *in.exclusive_start_key);
    const std::string start = row_key(table, request.index, *in.exclusive_start_key);
    if (start < request.range.begin || (!request.range.end.empty() && start >= request.range.end)) {
      throw validation(cat(
          "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct "
          "Segment. TotalSegments: ",
          in.total_segments.value_or(1), " Segment: ", in.segment.value_or(0)));
    }
    request.range.begin = start + '\0';
  }
  check_key_paths(table, pointers_to(selection.paths));
  if (selection.filter) {
    check_filter_paths(table, *selection.filter);
    request.filter = &*selection.filter;
  }
  request.consistent = in.consistent_read.value_or(false);
  if (in.limit) request.limit = static_cast<size_t>(*in.limit);
  if (selection.projection) request.projection = &*selection.projection;
  request.count_only = in.select == Select::COUNT;
  Page page = co_await read_page(*reader, store, request);

  ScanOutput out;
  out.consumed_capacity =
      capacity_of_pages(in.return_consumed_capacity, request, read_units(page.bytes, request.consistent), page.fetched);
  answer(out, std::move(page), request.count_only);
  co_return out;
}

}  // namespace virga::dynamodb
