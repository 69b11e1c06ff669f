// Values by shape as JSON: shared by the json protocols, rest-json and typed calls.
#pragma once

#include <string>

#include "base/json.h"
#include "wire/dynamodb.h"
#include "wire/findings.h"
#include "wire/shape.h"

namespace virga::wire {

// Reads by shape. `findings` collects; BadInput and JsonError are thrown.
class JsonShapeReader {
 public:
  JsonShapeReader(JsonReader& in, Findings& findings, const ServiceModel* service = nullptr)
      : in_(in), findings_(findings), java_(is_dynamodb(service) ? service : nullptr) {}
  // `value` is default-constructed. `format`: how a timestamp is written that says nothing itself.
  void read(const Shape& shape, void* value, const Path& at, TimestampFormat format = TimestampFormat::kEpochSeconds);
  // `body_only`: members at other places than the body are neither read nor reported missing.
  void read_structure(const StructInfo& info, void* structure, const Path& at, bool body_only, bool root = false);

 private:
  void expect_container(const Shape& shape, const Path& at);
  void read_list(const Shape& shape, void* list, const Path& at);
  void read_map(const Shape& shape, void* map, const Path& at);
  void read_enum(const Shape& shape, void* value, const Path& at);
  void read_timestamp(Time& out, TimestampFormat format);
  int64_t read_integer(const char* type);
  double read_double(const char* type);
  void read_string(std::string& out, const char* type);
  [[noreturn]] void mismatch(const char* type);

  JsonReader& in_;
  Findings& findings_;
  const ServiceModel* java_;  // DynamoDB, whose words name Java's types; null for all others
  std::string key_;           // scratch: a key is used before the reader descends into its value
};

void write_json(JsonWriter& out, const Shape& shape, const void* value,
                TimestampFormat format = TimestampFormat::kEpochSeconds);
// The members between braces, without the braces.
void write_json_members(JsonWriter& out, const StructInfo& info, const void* structure, bool body_only);

}  // namespace virga::wire
