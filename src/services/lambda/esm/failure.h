// What a mapping tells its on-failure destination of records that it discarded.
#pragma once

#include <string>

#include "base/time.h"
#include "kv/db.h"
#include "services/lambda/esm/engine.h"

namespace virga::lambda::esm {

struct Discarded {
  std::string condition;  // "RetryAttemptsExhausted", "RecordAgeExceeded"
  int64_t attempts = 0;
  std::string request_id, version, function_error;  // of the last call; empty: it was not called
  std::string shard, first_sequence, last_sequence;
  Time first_arrived, last_arrived;
  size_t count = 0;
  std::string payload;  // the event, for destinations that take it
};

// The document that a destination gets.
std::string failure_document(const Mapping& mapping, const Discarded& discarded, Time now);
// Part of the transaction that goes on without the records.
void tell_of(kv::Txn& tx, Work& work, const Discarded& discarded, const std::string& role);

}  // namespace virga::lambda::esm
