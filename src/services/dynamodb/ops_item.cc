#include <aws/dynamodb/errors.h>

#include "base/str.h"
#include "services/dynamodb/attribute_codec.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/legacy.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/ops.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/service.h"
#include "services/dynamodb/update.h"

namespace virga::dynamodb {

Error condition_failed(const std::optional<Item>& item, bool with_item) {
  const std::string message = "The conditional request failed";
  if (!with_item || !item) return err::ConditionalCheckFailedException(message);
  return err::ConditionalCheckFailedException(message, Json::object({{"Item", json_value(*item)}}));
}

Json json_value(View item) {
  std::string text;
  JsonWriter writer(text);
  write_json_item(writer, item);
  return Json::parse(text);
}

namespace {

bool returns_old_on_failure(const std::optional<ReturnValuesOnConditionCheckFailure>& asked) {
  return asked == ReturnValuesOnConditionCheckFailure::ALL_OLD;
}

template <class In>
std::vector<Parameter> older_parameters(const In& in) {
  return {{"Expected", in.expected.has_value()}, {"ConditionalOperator", in.conditional_operator.has_value()}};
}

template <class In>
std::optional<Node> expected_in(const In& in) {
  if (in.conditional_operator && (!in.expected || in.expected->empty())) {
    throw invalid_parameter("ConditionalOperator cannot be used without Filter or Expected");
  }
  if (!in.expected) return std::nullopt;
  if (in.expected->size() == 1 && in.conditional_operator) {
    throw invalid_parameter(
        "ConditionalOperator can only be used when multiple attributes are specified in Filter or Expected");
  }
  return condition_of(*in.expected, in.conditional_operator);
}

template <class In>
void check_return_values(const In& in) {
  if (in.return_values && *in.return_values != ReturnValue::NONE && *in.return_values != ReturnValue::ALL_OLD) {
    throw validation("ReturnValues can only be ALL_OLD or NONE");
  }
}

// The write's condition, in either form; all placeholders must be used by now.
template <class In>
void read_condition(const In& in, Placeholders& placeholders, Write& write) {
  if (in.condition_expression) {
    write.condition = parse_condition(*in.condition_expression, ExpressionKind::kCondition, placeholders);
  }
  placeholders.check_all_used();
}

bool wants_old(const std::optional<ReturnValue>& asked) { return asked == ReturnValue::ALL_OLD; }

// What the requests ask for. Apart from the operations, whose frames wait for the disk and would keep room for it all.
template <class In>
Action action_of(const Ctx& ctx, const In& in, WriteKind kind, View subject) {
  Action action{.write = {.kind = kind, .table = table_named(ctx, in.table_name), .subject = subject}};
  action.returns_old_on_failure = returns_old_on_failure(in.return_values_on_condition_check_failure);
  return action;
}

// Of a PutItem or DeleteItem.
template <class In>
Action write_of(const Ctx& ctx, const In& in, WriteKind kind, View subject) {
  Action action = action_of(ctx, in, kind, subject);
  Write& write = action.write;
  counting([&] {
    check_parameters({{"ConditionExpression", in.condition_expression.has_value()}}, older_parameters(in),
                     in.expression_attribute_names.has_value(), in.expression_attribute_values.has_value(),
                     Wording::kCurrent);
    check_well_formed(subject, Wording::kCurrent);
    check_return_values(in);
    // The bytes are never fewer than what AWS counts.
    if (kind == WriteKind::kPut && subject.bytes().size() > kMaxItemSize && subject.item_size() > kMaxItemSize)
      throw uncounted("Item size has exceeded the maximum allowed size");
    write.condition = expected_in(in);
    Placeholders placeholders = placeholders_of(in, Wording::kCurrent);
    read_condition(in, placeholders, write);
  });
  write.wants_old = wants_old(in.return_values) || is_asked(in.return_consumed_capacity);
  return action;
}

Action update_of(const Ctx& ctx, const UpdateItemInput& in) {
  Action action = action_of(ctx, in, WriteKind::kUpdate, in.key);
  Write& write = action.write;
  std::vector<Parameter> older = older_parameters(in);
  older.insert(older.begin(), {"AttributeUpdates", in.attribute_updates.has_value()});
  counting([&] {
    check_parameters({{"UpdateExpression", in.update_expression.has_value()},
                      {"ConditionExpression", in.condition_expression.has_value()}},
                     older, in.expression_attribute_names.has_value(), in.expression_attribute_values.has_value(),
                     Wording::kCurrent);
    check_well_formed(in.key, Wording::kCurrent);
    if (in.attribute_updates) write.actions = actions_of(*in.attribute_updates);
    write.condition = expected_in(in);
    Placeholders placeholders = placeholders_of(in, Wording::kCurrent);
    if (in.update_expression) write.actions = parse_update(*in.update_expression, placeholders);
    read_condition(in, placeholders, write);
    // Of this operation alone: transactions and statements may write what fills an item to the last byte.
    if (in.update_expression && statement_size(write.actions) > kMaxItemSize)
      throw uncounted("Item size to update has exceeded the maximum allowed size");
  });
  return action;
}

}  // namespace

std::vector<uint32_t> DynamoService::turns_of(const std::vector<const Write*>& writes) const {
  std::vector<uint32_t> turns;
  for (const Write* write : writes) {
    const bool asks = write->condition || write->kind == WriteKind::kUpdate;
    if (!asks && !cache_.needs_old_items()) continue;
    const TablePtr table = cache_.peek(table_key(write->table));
    if (!table) continue;
    const bool reads = asks || table->needs_old_item();
    const View hash = write->subject.find(table->key.hash);
    if (!reads || !hash.present()) continue;
    std::string row = cat(table->number, hash.bytes());
    if (const View range = write->subject.find(table->key.range); range.present()) row += range.bytes();
    turns.push_back(Turns::turn_of(row));
  }
  return turns;
}

Task<Written> DynamoService::run_write(const Action& action) {
  Turns::Held turn;
  if (auto turns = turns_of({&action.write}); !turns.empty()) turn = co_await turns_.take(std::move(turns));
  co_return co_await transact([&](kv::Txn& tx) -> Task<Written> {
    Store store(tx, cache_);
    Written written = co_await store.write(action.write);
    if (written.refused && action.insert) {
      co_return err::DuplicateItemException("Duplicate primary key exists in table");
    }
    if (written.refused) co_return condition_failed(written.before, action.returns_old_on_failure);
    co_return written;
  });
}

Task<GetItemOutput> DynamoService::get_item(Ctx& ctx, const GetItemInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  check_parameters({{"ProjectionExpression", in.projection_expression.has_value()}},
                   {{"AttributesToGet", in.attributes_to_get.has_value()}}, in.expression_attribute_names.has_value(),
                   false);
  check_well_formed(in.key, Wording::kCurrent);
  std::vector<Path> paths;
  if (in.attributes_to_get) paths = paths_of(*in.attributes_to_get);
  Placeholders placeholders = placeholders_of(in);
  if (in.projection_expression) paths = parse_projection(*in.projection_expression, placeholders);
  placeholders.check_all_used();
  const std::optional<PathSet> projection = path_set(paths);

  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  const TablePtr table = co_await store.require_table(name);
  check_key(*table, in.key);
  check_key_paths(*table, pointers_to(paths));
  store.admit_read(*table, nullptr, in.key);
  std::optional<Item> item = co_await store.find_item(table, row_key(*table, nullptr, in.key));

  GetItemOutput out;
  if (is_asked(in.return_consumed_capacity) || is_metered(*table) || is_counted(*table, nullptr, Counted::kAccess)) {
    const double units = read_units(item ? item->view().item_size() : 0, in.consistent_read.value_or(false));
    store.charge_read(*table, nullptr, units, in.key);
    out.consumed_capacity = capacity_of_read(in.return_consumed_capacity, table->name, units);
  }
  if (item) out.item = projection ? projection->project(*item) : std::move(*item);
  co_return out;
}

Task<PutItemOutput> DynamoService::put_item(Ctx& ctx, const PutItemInput& in) {
  const Action action = write_of(ctx, in, WriteKind::kPut, in.item);
  Written done = co_await run_write(action);
  PutItemOutput out;
  out.consumed_capacity = capacity_of_write(in.return_consumed_capacity, done.table->name, done);
  if (measures_collections(in)) out.item_collection_metrics = co_await collection_metrics(done.table, in.item);
  if (wants_old(in.return_values)) out.attributes = std::move(done.before);
  co_return out;
}

Task<DeleteItemOutput> DynamoService::delete_item(Ctx& ctx, const DeleteItemInput& in) {
  const Action action = write_of(ctx, in, WriteKind::kDelete, in.key);
  Written done = co_await run_write(action);
  DeleteItemOutput out;
  out.consumed_capacity = capacity_of_write(in.return_consumed_capacity, done.table->name, done);
  if (measures_collections(in)) out.item_collection_metrics = co_await collection_metrics(done.table, in.key);
  if (wants_old(in.return_values)) out.attributes = std::move(done.before);
  co_return out;
}

Task<UpdateItemOutput> DynamoService::update_item(Ctx& ctx, const UpdateItemInput& in) {
  const Action action = update_of(ctx, in);
  Written done = co_await run_write(action);
  UpdateItemOutput out;
  out.consumed_capacity = capacity_of_write(in.return_consumed_capacity, done.table->name, done);
  if (measures_collections(in)) out.item_collection_metrics = co_await collection_metrics(done.table, in.key);
  const auto touched = [&](std::optional<Item>& item) -> std::optional<Item> {
    if (!item) return std::nullopt;
    PathSet set;
    for (const UpdateAction& update : action.write.actions) set.add(update.path);
    Item part = set.project(*item);
    if (part.size() == 0) return std::nullopt;
    return part;
  };
  switch (in.return_values.value_or(ReturnValue::NONE)) {
    case ReturnValue::NONE:
      break;
    case ReturnValue::ALL_OLD:
      out.attributes = std::move(done.before);
      break;
    case ReturnValue::ALL_NEW:
      out.attributes = std::move(done.after);
      break;
    case ReturnValue::UPDATED_OLD:
      out.attributes = touched(done.before);
      break;
    case ReturnValue::UPDATED_NEW:
      out.attributes = touched(done.after);
      break;
  }
  co_return out;
}

Task<std::optional<ItemCollectionMetrics>> DynamoService::collection_metrics(TablePtr table, View item) {
  // Only tables with local indexes have item collections that AWS measures.
  if (!table->has_local_index()) co_return std::optional<ItemCollectionMetrics>();
  constexpr double kGigabyte = 1024.0 * 1024 * 1024;
  const auto reader = db_.snapshot();
  double bytes = 0;
  for (size_t i = 0; i <= table->indexes.size(); ++i) {
    const Index* index = i ? &table->indexes[i - 1] : nullptr;
    if (index && !index->local) continue;
    kv::Range range = partition_range(*table, index, {item.find(table->key.hash)}, {}, nullptr);
    // Read in pages, and no further than the first gigabyte: the estimate is a range of whole gigabytes.
    for (;;) {
      const auto rows = co_await reader->scan(range, {.byte_limit = kPageBytes});
      for (const kv::Entry& row : rows) bytes += static_cast<double>(row.value.size());
      if (rows.empty() || bytes > kGigabyte) break;
      range.begin = rows.back().key + '\0';
    }
  }
  ItemCollectionMetrics out;
  out.item_collection_key = pick(item, {table->key.hash});
  const double low = static_cast<double>(static_cast<int64_t>(bytes / kGigabyte));
  out.size_estimate_range_gb = std::vector<double>{low, low + 1};
  co_return out;
}

}  // namespace virga::dynamodb
