#include "kernel/sdk_call.h"

#include <cctype>

#include "base/str.h"
#include "kernel/typed_json.h"
#include "wire/protocol.h"

namespace virga::kernel {
namespace {

// "CloudWatch Logs" is cloudwatchlogs, "ApiGatewayV2" apigatewayv2.
std::string squeezed(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c))) {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return out;
}

// Whether the input says anything of `member`, whichever way it spells it.
bool find_given(const Json& input, const wire::Member& member) {
  for (const auto& [name, value] : input.as_object()) {
    if (equals_ignoring_case(name, member.name) || equals_ignoring_case(name, member.wire_name)) return true;
  }
  return false;
}

Error invalid(std::string message) {
  static constexpr ErrorShape kShape{"ValidationException", 400, Fault::kSender, {}};
  return Error{&kShape, std::move(message), nullptr, {}};
}

}  // namespace

const Operation* find_sdk_operation(const Cloud& cloud, std::string_view service, std::string_view action) {
  const std::string wanted = squeezed(service);
  for (const auto& candidate : cloud.services()) {
    const wire::ServiceModel& model = candidate->model();
    if (squeezed(model.service_id) != wanted && squeezed(model.id) != wanted &&
        squeezed(model.signing_name) != wanted) {
      continue;
    }
    for (const wire::OperationModel& operation : model.operations) {
      if (operation.served && equals_ignoring_case(operation.name, action)) return cloud.find(operation);
    }
  }
  return nullptr;
}

Task<Json> sdk_call(Cloud& cloud, Ctx& ctx, const Operation& operation, Json input) {
  const wire::OperationModel& model = *operation.model;
  TypedValue in(model.input), out(model.output);
  if (model.input) {
    try {
      fill(*model.input, input, in.get(), "#", Blobs::kText);
    } catch (const TypedJsonError& e) {
      co_return invalid(e.what());
    }
    for (const wire::Member& member : model.input->structure->members) {
      if (member.required && !find_given(input, member))
        co_return invalid(cat("The input of ", model.name, " lacks the required member ", member.name, "."));
    }
    wire::check_constraints(model, in.get());
  }
  co_await cloud.dispatch(ctx, operation, in.get(), out.get());
  co_return model.output ? read(*model.output, out.get()) : Json::object();
}

}  // namespace virga::kernel
