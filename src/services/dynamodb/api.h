// What the rest of Virga sees of DynamoDB.
#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::dynamodb {

std::unique_ptr<kernel::Service> make_dynamodb(kernel::Deps& deps);
// DynamoDB Streams, a service of its own on the wire; also a kernel::StreamSource.
std::unique_ptr<kernel::Service> make_dynamodbstreams(kernel::Deps& deps);

}  // namespace virga::dynamodb
