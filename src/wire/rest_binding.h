// The parts of a REST message outside its body: labels, query parameters, headers, status.
#pragma once

#include "wire/codec.h"
#include "wire/findings.h"

namespace virga::wire {

// Reads every member bound to a label, query parameter or header; marks those that came.
void read_bound_input(const StructInfo& info, const HttpRequest& request, const Labels& labels, void* input, Seen& seen,
                      Findings& findings);
void write_bound_output(const StructInfo& info, const void* output, HttpResponse& response);
// Writes the request line and headers; the body is the caller's.
void write_bound_request(const OperationModel& op, const void* input, HttpRequest& request);
void read_bound_output(const StructInfo& info, const HttpResponse& response, void* output);

bool has_body_members(const StructInfo& info);

}  // namespace virga::wire
