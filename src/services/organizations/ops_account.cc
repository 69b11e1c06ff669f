#include <aws/iam/ops.h>
#include <aws/organizations/errors.h>

#include <algorithm>

#include "base/id.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/page.h"
#include "services/organizations/limits.h"
#include "services/organizations/service.h"

namespace virga::organizations {
namespace {

Account described(const OrganizationRecord& organization, const AccountRecord& record) {
  Account out;
  out.id = record.id;
  out.arn = cat("arn:aws:organizations::", organization.management, ":account/", organization.id, "/", record.id);
  if (!record.email.empty()) out.email = record.email;
  out.name = record.name;
  out.status = AccountStatus::ACTIVE;
  out.joined_method = record.created ? AccountJoinedMethod::CREATED : AccountJoinedMethod::INVITED;
  out.joined_timestamp = record.joined;
  return out;
}

CreateAccountStatus described(const RequestRecord& record) {
  CreateAccountStatus out;
  out.id = record.id;
  out.account_name = record.name;
  out.requested_timestamp = out.completed_timestamp = record.at;
  if (record.failure.empty()) {
    out.state = CreateAccountState::SUCCEEDED;
    out.account_id = record.account;
  } else {
    out.state = CreateAccountState::FAILED;
    from_string(record.failure, out.failure_reason.emplace());
  }
  return out;
}

// A page of the records with `prefix` that `keep` wants, and in `next` the token of what follows. References are the
// caller's.
template <class R, class In, class Keep>
Task<std::vector<R>> page(kernel::Deps& deps, const Ctx& ctx, std::string_view operation, const In& in,
                          std::string prefix, Keep keep, std::optional<std::string>& next) {
  const auto after = kernel::open_page<std::string>(deps.tokens, ctx, operation, in.next_token,
                                                    err::InvalidInputException("You provided an invalid token."));
  kv::Range range = kv::prefix_range(prefix);
  if (after) range.begin = *after + '\0';
  const size_t limit = in.max_results ? static_cast<size_t>(*in.max_results) : kMostListed;
  const auto snapshot = deps.db.snapshot();
  std::vector<R> out;
  std::string last;
  for (const kv::Entry& entry : co_await snapshot->scan(range)) {
    R record = kv::decode<R>(entry.value);
    if (!keep(record)) continue;
    if (out.size() == limit) {
      next = kernel::seal_page(deps.tokens, ctx, operation, last);
      break;
    }
    out.push_back(std::move(record));
    last = entry.key;
  }
  co_return std::move(out);
}

}  // namespace

// Whoever the management account lets may become this role, which may do everything in its account.
Task<void> OrganizationsService::make_role(std::string account, std::string role, std::string management) {
  Ctx ctx = deps_.cloud.internal_context(kernel::root_of(account), account, "us-east-1");
  ctx.via = "organizations.amazonaws.com";
  iam::CreateRoleRequest create;
  create.role_name = role;
  create.assume_role_policy_document =
      cat(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::)", management,
          R"(:root"},"Action":"sts:AssumeRole"}]})");
  co_await deps_.cloud.call<iam::op::CreateRole>(ctx, std::move(create));
  co_await deps_.cloud.call<iam::op::AttachRolePolicy>(
      ctx, {std::move(role), "arn:aws:iam::aws:policy/AdministratorAccess"});
}

