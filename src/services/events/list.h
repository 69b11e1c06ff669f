// One page of a listing by name.
#pragma once

#include <aws/events/errors.h>

#include <optional>
#include <string>
#include <vector>

#include "kernel/page.h"
#include "services/events/limits.h"
#include "services/events/service.h"

namespace virga::events {

struct ListRequest {
  std::string operation;  // "events:ListRules"
  std::string prefix;
  std::optional<std::string> token;
  std::optional<int32_t> limit;
  Home home;
  std::string scope;  // the bus, of rules
};

// Records that `keep` wants, and in `next` the token of the page behind them. `next` and `ctx` are the caller's.
template <class R, class Keep>
Task<std::vector<R>> list_page(kernel::Deps& deps, const Ctx& ctx, ListRequest in, std::optional<std::string>& next,
                               Keep keep) {
  std::string after =
      kernel::open_page<std::string>(deps.tokens, ctx, in.operation, in.token, bad_token()).value_or("");
  const size_t limit = in.limit ? static_cast<size_t>(*in.limit) : kDefaultList;
  const auto snapshot = deps.db.snapshot();
  const Store store(*snapshot, in.home);
  std::vector<R> out;
  while (true) {
    auto page = co_await store.list<R>(in.prefix, after, limit + 1, in.scope);
    for (R& record : page) {
      if (out.size() == limit) {
        next = kernel::seal_page(deps.tokens, ctx, in.operation, after);
        co_return std::move(out);
      }
      after = record.name;
      if (keep(record)) out.push_back(std::move(record));
    }
    if (page.size() <= limit) co_return std::move(out);
  }
}

}  // namespace virga::events
