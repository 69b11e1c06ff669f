// What a table has beside its items: time to live, tags; and the account's limits.
#include <aws/dynamodb/errors.h>

#include "base/str.h"
#include "kv/record.h"
#include "services/dynamodb/arns.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/new_table.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/schema.h"
#include "services/dynamodb/service.h"

namespace virga::dynamodb {

namespace {

// The table that a ResourceArn of the tag operations means.
TableName tagged_table(const Ctx& ctx, const std::string& arn) {
  const kernel::Arn named = resource_named(arn);
  const bool of_stream = named.resource.find("/stream/") != named.resource.npos;
  TableName name{named.account, named.region, named.resource.substr(6)};
  if (named.region != ctx.region || of_stream || name.name.size() < 3) {
    throw validation(cat("Invalid TableArn: Invalid ResourceArn provided as input ", arn));
  }
  return name;
}

Error no_such_resource(const std::string& arn) {
  return err::ResourceNotFoundException(cat("Requested resource not found: ResourcArn: ", arn, " not found"));
}

// How soon after their time items go: AWS takes up to days, a minute is kind to tests and cheap.
constexpr std::chrono::seconds kExpiryInterval{60};
// A change of time to live can be followed by another one after this long, as recorded of AWS (it documents an hour).
constexpr std::chrono::minutes kExpirySettles{31};

}  // namespace

Task<DescribeTimeToLiveOutput> DynamoService::describe_time_to_live(Ctx& ctx, const DescribeTimeToLiveInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  const TablePtr table = co_await store.find_ready_table(name);
  if (!table)
    co_return err::ResourceNotFoundException(cat("Requested resource not found: Table: ", name.name, " not found"));
  DescribeTimeToLiveOutput out;
  auto& description = out.time_to_live_description.emplace();
  description.time_to_live_status = TimeToLiveStatus::DISABLED;
  if (table->expiry) {
    description.time_to_live_status =
        table->expiry->state == IndexState::kActive ? TimeToLiveStatus::ENABLED : TimeToLiveStatus::ENABLING;
    description.attribute_name = table->expiry->attribute;
  }
  co_return out;
}

Task<UpdateTimeToLiveOutput> DynamoService::update_time_to_live(Ctx& ctx, const UpdateTimeToLiveInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  const TimeToLiveSpecification& wanted = in.time_to_live_specification;
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, cache_);
    const TablePtr found = co_await store.find_table(name);
    if (!found || (found->restoring() && !found->importing))
      co_await fail(
          err::ResourceNotFoundException(cat("Requested resource not found: Table: ", name.name, " not found")));
    if (found->importing) co_await fail(being_created(name.name));
    Table table = *found;
    if (wanted.enabled && table.expiry) co_await fail(validation("TimeToLive is already enabled"));
    if (!wanted.enabled && !table.expiry) co_await fail(validation("TimeToLive is already disabled"));
    if (!wanted.enabled && table.expiry->attribute != wanted.attribute_name) {
      co_await fail(validation(cat("TimeToLive is active on a different AttributeName: current AttributeName is ",
                                   table.expiry->attribute)));
    }
    if (table.expiry_changed.micros && ctx.now() - table.expiry_changed < kExpirySettles) {
      co_await fail(validation("Time to live has been modified multiple times within a fixed interval"));
    }
    table.expiry_changed = ctx.now();
    if (wanted.enabled) {
      table.expiry = Expiry{wanted.attribute_name, IndexState::kCreating};
      const std::string key = backfill_key(table, kExpiryIndex);
      tx.put(key, kv::encode(Backfill{name, {}}));
      tx.on_commit([this, key] { start_backfill(key); });
      kernel::Timer timer{"ddb.ttl", expiry_timer_id(table), ctx.now() + kExpiryInterval,
                          kv::encode(Backfill{name, {}})};
      co_await timers_.set(tx, std::move(timer));
    } else {
      tx.erase_range(rows_of_everything(table, 'e'));
      tx.erase(backfill_key(table, kExpiryIndex));
      co_await timers_.clear(tx, "ddb.ttl", expiry_timer_id(table));
      table.expiry.reset();
    }
    store.put_table(table);
  });
  UpdateTimeToLiveOutput out;
  out.time_to_live_specification = wanted;
  co_return out;
}

Task<TagResourceOutput> DynamoService::tag_resource(Ctx& ctx, const TagResourceInput& in) {
  const TableName name = tagged_table(ctx, in.resource_arn);
  if (in.tags.empty()) co_return validation("Atleast one Tag needs to be provided as Input.");
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, cache_);
    const TablePtr found = co_await store.find_ready_table(name);
    if (!found) co_await fail(no_such_resource(in.resource_arn));
    Table table = *found;
    add_tags(table, in.tags);
    store.put_table(table);
  });
  co_return TagResourceOutput{};
}

Task<UntagResourceOutput> DynamoService::untag_resource(Ctx& ctx, const UntagResourceInput& in) {
  const TableName name = tagged_table(ctx, in.resource_arn);
  if (in.tag_keys.empty()) co_return validation("Atleast one Tag Key needs to be provided as Input.");
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, cache_);
    const TablePtr found = co_await store.find_ready_table(name);
    if (!found) co_await fail(err::ResourceNotFoundException("Requested resource not found"));
    Table table = *found;
    for (const std::string& key : in.tag_keys) table.tags.erase(key);
    store.put_table(table);
  });
  co_return UntagResourceOutput{};
}

Task<ListTagsOfResourceOutput> DynamoService::list_tags_of_resource(Ctx& ctx, const ListTagsOfResourceInput& in) {
  const TableName name = tagged_table(ctx, in.resource_arn);
  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  const TablePtr table = co_await store.find_ready_table(name);
  if (!table) co_return no_such_resource(in.resource_arn);
  ListTagsOfResourceOutput out;
  out.tags.emplace();
  for (const auto& [key, value] : table->tags) out.tags->push_back({key, value});
  co_return out;
}

Task<DescribeEndpointsResponse> DynamoService::describe_endpoints(Ctx& ctx, const DescribeEndpointsRequest& in) {
  // The endpoint is wherever the client reached us.
  const auto [scheme, address] = split_once(ctx.base_url, ':');
  DescribeEndpointsResponse out;
  out.endpoints.push_back({std::string(address.starts_with("//") ? address.substr(2) : address), 1440});
  co_return out;
}

Task<DescribeLimitsOutput> DynamoService::describe_limits(Ctx& ctx, const DescribeLimitsInput& in) {
  DescribeLimitsOutput out;
  out.account_max_read_capacity_units = 80'000;
  out.account_max_write_capacity_units = 80'000;
  out.table_max_read_capacity_units = 40'000;
  out.table_max_write_capacity_units = 40'000;
  co_return out;
}

}  // namespace virga::dynamodb
