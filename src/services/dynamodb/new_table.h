// How a table comes into the store, whoever makes it.
#pragma once

#include "services/dynamodb/store.h"

namespace virga::dynamodb {

// Refuses a change of a table that is there and not yet ready.
Error being_created(const std::string& table);
// Puts a table that is not there yet. Fails with LimitExceededException when the account has too many.
Task<void> add_table(kv::Txn& tx, Store& store, const Table& table);

}  // namespace virga::dynamodb
