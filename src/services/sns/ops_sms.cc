// Text messages: settings and numbers are real records; messages go to the outbox, and so do the passwords by which a
// sandbox number is verified.
#include <aws/sns/errors.h>

#include <algorithm>

#include "base/id.h"
#include "base/str.h"
#include "kernel/page.h"
#include "kernel/tokens.h"
#include "kv/record.h"
#include "services/sns/limits.h"
#include "services/sns/service.h"

namespace virga::sns {
namespace {

Error bad_attribute(std::string_view text) { return err::InvalidParameterException(std::string(text)); }

void check_setting(const std::string& name, const std::string& value) {
  if (name == "MonthlySpendLimit") {
    if (const auto n = parse_int(value); !n || *n < 0) throw bad_attribute("MonthlySpendLimit is invalid");
  } else if (name == "DeliveryStatusIAMRole") {
    if (!value.empty() && !kernel::parse_arn(value)) throw bad_attribute("DeliveryStatusIAMRole is invalid");
  } else if (name == "DeliveryStatusSuccessSamplingRate") {
    if (const auto n = parse_int(value); !n || *n < 0 || *n > 100)
      throw bad_attribute("DeliveryStatusSuccessSamplingRate is invalid");
  } else if (name == "DefaultSenderID") {
    const bool letter = std::ranges::any_of(value, [](char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; });
    const bool plain = std::ranges::all_of(
        value, [](char c) { return ((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
    if (value.size() > 11 || !letter || !plain) throw bad_attribute("DefaultSenderID is not a valid attribute");
  } else if (name == "DefaultSMSType") {
    if (value != "Promotional" && value != "Transactional") throw bad_attribute("DefaultSMSType is invalid");
  } else if (name != "UsageReportS3Bucket") {
    throw bad_attribute(cat(name, " is not a valid attribute"));
  }
}

std::string checked_number(const std::string& number) {
  if (!is_phone_number(number)) throw invalid("PhoneNumber", "input incorrectly formatted");
  return number_of(number);
}

// What makes an answer the wish to get no more: docs.aws.amazon.com/sns/latest/dg/sms_manage.html
bool says_stop(std::string_view text) {
  constexpr std::string_view kWords[] = {"arret", "cancel", "end",  "opt-out", "optout",
                                         "quit",  "remove", "stop", "td",      "unsubscribe"};
  return std::ranges::find(kWords, lower(trim(text))) != std::end(kWords);
}

}  // namespace

Task<GetSMSAttributesResponse> SnsService::get_sms_attributes(Ctx& ctx, const GetSMSAttributesInput& in) {
  Attributes all = co_await Store(*deps_.db.snapshot()).sms_attributes(home_of(ctx));
  all.emplace("MonthlySpendLimit", "1");
  if (in.attributes && !in.attributes->empty()) {
    std::erase_if(
        all, [&](const auto& one) { return std::ranges::find(*in.attributes, one.first) == in.attributes->end(); });
  }
  co_return GetSMSAttributesResponse{.attributes = std::move(all)};
}

Task<op::SetSMSAttributes::Output> SnsService::set_sms_attributes(Ctx& ctx, const SetSMSAttributesInput& in) {
  for (const auto& [name, value] : in.attributes) check_setting(name, value);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx);
    Attributes all = co_await store.sms_attributes(home_of(ctx));
    for (const auto& [name, value] : in.attributes) all[name] = value;
    store.put_sms_attributes(home_of(ctx), all);
  });
  co_return op::SetSMSAttributes::Output{};
}

Task<CheckIfPhoneNumberIsOptedOutResponse> SnsService::check_if_phone_number_is_opted_out(
    Ctx& ctx, const CheckIfPhoneNumberIsOptedOutInput& in) {
  const std::string number = checked_number(in.phone_number);
  co_return CheckIfPhoneNumberIsOptedOutResponse{
      .is_opted_out = co_await Store(*deps_.db.snapshot()).is_opted_out(home_of(ctx), number)};
}

Task<ListPhoneNumbersOptedOutResponse> SnsService::list_phone_numbers_opted_out(
    Ctx& ctx, const ListPhoneNumbersOptedOutInput& in) {
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, "sns:ListPhoneNumbersOptedOut", in.next_token,
                                                    invalid("NextToken"));
  const auto snapshot = deps_.db.snapshot();
  auto page = co_await Store(*snapshot).opted_out(home_of(ctx), after.value_or(""), kPage + 1);
  ListPhoneNumbersOptedOutResponse out;
  if (page.size() > kPage) {
    page.pop_back();
    out.next_token = kernel::seal_page(deps_.tokens, ctx, "sns:ListPhoneNumbersOptedOut", page.back());
  }
  out.phone_numbers = std::move(page);
  co_return out;
}

Task<op::OptInPhoneNumber::Output> SnsService::opt_in_phone_number(Ctx& ctx, const OptInPhoneNumberInput& in) {
  const std::string number = checked_number(in.phone_number);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore(tx).put_opted_out(home_of(ctx), number, false);
    co_return;
  });
  co_return op::OptInPhoneNumber::Output{};
}

