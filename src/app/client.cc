#include "app/client.h"

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/source.h"
#include "base/str.h"
#include "base/time.h"
#include "base/xml.h"
#include "rt/http_client.h"
#include "rt/reactor.h"
#include "wire/protocol.h"

namespace virga::app {
namespace {

constexpr size_t kMostAnswer = 256 << 20;
constexpr size_t kMostUpload = 512 << 20;

// The code and message of an error response, in any of the protocols' spellings.
Refusal parse_refusal(const wire::HttpResponse& response, const std::string& body) {
  Refusal refusal{"", "", response.status};
  if (body.starts_with('{')) {
    const Json json = Json::parse(body);
    refusal.code = json.string_or("__type", response.headers.get("x-amzn-errortype"));
    refusal.message = json.string_or("message", json.string_or("Message"));
  } else if (body.starts_with('<')) {
    const XmlNode root = parse_xml(body);
    const XmlNode* error = root.name == "Error" ? &root : root.child("Error");
    if (error) {
      refusal.code = error->child_text("Code");
      refusal.message = error->child_text("Message");
    }
  }
  if (const size_t hash = refusal.code.rfind('#'); hash != std::string::npos) refusal.code.erase(0, hash + 1);
  refusal.code = std::string(split_once(refusal.code, ':').first);
  if (refusal.message.empty())
    refusal.message = refusal.code.empty() ? cat("HTTP status ", response.status) : refusal.code;
  return refusal;
}

}  // namespace

struct Client::Connection {
  rt::Reactors reactors{1};
  std::optional<rt::HttpClient> http;
  Connection() {
    reactors.start();
    reactors.run_on_each([this](rt::Reactor& reactor) { http.emplace(reactor); });
  }
  ~Connection() {
    reactors.run_on_each([this](rt::Reactor&) { http.reset(); });
    reactors.stop();
  }
};

Client::Client(const Arguments& arguments)
    : endpoint_(arguments.get("--endpoint", environment({"AWS_ENDPOINT_URL"}, "http://127.0.0.1:4566"))),
      region_(arguments.get("--region", environment({"AWS_REGION", "AWS_DEFAULT_REGION"}, "us-east-1"))),
      identity_{environment({"AWS_ACCESS_KEY_ID"}, "test"), environment({"AWS_SECRET_ACCESS_KEY"}, "test"),
                environment({"AWS_SESSION_TOKEN"}, "")} {
  while (endpoint_.ends_with('/')) endpoint_.pop_back();
  if (!rt::parse_url(endpoint_)) throw UsageError(cat("'", endpoint_, "' is not an http or https address"));
}

Client::~Client() = default;

wire::HttpResponse Client::exchange(wire::HttpRequest request, std::string& body) {
  if (!connection_) connection_ = std::make_unique<Connection>();
  rt::ClientRequest out;
  out.method = request.method;
  out.url = endpoint_ + request.target;
  for (const auto& [name, value] : request.headers.fields()) out.headers.emplace_back(name, value);
  out.body = body;
  Result<rt::HttpClient::Whole> answer =
      rt::run_on(connection_->reactors[0], connection_->http->fetch(std::move(out), kMostAnswer));
  if (!answer) {
    throw CommandError(
        cat("no answer from ", endpoint_, " (", describe(answer.error()), "); is Virga running? virga up starts it"));
  }
  wire::HttpResponse response;
  response.status = answer->status;
  for (const auto& [name, value] : answer->headers) response.headers.add(name, value);
  body = std::move(answer->body);
  return response;
}

std::optional<Refusal> Client::send(const wire::OperationModel& op, const void* in, void* out) {
  const wire::Protocol protocol = op.service->protocols.front();
  wire::HttpRequest request = wire::write_request(protocol, op, in);
  std::string body;
  if (request.body) {
    static constexpr ErrorShape kTooLarge{"EntityTooLarge", 400, Fault::kSender, {}};
    Result<std::string> whole = run(read_all(*request.body, kMostUpload, Error{&kTooLarge, "", nullptr, {}}));
    if (!whole) throw CommandError("what is to be sent is too large");
    body = std::move(*whole);
  }
  request.headers.set("host", std::string_view(endpoint_).substr(endpoint_.find("://") + 3));
  const auto flavour = wire::sigv4::flavour_of(op.service->id, protocol);
  wire::sigv4::sign(request, identity_, region_, op.service->signing_name, hex_encode(sha256(body)),
                    SystemClock().now(), flavour);
  const wire::HttpResponse response = exchange(std::move(request), body);
  if (response.status >= 300) return parse_refusal(response, body);
  wire::read_output(protocol, op, response, body, out);
  return std::nullopt;
}

void Client::refuse(const wire::OperationModel& op, const Refusal& refusal) const {
  throw CommandError(
      cat(op.service->id, " ", op.name, ": ", refusal.code, refusal.code.empty() ? "" : ": ", refusal.message));
}

Json Client::get(const std::string& path, const std::string& method) {
  wire::HttpRequest request;
  request.method = method;
  request.target = path;
  std::string body;
  const wire::HttpResponse response = exchange(std::move(request), body);
  if (response.status != 200 && method != "GET") throw CommandError(std::string(trim(body)));
  if (response.status != 200)
    throw CommandError(cat(endpoint_, " answers, but is no Virga (status ", response.status, " for ", path, ")"));
  return Json::parse(body);
}

}  // namespace virga::app
