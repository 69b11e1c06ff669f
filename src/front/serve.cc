#include "front/serve.h"

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "front/cors.h"
#include "kernel/typed_json.h"
#include "wire/aws_chunked.h"
#include "wire/errors.h"
#include "wire/packing.h"
#include "wire/presigned.h"
#include "wire/protocol.h"

namespace virga::front {

using wire::HttpRequest;
using wire::HttpResponse;
namespace sigv4 = wire::sigv4;
namespace door = wire::door;

namespace {

// Of an aws-chunked body, but for its last chunk: "Signature calculations … multiple chunks", S3 API reference.
constexpr uint64_t kLeastChunk = 8192;
// An answer up to this size is packed on the reactor, within a millisecond.
constexpr size_t kPackedHere = 64 << 10;

// The name of the host as the client said it, for URLs in answers.
std::string base_url(const HttpRequest& request) {
  return cat(request.secure ? "https://" : "http://", request.host().empty() ? "localhost" : request.host());
}

// Hashes a streaming body as it passes and fails at its end when the signed hash was another.
class CheckedBody final : public ByteSource {
 public:
  CheckedBody(Body inner, sigv4::SignedRequest signature, sigv4::Flavour flavour)
      : inner_(std::move(inner)), signature_(std::move(signature)), flavour_(flavour) {}
  std::optional<uint64_t> size() const override { return inner_->size(); }
  Task<std::optional<std::string>> next() override {
    auto chunk = co_await inner_->next();
    if (chunk) {
      hasher_.update(*chunk);
    } else {
      sigv4::check_body(signature_, hex_encode(hasher_.finish()), flavour_);
    }
    co_return chunk;
  }

 private:
  Body inner_;
  sigv4::SignedRequest signature_;
  sigv4::Flavour flavour_;
  Hasher hasher_{HashKind::kSha256};
};

// Fails once more than `most` bytes have passed.
class LimitedBody final : public ByteSource {
 public:
  LimitedBody(Body inner, uint64_t most, Error too_large)
      : inner_(std::move(inner)), most_(most), too_large_(std::move(too_large)) {}
  std::optional<uint64_t> size() const override { return inner_->size(); }
  Task<std::optional<std::string>> next() override {
    auto chunk = co_await inner_->next();
    if (chunk) passed_ += chunk->size();
    if (passed_ > most_) co_return Error(too_large_);
    co_return chunk;
  }

