#include "sandbox/extensions.h"

#include <algorithm>

#include "base/id.h"
#include "base/str.h"

namespace virga::sandbox {
namespace {

using State = Extension::State;

constexpr std::string_view kPrefix = "/2020-01-01/extension/";
constexpr std::string_view kErrorType = "lambda-extension-function-error-type";

// As AWS writes them, in the order of the enumeration.
constexpr std::string_view kStates[] = {"Started",   "Registered", "Ready",      "Running",
                                        "InitError", "ExitError",  "LaunchError"};

std::string_view name_of(State state) { return kStates[static_cast<size_t>(state)]; }

bool is_uuid(std::string_view text) {
  return text.size() == 36 && std::ranges::all_of(text, [](char c) {
           return c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

// The events that a registration asks for; what is wrong with it, otherwise.
std::vector<std::string> wanted_events(const std::string& body, std::string& wrong) {
  std::vector<std::string> out;
  try {
    const Json request = Json::parse(body);
    const Json* keys = request.find("configurationKeys");
    if (keys && keys->is_array() && !keys->as_array().empty()) {
      wrong = "configurationKeys are deprecated; use environment variables instead";
    }
    const Json* events = request.find("events");
    if (!request.is_object() || (events && !events->is_array() && !events->is_null())) wrong = "events is no list";
    if (!wrong.empty() || !events || events->is_null()) return out;
    for (const Json& event : events->as_array()) {
      if (!event.is_string()) wrong = "an event is no string";
      if (!wrong.empty()) break;
      out.push_back(event.as_string());
    }
  } catch (const JsonError& e) {
    wrong = e.what();
  }
  return out;
}

}  // namespace

std::string_view Extension::state_name() const { return name_of(state); }

Json::Array Extension::events() const {
  Json::Array out;
  if (on_invoke) out.push_back("INVOKE");
  if (on_shutdown) out.push_back("SHUTDOWN");
  return out;
}

void Extensions::expect(std::string name, uint64_t program) {
  all_.push_back(std::make_unique<Extension>(Extension{.name = std::move(name), .id = uuid(), .program = program}));
}

bool Extensions::any_external() const {
  return std::ranges::any_of(all_, [](const auto& e) { return e->external(); });
}
bool Extensions::any_internal() const {
  return std::ranges::any_of(all_, [](const auto& e) { return !e->external(); });
}
bool Extensions::all_registered() const {
  return std::ranges::none_of(all_, [](const auto& e) { return e->state == State::kStarted; });
}
bool Extensions::all_ready() const {
  return std::ranges::all_of(all_, [](const auto& e) { return e->state == State::kReady; });
}
bool Extensions::running() const {
  return std::ranges::any_of(
      all_, [](const auto& e) { return e->state == State::kRunning || (e->state == State::kExitError && !e->gone); });
}

Extension* Extensions::find_program(uint64_t program) {
  const auto found = std::ranges::find_if(all_, [&](const auto& e) { return e->program == program; });
  return found == all_.end() ? nullptr : found->get();
}

bool Extensions::serve(ApiConnection& from) {
  std::string_view path = from.request().path;
  if (!path.starts_with(kPrefix)) return false;
  path.remove_prefix(kPrefix.size());
  const bool next = path == "event/next";
  if (!next && path != "register" && path != "init/error" && path != "exit/error") {
    from.not_found();
  } else if (from.request().method != (next ? "GET" : "POST")) {
    from.answer(405, "text/plain; charset=utf-8", {}, "");
  } else if (next) {
    serve_next(from);
  } else if (path == "register") {
    serve_register(from);
  } else {
    const bool init = path == "init/error";
    serve_error(from, init ? State::kInitError : State::kExitError,
                init ? "Extension.InitError" : "Extension.ExitError");
  }
  return true;
}

void Extensions::serve_register(ApiConnection& from) {
  const std::string name(from.request().header("lambda-extension-name"));
  if (name.empty()) return from.refuse(403, "Extension.InvalidExtensionName", "Empty extension name");
  std::string wrong = from.too_large ? "the body is too large" : "";
  const std::vector<std::string> events = wanted_events(from.body, wrong);
  if (!wrong.empty()) return from.refuse(403, "InvalidRequestFormat", wrong);

  const auto known = std::ranges::find_if(all_, [&](const auto& e) { return e->name == name; });
  Extension* mine = known == all_.end() ? nullptr : known->get();
  const bool external = mine && mine->external();
  for (const std::string& event : events) {
    if (event == "INVOKE" || (event == "SHUTDOWN" && external)) continue;
    return from.refuse(403, "Extension.InvalidEventType", cat(event, ": ErrorInvalidEventType"));
  }
  if (external && mine->state != State::kStarted) return refuse_state(from, *mine, "Registered", mine->name);
  if (!external) {
    if (closed_) return from.refuse(403, "Extension.RegistrationClosed", "Extension registration closed already");
    if (mine) return from.refuse(403, "Extension.InvalidExtensionState", "Extension with this name already registered");
    if (all_.size() >= kMost) {
      return from.refuse(403, "Extension.TooManyExtensions", cat("Extension limit (", kMost, ") reached"));
    }
    expect(name, 0);
    mine = all_.back().get();
  }
  mine->state = State::kRegistered;
  for (const std::string& event : events) (event == "INVOKE" ? mine->on_invoke : mine->on_shutdown) = true;

  Json answer = Json::object(
      {{"functionName", function_.name}, {"functionVersion", function_.version}, {"handler", function_.handler}});
  for (std::string_view feature : split(from.request().header("lambda-extension-accept-feature"), ',')) {
    if (trim(feature) == "accountId") answer["accountId"] = function_.account;
  }
  from.answer(200, "application/json", {{"Lambda-Extension-Identifier", mine->id}}, answer.dump());
  changed_();
}

Extension* Extensions::sender(ApiConnection& from) {
  const std::string_view id = from.request().header("lambda-extension-identifier");
  if (id.empty()) {
    from.refuse(403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header");
    return nullptr;
  }
  if (!is_uuid(id)) {
    from.refuse(403, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier");
    return nullptr;
  }
  for (const auto& extension : all_) {
    if (equals_ignoring_case(extension->id, id)) return extension.get();
  }
  from.refuse(403, "Extension.UnknownExtensionIdentifier", cat("Unknown extension ", id));
  return nullptr;
}

void Extensions::serve_next(ApiConnection& from) {
  Extension* mine = sender(from);
  if (!mine) return;
  const auto before = mine->asking.lock();
  // One whose connection broke asks again for what it never got.
  const bool again = (mine->state == State::kReady || mine->event) && (!before || before->closed());
  if (mine->state != State::kRegistered && mine->state != State::kRunning && !again) {
    return refuse_state(from, *mine, "Ready", mine->id);
  }
  mine->asking = from.shared_from_this();
  if (mine->event) return give(*mine, *std::exchange(mine->event, std::nullopt));
  mine->state = State::kReady;
  changed_();
}

void Extensions::serve_error(ApiConnection& from, State state, std::string_view kind) {
  Extension* mine = sender(from);
  if (!mine) return;
  const std::string_view type = from.request().header(kErrorType);
  if (type.empty()) {
    return from.refuse(403, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found");
  }
  const bool allowed = mine->state == State::kRegistered || mine->state == state ||
                       (state == State::kExitError && (mine->state == State::kReady || mine->state == State::kRunning));
  if (!allowed) return refuse_state(from, *mine, name_of(state), mine->id);
  if (mine->state != state) mine->error_type = type;
  mine->state = state;
  if (first_failure_.empty()) first_failure_ = kind;
  from.answer(202, "application/json", {}, "{\"status\":\"OK\"}\n");
  changed_();
}

void Extensions::refuse_state(ApiConnection& from, const Extension& of, std::string_view target,
                              std::string_view name) {
  from.refuse(403, "Extension.InvalidExtensionState",
              cat("State transition from ", of.state_name(), " to ", target, " failed for extension ", name,
                  ". Error: State transition is not allowed"));
}

void Extensions::give(Extension& to, const std::string& event) {
  to.state = State::kRunning;
  const auto connection = to.asking.lock();
  if (!connection || connection->closed()) {
    to.event = event;
    return;
  }
  to.asking.reset();
  connection->answer(200, "application/json", {{"Lambda-Extension-Event-Identifier", uuid()}}, event);
}

void Extensions::invoke(const std::string& event) {
  // An answer may bring the next request at once; nothing is added to the list by then.
  for (size_t i = 0; i < all_.size(); ++i) {
    if (all_[i]->on_invoke && all_[i]->state == State::kReady) give(*all_[i], event);
  }
}

std::vector<uint64_t> Extensions::shut_down(const std::string& event) {
  std::vector<uint64_t> unwilling;
  for (const auto& extension : all_) {
    if (!extension->external() || extension->gone) continue;
    if (!extension->on_shutdown) {
      unwilling.push_back(extension->program);
    } else if (extension->state == State::kReady) {
      give(*extension, event);
    } else {
      extension->event = event;  // when it asks for its next
    }
  }
  return unwilling;
}

std::string invoke_event(int64_t deadline_ms, std::string_view request_id, std::string_view function_arn,
                         std::string_view trace) {
  Json event = Json::object({{"eventType", "INVOKE"},
                             {"deadlineMs", deadline_ms},
                             {"requestId", request_id},
                             {"invokedFunctionArn", function_arn}});
  if (!trace.empty()) event["tracing"] = Json::object({{"type", "X-Amzn-Trace-Id"}, {"value", trace}});
  return event.dump();
}

std::string shutdown_event(int64_t deadline_ms, std::string_view reason) {
  return Json::object({{"eventType", "SHUTDOWN"}, {"deadlineMs", deadline_ms}, {"shutdownReason", reason}}).dump();
}

}  // namespace virga::sandbox
