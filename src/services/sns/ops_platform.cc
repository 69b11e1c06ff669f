// Platform applications and their endpoints: real records; what is pushed to an endpoint goes to the outbox.
#include <aws/sns/errors.h>

#include <algorithm>
#include <array>

#include "base/id.h"
#include "base/str.h"
#include "kernel/page.h"
#include "kernel/tokens.h"
#include "services/sns/limits.h"
#include "services/sns/service.h"

namespace virga::sns {
namespace {

constexpr std::array<std::string_view, 10> kPlatforms = {
    "ADM", "APNS", "APNS_SANDBOX", "APNS_VOIP", "APNS_VOIP_SANDBOX", "BAIDU", "GCM", "MACOS", "MACOS_SANDBOX", "MPNS"};
constexpr std::array<std::string_view, 10> kApplicationAttributes = {
    "PlatformCredential",       "PlatformPrincipal",      "EventEndpointCreated",
    "EventEndpointDeleted",     "EventEndpointUpdated",   "EventDeliveryFailure",
    "SuccessFeedbackRoleArn",   "FailureFeedbackRoleArn", "Enabled",
    "SuccessFeedbackSampleRate"};

struct ApplicationId {
  std::string platform, name;
};
struct EndpointId {
  ApplicationId application;
  std::string id;
};

std::string application_arn(const Ctx& ctx, const ApplicationRecord& application) {
  return kernel::arn(ctx, "sns", cat("app/", application.platform, "/", application.name));
}
std::string endpoint_arn(const Ctx& ctx, const ApplicationRecord& application, std::string_view id) {
  return kernel::arn(ctx, "sns", cat("endpoint/", application.platform, "/", application.name, "/", id));
}

ApplicationId application_id(const Ctx& ctx, const std::string& arn) {
  const auto parsed = require_arn(arn, "PlatformApplicationArn");
  const auto parts = split(parsed.resource, '/');
  if (parts.size() != 3 || parts[0] != "app")
    throw invalid("PlatformApplicationArn", "Wrong number of slashes in relative portion of the ARN.");
  if (parsed.account != ctx.account || parsed.region != ctx.region) throw invalid("PlatformApplicationArn");
  return {std::string(parts[1]), std::string(parts[2])};
}

EndpointId endpoint_id(const Ctx& ctx, const std::string& arn) {
  const auto parsed = require_arn(arn, "EndpointArn");
  const auto parts = split(parsed.resource, '/');
  if (parts.size() != 4 || parts[0] != "endpoint")
    throw invalid("EndpointArn", "Wrong number of slashes in relative portion of the ARN.");
  if (parsed.account != ctx.account || parsed.region != ctx.region) throw invalid("EndpointArn");
  return {{std::string(parts[1]), std::string(parts[2])}, std::string(parts[3])};
}

void check_application_name(const std::string& name) {
  if (name.empty()) throw invalid(name, "cannot be empty");
  if (name.size() > kMaxName) throw invalid(name, "must be at most 256 characters long");
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
  if (!plain) throw invalid(name, "must contain only characters 'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'");
}

void check_application_attributes(const Attributes& given, bool first) {
  for (const auto& [name, value] : given) {
    if (std::ranges::find(kApplicationAttributes, std::string_view(name)) == kApplicationAttributes.end())
      throw invalid("Attributes", cat("Invalid attribute name: ", name));
  }
  const bool credential = given.contains("PlatformCredential"), principal = given.contains("PlatformPrincipal");
  if (credential && !principal && first) return;  // GCM has no principal
  if (principal && !credential)
    throw invalid("Attributes", "PlatformPrincipal attribute provided without PlatformCredential");
}

void check_endpoint_attributes(const Attributes& given) {
  for (const auto& [name, value] : given) {
    if (name != "CustomUserData" && name != "Enabled" && name != "Token")
      throw invalid("Attributes", cat("Invalid attribute name: ", name));
    if (name == "CustomUserData" && value.size() > kMaxUserData)
      throw invalid("Attributes", cat("Invalid value for attribute: CustomUserData: must be at most ", kMaxUserData,
                                      " bytes long in UTF-8 encoding"));
    if (name == "Enabled" && !equals_ignoring_case(value, "true") && !equals_ignoring_case(value, "false"))
      throw invalid("Attributes", "Invalid value for attribute: Enabled: must be true or false");
  }
}

void set_endpoint_attribute(EndpointRecord& endpoint, const std::string& name, const std::string& value) {
  endpoint.attributes[name] = name == "Enabled" ? lower(value) : value;
}

// Credentials are never shown.
Attributes shown(const ApplicationRecord& application) {
  Attributes out = application.attributes;
  out.erase("PlatformCredential");
  out.erase("PlatformPrincipal");
  out.emplace("Enabled", "true");
  return out;
}

Error no_application() { return err::NotFoundException("PlatformApplication does not exist"); }
Error no_endpoint() { return err::NotFoundException("Endpoint does not exist"); }

}  // namespace

Task<CreatePlatformApplicationResponse> SnsService::create_platform_application(
    Ctx& ctx, const CreatePlatformApplicationInput& in) {
  check_application_name(in.name);
  if (std::ranges::find(kPlatforms, std::string_view(in.platform)) == kPlatforms.end())
    co_return invalid("Platform", cat(in.platform, " is not supported"));
  check_application_attributes(in.attributes, true);
  const bool token_only = in.platform == "GCM";
  if (in.attributes.contains("PlatformCredential") && !in.attributes.contains("PlatformPrincipal") && !token_only)
    co_return invalid("Attributes", "PlatformCredential attribute provided without PlatformPrincipal");
  const ApplicationRecord application{in.platform, in.name, in.attributes, ctx.now()};
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx);
    if (!co_await store.find_application(home_of(ctx), in.platform, in.name))
      store.put_application(home_of(ctx), application);
  });
  co_return CreatePlatformApplicationResponse{.platform_application_arn = application_arn(ctx, application)};
}

