// The transform's working state, shared by the files of this folder.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "services/cloudformation/intrinsics.h"

namespace virga::cloudformation::sam {

inline constexpr std::string_view kCreatedBy = "lambda:createdBy";
inline constexpr std::string_view kImplicitHttpApi = "ServerlessHttpApi";

// "Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless Application Specification document. …"
[[noreturn]] void refuse(std::string_view logical_id, std::string_view why);
// The same for what AWS's transform does and this one does not.
[[noreturn]] void refuse_unserved(std::string_view logical_id, std::string_view what);

Json refer_to(std::string_view name);
Json get_att(std::string_view name, std::string_view attribute);
Json sub(std::string text);
Json sub(std::string text, Json variables);
// What lets a service assume a role.
Json assume_role(std::string_view service);
// [{Key, Value}] of a map of tags, after lambda:createdBy.
Json tag_list(const Json* tags);
// The most compact JSON with sorted keys and escapes outside ASCII: what logical ids are hashed from.
std::string canonical(const Json& value);
// `prefix` and the first ten hexadecimal digits of the SHA-1 of the value's canonical text.
std::string hashed_id(std::string_view prefix, const Json& value);
bool is_no_value(const Json& value);

// One SAM resource being expanded.
struct Source {
  std::string id;
  const Json& resource;  // Globals merged in
  const Json& properties;
  const Json* find(std::string_view name) const { return properties.find(name); }
};

// {S3Bucket, S3Key, S3ObjectVersion} from "s3://bucket/key" or {Bucket, Key, Version}.
Json code_location(const Source& source, const Json& uri, std::string_view property);

// An HTTP API while routes are collected.
struct HttpApi {
  Json resource;  // of the template, Globals merged in
  Json body;      // OpenAPI; null when the definition lies elsewhere
  bool implicit = false;
  bool given = false;                   // the template brings its own definition
  std::vector<std::string> conditions;  // of the functions that use an implicit API
  bool unconditional = false;           // some function without condition uses it
};

// A function's ARN and name as other resources refer to it: the alias when one is published.
struct FunctionTarget {
  std::string id;
  std::string alias;  // logical id; empty: none
  Json arn() const { return alias.empty() ? get_att(id, "Arn") : refer_to(alias); }
  Json name() const { return refer_to(alias.empty() ? id : alias); }
};

class Transform {
 public:
  Transform(Json root, const std::map<std::string, Json>& parameters, const PseudoParameters& pseudo)
      : root_(std::move(root)), parameters_(parameters), pseudo_(pseudo) {}
  Json run();

 private:
  // globals.cc
  void merge_globals();
  // function.cc
  void function(const Source& source);
  // Appends AutoPublishCodeSha256 to the description, so that Lambda sees a change when only the code changed.
  void describe_code(const Source& source, Json& properties) const;
  Json function_properties(const Source& source);
  void function_role(const Source& source, Json event_managed, Json event_documents, const Json& event_invoke_policies,
                     Json attributes);
  FunctionTarget publish(const Source& source, const Json& function);
  void function_url(const Source& source, const FunctionTarget& target);
  std::string condition_of(const Source& source, const std::string& made, const Json& value, const Json* missing);
  Json event_invoke(const Source& source, const FunctionTarget& target);  // the policies it needs
  // events.cc
  void event(const Source& source, const FunctionTarget& target, const std::string& name, const Json& event);
  void permission(const Source& source, const FunctionTarget& target, const std::string& id, std::string_view principal,
                  Json more);
  void rule_event(const Source& source, const FunctionTarget& target, const std::string& id, const Json& p,
                  bool schedule);
  void scheduler_event(const Source& source, const FunctionTarget& target, const std::string& id, const Json& p);
  void mapping_event(const Source& source, const FunctionTarget& target, const std::string& id, const std::string& type,
                     const Json& p);
  void bucket_event(const Source& source, const FunctionTarget& target, const std::string& id, const Json& p);
  void topic_event(const Source& source, const FunctionTarget& target, const std::string& id, const Json& p);
  void queue_policy(const Source& source, const std::string& id, const Json& queue_arn, const Json& queue_url,
                    const char* service, const Json& from);
  static std::string letters_queue_id(const std::string& id, const Json& letters);
  Json letters_queue(const Source& source, const std::string& id, const Json& letters);
  void queued_topic_event(const Source& source, const FunctionTarget& target, const std::string& id, const Json& p,
                          const Json& given);
  void logs_event(const Source& source, const FunctionTarget& target, const std::string& id, const Json& p);
  // http_api.cc
  void prepare_http_apis();
  void http_api_event(const Source& source, const FunctionTarget& target, const std::string& id, const Json& p);
  void finish_http_apis();
  void finish_http_api(const std::string& id, HttpApi& api);
  void add_authorizers(const std::string& id, HttpApi& api);
  void secure(Json& operation, const std::string& id, HttpApi& api, const Json* auth);
  // plain.cc
  void simple_table(const Source& source);
  void layer(const Source& source);
  void state_machine(const Source& source);
  void capacity_provider(const Source& source);
  // policies.cc
  // Splits Policies into managed ARNs and inline documents named <role>Policy<index>.
  void add_policies(const Source& source, const std::string& role, const Json& policies, Json& managed,
                    Json& documents);
  // transform.cc
  void add(const Source& source, std::string id, std::string_view type, Json properties,
           Json attributes = Json::object());
  static void propagate_tags(const Source& source, std::string_view type, Json& properties);
  void rename_references();
  // `value` with references to parameters replaced by the stack's values.
  Json with_parameters(const Json& value) const;
  Json managed_policy(std::string_view name) const;

  Json root_;
  const std::map<std::string, Json>& parameters_;
  const PseudoParameters& pseudo_;
  Json resources_ = Json::object();  // the result
  std::map<std::string, HttpApi> apis_;
  std::vector<std::string> api_order_;
  // References that change: {"F.Alias", "FAliaslive"}, {"Layer", "Layer0123456789"}.
  std::map<std::string, std::string> renamed_;
};

}  // namespace virga::cloudformation::sam
