// Several writes as one, and why they did not happen.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "services/dynamodb/store.h"

namespace virga::dynamodb {

// One action of a transaction.
struct Action {
  Write write;
  bool returns_old_on_failure = false;
  bool insert = false;  // of PartiQL: an item that exists already is a duplicate rather than a failed condition
};

// A token of the caller and the digest of what it stands for.
struct Idempotency {
  std::string token, digest;
};

// The outcome of a transaction's body: whether it was a repetition of one that succeeded.
struct Outcome {
  bool repeated = false;
  std::vector<Written> written;
};

// Why an action stopped the transaction; code "None" when it did not.
struct Reason {
  std::string code = "None", message;
  std::optional<Item> item;
};
Error cancelled(const std::vector<Reason>& reasons);
// What is told as the reason of one action; nothing for what fails the whole request.
std::optional<Reason> reason_of(const Error& error);
// A fault of one of several reads is the reason why all are cancelled.
template <class F>
void judge_read(size_t which, size_t of, F f) {
  try {
    f();
  } catch (const Error& error) {
    std::optional<Reason> reason = reason_of(error);
    if (!reason) throw;
    std::vector<Reason> reasons(of);
    reasons[which] = std::move(*reason);
    throw cancelled(reasons);
  }
}

// What a transaction consumed, by table.
std::vector<ConsumedCapacity> capacity_of_transaction(ReturnConsumedCapacity asked, const Outcome& outcome);
std::vector<ConsumedCapacity> capacity_of_reads(ReturnConsumedCapacity asked,
                                                const std::map<std::string, double>& units_by_table);

}  // namespace virga::dynamodb
