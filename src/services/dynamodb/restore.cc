#include "services/dynamodb/restore.h"

#include <algorithm>

#include "base/crypto.h"
#include "base/id.h"
#include "base/str.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/schema.h"

namespace virga::dynamodb {

namespace {

bool same_projection(const Projection& a, const Projection& b) {
  const auto sorted = [](std::vector<std::string> names) {
    std::ranges::sort(names);
    return names;
  };
  return a.projection_type == b.projection_type &&
         sorted(a.non_key_attributes.value_or(std::vector<std::string>())) ==
             sorted(b.non_key_attributes.value_or(std::vector<std::string>()));
}

bool same_keys(const std::vector<KeySchemaElement>& a, const std::vector<KeySchemaElement>& b) {
  return std::ranges::equal(a, b, [](const KeySchemaElement& x, const KeySchemaElement& y) {
    return x.attribute_name == y.attribute_name && x.key_type == y.key_type;
  });
}

// Keeps the indexes that are wanted, each known by what it holds: it may get another name.
template <class Wanted>
void override_indexes(Table& table, bool local, const std::optional<std::vector<Wanted>>& wanted) {
  if (!wanted) return;
  const TableDescription before = description_of(table);
  std::vector<Index> kept;
  for (const Index& index : table.indexes) {
    if (index.local != local) kept.push_back(index);
  }
  const auto has = [&](const auto& equals) { return std::ranges::any_of(kept, equals); };
  const auto find = [&](const auto& descriptions, const Wanted& want) {
    const Index* found = nullptr;
    if (!descriptions) return found;
    for (const auto& description : *descriptions) {
      if (!same_keys(*description.key_schema, want.key_schema)) continue;
      if (!same_projection(*description.projection, want.projection)) continue;
      const Index* index = table.find_index(*description.index_name);
      if (has([&](const Index& other) { return other.number == index->number; })) continue;
      if (!found || index->name == want.index_name) found = index;
    }
    return found;
  };
  for (const Wanted& want : *wanted) {
    const Index* index =
        local ? find(before.local_secondary_indexes, want) : find(before.global_secondary_indexes, want);
    if (!index) {
      throw invalid_request(cat("Index ", want.index_name,
                                " does not match a secondary index that existed in the source table and cannot be "
                                "created during the restore operation"));
    }
    if (has([&](const Index& other) { return other.name == want.index_name; })) {
      throw invalid_parameter(cat("Duplicate index name: ", want.index_name));
    }
    kept.push_back(*index);
    kept.back().name = want.index_name;
  }
  table.indexes = std::move(kept);
}

// What the table is given, as the overrides and the mode they leave it in have it.
template <class In>
void override_units(Table& table, const In& in) {
  constexpr std::string_view kNotOnDemand =
      "Cannot override ProvisionedThroughput if BillingMode is overridden to PAY_PER_REQUEST";
  const auto& mode = in.billing_mode_override;
  const auto& units = in.provisioned_throughput_override;
  const bool to_on_demand = mode == BillingMode::PAY_PER_REQUEST;
  if (to_on_demand && units) throw invalid_request(kNotOnDemand);
  if (mode == BillingMode::PROVISIONED && !units) {
    throw invalid_request("Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED");
  }
  if (mode) table.on_demand = to_on_demand;
  if (table.on_demand && units) {
    throw invalid_request("Cannot override ProvisionedThroughput unless BillingMode is PROVISIONED");
  }
  if (units) {
    table.throughput.read = units->read_capacity_units;
    table.throughput.write = units->write_capacity_units;
  }
  if (in.global_secondary_index_override) {
    for (const GlobalSecondaryIndex& want : *in.global_secondary_index_override) {
      const auto& given = want.provisioned_throughput;
      if (to_on_demand && given) throw invalid_request(cat(kNotOnDemand, " for index ", want.index_name));
      if (!table.on_demand && !given) {
        throw invalid_request(cat("Must specify provisioned throughput for index ", want.index_name));
      }
      if (!given) continue;
      Index& index = *table.find_index(want.index_name);
      index.throughput.read = given->read_capacity_units;
      index.throughput.write = given->write_capacity_units;
    }
  }
  if (table.on_demand) {
    table.on_demand_since = table.created;
    table.throughput.read = table.throughput.write = 0;
  }
  if (const auto& most = in.on_demand_throughput_override) {
    const auto limit = [&](const std::optional<int64_t>& wanted, int64_t& out, std::string_view name) {
      if (!wanted) return;
      if (!table.on_demand) {
        throw invalid_request(
            cat("Cannot override ", name, " for OnDemandThroughput unless BillingModeOverride is PAY_PER_REQUEST"));
      }
      if (*wanted < 1)
        throw invalid_request(cat("Requested ", name, " for OnDemandThroughput is outside of valid range"));
      out = *wanted;
    };
    limit(most->max_read_request_units, table.throughput.max_read, "MaxReadRequestUnits");
    limit(most->max_write_request_units, table.throughput.max_write, "MaxWriteRequestUnits");
  }
}

template <class In>
Table restored(const kernel::Ctx& ctx, const Table& source, const In& in) {
  if (in.sse_specification_override && in.sse_specification_override->enabled.value_or(false)) {
    throw validation("SSESpecificationOverride is not supported here yet.");
  }
  Table out = source;
  out.name = in.target_table_name;
  out.account = ctx.account;
  out.region = ctx.region;
  out.id = uuid();
  out.number = random_u64();
  out.created = ctx.now();
  out.tags.clear();
  out.expiry.reset();
  out.stream.reset();
  out.recovery.reset();
  out.to_on_demand.clear();
  out.deletion_protection = false;
  out.restore.reset();
  out.importing = false;
  out.policy.clear();
  out.insights.reset();
  override_indexes(out, true, in.local_secondary_index_override);
  override_indexes(out, false, in.global_secondary_index_override);
  for (Index& index : out.indexes) {
    index.state = IndexState::kActive;
    index.insights.reset();
  }
  drop_unused_definitions(out);
  override_units(out, in);
  return out;
}

}  // namespace

Table restored_table(const kernel::Ctx& ctx, const Table& source, const RestoreTableFromBackupInput& in) {
  return restored(ctx, source, in);
}
Table restored_table(const kernel::Ctx& ctx, const Table& source, const RestoreTableToPointInTimeInput& in) {
  return restored(ctx, source, in);
}

}  // namespace virga::dynamodb
