// Parts of error rendering that the codecs share.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "wire/http.h"
#include "wire/shape.h"

namespace virga::wire {

bool is_s3(const ServiceModel* service);
// The model's XML namespace, or the one its documents have always had.
std::string xml_namespace_of(const ServiceModel& service);
// What DynamoDB's clients compare an answer's body with.
void add_checksum(HttpResponse& response, const ServiceModel* service);
// The request id as this family of services sends it.
void add_request_id(HttpResponse& response, const ServiceModel* service, std::string_view request_id);
// A violated constraint, in the service's own code for it.
Error validation_error(const OperationModel& op, std::string message);
// A required parameter that never came, of the services that have an error of their own for it: SQS.
std::optional<Error> missing_parameter(const OperationModel& op, std::string_view place);

}  // namespace virga::wire
