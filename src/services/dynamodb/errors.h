// Refusals that DynamoDB's model does not list but every client meets.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"

namespace virga::dynamodb {

Error validation(std::string message);
// "One or more parameter values were invalid: " + what.
Error invalid_parameter(std::string_view what);
// "Invalid Request: " + what.
Error invalid_request(std::string_view what);

// Of what is wrong with a request alone AWS says in some operations how many faults there are, as it does of violated
// constraints: "1 validation error detected: ". `uncounted` is what it says as it is everywhere.
Error uncounted(std::string message);
Error counted(Error error);
// Of a bound that newer parts of DynamoDB check themselves: they spell the place as the request does.
Error out_of_bounds(std::string_view place, std::string_view constraint);
template <class F>
void counting(F judge) {
  try {
    judge();
  } catch (Error& error) {
    throw counted(std::move(error));
  }
}

}  // namespace virga::dynamodb
