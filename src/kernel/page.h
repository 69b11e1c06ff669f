// Page tokens with a type: what a list operation needs to go on, as a record (kv/record.h), sealed for its operation
// and its caller's account and region.
//
//   struct After { std::string name; template <class A> void fields(A& a) { a(1, name); } };
//   auto after = open_page<After>(tokens, ctx, "sqs:ListQueues", in.next_token);   // nothing: first page; throws `bad`
//   out.next_token = seal_page(tokens, ctx, "sqs:ListQueues", After{last});
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/str.h"
#include "kernel/context.h"
#include "kernel/tokens.h"
#include "kv/record.h"

namespace virga::kernel {

inline std::string page_purpose(const Ctx& ctx, std::string_view operation) {
  return cat("page:", operation, ':', ctx.account, ':', ctx.region);
}

template <class T>
std::string seal_page(const Tokens& tokens, const Ctx& ctx, std::string_view operation, const T& after) {
  return tokens.seal(page_purpose(ctx, operation), kv::encode(after));
}

// Throws `bad` for a token that is not one of this operation's.
template <class T>
std::optional<T> open_page(const Tokens& tokens, const Ctx& ctx, std::string_view operation,
                           const std::optional<std::string>& token, const Error& bad) {
  if (!token || token->empty()) return std::nullopt;
  const auto payload = tokens.open(page_purpose(ctx, operation), *token);
  if (!payload) throw Error(bad);
  return kv::decode<T>(*payload);
}

}  // namespace virga::kernel
