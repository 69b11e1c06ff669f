#include <aws/dynamodb/errors.h>

#include <set>

#include "base/crypto.h"
#include "base/str.h"
#include "kv/record.h"
#include "services/dynamodb/attribute_codec.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/ops.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/service.h"
#include "services/dynamodb/transact.h"

namespace virga::dynamodb {

Error cancelled(const std::vector<Reason>& reasons) {
  std::string codes;
  Json list = Json::array();
  for (const Reason& reason : reasons) {
    append(codes, codes.empty() ? "" : ", ", reason.code);
    Json one = Json::object({{"Code", reason.code}});
    if (!reason.message.empty()) one["Message"] = reason.message;
    if (reason.item) one["Item"] = json_value(*reason.item);
    list.push_back(std::move(one));
  }
  return err::TransactionCanceledException(
      cat("Transaction cancelled, please refer cancellation reasons for specific reasons [", codes, "]"),
      Json::object({{"CancellationReasons", std::move(list)}}));
}

std::optional<Reason> reason_of(const Error& error) {
  static constexpr std::pair<std::string_view, std::string_view> kCodes[] = {
      {"ValidationException", "ValidationError"},
      {"ProvisionedThroughputExceededException", "ProvisionedThroughputExceeded"},
      {"ThrottlingException", "ThrottlingError"}};
  for (const auto& [thrown, told] : kCodes) {
    if (error.shape->code == thrown) return Reason{std::string(told), error.message, std::nullopt};
  }
  return std::nullopt;
}

namespace {

template <class In>
void read_expressions(const In& in, Action& action) {
  std::vector<Parameter> expressions;
  if constexpr (requires { in.update_expression; }) expressions.push_back({"UpdateExpression", true});
  if constexpr (std::is_same_v<std::decay_t<decltype(in.condition_expression)>, std::string>) {
    expressions.push_back({"ConditionExpression", true});
  } else {
    expressions.push_back({"ConditionExpression", in.condition_expression.has_value()});
  }
  check_parameters(expressions, {}, in.expression_attribute_names.has_value(),
                   in.expression_attribute_values.has_value());
  Placeholders placeholders = placeholders_of(in);
  if constexpr (requires { in.update_expression; })
    action.write.actions = parse_update(in.update_expression, placeholders);
  if constexpr (std::is_same_v<std::decay_t<decltype(in.condition_expression)>, std::string>) {
    action.write.condition = parse_condition(in.condition_expression, ExpressionKind::kCondition, placeholders);
  } else if (in.condition_expression) {
    action.write.condition = parse_condition(*in.condition_expression, ExpressionKind::kCondition, placeholders);
  }
  placeholders.check_all_used();
  action.returns_old_on_failure =
      in.return_values_on_condition_check_failure == ReturnValuesOnConditionCheckFailure::ALL_OLD;
}

template <class In>
Action action_of(const Ctx& ctx, const In& in, WriteKind kind, View subject) {
  Action action{.write = {.kind = kind, .table = table_named(ctx, in.table_name), .subject = subject, .factor = 2}};
  read_expressions(in, action);
  check_well_formed(subject);
  return action;
}

Action action_of(const Ctx& ctx, const TransactWriteItem& in) {
  const int given =
      in.condition_check.has_value() + in.put.has_value() + in.delete_.has_value() + in.update.has_value();
  if (given != 1) throw validation("TransactItems can only contain one of Check, Put, Update or Delete");
  if (in.condition_check) return action_of(ctx, *in.condition_check, WriteKind::kCheck, in.condition_check->key);
  if (in.delete_) return action_of(ctx, *in.delete_, WriteKind::kDelete, in.delete_->key);
  if (in.update) return action_of(ctx, *in.update, WriteKind::kUpdate, in.update->key);
  if (in.put->item.view().malformed().empty() && in.put->item.view().item_size() > kMaxItemSize) {
    throw validation("Item size has exceeded the maximum allowed size");
  }
  return action_of(ctx, *in.put, WriteKind::kPut, in.put->item);
}

// The same requests, and only they, have the same digest.
std::string digest_of(const TransactWriteItemsInput& in) {
  std::string text;
  const auto add = [&](std::string_view part) { append(text, part.size(), ":", part); };
  const auto add_map = [&](const auto& map) {
    if (!map) return;
    for (const auto& [key, value] : *map) {
      add(key);
      add(value);
    }
  };
  for (const TransactWriteItem& item : in.transact_items) {
    const auto common = [&](std::string_view kind, const auto& action, View subject) {
      add(kind);
      add(action.table_name);
      add(subject.bytes());
      if constexpr (requires { action.update_expression; }) add(action.update_expression);
      if constexpr (requires { action.condition_expression.has_value(); }) {
        add(action.condition_expression.value_or(""));
      } else {
        add(action.condition_expression);
      }
      add_map(action.expression_attribute_names);
      if (action.expression_attribute_values) add(action.expression_attribute_values->bytes());
    };
    if (item.condition_check) common("check", *item.condition_check, item.condition_check->key);
    if (item.put) common("put", *item.put, item.put->item);
    if (item.delete_) common("delete", *item.delete_, item.delete_->key);
    if (item.update) common("update", *item.update, item.update->key);
  }
  return sha256(text);
}

}  // namespace

std::vector<ConsumedCapacity> capacity_of_transaction(ReturnConsumedCapacity asked, const Outcome& outcome) {
  std::map<std::string, Written> sums;
  for (const Written& written : outcome.written) add_units(sums[written.table->name], written);
  std::vector<ConsumedCapacity> out;
  for (const auto& [name, sum] : sums) {
    auto capacity = capacity_of_write(asked, name, sum, 2);
    if (outcome.repeated) {
      capacity->read_capacity_units = capacity->capacity_units;
      capacity->write_capacity_units.reset();
    }
    out.push_back(std::move(*capacity));
  }
  return out;
}

std::vector<ConsumedCapacity> capacity_of_reads(ReturnConsumedCapacity asked,
                                                const std::map<std::string, double>& units_by_table) {
  std::vector<ConsumedCapacity> out;
  for (const auto& [name, units] : units_by_table) {
    auto capacity = capacity_of_read(asked, name, units);
    capacity->read_capacity_units = units;
    if (capacity->table) capacity->table->read_capacity_units = units;
    out.push_back(std::move(*capacity));
  }
  return out;
}

Task<Outcome> DynamoService::run_transaction(Ctx& ctx, const std::vector<Action>& actions,
                                             std::optional<Idempotency> idempotency) {
  std::vector<const Write*> writes;
  for (const Action& action : actions) writes.push_back(&action.write);
  const Turns::Held turns = co_await turns_.take(turns_of(writes));
  auto result = co_await as_result(db_.transact([&](kv::Txn& tx) -> Task<Outcome> {
    Store store(tx, cache_);
    Outcome out;
    if (idempotency) {
      const std::string key = idempotency_key(ctx.account, ctx.region, idempotency->token);
      if (const auto known = co_await tx.get(key)) {
        const auto record = kv::decode<IdempotencyRecord>(*known);
        if (record.digest != idempotency->digest) co_return err::IdempotentParameterMismatchException();
        out.repeated = true;
        for (size_t i = 0; i < actions.size(); ++i) {
          Written same;
          same.table = co_await store.require_table(actions[i].write.table);
          // What was written a KB a unit is read four at a time.
          same.table_units = i < record.units.size() ? static_cast<double>((record.units[i] + 3) / 4) : 1;
          out.written.push_back(std::move(same));
        }
        co_return out;
      }
    }
    std::vector<Reason> reasons(actions.size());
    std::set<std::string> rows;
    bool stop = false;
    for (const Action& action : actions) {
      check_no_empty_key(*co_await store.require_table(action.write.table), action.write.subject);
    }
    // An action that no item could make right ends the transaction before any item is looked at.
    for (size_t i = 0; i < actions.size(); ++i) {
      const TablePtr table = co_await store.require_table(actions[i].write.table);
      try {
        check_write(*table, actions[i].write);
      } catch (const Error& error) {
        reasons[i] = {"ValidationError", error.message, std::nullopt};
      }
      if (!reasons[i].message.empty()) co_return cancelled(reasons);
    }
    for (size_t i = 0; i < actions.size(); ++i) {
      auto result = co_await as_result(store.write(actions[i].write));
      if (!result) {
        const Error* error = error_of(result);
        std::optional<Reason> reason = error ? reason_of(*error) : std::nullopt;
        if (!reason) co_await fail_with(std::move(result.error()));
        reasons[i] = std::move(*reason);
        stop = true;
        continue;
      }
      if (!rows.insert(row_key(*result->table, nullptr, actions[i].write.subject)).second) {
        co_return validation("Transaction request cannot include multiple operations on one item");
      }
      if (result->refused) {
        reasons[i] = {actions[i].insert ? "DuplicateItem" : "ConditionalCheckFailed",
                      actions[i].insert ? "Duplicate primary key exists in table" : "The conditional request failed",
                      actions[i].returns_old_on_failure ? result->before : std::nullopt};
        stop = true;
      }
      out.written.push_back(std::move(*result));
    }
    if (stop) co_return cancelled(reasons);
    if (idempotency) {
      IdempotencyRecord record{idempotency->digest, {}};
      for (const Written& written : out.written) record.units.push_back(static_cast<int64_t>(written.table_units));
      const std::string key = idempotency_key(ctx.account, ctx.region, idempotency->token);
      tx.put(key, kv::encode(record));
      kernel::Timer timer{"ddb.token", key, ctx.now() + std::chrono::minutes(kIdempotencyMinutes), {}};
      co_await timers_.set(tx, std::move(timer));
    }
    co_return out;
  }));
  if (result) co_return std::move(*result);
  if (!kv::is_conflict(result.error())) co_await fail_with(std::move(result.error()));
  // Others kept changing some of the items; which ones is not known.
  co_return cancelled(std::vector<Reason>(
      actions.size(), {"TransactionConflict", "Transaction is ongoing for the item", std::nullopt}));
}

Task<TransactWriteItemsOutput> DynamoService::transact_write_items(Ctx& ctx, const TransactWriteItemsInput& in) {
  std::vector<Action> actions;
  size_t bytes = 0;
  for (const TransactWriteItem& item : in.transact_items) {
    actions.push_back(action_of(ctx, item));
    actions.back().write.wants_old = actions.back().returns_old_on_failure || is_asked(in.return_consumed_capacity);
    bytes += actions.back().write.subject.bytes().size();
  }
  if (bytes > kTransactBytes) throw validation("Transaction payload size cannot exceed 4 MB");
  std::optional<Idempotency> idempotency;
  if (in.client_request_token) idempotency = Idempotency{*in.client_request_token, digest_of(in)};
  const Outcome outcome = co_await run_transaction(ctx, actions, std::move(idempotency));

  TransactWriteItemsOutput out;
  if (is_asked(in.return_consumed_capacity)) {
    out.consumed_capacity = capacity_of_transaction(*in.return_consumed_capacity, outcome);
  }
  if (measures_collections(in)) {
    for (size_t i = 0; i < outcome.written.size(); ++i) {
      const TablePtr table = outcome.written[i].table;
      auto metrics = co_await collection_metrics(table, actions[i].write.subject);
      if (!metrics) continue;
      if (!out.item_collection_metrics) out.item_collection_metrics.emplace();
      (*out.item_collection_metrics)[table->name].push_back(std::move(*metrics));
    }
  }
  co_return out;
}

Task<TransactGetItemsOutput> DynamoService::transact_get_items(Ctx& ctx, const TransactGetItemsInput& in) {
  struct Read {
    TableName table;
    View key;
    std::vector<Path> paths;
  };
  std::vector<Read> reads;
  for (const TransactGetItem& item : in.transact_items) {
    Read read{table_named(ctx, item.get.table_name), item.get.key, {}};
    check_well_formed(item.get.key);
    check_parameters({{"ProjectionExpression", item.get.projection_expression.has_value()}}, {},
                     item.get.expression_attribute_names.has_value(), false);
    Placeholders placeholders = placeholders_of(item.get);
    if (item.get.projection_expression) read.paths = parse_projection(*item.get.projection_expression, placeholders);
    placeholders.check_all_used();
    reads.push_back(std::move(read));
  }

  // A snapshot is one instant over all tables, which is all that the transaction has to promise.
  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  std::set<std::string> rows;
  TransactGetItemsOutput out;
  out.responses.emplace();
  std::map<std::string, double> units;
  size_t bytes = 0;
  for (size_t i = 0; i < reads.size(); ++i) {
    const Read& read = reads[i];
    const TablePtr table = co_await store.require_table(read.table);
    check_no_empty_key(*table, read.key);
    judge_read(i, reads.size(), [&] { check_key(*table, read.key); });
    check_key_paths(*table, pointers_to(read.paths));
    const std::string row = row_key(*table, nullptr, read.key);
    if (!rows.insert(row).second)
      throw validation("Transaction request cannot include multiple operations on one item");
    judge_read(i, reads.size(), [&] { store.admit_read(*table, nullptr, read.key); });
    std::optional<Item> item = co_await store.find_item(table, row);
    const size_t size = item ? item->view().item_size() : 0;
    units[table->name] += 2 * read_units(size, true);
    store.charge_read(*table, nullptr, 2 * read_units(size, true), read.key);
    if ((bytes += size) > kTransactBytes) throw validation("Transaction result cannot exceed the 4 MB size limit");
    ItemResponse& response = out.responses->emplace_back();
    if (!item) continue;
    const std::optional<PathSet> projection = path_set(read.paths);
    response.item = projection ? projection->project(*item) : std::move(*item);
  }
  if (is_asked(in.return_consumed_capacity)) {
    out.consumed_capacity = capacity_of_reads(*in.return_consumed_capacity, units);
  }
  co_return out;
}

}  // namespace virga::dynamodb
