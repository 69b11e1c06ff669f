// What a pipe is asked to be: its definition as JSON and typed, what may stand in it, and how its source is read. Pure.
#pragma once

#include <aws/pipes/types.h>

#include <string>

#include "base/json.h"
#include "kernel/cloud.h"
#include "services/lambda/esm/api.h"

namespace virga::pipes {

Json definition_of(const CreatePipeRequest& in);
// The definition with what an update says; what it doesn't name stays.
Json updated(Json definition, const UpdatePipeRequest& in);
CreatePipeRequest typed(const Json& definition);

// Throws ValidationException for what is not served and what can't stand together.
void check(const CreatePipeRequest& in, const kernel::Cloud& cloud);
// The members that say how the source is read.
void apply(lambda::esm::Mapping& mapping, const CreatePipeRequest& in);

}  // namespace virga::pipes
