#include "services/dynamodb/access.h"

#include <set>

#include "base/encoding.h"
#include "base/str.h"
#include "services/dynamodb/expression.h"
#include "services/dynamodb/partiql.h"
#include "services/dynamodb/request.h"

namespace virga::dynamodb {

namespace {

using kernel::Access;
using Names = std::set<std::string>;
using NameMap = std::optional<std::map<std::string, std::string>>;

// Root needs no conditions: its requests are not slowed by collecting them.
bool wants_conditions(const Ctx& ctx) { return ctx.principal.kind != kernel::Principal::Kind::kRoot; }

std::string key_text(View value) {
  if (value.is(Type::kN)) return value.number().text();
  if (value.is(Type::kB)) return base64_encode(value.content());
  return std::string(value.content());
}

bool is_scalar(View value) { return value.is(Type::kS) || value.is(Type::kN) || value.is(Type::kB); }

TablePtr known_table(const TableCache& cache, const Ctx& ctx, std::string_view name) {
  const std::string arn = table_arn_of(ctx, name);
  const auto parsed = kernel::parse_arn(arn);
  if (!parsed) return nullptr;
  const std::string_view resource = parsed->resource;
  return cache.peek(table_key({parsed->account, parsed->region, std::string(split_once(resource, '/').second)}));
}

// The partition key of an item or key. When the schema is not known, every value that may be it: a policy that limits
// leading keys then refuses rather than lets through.
void add_leading_keys(const TablePtr& table, View item, std::vector<std::string>& out) {
  if (!item.malformed().empty()) return;
  for (size_t i = 0; i < item.size(); ++i) {
    if (table && item.name_at(i) != table->key.hash) continue;
    if (is_scalar(item.at(i))) out.push_back(key_text(item.at(i)));
  }
}

void add_names(View item, Names& out) {
  if (!item.malformed().empty()) return;
  for (size_t i = 0; i < item.size(); ++i) out.emplace(item.name_at(i));
}

void add_name(const Path& path, const NameMap& names, Names& out) {
  if (path.empty()) return;
  const std::string& name = path[0].name;
  if (name.starts_with('#') && names) {
    if (const auto found = names->find(name); found != names->end()) out.insert(found->second);
  } else {
    out.insert(name);
  }
}
void add_tree(const Node& node, const NameMap& names, Names& out) {
  std::vector<const Path*> paths;
  collect_paths(node, paths);
  for (const Path* path : paths) add_name(*path, names, out);
}

// A malformed expression names nothing: the request is refused for it after it is allowed.
template <class F>
void if_well_formed(F f) {
  try {
    f();
  } catch (const Error&) {
  }
}
void add_condition(const std::optional<std::string>& text, const NameMap& names, Names& out) {
  if (!text) return;
  if_well_formed([&] { add_tree(detail::parse_condition_syntax(*text, ExpressionKind::kCondition).tree, names, out); });
}
void add_update(const std::optional<std::string>& text, const NameMap& names, Names& out) {
  if (!text) return;
  if_well_formed([&] {
    for (const UpdateAction& action : detail::parse_update_syntax(*text).actions) {
      add_name(action.path, names, out);
      add_tree(action.value, names, out);
    }
  });
}
void add_projection(const std::optional<std::string>& text, const NameMap& names, Names& out) {
  if (!text) return;
  if_well_formed([&] {
    for (const Path& path : detail::parse_projection_syntax(*text)) add_name(path, names, out);
  });
}
template <class Map>
void add_keys(const std::optional<Map>& map, Names& out) {
  if (!map) return;
  for (const auto& [name, value] : *map) out.insert(name);
}
void add_list(const std::optional<std::vector<std::string>>& list, Names& out) {
  if (list) out.insert(list->begin(), list->end());
}

Access access(std::string_view action, std::string resource, std::vector<std::string> leading,
              const Names& attributes) {
  Access out{cat("dynamodb:", action), std::move(resource), {}};
  if (!leading.empty()) out.conditions.emplace_back("dynamodb:LeadingKeys", std::move(leading));
  if (!attributes.empty()) {
    out.conditions.emplace_back("dynamodb:Attributes", std::vector<std::string>(attributes.begin(), attributes.end()));
  }
  return out;
}

template <class In>
void add_expressions(const In& in, Names& out) {
  const NameMap& names = in.expression_attribute_names;
  if constexpr (requires { in.condition_expression; }) add_condition(in.condition_expression, names, out);
  if constexpr (requires { in.filter_expression; }) add_condition(in.filter_expression, names, out);
  if constexpr (requires { in.key_condition_expression; }) add_condition(in.key_condition_expression, names, out);
  if constexpr (requires { in.update_expression; }) add_update(in.update_expression, names, out);
  if constexpr (requires { in.projection_expression; }) add_projection(in.projection_expression, names, out);
  if constexpr (requires { in.expected; }) add_keys(in.expected, out);
  if constexpr (requires { in.attribute_updates; }) add_keys(in.attribute_updates, out);
  if constexpr (requires { in.key_conditions; }) add_keys(in.key_conditions, out);
  if constexpr (requires { in.query_filter; }) add_keys(in.query_filter, out);
  if constexpr (requires { in.scan_filter; }) add_keys(in.scan_filter, out);
  if constexpr (requires { in.attributes_to_get; }) add_list(in.attributes_to_get, out);
}

void add_condition_key(Access& out, std::string_view key, std::string_view value) {
  out.conditions.emplace_back(cat("dynamodb:", key), std::vector<std::string>{std::string(value)});
}

// What the request as a whole says, of each of its accesses.
template <class In>
std::vector<Access> with_request(const Ctx& ctx, const In& in, std::vector<Access> all,
                                 std::string_view transaction = "") {
  if (!wants_conditions(ctx)) return all;
  for (Access& one : all) {
    if (in.return_consumed_capacity) {
      add_condition_key(one, "ReturnConsumedCapacity", to_string(*in.return_consumed_capacity));
    }
    if (!transaction.empty()) add_condition_key(one, "EnclosingOperation", transaction);
  }
  return all;
}

// Reads of items by their keys have no such parameter, and yet say whether they want all.
template <class In>
void add_selected(const In& in, Access& out) {
  bool some = in.projection_expression.has_value();
  if constexpr (requires { in.attributes_to_get; }) some = some || in.attributes_to_get;
  add_condition_key(out, "Select", to_string(some ? Select::SPECIFIC_ATTRIBUTES : Select::ALL_ATTRIBUTES));
}

std::vector<Access> only(Access one) {
  std::vector<Access> out;
  out.push_back(std::move(one));
  return out;
}

// One item of one table: `subject` is its key or the whole item.
template <class In>
Access item_access(const TableCache& cache, const Ctx& ctx, std::string_view action, const In& in, View subject) {
  Access out{cat("dynamodb:", action), table_arn_of(ctx, in.table_name), {}};
  if (!wants_conditions(ctx)) return out;
  std::vector<std::string> leading;
  Names names;
  add_leading_keys(known_table(cache, ctx, in.table_name), subject, leading);
  add_names(subject, names);
  add_expressions(in, names);
  out = access(action, out.resource, std::move(leading), names);
  if constexpr (requires { in.return_values; }) {
    if (in.return_values) add_condition_key(out, "ReturnValues", to_string(*in.return_values));
  }
  if constexpr (requires { in.projection_expression; }) add_selected(in, out);
  return out;
}

template <class In>
std::string read_resource(const Ctx& ctx, const In& in) {
  const std::string table = table_arn_of(ctx, in.table_name);
  return in.index_name ? cat(table, "/index/", *in.index_name) : table;
}

template <class In>
Access many_access(const Ctx& ctx, std::string_view action, const In& in) {
  Access out{cat("dynamodb:", action), read_resource(ctx, in), {}};
  if (!wants_conditions(ctx)) return out;
  Names names;
  add_expressions(in, names);
  out = access(action, out.resource, {}, names);
  const bool some = in.attributes_to_get || in.projection_expression;
  const Select select = in.select.value_or(some            ? Select::SPECIFIC_ATTRIBUTES
                                           : in.index_name ? Select::ALL_PROJECTED_ATTRIBUTES
                                                           : Select::ALL_ATTRIBUTES);
  add_condition_key(out, "Select", to_string(select));
  return out;
}

}  // namespace

std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const GetItemInput& in) {
  return with_request(ctx, in, only(item_access(cache, ctx, "GetItem", in, in.key)));
}
std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const PutItemInput& in) {
  return with_request(ctx, in, only(item_access(cache, ctx, "PutItem", in, in.item)));
}
std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const UpdateItemInput& in) {
  return with_request(ctx, in, only(item_access(cache, ctx, "UpdateItem", in, in.key)));
}
std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const DeleteItemInput& in) {
  return with_request(ctx, in, only(item_access(cache, ctx, "DeleteItem", in, in.key)));
}

