#include "front/route.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/str.h"
#include "wire/protocol.h"
#include "wire/sigv4.h"

namespace virga::front {

using wire::HttpRequest;
using wire::OperationModel;
using wire::Protocol;
using wire::ServiceModel;

namespace {

bool speaks(const ServiceModel& service, Protocol protocol) {
  return std::ranges::find(service.protocols, protocol) != service.protocols.end();
}

bool is_rest(const ServiceModel& service) {
  return speaks(service, Protocol::kRestJson) || speaks(service, Protocol::kRestXml);
}

const OperationModel* operation_named(const ServiceModel& service, std::string_view name) {
  const auto found = std::ranges::lower_bound(service.operations, name, {}, &OperationModel::name);
  return found != service.operations.end() && found->name == name ? &*found : nullptr;
}

std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

// "bucket" of bucket.s3.amazonaws.com, bucket.s3.us-east-1.localhost, bucket.s3-website…; buckets may contain dots.
// Of what is signed for S3 also bucket.localhost: what SDKs make of a bucket and the endpoint http://localhost.
std::string_view bucket_of_host(std::string_view host, bool for_s3) {
  for (size_t dot = host.find('.'); dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
    const std::string_view rest = host.substr(dot + 1);
    if (for_s3 && rest == "localhost") return host.substr(0, dot);
    if (rest == "s3" || rest.starts_with("s3.") || rest.starts_with("s3-")) return host.substr(0, dot);
  }
  return {};
}

// A parameter of a query string or a form body; empty when it is not there.
std::string parameter(std::string_view form, std::string_view name) {
  while (!form.empty()) {
    const auto [pair, rest] = split_once(form, '&');
    form = rest;
    const auto [key, value] = split_once(pair, '=');
    if (key == name) return percent_decode(value, true).value_or("");
  }
  return {};
}

// "/<account>/<name>": where a queue's requests go.
bool is_queue_path(std::string_view path) {
  const std::vector<std::string_view> parts = split(path, '/');
  return parts.size() == 3 && parts[1].size() == 12 && parse_int(parts[1]) && !parts[2].empty();
}

}  // namespace

Router::Router(const kernel::Cloud& cloud) : cloud_(cloud) {
  for (const auto& service : cloud.services()) {
    const ServiceModel& model = service->model();
    models_.push_back(&model);
    if (!model.target_prefix.empty()) by_target_.emplace(model.target_prefix, &model);
    if (model.id == "s3") s3_ = &model;
    if (is_rest(model)) rest_.emplace(&model, model);
    by_signing_name_[std::string(model.signing_name)].push_back(&model);
    for (const OperationModel& operation : model.operations) {
      if (const kernel::Operation* served = cloud.find(operation)) served_.emplace(&operation, served);
    }
  }
}

void Router::find(HttpRequest& request, std::string_view signing_name, Route& route) const {
  if (find_endpoint(request, route) || find_target(request, route) || find_cbor(request, route)) return;

  const bool for_s3 = signing_name == "s3" || request.query.find("AWSAccessKeyId=") != std::string::npos;
  const std::string_view bucket = s3_ ? bucket_of_host(without_port(request.host()), for_s3) : std::string_view();
  if (!bucket.empty() && (signing_name.empty() || signing_name == "s3")) {
    request.path = cat("/", bucket, request.path);
    route.service = s3_;
  } else {
    if (signing_name.empty()) {
      route.service = by_content(request);
    } else {
      // What is served must be what was signed.
      std::string path = wire::sigv4::normalize_path(request.path);
      route.service = by_scope(signing_name, path);
      if (route.service != s3_) request.path = std::move(path);
    }
  }
  if (!route.service) {
    route.protocol = Protocol::kRestJson;
    throw wire::door::unknown_operation(
        nullptr, Protocol::kRestJson,
        signing_name.empty() ? cat(request.method, " ", request.path) : cat("service '", signing_name, "'"));
  }
  if (!is_rest(*route.service)) {
    route.protocol = route.service->protocols.front();
    if (speaks(*route.service, Protocol::kQuery)) route.protocol = Protocol::kQuery;
    if (speaks(*route.service, Protocol::kEc2Query)) route.protocol = Protocol::kEc2Query;
    return;
  }
  route.protocol = speaks(*route.service, Protocol::kRestJson) ? Protocol::kRestJson : Protocol::kRestXml;
  auto match = rest_.at(route.service).find(request.method, request.path, request.query, request.headers);
  if (!match) {
    throw wire::door::unknown_operation(route.service, route.protocol, cat(request.method, " ", request.path));
  }
  route.operation = match->operation;
  route.labels = std::move(match->labels);
}

bool Router::host_selects(const HttpRequest& request) const {
  Route ignored;
  return !bucket_of_host(without_port(request.host()), false).empty() || find_endpoint(request, ignored);
}

bool Router::is_api_path(const HttpRequest& question) const {
  if (host_selects(question)) return false;
  return question.path == "/" || is_queue_path(question.path) || question.path.starts_with("/service/") ||
         by_rest(question, question.headers.get("access-control-request-method"));
}

void Router::find_query_operation(Route& route, const HttpRequest& request, std::string_view body) const {
  std::string action = parameter(request.query, "Action");
  if (action.empty()) action = parameter(body, "Action");
  if (action.empty() && route.protocol != Protocol::kQuery && route.protocol != Protocol::kEc2Query) {
    throw wire::door::unknown_operation(route.service, route.protocol, "a request without X-Amz-Target");
  }
  route.operation = operation_named(*route.service, action);
  // A queue's own address is none for what is about no queue.
  if (is_queue_path(request.path) && (action == "CreateQueue" || action == "ListQueues")) route.operation = nullptr;
  if (!route.operation) throw wire::door::unknown_operation(route.service, route.protocol, action);
}

bool Router::find_endpoint(const HttpRequest& request, Route& route) const {
  // By path: /_aws/<label>/<id>/rest…, for those without wildcard names.
  if (std::string_view path = request.path; path.starts_with("/_aws/")) {
    const auto [label, after] = split_once(path.substr(6), '/');
    route.endpoint = cloud_.find_endpoint(label);
    if (!route.endpoint) return false;
    const auto [id, rest] = split_once(after, '/');
    route.endpoint_id = id;
    route.endpoint_path = cat("/", rest);
    return true;
  }
  // By host: <id>.<label>.anything.
  const auto [id, rest] = split_once(without_port(request.host()), '.');
  if (rest.empty()) return false;
  route.endpoint = cloud_.find_endpoint(split_once(rest, '.').first);
  if (!route.endpoint) return false;
  route.endpoint_id = id;
  route.endpoint_path = request.path;
  return true;
}

bool Router::find_target(const HttpRequest& request, Route& route) const {
  const std::string_view target = request.headers.get("x-amz-target");
  if (target.empty()) return false;
  const bool json10 = request.headers.get("content-type").starts_with("application/x-amz-json-1.0");
  route.protocol = json10 ? Protocol::kJson10 : Protocol::kJson11;
  const size_t dot = target.rfind('.');
  const auto service = by_target_.find(target.substr(0, dot));
  if (service == by_target_.end() || dot == std::string_view::npos) {
    throw wire::door::unknown_operation(nullptr, route.protocol, target);
  }
  route.service = service->second;
  const std::string_view name = target.substr(dot + 1);
  route.operation = operation_named(*route.service, name);
  if (!route.operation) throw wire::door::unknown_operation(route.service, route.protocol, name);
  return true;
}

bool Router::find_cbor(const HttpRequest& request, Route& route) const {
  if (request.headers.get("smithy-protocol") != "rpc-v2-cbor") return false;
  route.protocol = Protocol::kCbor;
  const std::vector<std::string_view> parts = split(request.path, '/');  // /service/<name>/operation/<name>
  if (parts.size() != 5 || parts[1] != "service" || parts[3] != "operation") {
    throw wire::door::unknown_operation(nullptr, Protocol::kCbor, request.path);
  }
  const auto service = by_target_.find(parts[2]);
  if (service == by_target_.end()) throw wire::door::unknown_operation(nullptr, Protocol::kCbor, parts[2]);
  route.service = service->second;
  route.operation = operation_named(*route.service, parts[4]);
  if (!route.operation) throw wire::door::unknown_operation(route.service, route.protocol, parts[4]);
  return true;
}

const ServiceModel* Router::by_scope(std::string_view signing_name, std::string_view path) const {
  const auto named = by_signing_name_.find(signing_name);
  if (named == by_signing_name_.end()) return nullptr;
  const ServiceModel* found = named->second.front();
  if (named->second.size() == 1) return found;
  // Two APIs can share a signing name (apigateway): the one with a matching path prefix is meant.
  for (const ServiceModel* model : named->second) {
    const bool owns_path = std::ranges::any_of(model->operations, [&](const OperationModel& op) {
      const std::string_view first = op.uri.substr(0, op.uri.find_first_of("/{?", 1));
      return first.size() > 1 && path.starts_with(first);
    });
    if (owns_path) found = model;
  }
  return found;
}

// The service that has the path among its own, S3 aside.
const ServiceModel* Router::by_rest(const HttpRequest& request, std::string_view method) const {
  for (const ServiceModel* model : models_) {
    if (model == s3_ || !is_rest(*model)) continue;
    if (rest_.at(model).find(method, request.path, request.query, request.headers)) return model;
  }
  return nullptr;
}

const ServiceModel* Router::by_content(const HttpRequest& request) const {
  // Unsigned: a query-protocol call by its version and action, a REST path that only one service has, else S3.
  const std::string version = parameter(request.query, "Version");
  if (!version.empty()) {
    const std::string action = parameter(request.query, "Action");
    for (const ServiceModel* model : models_) {
      if (model->api_version == version && operation_named(*model, action)) return model;
    }
  }
  // A link that was sent to a person, who follows it without a signature: ConfirmSubscription, Unsubscribe.
  if (const std::string action = parameter(request.query, "Action"); version.empty() && !action.empty()) {
    for (const ServiceModel* model : models_) {
      if (!speaks(*model, Protocol::kQuery)) continue;
      const OperationModel* operation = operation_named(*model, action);
      if (operation && operation->anonymous) return model;
    }
  }
  if (const ServiceModel* model = by_rest(request, request.method)) return model;
  const bool form = request.headers.get("content-type").starts_with("application/x-www-form-urlencoded");
  if ((form || !parameter(request.query, "Action").empty()) && is_queue_path(request.path)) {
    for (const ServiceModel* model : models_) {
      if (model->id == "sqs") return model;
    }
  }
  if (form && request.method == "POST" && request.path == "/") {
    for (const ServiceModel* model : models_) {
      if (model->id == "sts") return model;  // the one query service with operations that need no signature
    }
  }
  return s3_;
}

}  // namespace virga::front
