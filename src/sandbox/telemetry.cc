#include "sandbox/telemetry.h"

#include <algorithm>
#include <span>

#include "base/str.h"
#include "sandbox/json_log.h"
#include "sandbox/subscriber.h"

namespace virga::sandbox {
namespace {

constexpr size_t kMostKept = 262'144;  // bytes of events before somebody subscribes

constexpr std::pair<std::string_view, Category> kTypes[] = {
    {"platform", kPlatform}, {"function", kFunctionLine}, {"extension", kExtensionLine}};

constexpr std::pair<std::string_view, uint8_t> kTelemetrySchemas[] = {
    {"2022-07-01", kTelemetry2022}, {"2022-12-13", kTelemetryObjects}, {"2025-01-29", kTelemetryObjects}};
constexpr std::pair<std::string_view, uint8_t> kLogsSchemas[] = {{"2020-08-15", kLogs2020}, {"2021-03-18", kLogs2021}};

// A function writes any bytes; what is no character becomes U+FFFD.
std::string as_utf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t size = 1;
    while (size <= 4 && !is_utf8(text.substr(0, size))) ++size;
    out += size <= 4 ? text.substr(0, size) : "\xEF\xBF\xBD";
    text.remove_prefix(size <= 4 ? std::min(size, text.size()) : 1);
  }
  return out;
}

// Where several things are wrong, all are told.
class Complaints {
 public:
  explicit Complaints(std::string& out) : out_(out) {}
  void add(std::string_view what) { append(out_, out_.empty() ? "" : "; ", what); }

 private:
  std::string& out_;
};

void read_schema(const Json& request, bool logs_api, Subscription& to, Complaints& wrong) {
  const Json* schema = request.find("schemaVersion");
  if (!schema && logs_api) {
    to.audience = kLogs2020;
    return;
  }
  using Schemas = std::span<const std::pair<std::string_view, uint8_t>>;
  const Schemas known = logs_api ? Schemas(kLogsSchemas) : Schemas(kTelemetrySchemas);
  for (const auto& [name, audience] : known) {
    if (schema && schema->is_string() && schema->as_string() == name) to.audience = audience;
  }
  if (!to.audience) wrong.add("schemaVersion is not supported");
}

void read_types(const Json& request, Subscription& to, Complaints& wrong) {
  const Json* types = request.find("types");
  if (!types || !types->is_array() || types->as_array().empty()) return wrong.add("types should not be empty");
  for (const Json& type : types->as_array()) {
    const auto known =
        std::ranges::find_if(kTypes, [&](const auto& t) { return type.is_string() && type.as_string() == t.first; });
    if (known == std::end(kTypes)) return wrong.add("types may be platform, function and extension");
    to.categories |= known->second;
  }
  to.types = *types;
}

void read_destination(const Json& request, bool logs_api, Subscription& to, Complaints& wrong) {
  const Json* destination = request.find("destination");
  if (!destination || !destination->is_object()) return wrong.add("destination is not provided");
  const std::string protocol = destination->string_or("protocol");
  int64_t port = 0;
  if (protocol == "TCP") {
    const Json* given = destination->find("port");
    if (!given || !given->is_int()) return wrong.add("port is not provided");
    port = given->as_int();
  } else if (protocol == "HTTP") {
    std::string_view uri;
    const Json* given = destination->find("URI");
    if (given && given->is_string()) uri = given->as_string();
    if (!uri.starts_with("http://")) return wrong.add("URI should begin with http://");
    uri.remove_prefix(7);
    const size_t slash = std::min(uri.find('/'), uri.size());
    const auto [host, port_text] = split_once(uri.substr(0, slash), ':');
    if (host != "sandbox.localdomain" && host != "sandbox") return wrong.add("URI host should be sandbox.localdomain");
    if (port_text.empty()) return wrong.add("URI port is not provided");
    port = parse_int(port_text).value_or(0);
    to.host = uri.substr(0, slash);
    to.target = slash == uri.size() ? "/" : uri.substr(slash);
    if (!std::ranges::all_of(to.target, [](unsigned char c) { return c > 32 && c < 127; })) {
      return wrong.add("URI path is invalid");
    }
    const std::string method = destination->string_or("method", "POST");
    to.put = logs_api && method == "PUT";
    if (method != "POST" && !to.put) return wrong.add("method is not supported");
  } else {
    return wrong.add("protocol should be HTTP or TCP");
  }
  if (port < 1 || port > 65535) return wrong.add("port is invalid");
  if (port == 9001) return wrong.add("port 9001 is reserved");
  to.port = static_cast<uint16_t>(port);
}

