// What browsers ask of AWS's APIs, which let pages of every origin call them. Buckets and what users made are not
// meant: their CORS is configured.
#pragma once

#include <string_view>

#include "wire/http.h"
#include "wire/shape.h"

namespace virga::front {

// Says that the page which asked may read the answer. Nothing when no page asked. `operation` may be null.
void allow_origin(const wire::HttpRequest& request, const wire::OperationModel* operation,
                  wire::HttpResponse& response);

// To OPTIONS: whatever is asked for is allowed.
wire::HttpResponse answer_preflight(const wire::HttpRequest& request);

// Whether the request comes from a page that this machine does not serve.
bool is_of_foreign_page(const wire::HttpRequest& request);

}  // namespace virga::front
