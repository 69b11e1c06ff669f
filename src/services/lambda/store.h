// Keys and records of Lambda. The only file that knows how they are spelled.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "blob/blob.h"
#include "kernel/http_function.h"
#include "kv/db.h"
#include "services/lambda/image/manifest.h"

namespace virga::lambda {

using kernel::Home;

struct FunctionRecord {
  std::string name;
  uint64_t last_version = 0;  // highest published
  std::optional<int32_t> reserved_concurrency;
  std::map<std::string, std::string> tags;
  bool may_recurse = false;  // a loop that it is part of goes on
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, last_version), a(3, reserved_concurrency), a(4, tags), a(10, may_recurse);
  }
};

struct LayerUse {
  std::string arn;
  uint64_t size = 0;
  std::string sha256;  // of its archive, hex: names the unpacked folder
  blob::Ref code;
  uint64_t unpacked = 0;  // bytes; 0: not known
  template <class A>
  void fields(A& a) {
    a(1, arn), a(2, size), a(3, sha256), a(4, code), a(5, unpacked);
  }
};

// A container image that is a version's code: its archive is the blob, its digest the hash.
struct ImageRecord {
  std::string uri;  // as it was given
  image::Settings settings;
  template <class A>
  void fields(A& a) {
    a(1, uri), a(2, settings);
  }
};

// What a function says instead of its image.
struct ImageConfigRecord {
  std::optional<std::vector<std::string>> entry_point, command;
  std::optional<std::string> working_directory;
  template <class A>
  void fields(A& a) {
    a(1, entry_point), a(2, command), a(3, working_directory);
  }
};

// The configuration of $LATEST or of a published version.
struct VersionRecord {
  uint64_t version = 0;  // 0: $LATEST
  std::string runtime, handler, role, description;
  int32_t timeout = 3, memory = 128, tmp = 512;
  std::map<std::string, std::string> environment;
  std::vector<LayerUse> layers;
  blob::Ref code;
  std::string code_sha256;  // hex
  uint64_t code_size = 0;
  Time modified;
  std::string revision;        // RevisionId, until a permission or tag is changed or, of $LATEST, a version published
  std::string shown_revision;  // RevisionId since then; else empty. Instances are of the revision, which stays
  std::string architecture = "x86_64";
  std::string tracing = "PassThrough";
  std::string log_group;  // empty: /aws/lambda/<name>
  std::string log_format = "Text";
  std::string application_level, system_level;  // of a log that is JSON
  std::string dead_letter;                      // ARN of a queue or topic for events that failed; empty: none
  std::optional<ImageRecord> image;             // then there is no runtime, no handler and no layer
  std::optional<ImageConfigRecord> image_config;
  bool snap_start = false;  // versions published of it are initialised ahead
  std::string state;        // empty: Active; else Pending or Failed, with why in words and as a StateReasonCode
  std::string state_reason, state_reason_code;
  std::optional<int32_t> durable_timeout;  // seconds that an execution of a durable function may take
  int32_t durable_retention = 14;          // days for which an execution is kept when it has ended
  bool deleting = false;                   // is deleted once its executions have ended; $LATEST: the whole function
  bool per_tenant = false;                 // its instances serve one tenant each
  // Of one that runs on a capacity provider:
  std::string capacity_provider;       // ARN; empty: none
  int32_t at_a_time = 0;               // invocations of an instance; 0: as many as its runtime and memory suggest
  double gib_per_vcpu = 0;             // 0: not said
  std::optional<int32_t> least, most;  // instances
  uint64_t unpacked = 0;               // bytes of its code; 0: not known
  bool has_environment = false;        // was given one, if only an empty one
  template <class A>
  void fields(A& a) {
    a(1, version), a(2, runtime), a(3, handler), a(4, role), a(5, description), a(6, timeout), a(7, memory), a(8, tmp);
    a(9, environment), a(10, layers), a(11, code), a(12, code_sha256), a(13, code_size), a(14, modified),
        a(15, revision);
    a(16, architecture), a(17, tracing), a(18, log_group), a(19, log_format), a(20, dead_letter);
    a(27, application_level), a(28, system_level);
    a(21, snap_start), a(22, state), a(23, state_reason), a(24, state_reason_code);
    a(30, durable_timeout), a(31, durable_retention), a(32, deleting);
    a(35, image), a(36, image_config);
    a(40, per_tenant), a(41, capacity_provider), a(42, at_a_time), a(43, gib_per_vcpu), a(44, least), a(45, most);
    a(46, unpacked), a(47, shown_revision), a(48, has_environment);
  }
};

