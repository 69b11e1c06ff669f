// Tables and what follows from their schema: which attributes are keys, what a valid item is, what an index holds,
// what a request costs. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "services/dynamodb/attribute_value.h"
#include "services/dynamodb/expression.h"

namespace virga::dynamodb {

struct KeyAttribute {
  std::string name;
  Type type = Type::kS;  // kS, kN or kB
  template <class A>
  void fields(A& a) {
    a(1, name);
    a(2, type);
  }
};

struct KeyNames {
  std::string hash;
  std::string range;  // empty: none
  // A global index may have more of both, which count from the left.
  std::vector<std::string> more_hash, more_range;
  template <class A>
  void fields(A& a) {
    a(1, hash);
    a(2, range);
    a(3, more_hash), a(4, more_range);
  }

  bool composite() const { return !more_hash.empty() || !more_range.empty(); }
  std::vector<std::string_view> hashes() const;
  std::vector<std::string_view> ranges() const;
  bool has(std::string_view name) const;
};

struct Throughput {
  int64_t read = 0, write = 0;
  Time last_increase, last_decrease;
  int64_t decreases = 0;
  int64_t max_read = 0, max_write = 0;    // OnDemandThroughput; 0: none
  int64_t warm_read = 0, warm_write = 0;  // WarmThroughput as asked for; 0: not
  template <class A>
  void fields(A& a) {
    a(1, read);
    a(2, write);
    a(3, last_increase);
    a(4, last_decrease);
    a(5, decreases);
    a(6, max_read), a(7, max_write), a(8, warm_read), a(9, warm_write);
  }
};

// Contributor insights, as they were last asked for.
struct InsightsUse {
  bool enabled = false;
  bool only_throttled = false;  // ContributorInsightsMode
  Time since;                   // in the names of the rules
  Time changed;
  bool failed = false;  // the account has too many rules
  template <class A>
  void fields(A& a) {
    a(1, enabled), a(2, only_throttled), a(3, since), a(4, changed), a(5, failed);
  }
};

enum class IndexProjection : uint8_t { kAll, kKeysOnly, kInclude };
enum class IndexState : uint8_t { kActive, kCreating };

struct Index {
  uint32_t number = 0;  // within the table, never used again; 0 is the table itself
  std::string name;
  bool local = false;
  KeyNames key;
  IndexProjection projection = IndexProjection::kAll;
  std::vector<std::string> non_key;
  IndexState state = IndexState::kActive;
  Throughput throughput;
  std::optional<InsightsUse> insights;
  template <class A>
  void fields(A& a) {
    a(1, number);
    a(2, name);
    a(3, local);
    a(4, key);
    a(5, projection);
    a(6, non_key);
    a(7, state);
    a(8, throughput);
    a(9, insights);
  }
};

// Items that expire by an attribute. Their rows of the expiry index are maintained like those of an index.
struct Expiry {
  std::string attribute;
  IndexState state = IndexState::kActive;
  template <class A>
  void fields(A& a) {
    a(1, attribute);
    a(2, state);
  }
};

// What of an item a stream's records show.
enum class StreamView : uint8_t { kKeysOnly, kNewImage, kOldImage, kNewAndOldImages };

// The stream a table writes to, or wrote to last.
struct StreamUse {
  uint64_t number = 0;  // in the keys of its records
  std::string label;
  StreamView view = StreamView::kKeysOnly;
  uint32_t shards = 1;
  bool enabled = false;
  template <class A>
  void fields(A& a) {
    a(1, number);
    a(2, label);
    a(3, view);
    a(4, shards);
    a(5, enabled);
  }
};

// A table whose past can be brought back.
struct Recovery {
  Time since;
  int64_t days = 35;
  template <class A>
  void fields(A& a) {
    a(1, since), a(2, days);
  }
};

// Where a table was restored from.
struct Restore {
  std::string backup, table;  // ARNs; no backup: to a point in time
  Time at;
  bool in_progress = false;
  template <class A>
  void fields(A& a) {
    a(1, backup), a(2, table), a(3, at), a(4, in_progress);
  }
};

struct Table {
  std::string name;
  std::string account, region;
  std::string id;       // TableId
  uint64_t number = 0;  // in row keys
  Time created;
  std::vector<KeyAttribute> attributes;  // AttributeDefinitions
  KeyNames key;
  std::vector<Index> indexes;
  uint32_t next_index = 1;
  bool on_demand = false;
  Time on_demand_since;
  Throughput throughput;
  bool deletion_protection = false;
  std::map<std::string, std::string> tags;
  std::optional<Expiry> expiry;
  bool infrequent_access = false;
  Time class_changed;
  std::optional<Recovery> recovery;
  std::optional<Restore> restore;
  bool importing = false;
  std::string policy, policy_revision;  // of the resource; empty: none
  std::vector<Time> to_on_demand;       // the latest changes of billing
  std::optional<StreamUse> stream;
  std::optional<InsightsUse> insights;
  Time expiry_changed;  // when time to live was enabled or disabled
  template <class A>
  void fields(A& a) {
    a(1, name);
    a(2, account);
    a(3, region);
    a(4, id);
    a(5, number);
    a(6, created);
    a(7, attributes);
    a(8, key);
    a(9, indexes);
    a(10, next_index);
    a(11, on_demand);
    a(12, on_demand_since);
    a(13, throughput);
    a(14, deletion_protection);
    a(15, tags);
    a(16, expiry);
    a(17, infrequent_access);
    a(18, class_changed);
    a(19, to_on_demand);
    a(20, recovery);
    a(21, restore);
    a(22, importing);
    a(23, policy);
    a(24, policy_revision);
    a(25, insights);
    a(26, expiry_changed);
    a(40, stream);
  }

