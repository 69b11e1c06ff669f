// Which service and operation a request is for, from what AWS clients really send.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernel/cloud.h"
#include "wire/http.h"
#include "wire/router.h"
#include "wire/shape.h"

namespace virga::front {

// What the head of a request says. The operation of a query-protocol request is in its body, so it may come later.
struct Route {
  const wire::ServiceModel* service = nullptr;
  wire::Protocol protocol = wire::Protocol::kJson11;
  const wire::OperationModel* operation = nullptr;
  std::vector<std::pair<std::string, std::string>> labels;  // of the operation's URI pattern, decoded
  const kernel::Endpoint* endpoint = nullptr;               // instead of a service: something a user made
  std::string endpoint_id;
  std::string endpoint_path;  // undecoded, without the query
};

class Router {
 public:
  explicit Router(const kernel::Cloud& cloud);

  // `signing_name`: the service in the signature's scope; empty when the request is unsigned. Rewrites the path of a
  // virtual-hosted S3 request to the path form, and that of another signed request to the form that was signed, leaving
  // `target` as it came. Throws Error: unknown operation; `route` then has what is known, to answer with.
  void find(wire::HttpRequest& request, std::string_view signing_name, Route& route) const;

  // Whether the host alone says what is wanted: a bucket, or something a user made.
  bool host_selects(const wire::HttpRequest& request) const;

  // Of a browser's question about a request to come: whether that is one to an API, S3's aside.
  bool is_api_path(const wire::HttpRequest& question) const;

  // Null when it is not served.
  const kernel::Operation* served(const wire::OperationModel& model) const {
    const auto found = served_.find(&model);
    return found == served_.end() ? nullptr : found->second;
  }

  // The operation of a query-protocol request, once its body is there. Throws Error.
  void find_query_operation(Route& route, const wire::HttpRequest& request, std::string_view body) const;

 private:
  bool find_endpoint(const wire::HttpRequest& request, Route& route) const;
  bool find_target(const wire::HttpRequest& request, Route& route) const;
  bool find_cbor(const wire::HttpRequest& request, Route& route) const;
  const wire::ServiceModel* by_scope(std::string_view signing_name, std::string_view path) const;
  const wire::ServiceModel* by_rest(const wire::HttpRequest& request, std::string_view method) const;
  const wire::ServiceModel* by_content(const wire::HttpRequest& request) const;

  const kernel::Cloud& cloud_;
  std::vector<const wire::ServiceModel*> models_;
  std::map<std::string, const wire::ServiceModel*, std::less<>> by_target_;
  std::map<std::string, std::vector<const wire::ServiceModel*>, std::less<>> by_signing_name_;
  std::unordered_map<const wire::OperationModel*, const kernel::Operation*> served_;
  std::map<const wire::ServiceModel*, wire::Router> rest_;  // of the services that speak a REST protocol
  const wire::ServiceModel* s3_ = nullptr;
};

}  // namespace virga::front