struct AliasRecord {
  std::string name, description, revision;
  uint64_t version = 0;
  std::map<std::string, double> weights;  // additional version → share of 1
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, description), a(3, revision), a(4, version), a(5, weights);
  }
};

// A resource policy: a document, and the revision that conditional changes name.
struct PolicyRecord {
  std::string document, revision;
  template <class A>
  void fields(A& a) {
    a(1, document), a(2, revision);
  }
};

// How events for a function, version or alias are run asynchronously.
struct EventInvokeRecord {
  std::string qualifier;
  std::optional<int32_t> retries, max_age;  // of its errors; seconds
  std::string on_success, on_failure;       // ARNs; empty: none
  Time modified;
  template <class A>
  void fields(A& a) {
    a(1, qualifier), a(2, retries), a(3, max_age), a(4, on_success), a(5, on_failure), a(6, modified);
  }
};

struct LayerRecord {
  std::string name;
  uint64_t last_version = 0;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, last_version);
  }
};

struct LayerVersionRecord {
  uint64_t version = 0;
  std::string description, license;
  std::vector<std::string> runtimes, architectures;
  blob::Ref code;
  std::string sha256;  // hex
  uint64_t size = 0, unpacked = 0;
  Time created;
  template <class A>
  void fields(A& a) {
    a(1, version), a(2, description), a(3, license), a(4, runtimes), a(5, architectures), a(6, code), a(7, sha256),
        a(8, size);
    a(9, created), a(10, unpacked);
  }
};

// Instances of a version that are kept initialised: what was asked for, by version or by alias.
struct ProvisionedRecord {
  std::string account, region, function, qualifier;
  int32_t wanted = 0;
  Time modified;
  template <class A>
  void fields(A& a) {
    a(1, account), a(2, region), a(3, function), a(4, qualifier), a(5, wanted), a(6, modified);
  }
};

// A function's own address, of $LATEST (empty qualifier) or of an alias.
struct UrlRecord {
  std::string id, account, region, function, qualifier;
  bool signed_only = false;  // AuthType AWS_IAM
  bool streams = false;      // InvokeMode RESPONSE_STREAM
  std::optional<kernel::CorsRecord> cors;
  Time created, modified;
  bool mode_given = false;  // InvokeMode was asked for
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, account), a(3, region), a(4, function), a(5, qualifier), a(6, signed_only), a(7, streams),
        a(8, cors);
    a(9, created), a(10, modified), a(11, mode_given);
  }
};

struct CodeSigningRecord {
  std::string id, description;
  std::vector<std::string> publishers;  // ARNs of signing profile versions
  bool enforce = false;
  Time modified;
  std::map<std::string, std::string> tags;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, description), a(3, publishers), a(4, enforce), a(5, modified), a(6, tags);
  }
};

// Where functions run that take several invocations in an instance.
struct CapacityProviderRecord {
  std::string name, arn, operator_role;
  std::vector<std::string> subnets, security_groups;  // recorded: there are no networks of that kind here
  std::string architecture;                           // empty: not said
  std::vector<std::string> allowed, excluded;         // instance types; recorded
  std::optional<int32_t> most_vcpus;
  std::string scaling_mode;  // empty: not said
  std::vector<std::pair<std::string, double>> scaling_policies;
  std::map<std::string, std::string> tags;
  Time modified;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, arn), a(3, operator_role), a(4, subnets), a(5, security_groups), a(6, architecture), a(7, allowed),
        a(8, excluded), a(9, most_vcpus), a(10, scaling_mode), a(11, scaling_policies), a(12, tags), a(13, modified);
  }
};

// When a version of a function takes on a newer runtime.
struct RuntimeManagementRecord {
  std::string update_on = "Auto", version_arn;
  template <class A>
  void fields(A& a) {
    a(1, update_on), a(2, version_arn);
  }
};

class Store {
 public:
  Store(kv::Reader& reader, Home home) : reader_(reader), home_(std::move(home)) {}

