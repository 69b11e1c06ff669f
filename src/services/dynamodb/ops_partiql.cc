#include <aws/dynamodb/errors.h>
#include <aws/dynamodb/model.h>

#include <algorithm>
#include <set>

#include "base/crypto.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/page.h"
#include "services/dynamodb/access.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/ops.h"
#include "services/dynamodb/page.h"
#include "services/dynamodb/partiql.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/service.h"
#include "wire/protocol.h"

namespace virga::dynamodb {

namespace {

constexpr std::string_view kOperation = "dynamodb:ExecuteStatement";

// Where the next page of a select begins.
struct After {
  std::string statement;  // its digest
  std::string key;        // the last key evaluated
  int64_t part = 0;
  template <class A>
  void fields(A& a) {
    a(1, statement);
    a(2, key);
    a(3, part);
  }
};

bool is_read(const Statement& statement) { return statement.kind == StatementKind::kSelect; }

template <class In>
Statement parsed(const In& in) {
  static const std::vector<AttributeValue> kNone;
  return parse_statement(in.statement, in.parameters ? *in.parameters : kNone);
}

template <class In>
void add_to_digest(std::string& text, const In& in) {
  append(text, in.statement.size(), ":", in.statement);
  if (!in.parameters) return;
  for (const AttributeValue& value : *in.parameters) append(text, value.bytes().size(), ":", value.bytes());
}

Node exists(const std::string& attribute, bool yes) {
  Node path{.kind = NodeKind::kPath, .path = {{attribute}}};
  Node out{.kind = NodeKind::kFunction, .function = yes ? Function::kAttributeExists : Function::kAttributeNotExists};
  out.children.push_back(std::move(path));
  return out;
}

Item required_key(const Table& table, const Statement& statement) {
  auto key = key_in(statement, table.key.hash, table.key.range);
  if (!key) throw validation("Where clause does not contain a mandatory equality on all key attributes");
  check_key(table, *key);
  return std::move(*key);
}

// A statement that writes, with the action that it stands for; the action borrows from the rest.
struct Prepared {
  Statement statement;
  Item key;
  Action action;
};

std::unique_ptr<Prepared> prepare(const TableName& name, const Table& table, Statement statement,
                                  std::optional<ReturnValuesOnConditionCheckFailure> on_failure) {
  auto out = std::make_unique<Prepared>();
  out->statement = std::move(statement);
  const Statement& s = out->statement;
  Write& write = out->action.write;
  write.table = name;
  write.statement = true;
  out->action.returns_old_on_failure = on_failure == ReturnValuesOnConditionCheckFailure::ALL_OLD;
  write.wants_old = s.returning != Returning::kNone || out->action.returns_old_on_failure;
  if (s.kind == StatementKind::kInsert) {
    out->action.insert = true;
    write.kind = WriteKind::kPut;
    write.subject = s.item;
    if (write.subject.item_size() > kMaxItemSize) throw validation("Item size has exceeded the maximum allowed size");
    check_item(table, s.item);
    write.condition = exists(table.key.hash, false);
    return out;
  }
  out->key = required_key(table, s);
  write.subject = out->key;
  write.condition = rest_of(s, table.key.hash, table.key.range);
  if (s.kind == StatementKind::kDelete) {
    write.kind = WriteKind::kDelete;
    return out;
  }
  write.kind = s.kind == StatementKind::kExists ? WriteKind::kCheck : WriteKind::kUpdate;
  write.actions = s.actions;
  // What an UPDATE or an EXISTS is about must be there.
  Node there = exists(table.key.hash, true);
  if (write.condition) {
    Node both{.kind = NodeKind::kAnd};
    both.children.push_back(std::move(there));
    both.children.push_back(std::move(*write.condition));
    there = std::move(both);
  }
  write.condition = std::move(there);
  return out;
}

// What RETURNING asks for of a write that was made.
std::vector<Item> returned(const Statement& statement, Written& written) {
  const bool old = statement.returning == Returning::kAllOld || statement.returning == Returning::kModifiedOld;
  const bool all = statement.returning == Returning::kAllOld || statement.returning == Returning::kAllNew;
  std::optional<Item>& item = old ? written.before : written.after;
  if (statement.returning == Returning::kNone || !item) return {};
  if (all) return {std::move(*item)};
  PathSet set;
  for (const UpdateAction& action : statement.actions) set.add(action.path);
  Item modified = set.project(*item);
  if (modified.size() == 0) return {};
  return {std::move(modified)};
}

// The condition that narrows the rows of a partition.
std::optional<KeyCondition> sort_condition(const std::vector<Conjunct>& conjuncts, const std::string& range) {
  if (range.empty()) return std::nullopt;
  for (const Conjunct& conjunct : conjuncts) {
    if (!conjunct.path || conjunct.path->size() != 1 || (*conjunct.path)[0].name != range) continue;
    const Node& node = *conjunct.node;
    const bool comparison =
        (node.kind >= NodeKind::kEq && node.kind <= NodeKind::kBetween && node.kind != NodeKind::kNe);
    const bool prefix = node.kind == NodeKind::kFunction && node.function == Function::kBeginsWith;
    if (!comparison && !prefix) continue;
    KeyCondition out{range, node.kind, {}};
    for (size_t i = 1; i < node.children.size(); ++i) out.values.push_back(node.children[i].value);
    return out;
  }
  return std::nullopt;
}

void check_key_type(const Table& table, const std::string& attribute, View value) {
  if (value.type() != table.type_of(attribute)) {
    throw invalid_parameter("Condition parameter type does not match schema type");
  }
}

// What overlaps becomes one, so that no row is read twice.
void add_range(std::vector<kv::Range>& ranges, kv::Range range) {
  const auto overlaps = [&](const kv::Range& other) { return range.begin < other.end && other.begin < range.end; };
  for (auto other = std::ranges::find_if(ranges, overlaps); other != ranges.end();
       other = std::ranges::find_if(ranges, overlaps)) {
    range = {std::min(range.begin, other->begin), std::max(range.end, other->end)};
    ranges.erase(other);
  }
  ranges.push_back(std::move(range));
}

// The rows among which all are that the statement selects, by their keys; none: it may select any.
std::vector<kv::Range> ranges_of(const Table& table, const Index* index, const Statement& statement) {
  const KeyNames& key = index ? index->key : table.key;
  std::vector<kv::Range> out;
  for (const auto& alternative : alternatives_of(statement)) {
    const std::vector<View> partitions = equal_values(alternative, key.hash);
    if (partitions.empty()) return {};
    const std::optional<KeyCondition> sort = sort_condition(alternative, key.range);
    for (const View partition : partitions) {
      check_key_type(table, key.hash, partition);
      if (sort) {
        for (const View value : sort->values) check_key_type(table, key.range, value);
      }
      add_range(out, partition_range(table, index, {partition}, {}, sort ? &*sort : nullptr));
    }
  }
  return out;
}

// The attributes that `paths` begin with and the index does not hold, in order, as a list in messages; empty: none.
std::string not_projected(const Table& table, const Index& index, const std::vector<const Path*>& paths) {
  if (index.projection == IndexProjection::kAll) return {};
  const auto keys = start_key_names(table, &index);
  std::string out;
  for (const Path* path : paths) {
    const std::string& name = (*path)[0].name;
    if (std::ranges::find(keys, name) == keys.end() && std::ranges::find(index.non_key, name) == index.non_key.end()) {
      append(out, out.empty() ? "" : ", ", name);
    }
  }
  return out;
}

// Whether the answer needs attributes that the index does not hold: a local one gets them from the items, a global one
// does not. A filter that a query has no attributes for is refused; one of a scan finds none.
bool needs_items(const Table& table, const Index* index, const Statement& statement, bool keyed) {
  if (!index) return false;
  std::vector<const Path*> filter;
  if (statement.where && keyed) collect_paths(*statement.where, filter);
  if (const std::string missing = not_projected(table, *index, filter); !missing.empty()) {
    throw invalid_parameter(
        cat("Secondary index ", index->name, " does not project one or more filter attributes: [", missing, "]"));
  }
  const std::string missing = not_projected(table, *index, pointers_to(statement.projection));
  if (missing.empty() || index->local) return !missing.empty();
  throw invalid_parameter(cat("Global secondary index ", index->name, " does not project [", missing, "]"));
}

void check_simple_key(const Index& index) {
  if (index.key.composite()) {
    throw validation(
        "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute RANGE "
        "keys.");
  }
}

constexpr std::string_view kSelectsItems = "Select statements within ";
constexpr std::string_view kByTheirKey = " must specify the primary key in the where clause.";

// The key by which a select in a batch or transaction reads one item; nothing when it reads otherwise.
std::optional<Item> key_of_select(const Table& table, const Statement& statement) {
  const bool asks_function = std::ranges::any_of(
      conjuncts_of(statement), [](const Conjunct& conjunct) { return conjunct.node->kind == NodeKind::kFunction; });
  if (asks_function || !statement.index.empty()) return std::nullopt;
  return key_in(statement, table.key.hash, table.key.range);
}

bool is_condition_of_item(const Table& table, const Statement& statement) {
  return key_in(statement, table.key.hash, table.key.range) && rest_of(statement, table.key.hash, table.key.range);
}

Error refused_member(size_t index, std::string_view why) {
  return validation(cat("Validation failed in TransactStatements[", index, "]: ", why));
}

template <class In>
Result<Statement> parsed_or_refused(const In& in) {
  try {
    return parsed(in);
  } catch (const Error& error) {
    return std::unexpected(Failure(error));
  }
}

// What the answer calls an attribute deep inside of an item is the last name on the way to it.
Item selected(const Statement& statement, View item) {
  const auto is_plain = [](const Path& path) { return path.size() == 1 || path.back().is_index(); };
  if (statement.projection.empty()) return Item(item);
  if (std::ranges::all_of(statement.projection, is_plain)) return path_set(statement.projection)->project(item);
  std::map<std::string_view, View> out;
  PathSet plain;
  for (const Path& path : statement.projection) {
    if (is_plain(path)) {
      plain.add(path);
    } else if (const View value = resolve(item, path); value.present()) {
      out[path.back().name] = value;
    }
  }
  const Item rest = plain.project(item);
  rest.view().for_each([&](std::string_view name, View value) { out.try_emplace(name, value); });
  return make_item({out.begin(), out.end()});
}

BatchStatementErrorCodeEnum code_of(const Error& error) {
  using enum BatchStatementErrorCodeEnum;
  static const std::map<std::string_view, BatchStatementErrorCodeEnum> kCodes = {
      {"ConditionalCheckFailedException", ConditionalCheckFailed},
      {"DuplicateItemException", DuplicateItem},
      {"ValidationException", ValidationError},
      {"ResourceNotFoundException", ResourceNotFound},
      {"TransactionConflictException", TransactionConflict},
      {"ProvisionedThroughputExceededException", ProvisionedThroughputExceeded},
      {"ThrottlingException", ThrottlingError},
      {"AccessDeniedException", AccessDenied},
  };
  const auto found = kCodes.find(error.shape->code);
  return found == kCodes.end() ? InternalServerError : found->second;
}

}  // namespace

Task<DynamoService::Selected> DynamoService::select(Ctx& ctx, const Statement& statement,
                                                    const ExecuteStatementInput& in) {
  const Error bad_token = validation("NextToken does not match request");
  std::string digest;
  add_to_digest(digest, in);
  digest = sha256(digest);
  const auto after = kernel::open_page<After>(tokens_, ctx, kOperation, in.next_token, bad_token);
  if (after && after->statement != digest) co_return bad_token;

  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  PageRequest request;
  request.table = co_await store.require_table(table_named(ctx, statement.table));
  const Table& table = *request.table;
  if (!statement.index.empty()) {
    request.index = table.find_index(statement.index);
    if (!request.index) co_return validation("The table does not have the specified index");
    check_simple_key(*request.index);
    if (!request.index->local && in.consistent_read.value_or(false)) {
      co_return validation("Strongly consistent read is not supported on Global Secondary Indexes");
    }
    if (request.index->state == IndexState::kCreating) {
      co_return validation(cat("Cannot read from backfilling global secondary index: ", statement.index));
    }
  }
  const KeyNames& key = request.index ? request.index->key : table.key;
  check_key_paths(table, pointers_to(statement.projection));
  request.consistent = in.consistent_read.value_or(false);

  const bool keyed = !equal_values(statement, key.hash).empty();
  request.fetch = needs_items(table, request.index, statement, keyed);
  std::vector<kv::Range> parts = ranges_of(table, request.index, statement);
  if (statement.order_by) {
    if (!statement.where) co_return validation("Must have WHERE clause in the statement when using ORDER BY clause.");
    if (!keyed) {
      co_return validation(
          "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.");
    }
    if (*statement.order_by != key.hash && *statement.order_by != key.range) {
      co_return validation(
          cat("Variable reference ", *statement.order_by, " in ORDER BY clause must be part of the primary key"));
    }
    request.reverse = statement.descending;
  }
  if (parts.empty()) parts.push_back(segment_range(table, request.index, 0, 1));

  if (statement.where) request.filter = &*statement.where;

  Selected out;
  double units = 0, fetched = 0;
  size_t limit = in.limit ? static_cast<size_t>(*in.limit) : SIZE_MAX;
  size_t bytes = 0;
  for (size_t part = after ? static_cast<size_t>(after->part) : 0; part < parts.size(); ++part) {
    request.range = parts[part];
    request.limit = limit;
    if (after && part == static_cast<size_t>(after->part) && !after->key.empty()) {
      const std::string row = row_key(table, request.index, View(after->key));
      (request.reverse ? request.range.end : request.range.begin) = request.reverse ? row : row + '\0';
    }
    Page page = co_await read_page(*reader, store, request);
    for (Item& item : page.items) {
      out.items.push_back(statement.projection.empty() ? std::move(item) : selected(statement, item));
    }
    units += read_units(page.bytes, request.consistent);
    fetched += page.fetched;
    bytes += page.bytes;
    limit -= static_cast<size_t>(page.scanned);
    if (page.last_key) {
      out.last_key = std::move(page.last_key);
      out.last_part = part;
      break;
    }
    if (part + 1 < parts.size() && (limit == 0 || bytes >= kPageBytes)) {
      out.last_key = Item::of_bytes("");
      out.last_part = part + 1;
      break;
    }
  }
  out.consumed = capacity_of_pages(in.return_consumed_capacity, request, units, fetched);
  co_return out;
}

Task<ExecuteStatementOutput> DynamoService::execute_statement(Ctx& ctx, const ExecuteStatementInput& in) {
  Statement statement = parsed(in);
  ExecuteStatementOutput out;
  out.items.emplace();
  if (is_read(statement)) {
    Selected page = co_await select(ctx, statement, in);
    if (page.last_key) {
      std::string digest;
      add_to_digest(digest, in);
      After after{sha256(digest), page.last_key->bytes(), static_cast<int64_t>(page.last_part)};
      out.next_token = kernel::seal_page(tokens_, ctx, kOperation, after);
      if (!page.last_key->bytes().empty()) out.last_evaluated_key = std::move(page.last_key);
    }
    out.items = std::move(page.items);
    out.consumed_capacity = std::move(page.consumed);
    co_return out;
  }
  if (statement.kind == StatementKind::kExists) {
    co_return validation("EXISTS is only supported in ExecuteTransaction");
  }
  const TableName name = table_named(ctx, statement.table);
  TablePtr table;
  {
    const auto reader = db_.snapshot();
    Store store(*reader, cache_);
    table = co_await store.require_table(name);
  }
  const auto prepared = prepare(name, *table, std::move(statement), in.return_values_on_condition_check_failure);
  prepared->action.write.wants_old |= is_asked(in.return_consumed_capacity);
  Written written = co_await run_write(prepared->action);
  out.items = returned(prepared->statement, written);
  out.consumed_capacity = capacity_of_write(in.return_consumed_capacity, table->name, written);
  co_return out;
}

// What AWS takes for a write that a batch tried and that failed: of the item that is there or the one to insert,
// whichever is larger.
Task<double> DynamoService::units_of_attempt(TablePtr table, const Write& write) {
  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  const std::optional<Item> item = co_await store.find_item(table, row_key(*table, nullptr, write.subject));
  const size_t wanted = write.kind == WriteKind::kPut ? write.subject.item_size() : 0;
  co_return write_units(std::max(item ? item->view().item_size() : 0, wanted));
}

Task<BatchExecuteStatementOutput> DynamoService::batch_execute_statement(Ctx& ctx,
                                                                         const BatchExecuteStatementInput& in) {
  BatchExecuteStatementOutput out;
  out.responses.emplace();
  std::map<std::string, double> read;
  std::map<std::string, Written> sums;
  std::map<std::string, double> failed;
  std::vector<Result<Statement>> statements;
  size_t reads = 0, writes = 0;
  for (const BatchStatementRequest& request : in.statements) {
    statements.push_back(parsed_or_refused(request));
    if (statements.back()) ++(is_read(*statements.back()) ? reads : writes);
  }
  if (reads && writes) {
    co_return validation("Read and write requests together in the same batch is not supported.");
  }
  const auto item_of = [&](const Statement& statement) -> Task<std::string> {
    const auto reader = db_.snapshot();
    Store store(*reader, cache_);
    const TablePtr table = co_await store.require_table(table_named(ctx, statement.table));
    const auto names = start_key_names(*table, nullptr);
    const std::optional<Item> key = statement.kind == StatementKind::kInsert
                                        ? pick(statement.item, names)
                                        : key_in(statement, table->key.hash, table->key.range);
    if (!key || key->size() != names.size()) co_return "";
    co_return rows_prefix(*table, 0) + key->bytes();
  };
  std::set<std::string> items;
  for (const Result<Statement>& statement : statements) {
    if (!statement) continue;
    const auto item = co_await as_result(item_of(*statement));
    if (item && !item->empty() && !items.insert(*item).second) {
      co_return validation("Provided list of item keys contains duplicates");
    }
  }
  // One by one: each stands for itself, as AWS has it.
  for (size_t i = 0; i < statements.size(); ++i) {
    const BatchStatementRequest& request = in.statements[i];
    BatchStatementResponse response;
    const auto one = [&]() -> Task<void> {
      for (kernel::Access& access : access_of(cache_, ctx, in, request)) {
        auto document = co_await resource_policy(ctx, access.resource);
        auto why = co_await cloud_.authorizer().why_denied(ctx, std::move(access), std::move(document));
        if (why) throw wire::door::access_denied(kModel, std::move(*why));
      }
      if (!statements[i]) co_await fail_with(Failure(statements[i].error()));
      Statement& statement = *statements[i];
      if (statement.kind == StatementKind::kExists) {
        throw validation("EXISTS is only supported in ExecuteTransaction");
      }
      const TableName name = table_named(ctx, statement.table);
      response.table_name = name.name;
      TablePtr table;
      {
        const auto reader = db_.snapshot();
        Store store(*reader, cache_);
        table = co_await store.require_table(name);
        if (is_read(statement)) {
          if (const Index* index = table->find_index(statement.index)) check_simple_key(*index);
          const auto key = key_of_select(*table, statement);
          if (!key) throw validation(cat(kSelectsItems, "BatchExecuteStatement", kByTheirKey));
          check_key(*table, *key);
          store.admit_read(*table);
          std::optional<Item> item = co_await store.find_item(table, row_key(*table, nullptr, *key));
          const double units = read_units(item ? item->view().item_size() : 0, request.consistent_read.value_or(false));
          store.charge_read(*table, nullptr, units);
          read[table->name] += units;
          if (!item || !holds(*statement.where, *item)) co_return;
          response.item = selected(statement, *item);
          co_return;
        }
      }
      const auto prepared =
          prepare(name, *table, std::move(statement), request.return_values_on_condition_check_failure);
      prepared->action.write.wants_old |= is_asked(in.return_consumed_capacity);
      Result<Written> written = co_await as_result(run_write(prepared->action));
      if (!written) {
        if (is_asked(in.return_consumed_capacity))
          failed[table->name] += co_await units_of_attempt(table, prepared->action.write);
        co_await fail_with(std::move(written).error());
      }
      add_units(sums[table->name], *written);
      std::vector<Item> items = returned(prepared->statement, *written);
      if (!items.empty()) response.item = std::move(items[0]);
    };
    const auto result = co_await as_result(one());
    if (!result) {
      const Error* error = error_of(result);
      if (!error) co_await fail_with(Failure(result.error()));
      BatchStatementError& told = response.error.emplace();
      told.code = code_of(*error);
      told.message = error->message;
      // Told of statements that were tried.
      if (told.code == BatchStatementErrorCodeEnum::ValidationError) response.table_name.reset();
    }
    out.responses->push_back(std::move(response));
  }
  if (is_asked(in.return_consumed_capacity)) {
    out.consumed_capacity.emplace();
    for (const auto& [name, units] : read)
      out.consumed_capacity->push_back(*capacity_of_read(in.return_consumed_capacity, name, units));
    // What failed is in the sum alone, and only where another of the table's did not.
    for (const auto& [name, sum] : sums) {
      ConsumedCapacity consumed = *capacity_of_write(in.return_consumed_capacity, name, sum);
      *consumed.capacity_units += failed[name];
      out.consumed_capacity->push_back(std::move(consumed));
    }
    if (out.consumed_capacity->empty()) out.consumed_capacity.reset();
  }
  co_return out;
}

Task<ExecuteTransactionOutput> DynamoService::execute_transaction(Ctx& ctx, const ExecuteTransactionInput& in) {
  std::vector<Statement> statements;
  size_t reads = 0;
  std::string text;
  for (size_t i = 0; i < in.transact_statements.size(); ++i) {
    const ParameterizedStatement& one = in.transact_statements[i];
    for (const AttributeValue& value : one.parameters.value_or(std::vector<AttributeValue>())) check_well_formed(value);
    Result<Statement> statement = parsed_or_refused(one);
    if (const Error* error = error_of(statement)) co_return refused_member(i, error->message);
    if (statement->returning != Returning::kNone) {
      co_return refused_member(i, "RETURNING clause is not supported in ExecuteTransaction.");
    }
    if (!statement->index.empty()) {
      co_return refused_member(i, "Reads on indices are not supported within transactions.");
    }
    reads += is_read(*statement);
    add_to_digest(text, one);
    statements.push_back(std::move(*statement));
  }
  if (reads != 0 && reads != statements.size()) {
    co_return validation("ExecuteTransaction API does not support both read and write operations in the same request.");
  }
  ExecuteTransactionOutput out;
  out.responses.emplace();
  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  std::set<std::string> rows;
  if (reads != 0) {
    std::map<std::string, double> units;
    for (size_t i = 0; i < statements.size(); ++i) {
      const Statement& statement = statements[i];
      const TablePtr table = co_await store.require_table(table_named(ctx, statement.table));
      const auto key = key_of_select(*table, statement);
      if (!key) co_return refused_member(i, cat(kSelectsItems, "ExecuteTransaction", kByTheirKey));
      check_key(*table, *key);
      const std::string row = row_key(*table, nullptr, *key);
      if (!rows.insert(row).second)
        co_return validation("Transaction request cannot include multiple operations on one item");
      judge_read(i, statements.size(), [&] { store.admit_read(*table); });
      std::optional<Item> item = co_await store.find_item(table, row);
      const double cost = 2 * read_units(item ? item->view().item_size() : 0, true);
      store.charge_read(*table, nullptr, cost);
      units[table->name] += cost;
      ItemResponse& response = out.responses->emplace_back();
      if (item && holds(*statement.where, *item)) response.item = selected(statement, *item);
    }
    if (is_asked(in.return_consumed_capacity)) {
      out.consumed_capacity = capacity_of_reads(*in.return_consumed_capacity, units);
    }
    co_return out;
  }
  std::vector<std::unique_ptr<Prepared>> prepared;
  std::vector<Action> actions;
  for (size_t i = 0; i < statements.size(); ++i) {
    const TableName name = table_named(ctx, statements[i].table);
    const TablePtr table = co_await store.require_table(name);
    if (statements[i].kind == StatementKind::kExists && !is_condition_of_item(*table, statements[i])) {
      co_return refused_member(i, "EXISTS() must contain a single item read with additional condition");
    }
    prepared.push_back(prepare(name, *table, std::move(statements[i]),
                               in.transact_statements[i].return_values_on_condition_check_failure));
    prepared.back()->action.write.wants_old |= is_asked(in.return_consumed_capacity);
    prepared.back()->action.write.factor = 2;
    actions.push_back(prepared.back()->action);
  }
  std::optional<Idempotency> idempotency;
  if (in.client_request_token) idempotency = Idempotency{*in.client_request_token, sha256(text)};
  const Outcome outcome = co_await run_transaction(ctx, actions, std::move(idempotency));
  if (is_asked(in.return_consumed_capacity)) {
    out.consumed_capacity = capacity_of_transaction(*in.return_consumed_capacity, outcome);
  }
  co_return out;
}

}  // namespace virga::dynamodb