  Type type_of(std::string_view attribute) const;  // of a key attribute
  const Index* find_index(std::string_view name) const;
  Index* find_index(std::string_view name);
  // Whether a write must know the item as it was.
  bool needs_old_item() const { return !indexes.empty() || expiry || streams() || recovery; }
  bool restoring() const { return importing || (restore && restore->in_progress); }
  bool streams() const { return stream && stream->enabled; }
  bool has_local_index() const;
  // The seconds since 1970 at which `item` expires; nothing when it does not.
  std::optional<int64_t> expiry_of(View item) const;
  bool updating() const;
  std::string arn() const;
  std::string index_arn(std::string_view index) const { return arn() + "/index/" + std::string(index); }
};

// Each throws ValidationException with what AWS says.
void check_key_value(const Table& table, View item, const std::string& name, bool hash);
void check_key_values(const Table& table, View item);  // the table's key attributes among others
void check_key(const Table& table, View key);          // exactly the table's key attributes, of their types
// No key of the table or an index in `item` is an empty text.
void check_no_empty_key(const Table& table, View item);
void check_item(const Table& table, View item);        // of PutItem: keys there, index keys of their types
void check_index_keys(const Table& table, View item);  // after an update
void check_update_targets(const Table& table, const std::vector<UpdateAction>& actions);
void check_key_paths(const Table& table, const std::vector<const Path*>& paths);  // keys are scalars

Item key_of(const Table& table, View item);
// The names in a LastEvaluatedKey: the table's key and the index's, each once.
std::vector<std::string_view> start_key_names(const Table& table, const Index* index);

bool in_index(const Index& index, View item);  // sparse: items without the index's keys are not in it
// Whether an item that was there before the index can be in it: AWS leaves out those with keys that it would refuse
// now.
bool suits_index(const Table& table, const Index& index, View item);
Item project_into(const Table& table, const Index& index, View item);

// Capacity units.
double write_units(size_t bytes);
double read_units(size_t bytes, bool consistent);
double write_units_of_change(size_t old_bytes, size_t new_bytes);

}  // namespace virga::dynamodb
