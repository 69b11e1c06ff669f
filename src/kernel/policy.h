// The policy engine: pure functions from documents and a request to a decision, by AWS's evaluation logic.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/context.h"

namespace virga::kernel::policy {

// A parsed policy document. Immutable; shared freely between threads.
class Document;
using DocumentPtr = std::shared_ptr<const Document>;

enum class Type : uint8_t {
  kIdentity,
  kResource
};  // resource policies need a Principal; identity policies must have none
// Throws std::invalid_argument whose text is what AWS says of a malformed document.
DocumentPtr parse(std::string_view json, Type type);
// Whether a decision of this document can depend on Request::keys: conditions or policy variables are in it.
bool uses_keys(const Document& document);

struct Request {
  const Principal* principal;
  std::string_view action;
  std::string_view resource;
  // Condition keys, lower case: "aws:sourceip" → values. Absent keys are absent.
  std::map<std::string, std::vector<std::string>, std::less<>> keys;
};

struct Policies {
  std::vector<DocumentPtr> identity;
  std::vector<DocumentPtr> session;          // each must allow
  DocumentPtr boundary;                      // must allow, when there is one
  std::vector<DocumentPtr> service_control;  // each must allow
  DocumentPtr resource;
  std::string resource_account;      // who owns the resource; empty: the principal's account
  bool resource_must_allow = false;  // role trust policies and key policies: identity policies alone don't suffice
};

enum class Decision : uint8_t { kAllow, kExplicitDeny, kImplicitDeny };
struct Outcome {
  Decision decision;
  // Which kind of policy said so, in AWS's words for messages: "identity-based policy", "permissions boundary", …
  std::string_view because;
  std::string statement_id;  // of the deciding statement, when it has one
};

Outcome evaluate(const Policies& policies, const Request& request);

}  // namespace virga::kernel::policy