void read_buffering(const Json& request, Subscription& to, Complaints& wrong) {
  const Json* buffering = request.find("buffering");
  if (!buffering || buffering->is_null()) return;
  const auto number = [&](std::string_view name, int64_t least, int64_t most, int64_t otherwise) {
    const Json* given = buffering->find(name);
    if (!given) return otherwise;
    if (given->is_int() && given->as_int() >= least && given->as_int() <= most) return given->as_int();
    wrong.add(cat(name, " should be between ", least, " and ", most));
    return otherwise;
  };
  to.most_items = static_cast<size_t>(number("maxItems", 1000, 10'000, 10'000));
  to.most_bytes = static_cast<size_t>(number("maxBytes", 262'144, 1'048'576, 262'144));
  to.most_wait = Millis(number("timeoutMs", 25, 30'000, 1000));
}

}  // namespace

Subscription parse_subscription(std::string_view body, bool logs_api, std::string& wrong) {
  Subscription out;
  Complaints complaints(wrong);
  try {
    const Json request = Json::parse(body);
    if (!request.is_object()) {
      complaints.add("the request is no object");
      return out;
    }
    read_schema(request, logs_api, out, complaints);
    read_destination(request, logs_api, out, complaints);
    read_types(request, out, complaints);
    read_buffering(request, out, complaints);
  } catch (const JsonError& e) {
    complaints.add(e.what());
  }
  return out;
}

Telemetry::Telemetry(Host host) : host_(std::move(host)) {}
Telemetry::~Telemetry() { close(); }

std::optional<Json> Telemetry::subscribe(ApiConnection& from, const std::string& name, bool logs_api) {
  const std::string_view prefix = logs_api ? "Logs." : "";
  if (closed_) {
    from.refuse(403, logs_api ? "Logs.SubscriptionClosed" : "Telemetry.SubscriptionClosed",
                logs_api ? "Logs API subscription is closed already" : "Telemetry API subscription is closed already");
    return std::nullopt;
  }
  std::string wrong = from.too_large ? "the body is too large" : "";
  Subscription wanted;
  if (wrong.empty()) wanted = parse_subscription(from.body, logs_api, wrong);
  const auto known = std::ranges::find(names_, name);
  if (wrong.empty() && known != names_.end() &&
      ((subscribers_[static_cast<size_t>(known - names_.begin())]->audience() & kTelemetry) != 0) == logs_api) {
    wrong = "the extension has subscribed by the other API already";
  }
  if (!wrong.empty()) {
    from.refuse(400, cat(prefix, "ValidationError"), wrong);
    return std::nullopt;
  }
  Json types = wanted.types;
  // A second subscription takes the first one's place.
  if (known != names_.end()) {
    const auto at = static_cast<size_t>(known - names_.begin());
    subscribers_[at]->close();
    subscribers_.erase(subscribers_.begin() + static_cast<long>(at));
    names_.erase(known);
  }
  auto made = std::make_shared<Subscriber>(
      std::move(wanted), host_.home, host_.clock, host_.watch,
      [this](std::weak_ptr<Subscriber> who) {
        want_socket_.push_back(std::move(who));
        host_.ask_socket();
      },
      host_.settled);
  subscribers_.push_back(made);
  names_.push_back(name);
  for (const Kept& kept : kept_) {
    if ((kept.audience & made->audience()) && (kept.category & made->categories())) made->add(kept.event);
  }
  from.answer(200, "application/json", {}, "\"OK\"");
  return types;
}

void Telemetry::close_subscriptions() {
  closed_ = true;
  kept_.clear();
  kept_.shrink_to_fit();
}

void Telemetry::add(Time time, std::string_view type, const Json& record, Category category, uint8_t audience) {
  if (closed_ && subscribers_.empty()) return;
  std::string event = platform_event(time, type, record);
  if (!is_utf8(event)) event = as_utf8(event);
  for (const auto& subscriber : subscribers_) {
    if ((audience & subscriber->audience()) && (category & subscriber->categories())) subscriber->add(event);
  }
  if (closed_ || kept_bytes_ + event.size() > kMostKept) return;
  kept_bytes_ += event.size();
  kept_.push_back({std::move(event), category, audience});
}

void Telemetry::platform(Time time, std::string_view type, const Json& record, uint8_t audience) {
  add(time, type, record, kPlatform, audience);
}

void Telemetry::line(Category category, std::string_view text, bool may_be_object) {
  if (closed_ && subscribers_.empty()) return;
  const std::string_view type = category == kFunctionLine ? "function" : "extension";
  const Time now = host_.clock.now();
  uint8_t audience = kEverybody;
  if (const auto object = may_be_object ? object_in(text) : std::nullopt) {
    add(now, type, *object, category, kTelemetryObjects);
    audience &= ~kTelemetryObjects;
  }
  add(now, type, Json(text), category, audience);
}

void Telemetry::flush() {
  for (const auto& subscriber : subscribers_) subscriber->flush();
}

bool Telemetry::settled() const {
  return std::ranges::all_of(subscribers_, [](const auto& subscriber) { return subscriber->settled(); });
}

void Telemetry::give_socket(Fd socket) {
  if (want_socket_.empty()) return;
  const auto subscriber = want_socket_.front().lock();
  want_socket_.pop_front();
  if (subscriber) subscriber->connect(std::move(socket));
}

void Telemetry::close() {
  for (const auto& subscriber : subscribers_) subscriber->close();
}

}  // namespace virga::sandbox
