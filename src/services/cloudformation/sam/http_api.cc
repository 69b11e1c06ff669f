// HTTP APIs: routes of functions gathered into an OpenAPI document, and the API and stage made of it.
#include <algorithm>

#include "base/str.h"
#include "services/cloudformation/references.h"
#include "services/cloudformation/sam/transform.h"

namespace virga::cloudformation::sam {

namespace {

constexpr std::string_view kAnyMethod = "x-amazon-apigateway-any-method";
constexpr std::string_view kDefaultPath = "$default";

Json empty_body() {
  return Json::object({{"openapi", "3.0.1"},
                       {"info", Json::object({{"version", "1.0"}, {"title", refer_to("AWS::StackName")}})},
                       {"paths", Json::object()}});
}

bool is_method(std::string_view key) {
  for (const std::string_view known : {"get", "put", "post", "delete", "options", "head", "patch", "trace"}) {
    if (key == known) return true;
  }
  return key == kAnyMethod;
}

Json integration_uri(const FunctionTarget& target) {
  return sub(cat("arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${",
                 target.alias.empty() ? target.id + ".Arn" : target.alias, "}/invocations"));
}

Json integration_of(const FunctionTarget& target, const Json& p) {
  Json out = Json::object({{"type", "aws_proxy"}, {"httpMethod", "POST"}, {"uri", integration_uri(target)}});
  const Json* version = p.find("PayloadFormatVersion");
  out["payloadFormatVersion"] = version ? *version : Json("2.0");
  if (const Json* timeout = p.find("TimeoutInMillis")) out["timeoutInMillis"] = *timeout;
  return out;
}

// Whether some HttpApi event of the function takes the default route of the API that `p` names.
bool has_default_route(const Source& source, const Json& p) {
  const Json* api = p.find("ApiId");
  const Json* events = source.find("Events");
  for (const auto& [name, event] : events->as_object()) {
    const Json* other = event.find("Properties");
    if (event.string_or("Type") != "HttpApi") continue;
    const Json* other_api = other ? other->find("ApiId") : nullptr;
    if ((api && other_api ? *api == *other_api : api == other_api) &&
        (!other || other->string_or("Path", kDefaultPath) == kDefaultPath))
      return true;
  }
  return false;
}

// Path parameters become * in the ARN of what may be invoked.
std::string permitted_path(std::string_view path) {
  std::string out;
  for (size_t i = 0; i < path.size();) {
    const size_t close = path[i] == '{' ? path.find('}', i) : std::string_view::npos;
    if (close == std::string_view::npos) {
      out += path[i++];
    } else {
      out += '*';
      i = close + 1;
    }
  }
  if (out.size() > 1 && out.back() == '/') out.pop_back();
  return out;
}

Json path_parameters(std::string_view path) {
  Json out = Json::array();
  for (size_t open = path.find('{'); open != std::string_view::npos; open = path.find('{', open + 1)) {
    const size_t close = path.find('}', open);
    if (close == std::string_view::npos) break;
    std::string_view name = path.substr(open + 1, close - open - 1);
    if (name.ends_with('+')) name.remove_suffix(1);
    out.push_back(Json::object({{"name", Json(name)}, {"in", "path"}, {"required", true}}));
  }
  return out;
}

// {"AllowOrigins": …} as {"allowOrigins": …}; true allows every origin.
Json cors_of(const Json& configuration) {
  if (configuration.is_bool()) return Json::object({{"allowOrigins", Json(Json::Array{"*"})}});
  if (!configuration.is_object() || is_intrinsic(configuration)) return configuration;
  Json out = Json::object();
  for (const auto& [key, value] : configuration.as_object()) {
    std::string name = key;
    if (!name.empty()) name[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(name[0])));
    out[name] = value;
  }
  return out;
}

}  // namespace

void Transform::prepare_http_apis() {
  const Json* resources = root_.find("Resources");
  if (!resources || !resources->is_object()) return;
  for (const auto& [id, resource] : resources->as_object()) {
    if (resource.string_or("Type") != "AWS::Serverless::HttpApi") continue;
    HttpApi api;
    api.resource = resource;
    const Json* p = resource.find("Properties");
    const Json* body = p ? p->find("DefinitionBody") : nullptr;
    if (body && !body->is_object()) refuse(id, "'DefinitionBody' must be a map.");
    if (body) {
      if (p->find("DefinitionUri"))
        refuse(id, "Specify either 'DefinitionUri' or 'DefinitionBody' property and not both.");
      api.body = *body;
      api.given = true;
    } else if (!p || !p->find("DefinitionUri")) {
      api.body = empty_body();
    }
    apis_.emplace(id, std::move(api));
    api_order_.push_back(id);
  }
}

