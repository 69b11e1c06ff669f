// Tags, and permissions as statements of the queue's policy.
#include <aws/sqs/errors.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/str.h"
#include "kv/record.h"
#include "services/sqs/limits.h"
#include "services/sqs/service.h"
#include "services/sqs/settings.h"

namespace virga::sqs {
namespace {

constexpr size_t kMaxLabel = 80;
constexpr std::array<std::string_view, 8> kActions = {"*",
                                                      "SendMessage",
                                                      "ReceiveMessage",
                                                      "DeleteMessage",
                                                      "ChangeMessageVisibility",
                                                      "GetQueueAttributes",
                                                      "GetQueueUrl",
                                                      "ListDeadLetterSourceQueues"};

Json* statements_of(Json& policy) {
  Json* statements = policy.find("Statement");
  if (statements && statements->is_object()) *statements = Json(Json::Array{*statements});
  return statements;
}

// The statement that AddPermission makes, as AWS writes it.
Json statement_of(const AddPermissionRequest& in, const QueueName& queue) {
  const auto one_or_list = [](std::vector<std::string> values) {
    if (values.size() == 1) return Json(values.front());
    Json list = Json::array();
    for (std::string& value : values) list.push_back(std::move(value));
    return list;
  };
  std::vector<std::string> principals, actions;
  for (const std::string& account : in.aws_account_ids) principals.push_back(cat("arn:aws:iam::", account, ":root"));
  for (const std::string& action : in.actions) actions.push_back(cat("SQS:", action));
  Json statement = Json::object();
  statement["Sid"] = in.label;
  statement["Effect"] = "Allow";
  statement["Principal"] = Json::object({{"AWS", one_or_list(principals)}});
  statement["Action"] = one_or_list(actions);
  statement["Resource"] = queue.arn();
  return statement;
}

void check_permission(const AddPermissionRequest& in) {
  const auto bad = [](std::string message) { return err::InvalidParameterValueException(std::move(message)); };
  if (in.label.empty() || in.label.size() > kMaxLabel) throw bad("Label must be 1 to 80 characters long.");
  if (in.aws_account_ids.empty()) {
    throw err::MissingRequiredParameterException("The request must contain the parameter PrincipalId.");
  }
  if (in.actions.empty())
    throw err::MissingRequiredParameterException("The request must contain the parameter Actions.");
  if (in.actions.size() > 7) throw err::OverLimit(cat(in.actions.size(), " Actions were found, maximum allowed is 7."));
  for (const std::string& action : in.actions) {
    if (std::ranges::find(kActions, action) != kActions.end()) continue;
    throw bad(cat("Value SQS:", action,
                  " for parameter ActionName is invalid. Reason: Only the queue owner is allowed ",
                  "to invoke this action."));
  }
  for (const std::string& account : in.aws_account_ids) {
    if (account.size() != 12 || !parse_int(account)) {
      throw bad(cat("Value [", account, "] for parameter PrincipalId is invalid. Reason: Unable to verify."));
    }
  }
}

}  // namespace

Task<TagQueueOutput> SqsService::tag_queue(Ctx& ctx, const TagQueueRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  require_own(ctx, name, "tagqueue");
  if (in.tags.empty()) throw err::MissingRequiredParameterException("The request must contain the parameter Tags.");
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<TagQueueOutput> {
    auto queue = co_await find_queue(tx, name);
    if (!queue) co_return no_queue();
    for (const auto& [key, value] : in.tags) queue->tags[key] = value;
    if (queue->tags.size() > kMaxTags) {
      co_return err::InvalidParameterValueException(cat("Too many tags added for queue ", name.name, "."));
    }
    put(tx, name, queue);
    co_return TagQueueOutput{};
  });
}

Task<UntagQueueOutput> SqsService::untag_queue(Ctx& ctx, const UntagQueueRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  require_own(ctx, name, "untagqueue");
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<UntagQueueOutput> {
    auto queue = co_await find_queue(tx, name);
    if (!queue) co_return no_queue();
    for (const std::string& key : in.tag_keys) queue->tags.erase(key);
    put(tx, name, queue);
    co_return UntagQueueOutput{};
  });
}

Task<ListQueueTagsResult> SqsService::list_queue_tags(Ctx& ctx, const ListQueueTagsRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  require_own(ctx, name, "listqueuetags");
  const QueuePtr queue = co_await load(name);
  ListQueueTagsResult out;
  if (!queue->tags.empty()) out.tags = queue->tags;
  co_return out;
}

Task<AddPermissionOutput> SqsService::add_permission(Ctx& ctx, const AddPermissionRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  require_own(ctx, name, "addpermission");
  check_permission(in);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<AddPermissionOutput> {
    auto queue = co_await find_queue(tx, name);
    if (!queue) co_return no_queue();
    Json policy = queue->policy.empty() ? Json::object({{"Version", "2008-10-17"},
                                                        {"Id", cat(name.arn(), "/SQSDefaultPolicy")},
                                                        {"Statement", Json::array()}})
                                        : Json::parse(queue->policy);
    Json* statements = statements_of(policy);
    for (const Json& statement : statements->as_array()) {
      if (statement.string_or("Sid") == in.label) {
        co_return err::InvalidParameterValueException(
            cat("Value ", in.label, " for parameter Label is invalid. Reason: Already exists."));
      }
    }
    if (statements->as_array().size() >= kMaxStatements) {
      co_return err::OverLimit(
          cat(kMaxStatements + 1, " statements were found, maximum allowed is ", kMaxStatements, "."));
    }
    statements->push_back(statement_of(in, name));
    queue->policy = policy.dump();
    put(tx, name, queue);
    co_return AddPermissionOutput{};
  });
}

Task<RemovePermissionOutput> SqsService::remove_permission(Ctx& ctx, const RemovePermissionRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  require_own(ctx, name, "removepermission");
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<RemovePermissionOutput> {
    auto queue = co_await find_queue(tx, name);
    if (!queue) co_return no_queue();
    Json policy = queue->policy.empty() ? Json::object() : Json::parse(queue->policy);
    Json* statements = statements_of(policy);
    const size_t erased =
        statements ? std::erase_if(statements->as_array(),
                                   [&](const Json& statement) { return statement.string_or("Sid") == in.label; })
                   : 0;
    if (erased == 0) {
      co_return err::InvalidParameterValueException(cat("Value ", in.label,
                                                        " for parameter Label is invalid. Reason: can't find label",
                                                        queue->policy.empty() ? "." : " on existing policy."));
    }
    queue->policy = statements->as_array().empty() ? std::string() : policy.dump();
    put(tx, name, queue);
    co_return RemovePermissionOutput{};
  });
}

}  // namespace virga::sqs
