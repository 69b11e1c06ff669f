// A DynamoDB over the reference engine, called by operation name with the JSON of the wire.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kernel/test_world.h"
#include "services/dynamodb/service.h"

namespace virga::dynamodb {

struct World : kernel::ServiceWorld<DynamoService> {
  // As text, with ' for ".
  std::string text(std::string_view name, std::string json) {
    std::string out = call(name, std::move(json)).dump();
    for (char& c : out) c = c == '"' ? '\'' : c;
    return out;
  }
  std::string message(std::string_view name, std::string json) {
    return call(name, std::move(json)).string_or("message", "no error");
  }
};

}  // namespace virga::dynamodb