Task<op::DeletePlatformApplication::Output> SnsService::delete_platform_application(
    Ctx& ctx, const DeletePlatformApplicationInput& in) {
  const ApplicationId id = application_id(ctx, in.platform_application_arn);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx);
    const auto application = co_await store.find_application(home_of(ctx), id.platform, id.name);
    if (application) store.erase_application(home_of(ctx), *application);
  });
  co_return op::DeletePlatformApplication::Output{};
}

Task<GetPlatformApplicationAttributesResponse> SnsService::get_platform_application_attributes(
    Ctx& ctx, const GetPlatformApplicationAttributesInput& in) {
  const ApplicationId id = application_id(ctx, in.platform_application_arn);
  const auto application = co_await Store(*deps_.db.snapshot()).find_application(home_of(ctx), id.platform, id.name);
  if (!application) co_return no_application();
  co_return GetPlatformApplicationAttributesResponse{.attributes = shown(*application)};
}

Task<op::SetPlatformApplicationAttributes::Output> SnsService::set_platform_application_attributes(
    Ctx& ctx, const SetPlatformApplicationAttributesInput& in) {
  const ApplicationId id = application_id(ctx, in.platform_application_arn);
  if (!in.attributes) {
    co_return err::ValidationError(
        "1 validation error detected: Value null at 'attributes' failed to satisfy constraint: Member must not be "
        "null");
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::SetPlatformApplicationAttributes::Output> {
    WriteStore store(tx);
    auto application = co_await store.find_application(home_of(ctx), id.platform, id.name);
    if (!application) co_return no_application();
    check_application_attributes(*in.attributes, false);
    for (const auto& [name, value] : *in.attributes) application->attributes[name] = value;
    store.put_application(home_of(ctx), *application);
    co_return op::SetPlatformApplicationAttributes::Output{};
  });
}

Task<ListPlatformApplicationsResponse> SnsService::list_platform_applications(Ctx& ctx,
                                                                              const ListPlatformApplicationsInput& in) {
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, "sns:ListPlatformApplications", in.next_token,
                                                    invalid("NextToken"));
  const auto snapshot = deps_.db.snapshot();
  auto page = co_await Store(*snapshot).list_applications(home_of(ctx), after.value_or(""), kPage + 1);
  ListPlatformApplicationsResponse out;
  if (page.size() > kPage) {
    page.pop_back();
    out.next_token =
        kernel::seal_page(deps_.tokens, ctx, "sns:ListPlatformApplications", Store::application_after(page.back()));
  }
  out.platform_applications.emplace();
  for (const ApplicationRecord& application : page)
    out.platform_applications->push_back(
        {.platform_application_arn = application_arn(ctx, application), .attributes = shown(application)});
  co_return out;
}

