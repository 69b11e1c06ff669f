#include "services/dynamodb/schema.h"

#include <aws/dynamodb/errors.h>

#include <algorithm>
#include <set>

#include "base/str.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/streams.h"

namespace virga::dynamodb {

namespace {
constexpr const char* kStandard = "STANDARD";
constexpr const char* kInfrequentAccess = "STANDARD_INFREQUENT_ACCESS";
}  // namespace

bool is_infrequent(std::string_view table_class) {
  const bool infrequent = table_class == kInfrequentAccess;
  if (infrequent || table_class == kStandard) return infrequent;
  throw validation(cat("Invalid table-class parameter provided. Please try again with a valid table-class value: [",
                       kStandard, ", ", kInfrequentAccess, "]."));
}

void check_units(const ProvisionedThroughput& in) {
  if (in.read_capacity_units > kMaxCapacityUnits) {
    throw validation(cat("Given value ", in.read_capacity_units, " for ReadCapacityUnits is out of bounds"));
  }
  if (in.write_capacity_units > kMaxCapacityUnits) {
    throw validation(cat("Given value ", in.write_capacity_units, " for WriteCapacityUnits is out of bounds"));
  }
}

namespace {

std::string joined(const std::vector<std::string>& names) { return join(names, ", "); }

Type type_of(ScalarAttributeType type) {
  switch (type) {
    case ScalarAttributeType::S:
      return Type::kS;
    case ScalarAttributeType::N:
      return Type::kN;
    case ScalarAttributeType::B:
      return Type::kB;
  }
  return Type::kS;
}
ScalarAttributeType scalar_of(Type type) {
  return type == Type::kN ? ScalarAttributeType::N : type == Type::kB ? ScalarAttributeType::B : ScalarAttributeType::S;
}

std::vector<std::string> names_of(const std::vector<KeyAttribute>& attributes) {
  std::vector<std::string> names;
  for (const KeyAttribute& a : attributes) names.push_back(a.name);
  return names;
}
std::vector<std::string> names_of(const std::vector<KeySchemaElement>& elements) {
  std::vector<std::string> names;
  for (const KeySchemaElement& e : elements) names.push_back(e.attribute_name);
  return names;
}

void check_defined(const std::vector<KeySchemaElement>& schema, const std::vector<KeyAttribute>& attributes) {
  const auto keys = names_of(schema);
  const auto defined = names_of(attributes);
  for (const std::string& key : keys) {
    if (std::find(defined.begin(), defined.end(), key) != defined.end()) continue;
    throw invalid_parameter(cat("Some index key attributes are not defined in AttributeDefinitions. Keys: [",
                                joined(keys), "], AttributeDefinitions: [", joined(defined), "]"));
  }
}

KeyNames key_names_of(const std::vector<KeySchemaElement>& schema) {
  if (schema.size() > 2) {
    std::string elements;
    for (const KeySchemaElement& e : schema) {
      append(elements, elements.empty() ? "" : ", ", "KeySchemaElement(attributeName=", e.attribute_name,
             ", keyType=", to_string(e.key_type), ")");
    }
    throw counted(validation(cat("Value '[", elements, "]' at 'keySchema' failed to satisfy constraint: ",
                                 "Member must have length less than or equal to 2")));
  }
  if (schema.size() == 2 && schema[0].attribute_name == schema[1].attribute_name) {
    throw validation("Both the Hash Key and the Range Key element in the KeySchema have the same name");
  }
  if (schema[0].key_type != KeyType::HASH)
    throw validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type");
  if (schema.size() == 2 && schema[1].key_type != KeyType::RANGE) {
    throw validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type");
  }
  return {schema[0].attribute_name, schema.size() == 2 ? schema[1].attribute_name : std::string()};
}

// Of a global index: up to four of each kind, the partition's first.
KeyNames index_key_names_of(const std::vector<KeySchemaElement>& schema) {
  if (schema.size() < 2 || (schema.size() == 2 && schema[1].key_type == KeyType::RANGE)) return key_names_of(schema);
  std::vector<std::string> hashes, ranges;
  std::set<std::string> distinct;
  for (const KeySchemaElement& element : schema) {
    const bool hash = element.key_type == KeyType::HASH;
    if (hash && !ranges.empty())
      throw invalid_parameter("All HASH key attributes must precede RANGE key attributes in the KeySchema");
    (hash ? hashes : ranges).push_back(element.attribute_name);
    if (!distinct.insert(element.attribute_name).second) {
      throw validation("The KeySchema contains multiple key attributes with the same name");
    }
  }
  if (hashes.empty()) throw validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type");
  for (const auto& [names, kind] : {std::pair(&hashes, "HASH"), std::pair(&ranges, "RANGE")}) {
    if (names->size() > kMaxIndexKeys) {
      throw invalid_parameter(cat("The KeySchema exceeds the maximum allowed number of ", kind, " key attributes"));
    }
  }
  KeyNames out{hashes[0], ranges.empty() ? std::string() : ranges[0], {}, {}};
  out.more_hash.assign(hashes.begin() + 1, hashes.end());
  if (!ranges.empty()) out.more_range.assign(ranges.begin() + 1, ranges.end());
  return out;
}

void read_projection(Index& index, const Projection& projection) {
  if (!projection.projection_type) throw invalid_parameter("Unknown ProjectionType: null");
  switch (*projection.projection_type) {
    case ProjectionType::ALL:
      index.projection = IndexProjection::kAll;
      break;
    case ProjectionType::KEYS_ONLY:
      index.projection = IndexProjection::kKeysOnly;
      break;
    case ProjectionType::INCLUDE:
      index.projection = IndexProjection::kInclude;
      break;
  }
  if (projection.non_key_attributes && index.projection != IndexProjection::kInclude) {
    throw invalid_parameter(
        cat("ProjectionType is ", to_string(*projection.projection_type), ", but NonKeyAttributes is specified"));
  }
  if (index.projection == IndexProjection::kInclude && !projection.non_key_attributes) {
    throw invalid_parameter("ProjectionType is INCLUDE, but NonKeyAttributes is not specified");
  }
  if (!projection.non_key_attributes) return;
  index.non_key = *projection.non_key_attributes;
  std::set<std::string_view> distinct;
  for (const std::string& name : index.non_key) {
    if (!distinct.insert(name).second) {
      throw invalid_parameter(cat("Duplicate element in NonKeyAttributes: ", name));
    }
  }
}

void read_index_throughput(const Table& table, Index& index, const std::optional<ProvisionedThroughput>& in) {
  const bool added = index.state == IndexState::kCreating;
  if (table.on_demand && in) {
    throw invalid_parameter(
        cat(added ? "Neither ReadCapacityUnits nor WriteCapacityUnits can" : "ProvisionedThroughput should not",
            " be specified for index: ", index.name, " when BillingMode is PAY_PER_REQUEST"));
  }
  if (!table.on_demand && !in) {
    throw invalid_parameter(cat(added ? "Both ReadCapacityUnits and WriteCapacityUnits must be specified"
                                      : "ProvisionedThroughput is not specified",
                                " for index: ", index.name));
  }
  if (in) {
    check_units(*in);
    index.throughput.read = in->read_capacity_units;
    index.throughput.write = in->write_capacity_units;
  }
}

void check_projected_total(const Table& table) {
  size_t total = 0;
  for (const Index& index : table.indexes) total += index.non_key.size();
  if (total > kMaxProjectedAttributes) {
    throw invalid_parameter(cat("Total number of projected non-key attributes over all indexes exceeds the limit of ",
                                kMaxProjectedAttributes));
  }
}

Index& append_index(Table& table, Index index) {
  if (table.find_index(index.name)) throw invalid_parameter(cat("Duplicate index name: ", index.name));
  index.number = table.next_index++;
  table.indexes.push_back(std::move(index));
  return table.indexes.back();
}

void add_local_indexes(Table& table, const std::vector<LocalSecondaryIndex>& all) {
  if (all.empty()) throw invalid_parameter("List of LocalSecondaryIndexes is empty");
  if (table.key.range.empty()) {
    throw invalid_parameter(
        "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex");
  }
  for (const LocalSecondaryIndex& in : all) {
    check_defined(in.key_schema, table.attributes);
    Index index{.name = in.index_name, .local = true, .key = key_names_of(in.key_schema)};
    if (index.key.range.empty()) {
      throw invalid_parameter(cat("Index KeySchema does not have a range key for index: ", index.name));
    }
    if (index.key.hash != table.key.hash) {
      throw invalid_parameter(
          cat("Index KeySchema does not have the same leading hash key as table KeySchema for index: ", index.name,
              ". index hash key: ", index.key.hash, ", table hash key: ", table.key.hash));
    }
    read_projection(index, in.projection);
    append_index(table, std::move(index));
  }
  if (all.size() > kMaxLocalIndexes)
    throw invalid_parameter("Number of LocalSecondaryIndexes exceeds per-table limit of 5");
}

void add_global_indexes(Table& table, const std::vector<GlobalSecondaryIndex>& all) {
  if (all.empty()) throw invalid_parameter("List of GlobalSecondaryIndexes is empty");
  for (const GlobalSecondaryIndex& in : all) {
    check_defined(in.key_schema, table.attributes);
    Index index{.name = in.index_name, .key = index_key_names_of(in.key_schema)};
    read_projection(index, in.projection);
    read_index_throughput(table, index, in.provisioned_throughput);
    append_index(table, std::move(index));
  }
  if (all.size() > kMaxGlobalIndexes)
    throw invalid_parameter("GlobalSecondaryIndex count exceeds the per-table limit of 20");
}

void add_definitions(Table& table, const std::vector<AttributeDefinition>& definitions) {
  for (const AttributeDefinition& definition : definitions) {
    if (table.type_of(definition.attribute_name) != Type::kNull) {
      throw validation(cat("Attribute Name is duplicated: ", definition.attribute_name));
    }
    table.attributes.push_back({definition.attribute_name, type_of(definition.attribute_type)});
  }
}

// Definitions are of keys only, and every one must be of a key.
void check_all_used(const Table& table) {
  std::set<std::string> used;
  const auto use = [&](const KeyNames& key) {
    for (const std::string_view name : key.hashes()) used.emplace(name);
    for (const std::string_view name : key.ranges()) used.emplace(name);
  };
  use(table.key);
  for (const Index& index : table.indexes) use(index.key);
  if (used.size() == table.attributes.size()) return;
  if (table.indexes.empty()) {
    throw invalid_parameter(
        "Number of attributes in KeySchema does not exactly match number of attributes defined in "
        "AttributeDefinitions");
  }
  throw invalid_parameter(cat("Some AttributeDefinitions are not used. AttributeDefinitions: [",
                              joined(names_of(table.attributes)), "], keys used: [",
                              joined(std::vector<std::string>(used.begin(), used.end())), "]"));
}

std::vector<KeySchemaElement> schema_of(const KeyNames& key) {
  std::vector<KeySchemaElement> out;
  for (const std::string_view name : key.hashes()) out.push_back({std::string(name), KeyType::HASH});
  for (const std::string_view name : key.ranges()) out.push_back({std::string(name), KeyType::RANGE});
  return out;
}

Projection projection_of(const Index& index) {
  Projection out;
  switch (index.projection) {
    case IndexProjection::kAll:
      out.projection_type = ProjectionType::ALL;
      break;
    case IndexProjection::kKeysOnly:
      out.projection_type = ProjectionType::KEYS_ONLY;
      break;
    case IndexProjection::kInclude:
      out.projection_type = ProjectionType::INCLUDE;
      out.non_key_attributes = index.non_key;
      break;
  }
  return out;
}

ProvisionedThroughputDescription throughput_of(const Throughput& in) {
  ProvisionedThroughputDescription out;
  out.number_of_decreases_today = in.decreases;
  out.read_capacity_units = in.read;
  out.write_capacity_units = in.write;
  if (in.last_increase.micros) out.last_increase_date_time = in.last_increase;
  if (in.last_decrease.micros) out.last_decrease_date_time = in.last_decrease;
  return out;
}

void refuse_option(bool given, std::string_view name) {
  if (given) throw validation(cat(name, " is not supported here yet."));
}

void refuse_encryption(const std::optional<SSESpecification>& in) {
  if (!in) return;
  const bool is_off = in->enabled == false;
  if (is_off && in->sse_type) throw invalid_parameter("SSEType can not be specified if Enabled is false");
  if (is_off && in->kms_master_key_id)
    throw invalid_parameter("KMSMasterKeyId can not be specified if Enabled is false");
  if (in->sse_type == SSEType::AES256) throw invalid_parameter("SSEType AES256 is not supported");
  if (in->kms_master_key_id && !in->sse_type) {
    throw invalid_parameter("SSEType KMS is required if KMSMasterKeyId is specified");
  }
  refuse_option(in->enabled.value_or(false) || in->kms_master_key_id || in->sse_type, "SSESpecification");
}

}  // namespace

void refuse_unbuilt(const CreateTableInput& in) {
  refuse_encryption(in.sse_specification);
  refuse_option(in.global_table_source_arn.has_value(), "GlobalTableSourceArn");
  refuse_option(in.global_table_settings_replication_mode.has_value(), "GlobalTableSettingsReplicationMode");
}

void refuse_unbuilt(const UpdateTableInput& in) {
  refuse_encryption(in.sse_specification);
  refuse_option(in.replica_updates.has_value(), "ReplicaUpdates");
  refuse_option(in.multi_region_consistency.has_value(), "MultiRegionConsistency");
  refuse_option(in.global_table_witness_updates.has_value(), "GlobalTableWitnessUpdates");
  refuse_option(in.global_table_settings_replication_mode.has_value(), "GlobalTableSettingsReplicationMode");
}

namespace {
// What a table or index is warm for without having been asked: on demand AWS's 12,000 and 4,000, else what is
// provisioned.
int64_t least_warm_read(const Table& table, const Throughput& throughput) {
  return table.on_demand ? 12'000 : throughput.read;
}
int64_t least_warm_write(const Table& table, const Throughput& throughput) {
  return table.on_demand ? 4'000 : throughput.write;
}
}  // namespace

void set_warmth(Table& table, Index* index, const std::optional<WarmThroughput>& warm,
                const std::optional<OnDemandThroughput>& most, bool is_new) {
  Throughput& throughput = index ? index->throughput : table.throughput;
  if (most) {
    const auto limit = [&](std::optional<int64_t> wanted, int64_t& out, std::string_view name) {
      if (!wanted) return;
      if (!table.on_demand) {
        throw invalid_parameter(
            cat(name, " for OnDemandThroughput ",
                index ? cat("for index", is_new ? ": " : " : ", index->name, " ") : "", "cannot be specified when ",
                is_new ? "table BillingMode is PROVISIONED." : "the table BillingMode is PROVISIONED"));
      }
      if (*wanted < 1 && (*wanted != -1 || is_new)) {
        throw invalid_parameter(cat("Requested ", name, " for OnDemandThroughput for ",
                                    index ? cat("index : ", index->name) : "table", " is outside of valid range"));
      }
      out = std::max<int64_t>(*wanted, 0);
    };
    limit(most->max_read_request_units, throughput.max_read, "MaxReadRequestUnits");
    limit(most->max_write_request_units, throughput.max_write, "MaxWriteRequestUnits");
  }
  if (!warm) return;
  const auto raise = [&](std::optional<int64_t> wanted, int64_t least, int64_t& out, std::string_view kind) {
    if (!wanted) return;
    if (*wanted < std::max(least, out)) {
      const std::string what =
          !is_new           ? "current WarmThroughput, decreasing WarmThroughput is not supported"
          : table.on_demand ? "initial throughput for OnDemand. See: https://docs.aws.amazon.com/amazondynamodb/"
                              "latest/developerguide/on-demand-capacity-mode.html#on-demand-capacity-mode-initial"
                            : cat(kind, "CapacityUnits of ProvisionedThroughput");
      throw invalid_parameter(cat("Requested ", kind, "UnitsPerSecond for WarmThroughput for ",
                                  index ? cat("index ", index->name) : "table", " is lower than ", what));
    }
    out = *wanted;
  };
  raise(warm->read_units_per_second, least_warm_read(table, throughput), throughput.warm_read, "Read");
  raise(warm->write_units_per_second, least_warm_write(table, throughput), throughput.warm_write, "Write");
}

Table table_of(const CreateTableInput& in) {
  Table table;
  table.on_demand = in.billing_mode == BillingMode::PAY_PER_REQUEST;
  if (table.on_demand && in.provisioned_throughput) {
    throw invalid_parameter(
        "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST");
  }
  if (!table.on_demand) {
    if (!in.provisioned_throughput) {
      throw invalid_parameter(
          "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED");
    }
    check_units(*in.provisioned_throughput);
    table.throughput.read = in.provisioned_throughput->read_capacity_units;
    table.throughput.write = in.provisioned_throughput->write_capacity_units;
  }
  if (!in.key_schema || in.key_schema->empty()) throw invalid_parameter("Missing KeySchema");
  if (!in.attribute_definitions) throw invalid_parameter("Missing AttributeDefinitions");
  add_definitions(table, *in.attribute_definitions);
  if (in.key_schema->size() > table.attributes.size()) {
    throw validation("Invalid KeySchema: Some index key attribute have no definition");
  }
  check_defined(*in.key_schema, table.attributes);
  table.key = key_names_of(*in.key_schema);
  if (in.local_secondary_indexes) add_local_indexes(table, *in.local_secondary_indexes);
  if (in.global_secondary_indexes) add_global_indexes(table, *in.global_secondary_indexes);
  check_all_used(table);
  check_projected_total(table);
  if (in.resource_policy) set_policy(table, *in.resource_policy);
  set_warmth(table, nullptr, in.warm_throughput, in.on_demand_throughput, true);
  if (in.global_secondary_indexes) {
    for (const GlobalSecondaryIndex& index : *in.global_secondary_indexes) {
      set_warmth(table, table.find_index(index.index_name), index.warm_throughput, index.on_demand_throughput, true);
    }
  }
  table.deletion_protection = in.deletion_protection_enabled.value_or(false);
  table.infrequent_access = in.table_class && is_infrequent(*in.table_class);
  if (in.tags) add_tags(table, *in.tags);
  return table;
}

void merge_definitions(Table& table, const std::vector<AttributeDefinition>& definitions) {
  const auto element = [](const std::string& name, Type type) {
    return cat("Schema:[SchemaElement: key{", name, ":", name_of(type), ":HASH}]");
  };
  for (const AttributeDefinition& definition : definitions) {
    const Type type = type_of(definition.attribute_type);
    const auto same = std::find_if(table.attributes.begin(), table.attributes.end(),
                                   [&](const KeyAttribute& a) { return a.name == definition.attribute_name; });
    if (same == table.attributes.end()) {
      table.attributes.push_back({definition.attribute_name, type});
    } else if (same->type != type) {
      throw invalid_parameter(
          cat("Attributes cannot be redefined. Please check that your attribute has the same type as previously "
              "defined. Existing schema: ",
              element(same->name, same->type), " New schema: ", element(same->name, type)));
    }
  }
}

Index& add_global_index(Table& table, const CreateGlobalSecondaryIndexAction& in,
                        const std::vector<AttributeDefinition>& definitions) {
  if (table.find_index(in.index_name)) {
    throw validation("Attempting to create an index which already exists");
  }
  if (definitions.empty()) {
    throw invalid_parameter(cat("AttributeDefinitions is not specified for index: ", in.index_name));
  }
  // Also attributes that the table knows have to be defined again.
  std::vector<KeyAttribute> defined;
  for (const AttributeDefinition& d : definitions) defined.push_back({d.attribute_name, type_of(d.attribute_type)});
  check_defined(in.key_schema, defined);
  Index index{.name = in.index_name, .key = index_key_names_of(in.key_schema), .state = IndexState::kCreating};
  read_projection(index, in.projection);
  read_index_throughput(table, index, in.provisioned_throughput);
  Index& added = append_index(table, std::move(index));
  const auto global =
      std::count_if(table.indexes.begin(), table.indexes.end(), [](const Index& i) { return !i.local; });
  if (static_cast<size_t>(global) > kMaxGlobalIndexes) {
    throw err::LimitExceededException(
        "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of 20");
  }
  check_projected_total(table);
  set_warmth(table, &added, in.warm_throughput, in.on_demand_throughput);
  return added;
}

void drop_unused_definitions(Table& table) {
  const auto used = [&](const std::string& name) {
    return table.key.has(name) ||
           std::any_of(table.indexes.begin(), table.indexes.end(), [&](const Index& i) { return i.key.has(name); });
  };
  std::erase_if(table.attributes, [&](const KeyAttribute& a) { return !used(a.name); });
}

void add_tags(Table& table, const std::vector<Tag>& added) {
  // Letters of any alphabet, digits, blanks and some signs.
  const auto valid = [](const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
      return static_cast<uint8_t>(c) >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             std::string_view("0123456789 \t_.:/=+-@").find(c) != std::string_view::npos;
    });
  };
  std::set<std::string_view> distinct;
  for (const auto& [key, value] : added) {
    if (!valid(key)) throw validation(cat("The Tag Key provided is invalid, Key: ", key));
    if (!valid(value)) throw validation(cat("The Tag Value provided is invalid, Value: ", value));
    if (lower(key).starts_with("aws:")) throw validation(cat("Tag Key cannot be prefixed with aws:, Key: ", key));
    if (!distinct.insert(key).second) {
      throw validation(cat("Duplicate Tag Keys provided as input: Duplicate Tag Key found ", key));
    }
    table.tags[key] = value;
  }
  if (table.tags.size() > kMaxTags) {
    throw validation("Number of Tags exceed the current limit for the provided ResourceArn");
  }
}