std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const QueryInput& in) {
  Access out = many_access(ctx, "Query", in);
  if (!wants_conditions(ctx)) return only(std::move(out));
  const TablePtr table = known_table(cache, ctx, in.table_name);
  const Index* index = table && in.index_name ? table->find_index(*in.index_name) : nullptr;
  const std::string hash = index ? index->key.hash : table && !in.index_name ? table->key.hash : std::string();
  std::vector<std::string> leading;
  const auto add = [&](const std::string& name, View value) {
    if ((hash.empty() || name == hash) && is_scalar(value) && value.malformed().empty())
      leading.push_back(key_text(value));
  };
  if (in.key_conditions) {
    for (const auto& [name, condition] : *in.key_conditions) {
      if (!condition.attribute_value_list) continue;
      for (const AttributeValue& value : *condition.attribute_value_list) {
        if (value.view().malformed().empty()) add(name, value);
      }
    }
  }
  if (in.key_condition_expression && in.expression_attribute_values) {
    if_well_formed([&] {
      Placeholders placeholders = placeholders_of(in);
      const Node tree = parse_condition(*in.key_condition_expression, ExpressionKind::kKeyCondition, placeholders);
      for (const KeyCondition& condition : key_conditions_of(tree)) {
        for (const View value : condition.values) add(condition.attribute, value);
      }
    });
  }
  if (!leading.empty()) out.conditions.emplace_back("dynamodb:LeadingKeys", std::move(leading));
  return with_request(ctx, in, only(std::move(out)));
}