  Task<std::optional<FunctionRecord>> find_function(std::string name) const;
  Task<std::vector<FunctionRecord>> list_functions(std::string after, size_t limit) const;
  Task<std::optional<VersionRecord>> find_version(std::string function, uint64_t version) const;
  Task<std::vector<VersionRecord>> list_versions(std::string function, uint64_t from, size_t limit) const;
  Task<std::optional<AliasRecord>> find_alias(std::string function, std::string alias) const;
  Task<std::vector<AliasRecord>> list_aliases(std::string function, std::string after, size_t limit) const;
  Task<std::optional<PolicyRecord>> find_policy(std::string function, std::string qualifier) const;
  // Reserved concurrency by function, of those that have one.
  Task<std::map<std::string, int32_t>> list_reserved() const;
  Task<std::optional<ProvisionedRecord>> find_provisioned(std::string function, std::string qualifier) const;
  Task<std::vector<ProvisionedRecord>> list_provisioned(std::string function) const;  // of all when empty
  Task<std::optional<UrlRecord>> find_url(std::string function, std::string qualifier) const;
  Task<std::vector<UrlRecord>> list_urls(std::string function) const;
  // Also of one that was deleted, which names no function.
  static Task<std::optional<UrlRecord>> find_url_by_id(kv::Reader& reader, std::string id);
  Task<std::optional<CodeSigningRecord>> find_code_signing(std::string id) const;
  Task<std::vector<CodeSigningRecord>> list_code_signing(std::string after, size_t limit) const;
  // The code signing configurations that functions have, by function.
  Task<std::map<std::string, std::string>> list_signed_functions() const;
  Task<std::optional<std::string>> code_signing_of(std::string function) const;
  Task<std::optional<CapacityProviderRecord>> find_capacity_provider(std::string name) const;
  Task<std::vector<CapacityProviderRecord>> list_capacity_providers(std::string after, size_t limit) const;
  Task<RuntimeManagementRecord> runtime_management(std::string function, uint64_t version) const;
  // What reservations and provisioned instances take of the account's concurrency.
  Task<int32_t> set_aside(std::string but_function = {}) const;
  Task<std::optional<EventInvokeRecord>> find_event_invoke(std::string function, std::string qualifier) const;
  Task<std::vector<EventInvokeRecord>> list_event_invokes(std::string function, std::string after, size_t limit) const;
  Task<std::optional<LayerRecord>> find_layer(std::string name) const;
  Task<std::vector<LayerRecord>> list_layers(std::string after, size_t limit) const;
  Task<std::optional<LayerVersionRecord>> find_layer_version(std::string layer, uint64_t version) const;
  Task<std::vector<LayerVersionRecord>> list_layer_versions(std::string layer) const;  // newest first
  Task<std::optional<PolicyRecord>> find_layer_policy(std::string layer, uint64_t version) const;

 protected:
  std::string key(std::string_view kind, std::string_view name) const;
  std::string version_key(std::string_view kind, std::string_view name, uint64_t version) const;
  std::string text_key(std::string_view kind, std::string_view name, std::string_view part) const;
  std::string all(std::string_view kind) const;

  kv::Reader& reader_;
  Home home_;
};

class Catalog;

// What it writes of a function is forgotten by `catalog` on commit.
class WriteStore : public Store {
 public:
  WriteStore(kv::Txn& tx, Home home, Catalog& catalog) : Store(tx, std::move(home)), tx_(tx), catalog_(catalog) {}

  void put_function(const FunctionRecord& record);
  void put_version(const std::string& function, const VersionRecord& record);
  void put_alias(const std::string& function, const AliasRecord& record);
  void put_policy(const std::string& function, const std::string& qualifier, const PolicyRecord& record);
  // Beside the function's record, where it is read with the function.
  void put_reserved(const std::string& function, std::optional<int32_t> reserved);
  void put_provisioned(const ProvisionedRecord& record);
  void erase_provisioned(const std::string& function, const std::string& qualifier);
  void put_event_invoke(const std::string& function, const EventInvokeRecord& record);
  void put_url(const UrlRecord& record);
  void erase_url(const UrlRecord& record);
  void put_code_signing(const CodeSigningRecord& record);
  void erase_code_signing(const std::string& id);
  void put_code_signing_of(const std::string& function, const std::string& id);  // empty: none
  void put_capacity_provider(const CapacityProviderRecord& record);
  void erase_capacity_provider(const std::string& name);
  void put_runtime_management(const std::string& function, uint64_t version, const RuntimeManagementRecord& record);
  void put_layer(const LayerRecord& record);
  void put_layer_version(const std::string& layer, const LayerVersionRecord& record);
  void put_layer_policy(const std::string& layer, uint64_t version, const PolicyRecord& record);
  void erase_function(const std::string& name);  // with all that is kept by its name
  void erase_version(const std::string& function, uint64_t version);
  void erase_alias(const std::string& function, const std::string& alias);
  void erase_policy(const std::string& function, const std::string& qualifier);
  void erase_event_invoke(const std::string& function, const std::string& qualifier);
  void erase_layer_version(const std::string& layer, uint64_t version);
  void erase_layer_policy(const std::string& layer, uint64_t version);

 private:
  void changed(const std::string& function);
  void set_aside_changed();

  kv::Txn& tx_;
  Catalog& catalog_;
  std::string changed_;  // the function whose forgetting is planned
};

}  // namespace virga::lambda