Task<CreateEndpointResponse> SnsService::create_platform_endpoint(Ctx& ctx, const CreatePlatformEndpointInput& in) {
  const ApplicationId id = application_id(ctx, in.platform_application_arn);
  Attributes given = in.attributes.value_or(Attributes{});
  // The attribute wins over the parameter of the same meaning.
  if (in.custom_user_data) given.emplace("CustomUserData", *in.custom_user_data);
  check_endpoint_attributes(given);
  if (in.token.empty()) co_return invalid("Token", "cannot be empty");
  const std::string fresh = uuid();
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CreateEndpointResponse> {
    WriteStore store(tx);
    const auto application = co_await store.find_application(home_of(ctx), id.platform, id.name);
    if (!application) co_return no_application();
    EndpointRecord endpoint;
    endpoint.id = fresh;
    endpoint.attributes = {{"Enabled", "true"}, {"Token", in.token}};
    for (const auto& [name, value] : given) set_endpoint_attribute(endpoint, name, value);
    if (const auto same = co_await store.find_endpoint_of_token(home_of(ctx), id.platform, id.name, in.token)) {
      const auto there = co_await store.find_endpoint(home_of(ctx), id.platform, id.name, *same);
      const std::string arn = endpoint_arn(ctx, *application, *same);
      if (there->attributes != endpoint.attributes)
        co_return invalid("Token",
                          cat("Endpoint ", arn, " already exists with the same Token, but different attributes."));
      co_return CreateEndpointResponse{.endpoint_arn = arn};
    }
    store.put_endpoint(home_of(ctx), *application, endpoint, "");
    co_return CreateEndpointResponse{.endpoint_arn = endpoint_arn(ctx, *application, endpoint.id)};
  });
}

Task<op::DeleteEndpoint::Output> SnsService::delete_endpoint(Ctx& ctx, const DeleteEndpointInput& in) {
  const EndpointId id = endpoint_id(ctx, in.endpoint_arn);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx);
    const auto application =
        co_await store.find_application(home_of(ctx), id.application.platform, id.application.name);
    const auto endpoint =
        co_await store.find_endpoint(home_of(ctx), id.application.platform, id.application.name, id.id);
    if (application && endpoint) store.erase_endpoint(home_of(ctx), *application, *endpoint);
  });
  co_return op::DeleteEndpoint::Output{};
}

Task<GetEndpointAttributesResponse> SnsService::get_endpoint_attributes(Ctx& ctx,
                                                                        const GetEndpointAttributesInput& in) {
  const EndpointId id = endpoint_id(ctx, in.endpoint_arn);
  const auto endpoint = co_await Store(*deps_.db.snapshot())
                            .find_endpoint(home_of(ctx), id.application.platform, id.application.name, id.id);
  if (!endpoint) co_return no_endpoint();
  co_return GetEndpointAttributesResponse{.attributes = endpoint->attributes};
}

Task<op::SetEndpointAttributes::Output> SnsService::set_endpoint_attributes(Ctx& ctx,
                                                                            const SetEndpointAttributesInput& in) {
  const EndpointId id = endpoint_id(ctx, in.endpoint_arn);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::SetEndpointAttributes::Output> {
    WriteStore store(tx);
    const auto application =
        co_await store.find_application(home_of(ctx), id.application.platform, id.application.name);
    auto endpoint = co_await store.find_endpoint(home_of(ctx), id.application.platform, id.application.name, id.id);
    if (!application || !endpoint) co_return no_endpoint();
    check_endpoint_attributes(in.attributes);
    const std::string former = endpoint->attributes["Token"];
    for (const auto& [name, value] : in.attributes) set_endpoint_attribute(*endpoint, name, value);
    store.put_endpoint(home_of(ctx), *application, *endpoint, former);
    co_return op::SetEndpointAttributes::Output{};
  });
}

Task<ListEndpointsByPlatformApplicationResponse> SnsService::list_endpoints_by_platform_application(
    Ctx& ctx, const ListEndpointsByPlatformApplicationInput& in) {
  const ApplicationId id = application_id(ctx, in.platform_application_arn);
  const std::string purpose = cat("sns:ListEndpoints:", id.platform, "/", id.name);
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, purpose, in.next_token, invalid("NextToken"));
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot);
  const auto application = co_await store.find_application(home_of(ctx), id.platform, id.name);
  if (!application) co_return no_application();
  auto page = co_await store.list_endpoints(home_of(ctx), id.platform, id.name, after.value_or(""), kPage + 1);
  ListEndpointsByPlatformApplicationResponse out;
  if (page.size() > kPage) {
    page.pop_back();
    out.next_token = kernel::seal_page(deps_.tokens, ctx, purpose, page.back().id);
  }
  out.endpoints.emplace();
  for (const EndpointRecord& endpoint : page)
    out.endpoints->push_back(
        {.endpoint_arn = endpoint_arn(ctx, *application, endpoint.id), .attributes = endpoint.attributes});
  co_return out;
}

}  // namespace virga::sns