void Transform::http_api_event(const Source& source, const FunctionTarget& target, const std::string& id,
                               const Json& p) {
  std::string api_id(kImplicitHttpApi);
  Json reference = refer_to(api_id);
  bool ours = true;
  if (const Json* given = p.find("ApiId")) {
    reference = *given;
    const Json* name = given->find("Ref");
    api_id = given->is_string() ? given->as_string() : name && name->is_string() ? name->as_string() : "";
    if (given->is_string() && apis_.contains(api_id)) reference = refer_to(api_id);
    ours = apis_.contains(api_id);
  } else if (!apis_.contains(api_id)) {
    HttpApi api;
    const Json* globals = root_.find("Globals");
    const Json* defaults = globals ? globals->find("HttpApi") : nullptr;
    api.resource =
        Json::object({{"Type", "AWS::Serverless::HttpApi"}, {"Properties", defaults ? *defaults : Json::object()}});
    api.body = empty_body();
    api.implicit = true;
    apis_.emplace(api_id, std::move(api));
    api_order_.push_back(api_id);
  }
  std::string path = p.string_or("Path", kDefaultPath), method = lower(p.string_or("Method", kAnyMethod));
  if (p.find("Path") && !p.find("Path")->is_string())
    refuse(source.id, "Api Event must have a String specified for 'Path'.");
  if (path != kDefaultPath && !path.starts_with('/'))
    refuse(source.id,
           cat("Event with id [", id.substr(source.id.size()), "] is invalid. Api Event 'Path' must start with '/'."));
  const bool any = method == "any" || method == kAnyMethod;
  if (any) method = kAnyMethod;

  HttpApi* api = ours ? &apis_.at(api_id) : nullptr;
  if (api && api->body.is_object()) {
    Json& paths = api->body["paths"];
    if (paths.is_null()) paths = Json::object();
    Json& item = paths[path];
    if (item.is_null()) item = Json::object();
    Json* existing = item.find(method);
    const bool integrated = existing && existing->find("x-amazon-apigateway-integration");
    if (integrated && !api->given)
      refuse(source.id, cat("Event with id [", id.substr(source.id.size()), "] is invalid. API method '",
                            any ? "any" : method, "' defined multiple times for path '", path, "'."));
    Json operation = existing ? *existing : Json::object();
    // A definition that says itself what a route does keeps it.
    if (!integrated) operation["x-amazon-apigateway-integration"] = integration_of(target, p);
    if (!operation.find("responses")) operation["responses"] = Json::object();
    if (path == kDefaultPath) operation["isDefaultRoute"] = true;
    if (Json parameters = path_parameters(path); !parameters.as_array().empty())
      operation["parameters"] = std::move(parameters);
    secure(operation, api_id, *api, p.find("Auth"));
    const Json* condition = source.resource.find("Condition");
    if (condition) {
      if (api->implicit && condition->is_string()) api->conditions.push_back(condition->as_string());
      operation = Json::object({{"Fn::If", Json(Json::Array{*condition, operation, refer_to("AWS::NoValue")})}});
    } else {
      api->unconditional = true;
    }
    item[method] = std::move(operation);
    if (const Json* settings = p.find("RouteSettings")) {
      api->resource["Properties"]["RouteSettings"][cat(any ? "ANY" : upper(method), " ", path)] = *settings;
    }
  }
  // The permission for everything, which the default route brings, covers a function's other routes.
  if (path != kDefaultPath && target.alias.empty() && has_default_route(source, p)) return;
  const std::string tail = path == kDefaultPath ? "" : permitted_path(path);
  permission(
      source, target, id + "Permission", "apigateway.amazonaws.com",
      Json::object(
          {{"SourceArn",
            sub(cat("arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/${__Stage__}/",
                    any ? "*" : upper(method), tail == "/" ? "/" : tail),
                Json::object({{"__ApiId__", reference}, {"__Stage__", "*"}}))}}));
}