std::vector<Access> access_of(const TableCache&, const Ctx& ctx, const ScanInput& in) {
  return with_request(ctx, in, only(many_access(ctx, "Scan", in)));
}

std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const BatchGetItemInput& in) {
  std::vector<Access> out;
  for (const auto& [name, request] : in.request_items) {
    std::vector<std::string> leading;
    Names names;
    if (wants_conditions(ctx)) {
      const TablePtr table = known_table(cache, ctx, name);
      for (const Item& key : request.keys) {
        add_leading_keys(table, key, leading);
        add_names(key, names);
      }
      add_expressions(request, names);
    }
    out.push_back(access("BatchGetItem", table_arn_of(ctx, name), std::move(leading), names));
    if (wants_conditions(ctx)) add_selected(request, out.back());
  }
  return with_request(ctx, in, std::move(out));
}

std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const BatchWriteItemInput& in) {
  std::vector<Access> out;
  for (const auto& [name, requests] : in.request_items) {
    std::vector<std::string> leading;
    Names names;
    if (wants_conditions(ctx)) {
      const TablePtr table = known_table(cache, ctx, name);
      for (const WriteRequest& request : requests) {
        for (const Item* item : {request.put_request ? &request.put_request->item : nullptr,
                                 request.delete_request ? &request.delete_request->key : nullptr}) {
          if (!item) continue;
          add_leading_keys(table, *item, leading);
          add_names(*item, names);
        }
      }
    }
    out.push_back(access("BatchWriteItem", table_arn_of(ctx, name), std::move(leading), names));
  }
  return with_request(ctx, in, std::move(out));
}

std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const TransactGetItemsInput& in) {
  std::vector<Access> out;
  for (const TransactGetItem& item : in.transact_items)
    out.push_back(item_access(cache, ctx, "GetItem", item.get, item.get.key));
  return with_request(ctx, in, std::move(out), "TransactGetItems");
}

