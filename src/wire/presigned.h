// What S3's presigned URLs have of their own.
#pragma once

#include "wire/http.h"

namespace virga::wire {

// Signers of URLs move x-amz-* headers into the query: puts them where operations look for headers. After verification.
void take_headers_from_query(HttpRequest& request);

}  // namespace virga::wire
