// Relying on a key without reading it.
#pragma once

#include <string>

#include "kv/db.h"

namespace virga::kv {

// As though the transaction had read `key`: it conflicts when another changes the key after this one's instant. For
// what a caller holds decoded in memory and knows to be as the store has it.
void depend_on(Txn& txn, std::string key);

}  // namespace virga::kv
