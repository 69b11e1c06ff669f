// What a request asks of the policy engine: table and index ARNs, and DynamoDB's condition keys.
#pragma once

#include <aws/dynamodb/types.h>

#include <vector>

#include "kernel/context.h"
#include "kernel/service.h"
#include "services/dynamodb/store.h"

namespace virga::dynamodb {

using kernel::Ctx;

std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const GetItemInput& in);
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const PutItemInput& in);
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const UpdateItemInput& in);
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const DeleteItemInput& in);
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const QueryInput& in);
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const ScanInput& in);
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const BatchGetItemInput& in);
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const BatchWriteItemInput& in);
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const TransactGetItemsInput& in);
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const TransactWriteItemsInput& in);
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const ExecuteStatementInput& in);
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const ExecuteTransactionInput& in);
// Of one statement of a batch, each of which is allowed or refused for itself.
std::vector<kernel::Access> access_of(const TableCache& cache, const Ctx& ctx, const BatchExecuteStatementInput& in,
                                      const BatchStatementRequest& one);

}  // namespace virga::dynamodb
