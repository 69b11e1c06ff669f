#include "services/dynamodb/model.h"

#include <algorithm>

#include "base/str.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"

namespace virga::dynamodb {

namespace {

bool is_empty_text(View value) { return (value.is(Type::kS) || value.is(Type::kB)) && value.content().empty(); }

void check_key_size(View value, bool hash) {
  if (value.is(Type::kN)) return;
  if (hash && value.content().size() > kMaxPartitionKey) {
    throw invalid_parameter("Size of hashkey has exceeded the maximum size limit of2048 bytes");
  }
  if (!hash && value.content().size() > kMaxSortKey) {
    throw invalid_parameter("Aggregated size of all range keys has exceeded the size limit of 1024 bytes");
  }
}

template <class F>
void for_each_key(const KeyNames& key, F visit) {
  visit(key.hash, true);
  for (const std::string& name : key.more_hash) visit(name, true);
  if (!key.range.empty()) visit(key.range, false);
  for (const std::string& name : key.more_range) visit(name, false);
}

}  // namespace

std::vector<std::string_view> KeyNames::hashes() const {
  std::vector<std::string_view> out = {hash};
  out.insert(out.end(), more_hash.begin(), more_hash.end());
  return out;
}
std::vector<std::string_view> KeyNames::ranges() const {
  std::vector<std::string_view> out;
  if (!range.empty()) out.push_back(range);
  out.insert(out.end(), more_range.begin(), more_range.end());
  return out;
}
bool KeyNames::has(std::string_view name) const {
  bool found = false;
  for_each_key(*this, [&](const std::string& key, bool) { found |= key == name; });
  return found;
}

Type Table::type_of(std::string_view attribute) const {
  for (const KeyAttribute& a : attributes) {
    if (a.name == attribute) return a.type;
  }
  return Type::kNull;
}

const Index* Table::find_index(std::string_view index) const {
  const auto found = std::find_if(indexes.begin(), indexes.end(), [&](const Index& i) { return i.name == index; });
  return found == indexes.end() ? nullptr : &*found;
}
Index* Table::find_index(std::string_view index) { return const_cast<Index*>(std::as_const(*this).find_index(index)); }

bool Table::has_local_index() const {
  return std::any_of(indexes.begin(), indexes.end(), [](const Index& i) { return i.local; });
}
std::optional<int64_t> Table::expiry_of(View item) const {
  if (!expiry) return std::nullopt;
  const View value = item.find(expiry->attribute);
  if (!value.is(Type::kN)) return std::nullopt;
  // A fraction of a second does not count, and a time before 1970 is none.
  const std::string text = value.number().text();
  const auto seconds = parse_int(split_once(text, '.').first);
  return seconds && *seconds >= 0 ? seconds : std::nullopt;
}
bool Table::updating() const {
  return std::any_of(indexes.begin(), indexes.end(), [](const Index& i) { return i.state != IndexState::kActive; });
}
std::string Table::arn() const { return cat("arn:aws:dynamodb:", region, ":", account, ":table/", name); }

void check_key(const Table& table, View key) {
  if (key.size() != (table.key.range.empty() ? 1u : 2u)) {
    throw validation("The provided key element does not match the schema");
  }
  check_key_values(table, key);
}

void check_key_values(const Table& table, View item) {
  for_each_key(table.key, [&](const std::string& name, bool hash) { check_key_value(table, item, name, hash); });
}

void check_key_value(const Table& table, View item, const std::string& name, bool hash) {
  const View value = item.find(name);
  if (!value.present() || value.type() != table.type_of(name)) {
    throw validation("The provided key element does not match the schema");
  }
  if (is_empty_text(value)) {
    throw invalid_parameter(cat("The AttributeValue for a key attribute cannot contain an empty ",
                                value.is(Type::kS) ? "string" : "binary", " value. Key: ", name));
  }
  check_key_size(value, hash);
}

namespace {
[[noreturn]] void refuse_empty_key(View value, const std::string& name) {
  throw validation(
      cat("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty ",
          value.is(Type::kS) ? "string" : "binary", " value. Key: ", name));
}
[[noreturn]] void refuse_empty_index_key(View value, const std::string& name, const Index& index) {
  throw validation(
      cat("One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
          "The AttributeValue for a key attribute cannot contain an empty ",
          value.is(Type::kS) ? "string" : "binary", " value. IndexName: ", index.name, ", IndexKey: ", name));
}
}  // namespace

void check_no_empty_key(const Table& table, View item) {
  for_each_key(table.key, [&](const std::string& name, bool) {
    if (const View value = item.find(name); is_empty_text(value)) refuse_empty_key(value, name);
  });
  for (const Index& index : table.indexes) {
    for_each_key(index.key, [&](const std::string& name, bool) {
      if (const View value = item.find(name); is_empty_text(value)) refuse_empty_index_key(value, name, index);
    });
  }
}

void check_item(const Table& table, View item) {
  for_each_key(table.key, [&](const std::string& name, bool hash) {
    const View value = item.find(name);
    if (!value.present()) throw invalid_parameter(cat("Missing the key ", name, " in the item"));
    if (value.type() != table.type_of(name)) {
      throw invalid_parameter(cat("Type mismatch for key ", name, " expected: ", name_of(table.type_of(name)),
                                  " actual: ", name_of(value.type())));
    }
    if (is_empty_text(value)) refuse_empty_key(value, name);
    check_key_size(value, hash);
  });
  check_index_keys(table, item);
}

bool suits_index(const Table& table, const Index& index, View item) {
  bool suits = true;
  for_each_key(index.key, [&](const std::string& name, bool hash) {
    const View value = item.find(name);
    suits = suits && value.type() == table.type_of(name) && !is_empty_text(value) &&
            (value.is(Type::kN) || value.content().size() <= (hash ? kMaxPartitionKey : kMaxSortKey));
  });
  return suits;
}

void check_index_keys(const Table& table, View item) {
  for (const Index& index : table.indexes) {
    for_each_key(index.key, [&](const std::string& name, bool hash) {
      const View value = item.find(name);
      if (!value.present()) return;
      if (value.type() != table.type_of(name)) {
        throw invalid_parameter(cat("Type mismatch for Index Key ", name, " Expected: ", name_of(table.type_of(name)),
                                    " Actual: ", name_of(value.type()), " IndexName: ", index.name));
      }
      if (is_empty_text(value)) refuse_empty_index_key(value, name, index);
      check_key_size(value, hash);
    });
  }
}

void check_update_targets(const Table& table, const std::vector<UpdateAction>& actions) {
  for_each_key(table.key, [&](const std::string& name, bool) {
    for (const UpdateAction& action : actions) {
      if (action.path[0].name == name) {
        throw invalid_parameter(cat("Cannot update attribute ", name, ". This attribute is part of the key"));
      }
    }
  });
  for (const Index& index : table.indexes) {
    for_each_key(index.key, [&](const std::string& name, bool) {
      for (const UpdateAction& action : actions) {
        if (action.path.size() > 1 || action.path[0].name != name || action.kind == UpdateKind::kRemove) continue;
        const auto type = known_type(action.value);
        if (!type || *type == table.type_of(name)) continue;
        throw invalid_parameter(cat("Type mismatch for Index Key ", name, " Expected: ", name_of(table.type_of(name)),
                                    " Actual: ", name_of(*type), " IndexName: ", index.name));
      }
    });
  }
  std::vector<const Path*> paths;
  for (const UpdateAction& action : actions) {
    paths.push_back(&action.path);
    collect_paths(action.value, paths);
  }
  check_key_paths(table, paths);
}

void check_key_paths(const Table& table, const std::vector<const Path*>& paths) {
  const auto check = [&](std::string_view name, std::string_view label) {
    for (const Path* path : paths) {
      if (path->size() > 1 && (*path)[0].name == name) {
        throw validation(
            cat("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: ", label,
                ": ", name));
      }
    }
  };
  for_each_key(table.key, [&](const std::string& name, bool) { check(name, "Key"); });
  for (const Index& index : table.indexes) {
    for_each_key(index.key, [&](const std::string& name, bool) { check(name, "IndexKey"); });
  }
}

Item key_of(const Table& table, View item) {
  std::vector<std::string_view> names = {table.key.hash};
  if (!table.key.range.empty()) names.push_back(table.key.range);
  return pick(item, names);
}

std::vector<std::string_view> start_key_names(const Table& table, const Index* index) {
  std::vector<std::string_view> names;
  const auto add = [&](const std::string& name, bool) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for_each_key(table.key, add);
  if (index) for_each_key(index->key, add);
  return names;
}

bool in_index(const Index& index, View item) {
  bool in = true;
  for_each_key(index.key, [&](const std::string& name, bool) { in = in && item.find(name).present(); });
  return in;
}

Item project_into(const Table& table, const Index& index, View item) {
  if (index.projection == IndexProjection::kAll) return Item(item);
  std::vector<std::string_view> names = start_key_names(table, &index);
  if (index.projection == IndexProjection::kInclude) {
    for (const std::string& name : index.non_key) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  return pick(item, names);
}

double write_units(size_t bytes) { return std::max<double>(1, static_cast<double>((bytes + 1023) / 1024)); }

double read_units(size_t bytes, bool consistent) {
  const double units = std::max<double>(1, static_cast<double>((bytes + 4095) / 4096));
  return consistent ? units : units / 2;
}

double write_units_of_change(size_t old_bytes, size_t new_bytes) { return write_units(std::max(old_bytes, new_bytes)); }

}  // namespace virga::dynamodb