Task<kernel::Verdict> SnsService::take_reply(kernel::Attempt attempt) {
  const auto reply = kv::decode<kernel::OutboxItem>(attempt.payload);
  if (!says_stop(reply.body)) co_return kernel::Verdict::done();
  co_return kernel::Verdict::done().with([reply](kv::Txn& tx) -> Task<void> {
    WriteStore(tx).put_opted_out({reply.account, reply.region}, reply.to, true);
    co_return;
  });
}

Task<op::CreateSMSSandboxPhoneNumber::Output> SnsService::create_sms_sandbox_phone_number(
    Ctx& ctx, const CreateSMSSandboxPhoneNumberInput& in) {
  const std::string number = checked_number(in.phone_number);
  const SandboxNumber record{number, false, random_id(6, "0123456789")};
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx);
    if (co_await store.is_opted_out(home_of(ctx), number))
      co_await fail(err::OptedOutException(std::string(kOptedOut)));
    store.put_sandbox_number(home_of(ctx), record);
    put_out(tx, {.time = ctx.now(),
                 .service = "sns",
                 .account = ctx.account,
                 .region = ctx.region,
                 .kind = "sms",
                 .to = number,
                 .subject = "",
                 .body = cat("Your verification code is ", record.password),
                 .details = {}});
    co_return;
  });
  co_return op::CreateSMSSandboxPhoneNumber::Output{};
}

Task<op::VerifySMSSandboxPhoneNumber::Output> SnsService::verify_sms_sandbox_phone_number(
    Ctx& ctx, const VerifySMSSandboxPhoneNumberInput& in) {
  const std::string number = checked_number(in.phone_number);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::VerifySMSSandboxPhoneNumber::Output> {
    WriteStore store(tx);
    auto record = co_await store.find_sandbox_number(home_of(ctx), number);
    if (!record) co_return err::ResourceNotFoundException("The phone number is not in the sandbox");
    if (!record->verified && record->password != in.one_time_password)
      co_return err::VerificationException("The one-time password is not the one that was sent");
    record->verified = true;
    store.put_sandbox_number(home_of(ctx), *record);
    co_return op::VerifySMSSandboxPhoneNumber::Output{};
  });
}

Task<op::DeleteSMSSandboxPhoneNumber::Output> SnsService::delete_sms_sandbox_phone_number(
    Ctx& ctx, const DeleteSMSSandboxPhoneNumberInput& in) {
  const std::string number = checked_number(in.phone_number);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteSMSSandboxPhoneNumber::Output> {
    WriteStore store(tx);
    if (!co_await store.find_sandbox_number(home_of(ctx), number))
      co_return err::ResourceNotFoundException("The phone number is not in the sandbox");
    store.erase_sandbox_number(home_of(ctx), number);
    co_return op::DeleteSMSSandboxPhoneNumber::Output{};
  });
}

Task<ListSMSSandboxPhoneNumbersResult> SnsService::list_sms_sandbox_phone_numbers(
    Ctx& ctx, const ListSMSSandboxPhoneNumbersInput& in) {
  const auto after =
      kernel::open_page<std::string>(deps_.tokens, ctx, "sns:ListSMSSandbox", in.next_token, invalid("NextToken"));
  const auto most = static_cast<size_t>(in.max_results.value_or(kPage));
  const auto snapshot = deps_.db.snapshot();
  auto page = co_await Store(*snapshot).sandbox_numbers(home_of(ctx), after.value_or(""), most + 1);
  ListSMSSandboxPhoneNumbersResult out;
  if (page.size() > most) {
    page.pop_back();
    out.next_token = kernel::seal_page(deps_.tokens, ctx, "sns:ListSMSSandbox", page.back().number);
  }
  using Status = SMSSandboxPhoneNumberVerificationStatus;
  for (const SandboxNumber& number : page)
    out.phone_numbers.push_back(
        {.phone_number = number.number, .status = number.verified ? Status::Verified : Status::Pending});
  co_return out;
}

// Messages go to the outbox whether their number was verified or not.
Task<GetSMSSandboxAccountStatusResult> SnsService::get_sms_sandbox_account_status(
    Ctx&, const GetSMSSandboxAccountStatusInput&) {
  co_return GetSMSSandboxAccountStatusResult{.is_in_sandbox = false};
}

Task<ListOriginationNumbersResult> SnsService::list_origination_numbers(Ctx&, const ListOriginationNumbersRequest&) {
  ListOriginationNumbersResult out;
  out.phone_numbers.emplace();  // none can be bought here
  co_return out;
}

}  // namespace virga::sns
