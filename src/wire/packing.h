// Packed bodies: what comes packed (Content-Encoding), and what a client accepts packed (Accept-Encoding).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/gzip.h"
#include "wire/http.h"
#include "wire/shape.h"

namespace virga::wire {

// Nothing when the body came as it is. Throws Error, or GzipError when it is damaged or unpacks to too much.
std::optional<std::string> unpacked(Protocol protocol, const ServiceModel& service, const HttpRequest& request,
                                    std::string_view body);
// That a body could not be unpacked.
Error not_unpacked(Protocol protocol, const ServiceModel& service, std::string message);

// Nothing when the answer is to be sent as it is. Answers of a few bytes always are.
std::optional<Packing> packing_for(const ServiceModel* service, const HttpRequest& request,
                                   const HttpResponse& response);
// What an Accept-Encoding asks for, read as leniently as DynamoDB does.
std::optional<Packing> accepted_packing(std::string_view accept_encoding);
void pack(HttpResponse& response, Packing packing);

}  // namespace virga::wire