// The security of one operation: what the event asks for, else the API's default authorizer.
void Transform::secure(Json& operation, const std::string& id, HttpApi& api, const Json* auth) {
  const Json* p = api.resource.find("Properties");
  const Json* api_auth = p ? p->find("Auth") : nullptr;
  const Json* authorizers = api_auth ? api_auth->find("Authorizers") : nullptr;
  const std::string otherwise = api_auth ? api_auth->string_or("DefaultAuthorizer") : "";
  const std::string wanted = auth ? auth->string_or("Authorizer", otherwise) : otherwise;
  if (auth && wanted.empty())
    refuse(id,
           "'Auth' section requires either an explicit 'Authorizer' set or a 'DefaultAuthorizer' configured on the "
           "HttpApi.");
  if (wanted.empty() || (operation.find("security") && !auth)) return;
  if (wanted == "NONE") {
    if (otherwise.empty()) refuse(id, "'NONE' is only a valid value when a DefaultAuthorizer on the API is specified.");
    operation["security"] = Json(Json::Array{Json::object({{"NONE", Json::array()}})});
    return;
  }
  const Json* chosen = authorizers ? authorizers->find(wanted) : nullptr;
  const Json* iam = api_auth ? api_auth->find("EnableIamAuthorizer") : nullptr;
  if (!chosen && !(wanted == "AWS_IAM" && iam && *iam == Json(true)))
    refuse(id, cat("Unable to set Authorizer [", wanted, "] because it wasn't defined in the API's Authorizers."));
  Json scopes = Json::array();
  if (const Json* own = chosen ? chosen->find("AuthorizationScopes") : nullptr) scopes = *own;
  if (const Json* own = auth ? auth->find("AuthorizationScopes") : nullptr) scopes = *own;
  operation["security"] = Json(Json::Array{Json::object({{wanted, scopes}})});
}

void Transform::add_authorizers(const std::string& id, HttpApi& api) {
  const Json* auth = api.resource.find("Properties") ? api.resource.find("Properties")->find("Auth") : nullptr;
  if (!auth) return;
  Json schemes = Json::object();
  if (const Json* authorizers = auth->find("Authorizers"); authorizers && authorizers->is_object()) {
    for (const auto& [name, authorizer] : authorizers->as_object()) {
      Json a = Json::object();
      if (const Json* jwt = authorizer.find("JwtConfiguration")) {
        a = Json::object({{"type", "jwt"}, {"jwtConfiguration", cors_of(*jwt)}});
        const Json* identity = authorizer.find("IdentitySource");
        a["identitySource"] = identity ? *identity : Json("$request.header.Authorization");
        schemes[name] = Json::object({{"type", "oauth2"}, {"x-amazon-apigateway-authorizer", a}});
      } else if (const Json* function = authorizer.find("FunctionArn")) {
        const Json* version = authorizer.find("AuthorizerPayloadFormatVersion");
        if (!version) refuse(id, cat(name, " Lambda Authorizer must define 'AuthorizerPayloadFormatVersion'."));
        a = Json::object({{"type", "request"}, {"authorizerPayloadFormatVersion", *version}});
        a["authorizerUri"] =
            sub("arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${__FunctionArn__}/"
                "invocations",
                Json::object({{"__FunctionArn__", *function}}));
        if (const Json* role = authorizer.find("FunctionInvokeRole"); role && *role != Json("NONE"))
          a["authorizerCredentials"] = *role;
        if (const Json* simple = authorizer.find("EnableSimpleResponses")) a["enableSimpleResponses"] = *simple;
        Json sources = Json::array();
        if (const Json* identity = authorizer.find("Identity")) {
          if (const Json* life = identity->find("ReauthorizeEvery")) a["authorizerResultTtlInSeconds"] = *life;
          for (const auto& [from, spelled] : {std::pair{"Headers", "$request.header."},
                                              {"QueryStrings", "$request.querystring."},
                                              {"StageVariables", "$stageVariables."},
                                              {"Context", "$context."}}) {
            const Json* names = identity->find(from);
            if (!names || !names->is_array()) continue;
            for (const Json& one : names->as_array()) sources.push_back(cat(spelled, scalar_text(one)));
          }
        }
        if (!sources.as_array().empty()) a["identitySource"] = std::move(sources);
        const Json* permit = authorizer.find("EnableFunctionDefaultPermissions");
        if (permit && *permit == Json(true)) {
          const Json none = Json::object();
          add(Source{id, api.resource, none}, cat(id, name, "AuthorizerPermission"), "AWS::Lambda::Permission",
              Json::object(
                  {{"Action", "lambda:InvokeFunction"},
                   {"FunctionName", *function},
                   {"Principal", "apigateway.amazonaws.com"},
                   {"SourceArn",
                    sub("arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/authorizers/*",
                        Json::object({{"__ApiId__", refer_to(id)}}))}}));
        }
        schemes[name] = Json::object(
            {{"type", "apiKey"}, {"name", "Unused"}, {"in", "header"}, {"x-amazon-apigateway-authorizer", a}});
      } else {
        refuse(id, cat("Authorizer ", name, " must have 'JwtConfiguration' or 'FunctionArn'."));
      }
    }
  }
  if (const Json* iam = auth->find("EnableIamAuthorizer"); iam && *iam == Json(true) && !schemes.find("AWS_IAM")) {
    schemes["AWS_IAM"] = Json::object({{"type", "apiKey"},
                                       {"name", "Authorization"},
                                       {"in", "header"},
                                       {"x-amazon-apigateway-authtype", "awsSigv4"}});
  }
  if (!schemes.as_object().empty()) {
    for (auto& [name, scheme] : schemes.as_object()) {
      Json& at = api.body["components"]["securitySchemes"][name];
      if (at.is_null()) at = scheme;
    }
  }
  if (auth->string_or("DefaultAuthorizer").empty() || !api.body.find("paths")) return;
  for (auto& [path, item] : api.body["paths"].as_object()) {
    if (!item.is_object()) continue;
    for (auto& [method, operation] : item.as_object()) {
      if (is_method(method) && operation.is_object() && !is_intrinsic(operation)) secure(operation, id, api, nullptr);
    }
  }
}

