// Keys and records of EventBridge. The only file that knows how they are spelled.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "kernel/context.h"
#include "kv/db.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::events {

using kernel::Home;

using Tags = std::map<std::string, std::string>;

struct BusRecord {
  static constexpr std::string_view kTag = "b";  // name
  std::string name, description, policy, dead_letter;
  Tags tags;
  Time created, modified;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, description), a(3, policy), a(4, tags), a(5, created), a(6, modified), a(7, dead_letter);
  }
};

struct TargetRecord {
  std::string id, arn, role;
  std::optional<std::string> input, input_path, input_template;
  std::map<std::string, std::string> input_paths;
  std::string partition_key_path;  // Kinesis
  std::string message_group;       // SQS
  std::vector<std::string> path_values;
  std::map<std::string, std::string> headers, query;
  std::string dead_letter;
  std::optional<int64_t> retries, max_age;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, arn), a(3, role), a(4, input), a(5, input_path), a(6, input_template), a(7, input_paths),
        a(8, partition_key_path), a(9, message_group), a(10, path_values), a(11, headers), a(12, query),
        a(13, dead_letter), a(14, retries), a(15, max_age);
  }
};

struct RuleRecord {
  static constexpr std::string_view kTag = "r";  // bus, name
  std::string bus, name, description, pattern, schedule, role, managed_by, created_by;
  bool enabled = true, management_events = false;
  std::vector<TargetRecord> targets;
  Tags tags;
  Time created;  // a rate's times count from here
  template <class A>
  void fields(A& a) {
    a(1, bus), a(2, name), a(3, description), a(4, pattern), a(5, schedule), a(6, role), a(7, managed_by),
        a(8, created_by), a(9, enabled), a(10, management_events), a(11, targets), a(12, tags), a(13, created);
  }
};

struct ArchiveRecord {
  static constexpr std::string_view kTag = "a";  // name
  std::string name, bus, description, pattern;
  int64_t retention_days = 0;  // 0: for ever
  Time created;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, bus), a(3, description), a(4, pattern), a(5, retention_days), a(6, created);
  }
};

enum class ReplayStage : uint8_t { kStarting, kRunning, kCancelling, kCompleted, kCancelled, kFailed };

struct ReplayRecord {
  static constexpr std::string_view kTag = "p";  // name
  std::string name, description, archive, bus, reason;
  std::vector<std::string> rules;  // ARNs; empty: all
  ReplayStage stage = ReplayStage::kStarting;
  Time from, to, started;
  std::optional<Time> ended, last;
  std::string position;  // of the last event replayed
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, description), a(3, archive), a(4, bus), a(5, reason), a(6, rules), a(7, stage), a(8, from),
        a(9, to), a(10, started), a(11, ended), a(12, last), a(13, position);
  }
};

// A header, query parameter or member of a body that a connection adds.
struct Extra {
  std::string key, value;
  bool secret = false;
  template <class A>
  void fields(A& a) {
    a(1, key), a(2, value), a(3, secret);
  }
};
struct Extras {
  std::vector<Extra> headers, query, body;
  template <class A>
  void fields(A& a) {
    a(1, headers), a(2, query), a(3, body);
  }
};

enum class Authorization : uint8_t { kBasic, kApiKey, kOAuth };

struct ConnectionRecord {
  static constexpr std::string_view kTag = "c";  // name
  std::string name, id, description;
  Authorization authorization = Authorization::kBasic;
  bool deauthorized = false;
  std::string user, secret;  // user and password, name and value of a key, client id and secret
  std::string token_url, token_method;
  Extras extras, token_extras;
  Time created, modified;
  std::optional<Time> authorized;
  bool authorizing = false;
  std::string reason;  // why it is deauthorized, when nobody asked for that
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, id), a(3, description), a(4, authorization), a(5, deauthorized), a(6, user), a(7, secret),
        a(8, token_url), a(9, token_method), a(10, extras), a(11, token_extras), a(12, created), a(13, modified),
        a(14, authorized), a(15, authorizing), a(16, reason);
  }
};

struct DestinationRecord {
  static constexpr std::string_view kTag = "d";                // name
  std::string name, id, description, connection, url, method;  // connection: its ARN
  std::optional<int32_t> rate;
  Time created, modified;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, id), a(3, description), a(4, connection), a(5, url), a(6, method), a(7, rate), a(8, created),
        a(9, modified);
  }
};

struct Archived {
  std::string position;  // grows with the events' times, then with their order
  std::string event;
};

// Where the default bus has, or once had, rules or archives.
Task<std::vector<Home>> homes_with_rules(kv::Reader& reader);

class Store {
 public:
  Store(kv::Reader& reader, Home home) : reader_(reader), home_(std::move(home)) {}

  // Records of one kind by name; of rules, within a bus (`scope`).
  template <class R>
  Task<std::optional<R>> find(std::string name, std::string scope = {}) const {
    const auto bytes = co_await reader_.get(key<R>(name, scope));
    if (!bytes) co_return std::nullopt;
    co_return kv::decode<R>(*bytes);
  }
  template <class R>
  Task<std::vector<R>> list(std::string prefix, std::string after, size_t limit, std::string scope = {}) const {
    const std::string all = prefix_of(R::kTag, scope);
    kv::Range range{all + prefix, kv::prefix_end(all + prefix)};
    if (!after.empty()) range.begin = kv::prefix_end(key<R>(after, scope));
    std::vector<R> out;
    for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit}))
      out.push_back(kv::decode<R>(entry.value));
    co_return out;
  }
  // Whether there are `most` records of the kind already.
  template <class R>
  Task<bool> is_full(size_t most, std::string scope = {}) const {
    const auto found = co_await reader_.scan(kv::prefix_range(prefix_of(R::kTag, scope)), {.limit = most});
    co_return found.size() == most;
  }
  // Changes whenever rules or archives of the bus do: what was compiled for another value is out of date.
  Task<std::string> generation(std::string bus) const;
  Task<std::vector<Archived>> read_archive(std::string archive, std::string after, Time from, Time to,
                                           size_t limit) const;
  struct Sum {
    int64_t events = 0, bytes = 0;
  };
  Task<Sum> sum_archive(std::string archive) const;

 protected:
  template <class R>
  std::string key(std::string_view name, std::string_view scope) const {
    return prefix_of(R::kTag, scope) + part(name);
  }
  static std::string part(std::string_view name);
  std::string prefix_of(std::string_view tag, std::string_view scope) const;
  std::string archive_prefix(std::string_view archive) const;

  kv::Reader& reader_;
  Home home_;
};

class WriteStore : public Store {
 public:
  WriteStore(kv::Txn& tx, Home home) : Store(tx, std::move(home)), tx_(tx) {}

  template <class R>
  void put(const R& record, std::string_view scope = {}) {
    tx_.put(key<R>(record.name, scope), kv::encode(record));
  }
  template <class R>
  void erase(std::string_view name, std::string_view scope = {}) {
    tx_.erase(key<R>(name, scope));
  }
  void change(const std::string& bus);  // a new generation
  void archive(const std::string& archive, Time time, std::string event);
  void expire_archive(const std::string& archive, Time before);
  void erase_archive(const std::string& archive);

 private:
  kv::Txn& tx_;
};

}  // namespace virga::events
