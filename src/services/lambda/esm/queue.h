// Messages of queues as functions get them.
#pragma once

#include <aws/sqs/types.h>

#include <string>

#include "services/lambda/esm/mapping.h"

namespace virga::lambda::esm {

std::string queue_url_of(const std::string& arn);
// A message as a record of an event.
std::string event_of(const Mapping& mapping, const sqs::Message& message);

}  // namespace virga::lambda::esm