 private:
  Body inner_;
  uint64_t most_, passed_ = 0;
  Error too_large_;
};

// Nobody else hears what comes from this machine, a function's calls included. So policies that refuse what isn't
// secure, as AWS advises for buckets, concern those who come over the network.
bool is_of_this_machine(const HttpRequest& request) {
  std::string_view peer = request.peer;
  if (peer.starts_with("::ffff:")) peer.remove_prefix(7);
  return peer.starts_with("127.") || peer == "::1";
}

}  // namespace

// One API call on its way: what is known of it so far, so that an error at any stop is rendered rightly.
struct Door::Call {
  From from = From::kOutside;
  Route route;
  kernel::Ctx ctx;
  sigv4::Claim claim;
  std::optional<sigv4::SignedRequest> signature;
  std::optional<kernel::Credential> credential;
  sigv4::Flavour flavour = sigv4::Flavour::kRest;
  std::string signing_key;
  std::string body;
  const kernel::Operation* operation = nullptr;
};

Door::Door(kernel::Cloud& cloud, ServeLimits limits)
    : cloud_(cloud), router_(cloud), limits_(limits), held_(limits.held) {}

void Door::add_local(std::string path, Local handler) { locals_.emplace(std::move(path), std::move(handler)); }

const Door::Local* Door::find_local(const HttpRequest& request) const {
  if (request.path == "/") {
    if (request.method != "GET" && request.method != "HEAD") return nullptr;
    if (!request.query.empty() || request.headers.has("authorization") || router_.host_selects(request)) return nullptr;
  } else if (!request.path.starts_with("/_virga/")) {
    return nullptr;
  }
  const auto found = locals_.find(request.path);
  return found == locals_.end() ? nullptr : &found->second;
}

Task<HttpResponse> Door::serve(HttpRequest& request, From from) {
  // Has no frame of its own, because what a call needs is large.
  const Local* local = from == From::kOutside ? find_local(request) : nullptr;
  return local ? (*local)(request) : serve_routed(request, from);
}

Task<HttpResponse> Door::serve_routed(HttpRequest& request, From from) {
  Call call;
  call.from = from;
  struct Running {
    std::atomic<uint32_t>& count;
    explicit Running(std::atomic<uint32_t>& c) : count(c) { ++count; }
    ~Running() { --count; }
  } running(running_);

  Result<HttpResponse> result = co_await as_result(serve_call(request, call));
  const Route& route = call.route;
  if (!result) {
    const Error* error = error_of(result);
    if (!error) {
      log_error("front", "a request failed unexpectedly",
                {{"request", call.ctx.request_id}, {"error", describe(result.error())}});
    }
    result = wire::write_error(route.protocol, route.service, route.operation,
                               error ? *error : door::internal_failure(), call.ctx.request_id, request.path);
  }
  if (!route.endpoint && !(wire::is_s3(route.service) && route.operation))
    allow_origin(request, route.operation, *result);
  if (const auto packing = wire::packing_for(route.service, request, *result)) {
    if (result->body.size() <= kPackedHere) {
      wire::pack(*result, *packing);
    } else {
      co_await packers_.run([&] { wire::pack(*result, *packing); });
    }
  }
  co_return std::move(*result);
}

Task<HttpResponse> Door::serve_call(HttpRequest& request, Call& call) {
  call.claim = sigv4::peek_claim(request);
  const std::optional<sigv4::Scope>& scope = call.claim.scope;
  kernel::Ctx& ctx = call.ctx;
  ctx.request_id = uuid();
  ctx.clock = &cloud_.clock();
  ctx.region = scope && !scope->region.empty() ? scope->region : "us-east-1";
  ctx.trace = request.headers.get("x-amzn-trace-id");
  ctx.source_ip = request.peer;
  ctx.user_agent = request.headers.get("user-agent");
  ctx.secure = request.secure || is_of_this_machine(request);
  ctx.base_url = base_url(request);

  if (running_ > limits_.concurrent) co_return door::service_unavailable();
  if (request.method == "OPTIONS" && request.headers.has("origin") && router_.is_api_path(request))
    co_return answer_preflight(request);
  router_.find(request, scope ? scope->service : std::string_view(), call.route);
  if (call.route.endpoint) {
    request.body = held_.hold(std::move(request.body));
    kernel::EndpointRequest endpoint{call.route.endpoint_id, call.route.endpoint_path, request};
    co_return co_await call.route.endpoint->serve(ctx, endpoint);
  }
  if (wire::is_s3(call.route.service)) ctx.request_id = random_upper_alnum(16);
  call.flavour = sigv4::flavour_of(call.route.service->id, call.route.protocol);
  call.signature = sigv4::find_signature(request, std::move(call.claim), call.flavour);
  // What was signed for one service opens no other: else whoever holds a presigned link to an object could add an
  // X-Amz-Target and call a database in the signer's name.
  if (call.signature && call.signature->service != call.route.service->signing_name) {
    co_await fail(sigv4::wrong_service(call.flavour, *call.signature, call.route.service->signing_name,
                                       call.signature->presigned));
  }
  if (call.signature && call.signature->version2()) ctx.region.clear();  // its signatures are of no region
  co_return co_await serve_operation(request, call);
}

Task<HttpResponse> Door::serve_operation(HttpRequest& request, Call& call) {
  Route& route = call.route;
  if (route.operation) require_served(call);
  const bool streams = route.operation && route.operation->streams_input;
  if (call.signature) {
    co_await identify(request, call);
  } else {
    admit_anonymous(call);
  }
  if (!streams) {
    request.body = held_.hold(std::move(request.body));
    const uint64_t most = call.operation && call.operation->body_limit ? call.operation->body_limit : limits_.body;
    if (request.content_length && *request.content_length > most)
      co_return door::too_large(route.service, route.operation, most);
    if (call.signature && sigv4::is_chunked(call.signature->payload)) {
      // Chunk signatures need the key, so the caller is identified before the body is read.
      authenticate(request, call, {});
      call.body =
          co_await read_all(*unchunked(request, call), most, door::too_large(route.service, route.operation, most));
    } else {
      if (auto* whole = dynamic_cast<WholeBody*>(request.body.get())) {
        call.body = whole->take();
      } else {
        call.body = co_await read_all(*request.body, most, door::too_large(route.service, route.operation, most));
      }
      authenticate(request, call, call.signature ? hex_encode(text_of(sha256_digest(call.body))) : std::string());
    }
  } else {
    if (call.signature && call.signature->payload == sigv4::Payload::kBodyHash) {
      // What the signature is of is known when all of the body is there.
      std::string whole =
          co_await read_all(*request.body, limits_.body, door::too_large(route.service, route.operation, limits_.body));
      authenticate(request, call, hex_encode(text_of(sha256_digest(whole))));
      request.body = std::make_shared<WholeBody>(std::move(whole));
    } else {
      authenticate(request, call, {});
    }
    if (call.signature && sigv4::is_chunked(call.signature->payload)) {
      request.body = unchunked(request, call);
    } else if (call.signature && call.signature->payload == sigv4::Payload::kStatedHash) {
      request.body = std::make_shared<CheckedBody>(request.body, *call.signature, call.flavour);
    }
    request.body = std::make_shared<LimitedBody>(
        request.body, limits_.streamed_body, door::too_large(route.service, route.operation, limits_.streamed_body));
  }
  if (!route.operation) {
    router_.find_query_operation(route, request, call.body);
    require_served(call);
    if (!call.signature) admit_anonymous(call);
  }

  kernel::TypedValue input(route.operation->input), output(route.operation->output);
  wire::read_input(route.protocol, *route.operation, request, call.body, route.labels, input.get());
  // While the operation waits, other requests make better use of the memory.
  call.body = std::string();
  co_await cloud_.dispatch(call.ctx, *call.operation, input.get(), output.get());
  co_return wire::write_output(route.protocol, *route.operation, output.get(), call.ctx.request_id);
}

void Door::require_served(Call& call) {
  call.operation = router_.served(*call.route.operation);
  if (!call.operation) throw door::not_served(*call.route.service, call.route.operation->name);
}

// Refuses who has no key where one is needed.
void Door::admit_anonymous(const Call& call) const {
  const Route& route = call.route;
  const bool admits =
      !route.operation || route.operation->anonymous || wire::is_s3(route.service) || call.operation->guarded;
  if (!admits) throw sigv4::missing_authentication(call.flavour);
}

// Finds whose key it is, and refuses those that nobody has before a body is read for them.
Task<void> Door::identify(const HttpRequest& request, Call& call) {
  const sigv4::SignedRequest& signature = *call.signature;
  auto credential = co_await cloud_.authorizer().find_credential(signature.access_key, signature.session_token);
  const bool refused =
      credential && call.from == From::kFunction && credential->principal.kind == kernel::Principal::Kind::kRoot;
  if (!credential || refused) co_await fail(sigv4::unknown_key(call.flavour, signature.access_key));
  if (credential->expires.micros && credential->expires < cloud_.clock().now()) {
    co_await fail(sigv4::expired_token(call.flavour, signature.session_token));
  }
  // The key that a fresh Virga has is known to everybody: any page in this machine's browser could sign with it.
  if (credential->principal.kind == kernel::Principal::Kind::kRoot && !wire::is_s3(call.route.service) &&
      is_of_foreign_page(request)) {
    co_await fail(door::access_denied(*call.route.service, cat("An account's root key is not for the pages of ",
                                                               request.headers.get("origin"), ": use a user's key")));
  }
  call.credential = std::move(credential);
}

// That the caller is who the key says. `body_sha256` is empty when the body is not read yet.
void Door::authenticate(HttpRequest& request, Call& call, std::string_view body_sha256) {
  if (!call.signature) return;  // anonymous: the policies decide
  const sigv4::SignedRequest& signature = *call.signature;
  call.signing_key = keys_.derive(call.credential->secret, signature);
  sigv4::verify(signature, request, body_sha256, call.signing_key, call.ctx.now(), call.flavour);
  if (signature.presigned && wire::is_s3(call.route.service)) wire::take_headers_from_query(request);
  call.ctx.principal = std::move(call.credential->principal);
  call.ctx.account = call.ctx.principal.account;
}

Body Door::unchunked(HttpRequest& request, Call& call) {
  const sigv4::Payload payload = call.signature->payload;
  wire::AwsChunkedOptions options;
  options.is_signed = payload != sigv4::Payload::kChunkUnsignedTrailer;
  options.has_trailer = payload != sigv4::Payload::kChunkSigned;
  options.least_chunk = kLeastChunk;
  const auto length = parse_int(request.headers.get("x-amz-decoded-content-length"));
  if (!length || *length < 0) {
    static constexpr ErrorShape kNoLength{"MissingContentLength", 411};
    throw Error{&kNoLength, "You must provide the Content-Length HTTP header.", nullptr, {}};
  }
  options.decoded_length = static_cast<uint64_t>(*length);
  for (const std::string_view name : split(request.headers.joined("x-amz-trailer"), ',')) {
    if (!trim(name).empty()) options.trailer_names.push_back(lower(trim(name)));
  }
  if (options.is_signed) {
    auto verifier = std::make_shared<sigv4::ChunkVerifier>(*call.signature, call.signing_key);
    options.verify_chunk = [verifier](std::string_view hash, std::string_view signature) {
      return verifier->verify_chunk(hash, signature);
    };
    options.verify_trailer = [verifier](std::string_view text, std::string_view signature) {
      return verifier->verify_trailer(text, signature);
    };
  }
  return std::make_shared<wire::AwsChunkedSource>(request.body, std::move(options));
}

}  // namespace virga::front
