#include "services/dynamodb/arns.h"

#include "base/str.h"
#include "services/dynamodb/errors.h"

namespace virga::dynamodb {

kernel::Arn resource_named(const std::string& text) {
  if (!text.starts_with("arn:")) throw invalid_parameter(cat("ARNs must start with 'arn:': ", text));
  auto arn = kernel::parse_arn(text);
  if (!arn) throw invalid_parameter(cat("Invalid resource Arn: ", text));
  const auto parts = split(arn->resource, '/');
  const bool of_table = arn->service == "dynamodb" && parts[0] == "table";
  if (of_table && (parts.size() == 2 || (parts.size() == 4 && parts[2] == "stream"))) return std::move(*arn);
  if (of_table && parts.size() == 4 && parts[2] == "index") {
    throw invalid_parameter(
        cat("Invalid resource arn provided, only table or stream is accepted. Provided resource arn: ", text));
  }
  throw invalid_parameter(cat("Provided Arn is not a DynamoDB resource arn: ", text));
}

}  // namespace virga::dynamodb
