// The table that a restore makes: the source's schema with what the request overrides, without what AWS does not
// restore.
#pragma once

#include <aws/dynamodb/types.h>

#include "kernel/context.h"
#include "services/dynamodb/store.h"

namespace virga::dynamodb {

Table restored_table(const kernel::Ctx& ctx, const Table& source, const RestoreTableFromBackupInput& in);
Table restored_table(const kernel::Ctx& ctx, const Table& source, const RestoreTableToPointInTimeInput& in);

}  // namespace virga::dynamodb
