// What a permission is about: the ARN of the function, version or alias that a request names.
#pragma once

#include <string>

#include "services/lambda/esm/mapping.h"
#include "services/lambda/model.h"

namespace virga::lambda {

template <class In>
std::string by_function(const Ctx& ctx, const In& in) {
  return function_arn(ctx, function_id(ctx, in.function_name));
}
// The ARN with the qualifier: what a version's or an alias's own policy is about.
template <class In>
std::string by_qualified(const Ctx& ctx, const In& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  return id.qualifier.empty() ? function_arn(ctx, id) : qualified_arn(ctx, id, id.qualifier);
}
// However the caller spells the function: what is asked about is what is touched.
template <class In>
std::string by_resource(const Ctx& ctx, const In& in) {
  return esm::is_mapping_arn(in.resource) || is_provider_arn(in.resource) || is_signing_arn(in.resource)
             ? in.resource
             : function_arn(ctx, function_id(ctx, in.resource));
}

}  // namespace virga::lambda