namespace {
template <class Status, class Description>
void describe_warmth(const Table& table, const Throughput& in, Status status, Description& out) {
  auto& warm = out.warm_throughput.emplace();
  warm.read_units_per_second = std::max(in.warm_read, least_warm_read(table, in));
  warm.write_units_per_second = std::max(in.warm_write, least_warm_write(table, in));
  warm.status = status;
  if (!in.max_read && !in.max_write) return;
  auto& most = out.on_demand_throughput.emplace();
  most.max_read_request_units = in.max_read ? in.max_read : -1;
  most.max_write_request_units = in.max_write ? in.max_write : -1;
}
}  // namespace

TableDescription description_of(const Table& table) {
  TableDescription out;
  out.attribute_definitions.emplace();
  for (const KeyAttribute& a : table.attributes) out.attribute_definitions->push_back({a.name, scalar_of(a.type)});
  out.table_name = table.name;
  out.key_schema = schema_of(table.key);
  out.table_status = table.restoring()  ? TableStatus::CREATING
                     : table.updating() ? TableStatus::UPDATING
                                        : TableStatus::ACTIVE;
  out.creation_date_time = table.created;
  out.provisioned_throughput = throughput_of(table.throughput);
  describe_warmth(table, table.throughput, TableStatus::ACTIVE, out);
  out.table_size_bytes = 0;
  out.item_count = 0;
  out.table_arn = table.arn();
  out.table_id = table.id;
  out.deletion_protection_enabled = table.deletion_protection;
  describe_stream_use(table, out);
  if (table.restore && table.restore->in_progress) {
    RestoreSummary& restore = out.restore_summary.emplace();
    if (!table.restore->backup.empty()) restore.source_backup_arn = table.restore->backup;
    restore.source_table_arn = table.restore->table;
    restore.restore_date_time = table.restore->at;
    restore.restore_in_progress = true;
  }
  if (table.on_demand || table.on_demand_since.micros) {
    out.billing_mode_summary.emplace();
    out.billing_mode_summary->billing_mode = table.on_demand ? BillingMode::PAY_PER_REQUEST : BillingMode::PROVISIONED;
    if (table.on_demand_since.micros)
      out.billing_mode_summary->last_update_to_pay_per_request_date_time = table.on_demand_since;
  }
  if (table.infrequent_access || table.class_changed.micros) {
    out.table_class_summary.emplace();
    out.table_class_summary->table_class = table.infrequent_access ? kInfrequentAccess : kStandard;
    if (table.class_changed.micros) out.table_class_summary->last_update_date_time = table.class_changed;
  }
  for (const Index& index : table.indexes) {
    if (index.local) {
      LocalSecondaryIndexDescription d;
      d.index_name = index.name;
      d.key_schema = schema_of(index.key);
      d.projection = projection_of(index);
      d.index_size_bytes = 0;
      d.item_count = 0;
      d.index_arn = table.index_arn(index.name);
      if (!out.local_secondary_indexes) out.local_secondary_indexes.emplace();
      out.local_secondary_indexes->push_back(std::move(d));
      continue;
    }
    GlobalSecondaryIndexDescription d;
    d.index_name = index.name;
    d.key_schema = schema_of(index.key);
    d.projection = projection_of(index);
    d.index_status = index.state == IndexState::kCreating ? IndexStatus::CREATING : IndexStatus::ACTIVE;
    if (index.state == IndexState::kCreating) d.backfilling = true;
    d.provisioned_throughput = throughput_of(index.throughput);
    describe_warmth(table, index.throughput, IndexStatus::ACTIVE, d);
    d.index_size_bytes = 0;
    d.item_count = 0;
    d.index_arn = table.index_arn(index.name);
    if (!out.global_secondary_indexes) out.global_secondary_indexes.emplace();
    out.global_secondary_indexes->push_back(std::move(d));
  }
  return out;
}

}  // namespace virga::dynamodb
