// Records and keys of HTTP APIs. The only file that knows how they are spelled.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "kernel/http_function.h"
#include "kv/db.h"

namespace virga::apigatewayv2 {

struct IntegrationRecord {
  std::string id, uri, description, payload_version = "1.0", method = "POST";
  int32_t timeout = 30'000;  // milliseconds
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, uri), a(3, description), a(4, payload_version), a(5, method), a(6, timeout);
  }
};

struct RouteRecord {
  std::string id, key, target, operation_name;  // target: "integrations/<id>"
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, key), a(3, target), a(4, operation_name);
  }
};

// What a stage serves: the routes and integrations of one moment.
struct DeploymentRecord {
  std::string id, description;
  Time created;
  bool automatic = false;
  std::map<std::string, RouteRecord> routes;
  std::map<std::string, IntegrationRecord> integrations;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, description), a(3, created), a(4, automatic), a(5, routes), a(6, integrations);
  }
};

struct StageRecord {
  std::string name, description, deployment;
  bool auto_deploy = false;
  Time created, updated;
  std::map<std::string, std::string> variables, tags;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, description), a(3, deployment), a(4, auto_deploy), a(5, created), a(6, updated), a(7, variables),
        a(8, tags);
  }
};

struct ApiRecord {
  std::string id, account, region, name, description, version;
  Time created;
  std::optional<kernel::CorsRecord> cors;
  bool disable_endpoint = false;
  std::map<std::string, std::string> tags;
  std::map<std::string, RouteRecord> routes;              // by id
  std::map<std::string, IntegrationRecord> integrations;  // by id
  std::map<std::string, StageRecord> stages;              // by name
  std::map<std::string, DeploymentRecord> deployments;    // by id
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, account), a(3, region), a(4, name), a(5, description), a(6, version), a(7, created), a(8, cors);
    a(9, disable_endpoint), a(10, tags), a(11, routes), a(12, integrations), a(13, stages), a(14, deployments);
  }
};

Task<std::optional<ApiRecord>> find_api(kv::Reader& reader, std::string id);
// The account's APIs in order of their ids, after `after`.
Task<std::vector<ApiRecord>> list_apis(kv::Reader& reader, std::string account, std::string region, std::string after,
                                       size_t limit);
void put_api(kv::Txn& tx, const ApiRecord& api);
void erase_api(kv::Txn& tx, const ApiRecord& api);

}  // namespace virga::apigatewayv2
