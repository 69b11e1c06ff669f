#include <aws/dynamodb/errors.h>
#include <aws/dynamodb/shapes.h>

#include <algorithm>
#include <set>

#include "base/str.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/legacy.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/ops.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/service.h"
#include "wire/protocol.h"

namespace virga::dynamodb {

namespace {

// One table's part of a BatchGetItem.
struct GetPart {
  TableName table;
  const KeysAndAttributes* request;
  std::vector<Path> paths;
};

constexpr std::string_view kTooFew = "Member must have length greater than or equal to 1";

// A wrong name of a table is told with the whole map.
void check_names(const BatchGetItemInput& in) {
  const auto fits = [](const auto& entry) { return can_name_table(entry.first); };
  if (std::ranges::all_of(in.request_items, fits)) return;
  // Of a malformed key there is nothing to tell.
  for (const auto& [name, request] : in.request_items) {
    for (const Item& key : request.keys) check_well_formed(key, Wording::kCurrent);
  }
  throw counted(validation(cat("Value '", wire::to_json(shapes::BatchGetRequestMap, &in.request_items).dump(),
                               "' at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: "
                               "[Member must have length less than or equal to 255, Member must have length greater "
                               "than or equal to 3, Member must satisfy regular expression pattern: "
                               "[a-zA-Z0-9_.-]+]")));
}

bool is_throttling(const Failure& failure) {
  const Error* error = error_of(failure);
  return error && (error->shape->code == "ProvisionedThroughputExceededException" ||
                   error->shape->code == "ThrottlingException");
}

// Why a key's read has to wait, if it has to.
std::optional<Error> refusal_of(Store& store, const Table& table, const Item& key) {
  try {
    store.admit_read(table, nullptr, key);
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace

Task<BatchGetItemOutput> DynamoService::batch_get_item(Ctx& ctx, const BatchGetItemInput& in) {
  if (in.request_items.empty()) throw out_of_bounds("RequestItems", kTooFew);
  check_names(in);
  std::map<std::string, GetPart> parts;
  size_t total = 0;
  bool projects = false, selects = false;
  for (const auto& [name, request] : in.request_items) {
    projects = projects || request.projection_expression;
    selects = selects || request.attributes_to_get;
  }
  check_parameters({{"ProjectionExpression", projects}}, {{"AttributesToGet", selects}}, false, false);
  for (const auto& [name, request] : in.request_items) {
    const std::string place = cat("RequestItems.", name, ".member.Keys");
    if (request.keys.empty()) throw out_of_bounds(place, kTooFew);
    if (request.keys.size() > kBatchGetItems)
      throw out_of_bounds(place, cat("Member must have length less than or equal to ", kBatchGetItems));
    GetPart part{table_named(ctx, name), &request, {}};
    check_parameters({{"ProjectionExpression", request.projection_expression.has_value()}}, {},
                     request.expression_attribute_names.has_value(), false);
    if (request.attributes_to_get) part.paths = paths_of(*request.attributes_to_get);
    Placeholders placeholders = placeholders_of(request);
    if (request.projection_expression) part.paths = parse_projection(*request.projection_expression, placeholders);
    placeholders.check_all_used();
    std::set<std::string_view> seen;
    for (const Item& key : request.keys) {
      check_well_formed(key, Wording::kCurrent);
      if (!seen.insert(key.bytes()).second) throw validation("Provided list of item keys contains duplicates");
      if (++total > kBatchGetItems) throw validation("Too many items requested for the BatchGetItem call");
    }
    parts.emplace(name, std::move(part));
  }

  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  BatchGetItemOutput out;
  out.responses.emplace();
  out.unprocessed_keys.emplace();
  std::vector<ConsumedCapacity> capacity;
  size_t bytes = 0;
  std::optional<Error> throttled;
  bool any_read = false;
  for (auto& [name, part] : parts) {
    const TablePtr table = co_await store.require_table(part.table);
    check_key_paths(*table, pointers_to(part.paths));
    for (const Item& key : part.request->keys) check_key(*table, key);
    const std::optional<PathSet> projection = path_set(part.paths);
    std::vector<Item>& items = (*out.responses)[name];
    double units = 0;
    for (const Item& key : part.request->keys) {
      const bool full = bytes >= kBatchGetBytes;
      std::optional<Error> refusal = full ? std::nullopt : refusal_of(store, *table, key);
      if (full || refusal) {
        if (refusal) throttled = std::move(refusal);
        // The rest is for another call, with everything else of the request as it was.
        KeysAndAttributes& rest = (*out.unprocessed_keys)[name];
        if (rest.keys.empty()) {
          rest = *part.request;
          rest.keys.clear();
        }
        rest.keys.push_back(key);
        continue;
      }
      std::optional<Item> item = co_await store.find_item(table, row_key(*table, nullptr, key));
      const size_t size = item ? item->view().item_size() : 0;
      const double cost = read_units(size, part.request->consistent_read.value_or(false));
      store.charge_read(*table, nullptr, cost, key);
      any_read = true;
      units += cost;
      bytes += size;
      if (item) items.push_back(projection ? projection->project(*item) : std::move(*item));
    }
    if (auto c = capacity_of_read(in.return_consumed_capacity, table->name, units)) capacity.push_back(std::move(*c));
  }
  if (throttled && !any_read) co_return std::move(*throttled);
  if (is_asked(in.return_consumed_capacity)) out.consumed_capacity = std::move(capacity);
  co_return out;
}

Task<BatchWriteItemOutput> DynamoService::batch_write_item(Ctx& ctx, const BatchWriteItemInput& in) {
  if (in.request_items.empty()) throw validation("The requestItems parameter is required for BatchWriteItem");
  std::vector<Write> writes;
  std::vector<const std::string*> names;  // of the table, as the request has it
  std::vector<const WriteRequest*> requested;
  for (const auto& [name, requests] : in.request_items) {
    const TableName table = table_named(ctx, name);
    for (const WriteRequest& request : requests) {
      if (request.put_request.has_value() == request.delete_request.has_value()) {
        throw validation(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
            "datatypes");
      }
      Write write{.kind = request.put_request ? WriteKind::kPut : WriteKind::kDelete, .table = table};
      write.subject = request.put_request ? request.put_request->item.view() : request.delete_request->key.view();
      check_well_formed(write.subject);
      if (request.put_request && write.subject.item_size() > kMaxItemSize) {
        throw validation("Item size has exceeded the maximum allowed size");
      }
      write.wants_old = is_asked(in.return_consumed_capacity);
      writes.push_back(std::move(write));
      names.push_back(&name);
      requested.push_back(&request);
    }
  }
  if (writes.size() > kBatchWriteItems) throw validation("Too many items requested for the BatchWriteItem call");

  std::set<size_t> unprocessed;  // writes for which there was no capacity
  // One transaction: AWS promises less, and one commit is cheaper than twenty-five.
  std::map<std::string, Written> sums = co_await transact([&](kv::Txn& tx) -> Task<std::map<std::string, Written>> {
    Store store(tx, cache_);
    unprocessed.clear();
    std::map<std::string, Written> by_table;
    std::set<std::string> rows;
    for (const Write& write : writes) {
      const TablePtr table = co_await store.require_table(write.table);
      if (write.kind == WriteKind::kPut) {
        // A batch has one sentence for every fault of a key.
        check_key_values(*table, write.subject);
        check_item(*table, write.subject);
      } else {
        check_key(*table, write.subject);
      }
      if (!rows.insert(row_key(*table, nullptr, write.subject)).second) {
        throw validation("Provided list of item keys contains duplicates");
      }
    }
    for (size_t i = 0; i < writes.size(); ++i) {
      auto result = co_await as_result(store.write(writes[i]));
      if (!result && is_throttling(result.error())) {
        // Left for another call; when that is all, the request is refused.
        unprocessed.insert(i);
        if (unprocessed.size() == writes.size()) co_await fail_with(std::move(result.error()));
        continue;
      }
      if (!result) co_await fail_with(std::move(result.error()));
      const Written& written = *result;
      Written& sum = by_table[*names[i]];
      sum.table = written.table;
      add_units(sum, written);
    }
    co_return by_table;
  });

  BatchWriteItemOutput out;
  out.unprocessed_items.emplace();
  for (const size_t i : unprocessed) (*out.unprocessed_items)[*names[i]].push_back(*requested[i]);
  std::vector<ConsumedCapacity> capacity;
  for (const auto& [name, sum] : sums) {
    if (auto c = capacity_of_write(in.return_consumed_capacity, sum.table->name, sum))
      capacity.push_back(std::move(*c));
  }
  if (is_asked(in.return_consumed_capacity)) out.consumed_capacity = std::move(capacity);
  if (measures_collections(in)) {
    std::map<std::string, std::vector<ItemCollectionMetrics>> metrics;
    for (size_t i = 0; i < writes.size(); ++i) {
      if (unprocessed.contains(i)) continue;
      auto one = co_await collection_metrics(sums[*names[i]].table, writes[i].subject);
      if (one) metrics[*names[i]].push_back(std::move(*one));
    }
    if (!metrics.empty()) out.item_collection_metrics = std::move(metrics);
  }
  co_return out;
}

}  // namespace virga::dynamodb
