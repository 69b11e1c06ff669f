// What a batch of records means: the event that a function gets, and what its answer says about each record. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace virga::lambda::esm {

inline constexpr size_t kMostPayload = 6 * 1024 * 1024;  // an event of 6 MB is not waited to grow
inline constexpr size_t kMostWindowState =
    1024 * 1024;  // docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html

// The tumbling window of an invocation.
struct WindowView {
  Time start, end;
  std::string state;  // JSON; empty: {}
  std::string shard, source;
  bool final = false, early = false;
};
// {"Records":[…]}, with the window's members when there is one.
std::string event_of(const std::vector<const std::string*>& records, const WindowView* window = nullptr);

// What a function said of the records it was given.
struct Verdict {
  bool all_failed = false;
  std::vector<std::string> failed;  // identifiers; empty: all succeeded
};
// `known` says whether an identifier is of the batch: one that is not fails the whole batch.
template <class F>
Verdict judge(const std::string& answer, F known);
// The failures that an answer reports; nothing when it is not an answer of that kind, which fails the batch.
std::optional<std::vector<std::string>> reported_failures(const std::string& answer);
// The member "state" of an answer as JSON; "{}" when there is none.
std::string window_state_of(const std::string& answer);

template <class F>
Verdict judge(const std::string& answer, F known) {
  auto failures = reported_failures(answer);
  Verdict verdict;
  if (!failures) {
    verdict.all_failed = true;
    return verdict;
  }
  for (std::string& id : *failures) {
    if (!known(id)) verdict.all_failed = true;
    verdict.failed.push_back(std::move(id));
  }
  return verdict;
}

}  // namespace virga::lambda::esm