Task<CreateAccountResponse> OrganizationsService::create_account(Ctx& ctx, const CreateAccountRequest& in) {
  if (in.tags && !in.tags->empty()) co_return err::InvalidInputException("Tags of accounts are not served by Virga.");
  const std::string email = lower(in.email);
  RequestRecord request{cat("car-", random_lower_alnum(32)), in.account_name, "", "", ctx.now()};
  OrganizationRecord organization;
  {
    const auto snapshot = deps_.db.snapshot();
    organization = co_await managed(*snapshot, ctx.account);
    if (!co_await snapshot->get(keys::email(organization.management, email))) {
      do request.account = random_id(12, "0123456789");
      while (co_await snapshot->get(keys::membership(request.account)));
    }
  }
  // The role comes first: an account that is known can be entered, whenever the process ends.
  if (!request.account.empty())
    co_await make_role(request.account, in.role_name.value_or("OrganizationAccountAccessRole"), ctx.account);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    co_await managed(tx, ctx.account);
    const std::string accounts = keys::accounts(organization.management);
    if ((co_await tx.scan(kv::prefix_range(accounts), {.limit = kAccounts})).size() >= kAccounts) {
      co_await fail(err::ConstraintViolationException("You have exceeded the allowed number of AWS accounts.",
                                                      Json::object({{"Reason", "ACCOUNT_NUMBER_LIMIT_EXCEEDED"}})));
    }
    const std::string taken = keys::email(organization.management, email);
    if (request.account.empty() || co_await tx.get(taken)) {
      request.failure = to_string(CreateAccountFailureReason::EMAIL_ALREADY_EXISTS);
    } else {
      const AccountRecord account{request.account, in.account_name, in.email, true, ctx.now()};
      tx.put(taken, request.account);
      tx.put(keys::membership(request.account), organization.management);
      tx.put(keys::entry(accounts, request.account), kv::encode(account));
    }
    tx.put(keys::entry(keys::requests(organization.management), request.id), kv::encode(request));
  });
  co_return CreateAccountResponse{described(request)};
}

Task<DescribeCreateAccountStatusResponse> OrganizationsService::describe_create_account_status(
    Ctx& ctx, const DescribeCreateAccountStatusRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  co_await managed(*snapshot, ctx.account);
  const auto request =
      co_await find<RequestRecord>(*snapshot, keys::entry(keys::requests(ctx.account), in.create_account_request_id));
  if (!request)
    co_return err::CreateAccountStatusNotFoundException("You specified an create account request that does not exist.");
  co_return DescribeCreateAccountStatusResponse{described(*request)};
}

Task<ListCreateAccountStatusResponse> OrganizationsService::list_create_account_status(
    Ctx& ctx, const ListCreateAccountStatusRequest& in) {
  co_await managed(*deps_.db.snapshot(), ctx.account);
  const auto wanted = [&](const RequestRecord& request) {
    const auto state = *described(request).state;
    return !in.states || in.states->empty() || std::ranges::count(*in.states, state) > 0;
  };
  ListCreateAccountStatusResponse out;
  out.create_account_statuses.emplace();
  for (const RequestRecord& request :
       co_await page<RequestRecord>(deps_, ctx, "organizations:ListCreateAccountStatus", in,
                                    keys::requests(ctx.account), wanted, out.next_token)) {
    out.create_account_statuses->push_back(described(request));
  }
  co_return out;
}

Task<ListAccountsResponse> OrganizationsService::list_accounts(Ctx& ctx, const ListAccountsRequest& in) {
  const OrganizationRecord organization = co_await managed(*deps_.db.snapshot(), ctx.account);
  ListAccountsResponse out;
  out.accounts.emplace();
  const auto all = [](const AccountRecord&) { return true; };
  for (const AccountRecord& account :
       co_await page<AccountRecord>(deps_, ctx, "organizations:ListAccounts", in,
                                    keys::accounts(organization.management), all, out.next_token)) {
    out.accounts->push_back(described(organization, account));
  }
  co_return out;
}

Task<DescribeAccountResponse> OrganizationsService::describe_account(Ctx& ctx, const DescribeAccountRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const OrganizationRecord organization = co_await managed(*snapshot, ctx.account);
  const auto account =
      co_await find<AccountRecord>(*snapshot, keys::entry(keys::accounts(organization.management), in.account_id));
  if (!account)
    co_return err::AccountNotFoundException("You specified an account that doesn't exist in your organization.");
  co_return DescribeAccountResponse{described(organization, *account)};
}

}  // namespace virga::organizations
