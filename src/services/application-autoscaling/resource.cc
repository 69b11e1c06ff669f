#include "services/application-autoscaling/resource.h"

#include <aws/application-autoscaling/errors.h>
#include <aws/dynamodb/ops.h>
#include <aws/dynamodb/types.h>
#include <aws/lambda/ops.h>
#include <aws/lambda/types.h>

#include "base/str.h"

namespace virga::applicationautoscaling {
namespace {

struct Dimension {
  std::string_view name, quantity;
  bool write = false, index = false;  // of tables
};
constexpr Dimension kDimensions[] = {
    {"lambda:function:ProvisionedConcurrency", "provisioned concurrency"},
    {"dynamodb:table:ReadCapacityUnits", "read capacity units"},
    {"dynamodb:table:WriteCapacityUnits", "write capacity units", true},
    {"dynamodb:index:ReadCapacityUnits", "read capacity units", false, true},
    {"dynamodb:index:WriteCapacityUnits", "write capacity units", true, true},
};

const Dimension* find_dimension(std::string_view name) {
  for (const Dimension& dimension : kDimensions) {
    if (dimension.name == name) return &dimension;
  }
  return nullptr;
}

// function:<name>:<version or alias>; table/<name>; table/<name>/index/<name>.
struct Name {
  std::string first, second;
};
std::optional<Name> name_of(const Scalable& what, const Dimension& dimension) {
  const bool lambda = what.space == "lambda";
  const auto parts = split(what.resource, lambda ? ':' : '/');
  const bool fits = lambda            ? parts.size() == 3 && parts[0] == "function" && parts[2] != "$LATEST"
                    : dimension.index ? parts.size() == 4 && parts[0] == "table" && parts[2] == "index"
                                      : parts.size() == 2 && parts[0] == "table";
  if (!fits) return std::nullopt;
  Name name{std::string(parts[1]), std::string(lambda ? parts[2] : dimension.index ? parts[3] : "")};
  if (name.first.empty() || (name.second.empty() && (lambda || dimension.index))) return std::nullopt;
  return name;
}
Name require(const Scalable& what) { return name_of(what, *find_dimension(what.dimension)).value(); }

kernel::Ctx context(kernel::Cloud& cloud, const Home& home) {
  kernel::Ctx ctx = cloud.internal_context(kernel::root_of(home.account), home.account, home.region);
  ctx.via = "application-autoscaling.amazonaws.com";
  return ctx;
}

Task<Capacity> read_function(kernel::Cloud& cloud, kernel::Ctx& ctx, Name name) {
  lambda::GetProvisionedConcurrencyConfigRequest in;
  in.function_name = name.first;
  in.qualifier = name.second;
  const auto got = co_await as_result(cloud.call<lambda::op::GetProvisionedConcurrencyConfig>(ctx, std::move(in)));
  Capacity out;
  if (!got) {
    const Error* error = error_of(got);
    if (!error || error->shape->code != "ProvisionedConcurrencyConfigNotFoundException")
      co_await fail_with(got.error());
    co_return out;
  }
  out.now = got->requested_provisioned_concurrent_executions.value_or(0);
  out.settled = got->status == lambda::ProvisionedConcurrencyStatusEnum::READY;
  if (got->status == lambda::ProvisionedConcurrencyStatusEnum::FAILED) out.failure = got->status_reason.value_or("");
  co_return out;
}

Task<void> set_function(kernel::Cloud& cloud, kernel::Ctx& ctx, Name name, int32_t capacity) {
  if (capacity > 0) {
    lambda::PutProvisionedConcurrencyConfigRequest in;
    in.function_name = name.first;
    in.qualifier = name.second;
    in.provisioned_concurrent_executions = capacity;
    co_await cloud.call<lambda::op::PutProvisionedConcurrencyConfig>(ctx, std::move(in));
  } else {
    lambda::DeleteProvisionedConcurrencyConfigRequest in;
    in.function_name = name.first;
    in.qualifier = name.second;
    co_await cloud.call<lambda::op::DeleteProvisionedConcurrencyConfig>(ctx, std::move(in));
  }
}

struct Units {
  int64_t read = 0, write = 0;
  bool settled = true;
};
Task<Units> read_table(kernel::Cloud& cloud, kernel::Ctx& ctx, Name name) {
  dynamodb::DescribeTableInput in;
  in.table_name = name.first;
  const auto got = co_await cloud.call<dynamodb::op::DescribeTable>(ctx, std::move(in));
  const dynamodb::TableDescription& table = got.table.value();
  const std::optional<dynamodb::ProvisionedThroughputDescription>* throughput = &table.provisioned_throughput;
  Units out;
  out.settled = table.table_status == dynamodb::TableStatus::ACTIVE;
  if (!name.second.empty()) {
    throughput = nullptr;
    if (table.global_secondary_indexes) {
      for (const auto& index : *table.global_secondary_indexes) {
        if (index.index_name != name.second) continue;
        throughput = &index.provisioned_throughput;
        out.settled = out.settled && index.index_status == dynamodb::IndexStatus::ACTIVE;
      }
    }
    if (!throughput) co_return err::ValidationException(cat("DynamoDB index does not exist: ", name.second));
  }
  if (*throughput) {
    out.read = (*throughput)->read_capacity_units.value_or(0);
    out.write = (*throughput)->write_capacity_units.value_or(0);
  }
  if (out.read == 0) {
    co_return err::ValidationException(cat("The table ", name.first, " is not in the provisioned billing mode."));
  }
  co_return out;
}

Task<void> set_table(kernel::Cloud& cloud, kernel::Ctx& ctx, Name name, bool write, int32_t capacity) {
  const Units units = co_await read_table(cloud, ctx, name);
  dynamodb::ProvisionedThroughput throughput;
  throughput.read_capacity_units = write ? units.read : capacity;
  throughput.write_capacity_units = write ? capacity : units.write;
  dynamodb::UpdateTableInput in;
  in.table_name = name.first;
  if (name.second.empty()) {
    in.provisioned_throughput = throughput;
  } else {
    auto& update = in.global_secondary_index_updates.emplace().emplace_back().update.emplace();
    update.index_name = name.second;
    update.provisioned_throughput = throughput;
  }
  co_await cloud.call<dynamodb::op::UpdateTable>(ctx, std::move(in));
}

}  // namespace

void check_scalable(const Scalable& what) {
  if (what.space != "lambda" && what.space != "dynamodb") {
    throw err::ValidationException(cat("The service namespace ", what.space, " is not served by Virga."));
  }
  const Dimension* dimension = find_dimension(what.dimension);
  if (!dimension || !what.dimension.starts_with(cat(what.space, ":")) || !name_of(what, *dimension)) {
    throw err::ValidationException("Unsupported service namespace, resource type or scalable dimension");
  }
}

int32_t least_capacity(const Scalable& what) { return what.space == "lambda" ? 0 : 1; }
std::string_view quantity(const Scalable& what) { return find_dimension(what.dimension)->quantity; }
std::string owner(const Scalable& what) { return cat(what.space, ":", require(what).first); }

std::string role_arn(const Home& home, const Scalable& what) {
  const bool lambda = what.space == "lambda";
  return cat("arn:aws:iam::", home.account, ":role/aws-service-role/", lambda ? "lambda" : "dynamodb",
             ".application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_",
             lambda ? "LambdaConcurrency" : "DynamoDBTable");
}

Task<Capacity> read_capacity(kernel::Cloud& cloud, Home home, Scalable what) {
  kernel::Ctx ctx = context(cloud, home);
  if (what.space == "lambda") co_return co_await read_function(cloud, ctx, require(what));
  const Units units = co_await read_table(cloud, ctx, require(what));
  Capacity out;
  out.now = static_cast<int32_t>(find_dimension(what.dimension)->write ? units.write : units.read);
  out.settled = units.settled;
  co_return out;
}

Task<void> set_capacity(kernel::Cloud& cloud, Home home, Scalable what, int32_t capacity) {
  kernel::Ctx ctx = context(cloud, home);
  if (what.space == "lambda") {
    co_await set_function(cloud, ctx, require(what), capacity);
  } else {
    co_await set_table(cloud, ctx, require(what), find_dimension(what.dimension)->write, capacity);
  }
}

}  // namespace virga::applicationautoscaling