void Transform::finish_http_apis() {
  for (const std::string& id : api_order_) finish_http_api(id, apis_.at(id));
}

void Transform::finish_http_api(const std::string& id, HttpApi& api) {
  const Json none = Json::object();
  const Json* given = api.resource.find("Properties");
  const Json& p = given && given->is_object() ? *given : none;
  if (const Json* domain = p.find("Domain"); domain && !is_no_value(*domain))
    refuse_unserved(id, "Domain of AWS::Serverless::HttpApi");
  if (api.implicit && !api.unconditional && !api.conditions.empty()) {
    std::sort(api.conditions.begin(), api.conditions.end());
    api.conditions.erase(std::unique(api.conditions.begin(), api.conditions.end()), api.conditions.end());
    if (api.conditions.size() == 1) {
      api.resource["Condition"] = api.conditions[0];
    } else {
      Json any = Json::array();
      for (const std::string& condition : api.conditions) any.push_back(Json::object({{"Condition", condition}}));
      root_["Conditions"][cat(id, "Condition")] = Json::object({{"Fn::Or", any}});
      api.resource["Condition"] = cat(id, "Condition");
    }
  }
  const Source source{id, api.resource, p};
  Json tags = Json::object();
  if (const Json* own = p.find("Tags"); own && own->is_object()) tags = *own;
  tags["httpapi:createdBy"] = "SAM";

  Json a = Json::object();
  if (api.body.is_object()) {
    if (const Json* cors = p.find("CorsConfiguration"); cors && !is_no_value(*cors) && *cors != Json(false))
      api.body["x-amazon-apigateway-cors"] = cors_of(with_parameters(*cors));
    add_authorizers(id, api);
    if (const Json* name = p.find("Name")) api.body["info"]["title"] = *name;
    if (const Json* description = p.find("Description")) api.body["info"]["description"] = *description;
    if (const Json* disable = p.find("DisableExecuteApiEndpoint"))
      api.body["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"] = *disable;
    Json& list = api.body["tags"];
    if (list.is_null()) list = Json::array();
    for (const auto& [key, value] : tags.as_object())
      list.push_back(Json::object({{"name", key}, {"x-amazon-apigateway-tag-value", value}}));
    a["Body"] = api.body;
  } else {
    const Json at = code_location(source, *p.find("DefinitionUri"), "DefinitionUri");
    a["BodyS3Location"] = Json::object({{"Bucket", *at.find("S3Bucket")}, {"Key", *at.find("S3Key")}});
    if (const Json* version = at.find("S3ObjectVersion")) a["BodyS3Location"]["Version"] = *version;
  }
  if (const Json* fail = p.find("FailOnWarnings")) a["FailOnWarnings"] = *fail;
  Json attributes = Json::object();
  if (const Json* depends = api.resource.find("DependsOn")) attributes["DependsOn"] = *depends;
  add(source, id, "AWS::ApiGatewayV2::Api", std::move(a), std::move(attributes));

  const Json* name = p.find("StageName");
  const Json stage_name = name ? *name : Json("$default");
  std::string stage = id + "Stage";
  if (stage_name == Json("$default")) {
    stage = id + "ApiGatewayDefaultStage";
  } else if (stage_name.is_string()) {
    stage = cat(id, stage_name.as_string(), "Stage");
  }
  Json s = Json::object({{"ApiId", refer_to(id)}, {"StageName", stage_name}, {"Tags", tags}, {"AutoDeploy", true}});
  for (const char* same : {"AccessLogSettings", "StageVariables", "DefaultRouteSettings", "RouteSettings"}) {
    if (const Json* value = p.find(same)) s[same] = *value;
  }
  add(source, stage, "AWS::ApiGatewayV2::Stage", std::move(s));
  renamed_[id + ".Stage"] = stage;
}

}  // namespace virga::cloudformation::sam
