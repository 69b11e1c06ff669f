// The transform AWS::Serverless-2016-10-31: a template with AWS::Serverless::… resources to the plain template it
// stands for. Pure. Logical ids, properties and permissions are those of AWS's transform, so that templates which refer
// to generated resources keep working.
#pragma once

#include <map>
#include <string>

#include "base/json.h"
#include "services/cloudformation/intrinsics.h"

namespace virga::cloudformation {

// `parameters` are the stack's values: what shapes logical ids (code locations, alias names) sees them resolved.
// Throws validation_error in the transform's words: "Transform AWS::Serverless-2016-10-31 failed with: …".
Json transform_serverless(Json root, const std::map<std::string, Json>& parameters, const PseudoParameters& pseudo);

}  // namespace virga::cloudformation