std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const TransactWriteItemsInput& in) {
  std::vector<Access> out;
  for (const TransactWriteItem& item : in.transact_items) {
    if (item.condition_check)
      out.push_back(item_access(cache, ctx, "ConditionCheckItem", *item.condition_check, item.condition_check->key));
    if (item.put) out.push_back(item_access(cache, ctx, "PutItem", *item.put, item.put->item));
    if (item.delete_) out.push_back(item_access(cache, ctx, "DeleteItem", *item.delete_, item.delete_->key));
    if (item.update) out.push_back(item_access(cache, ctx, "UpdateItem", *item.update, item.update->key));
  }
  return with_request(ctx, in, std::move(out), "TransactWriteItems");
}

namespace {

// One statement; one that does not parse touches nothing and is refused for that.
template <class In>
void add_statement(const TableCache& cache, const Ctx& ctx, const In& in, std::vector<Access>& out) {
  static const std::vector<AttributeValue> kNone;
  if_well_formed([&] {
    const Statement statement = parse_statement(in.statement, in.parameters ? *in.parameters : kNone);
    static constexpr std::string_view kActions[] = {"PartiQLSelect", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete",
                                                    "PartiQLSelect"};
    static constexpr std::string_view kReturnValues[] = {"", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"};
    const std::string table_arn = table_arn_of(ctx, statement.table);
    std::string resource = statement.index.empty() ? table_arn : cat(table_arn, "/index/", statement.index);
    Names names;
    std::vector<std::string> leading;
    bool whole_table = false;
    if (wants_conditions(ctx)) {
      const TablePtr table = known_table(cache, ctx, statement.table);
      const Index* index = table && !statement.index.empty() ? table->find_index(statement.index) : nullptr;
      const std::string hash = index ? index->key.hash : table && statement.index.empty() ? table->key.hash : "";
      for (const View value : equal_values(statement, hash)) {
        if (is_scalar(value)) leading.push_back(key_text(value));
      }
      if (statement.kind == StatementKind::kInsert) {
        add_leading_keys(table, statement.item, leading);
        add_names(statement.item, names);
      }
      if (statement.where) add_tree(*statement.where, std::nullopt, names);
      for (const Path& path : statement.projection) add_name(path, std::nullopt, names);
      for (const UpdateAction& action : statement.actions) {
        add_name(action.path, std::nullopt, names);
        add_tree(action.value, std::nullopt, names);
      }
      whole_table = statement.kind == StatementKind::kSelect && leading.empty();
    }
    Access one = access(kActions[static_cast<size_t>(statement.kind)], std::move(resource), std::move(leading), names);
    if (wants_conditions(ctx) && statement.kind == StatementKind::kSelect) {
      add_condition_key(one, "FullTableScan", whole_table ? "true" : "false");
      add_condition_key(one, "Select", statement.projection.empty() ? "ALL_ATTRIBUTES" : "SPECIFIC_ATTRIBUTES");
    }
    if (wants_conditions(ctx) && statement.returning != Returning::kNone) {
      add_condition_key(one, "ReturnValues", kReturnValues[static_cast<size_t>(statement.returning)]);
    }
    out.push_back(std::move(one));
  });
}

}  // namespace

std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const ExecuteStatementInput& in) {
  std::vector<Access> out;
  add_statement(cache, ctx, in, out);
  return with_request(ctx, in, std::move(out));
}
std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const BatchExecuteStatementInput& in,
                              const BatchStatementRequest& one) {
  std::vector<Access> out;
  add_statement(cache, ctx, one, out);
  return with_request(ctx, in, std::move(out));
}
std::vector<Access> access_of(const TableCache& cache, const Ctx& ctx, const ExecuteTransactionInput& in) {
  std::vector<Access> out;
  for (const ParameterizedStatement& one : in.transact_statements) add_statement(cache, ctx, one, out);
  return with_request(ctx, in, std::move(out), "ExecuteTransaction");
}

}  // namespace virga::dynamodb
