#include <aws/events/errors.h>

#include "base/id.h"
#include "base/str.h"
#include "kernel/outbound.h"
#include "kernel/target_delivery.h"
#include "kv/record.h"
#include "services/events/limits.h"
#include "services/events/list.h"
#include "services/events/service.h"

namespace virga::events {
namespace {

std::string connection_arn(const Home& home, const ConnectionRecord& c) {
  return cat("arn:aws:events:", home.region, ":", home.account, ":connection/", c.name, "/", c.id);
}

Error no_connection(std::string_view name) {
  return err::ResourceNotFoundException(
      cat("Failed to describe the connection(s). Connection '", name, "' does not exist."));
}

ConnectionState state_of(const ConnectionRecord& c) {
  return c.deauthorized  ? ConnectionState::DEAUTHORIZED
         : c.authorizing ? ConnectionState::AUTHORIZING
                         : ConnectionState::AUTHORIZED;
}

ConnectionAuthorizationType type_of(const ConnectionRecord& c) {
  return c.authorization == Authorization::kBasic    ? ConnectionAuthorizationType::BASIC
         : c.authorization == Authorization::kApiKey ? ConnectionAuthorizationType::API_KEY
                                                     : ConnectionAuthorizationType::OAUTH_CLIENT_CREDENTIALS;
}

template <class P>
std::vector<Extra> extras_of(const std::optional<std::vector<P>>& list) {
  std::vector<Extra> out;
  if (!list) return out;
  for (const P& p : *list) out.push_back({p.key.value_or(""), p.value.value_or(""), p.is_value_secret.value_or(false)});
  return out;
}
Extras extras_of(const ConnectionHttpParameters& in) {
  return {extras_of(in.header_parameters), extras_of(in.query_string_parameters), extras_of(in.body_parameters)};
}

template <class P>
std::optional<std::vector<P>> shown(const std::vector<Extra>& all) {
  if (all.empty()) return std::nullopt;
  std::vector<P> out;
  for (const Extra& extra : all) {
    P& p = out.emplace_back();
    p.key = extra.key;
    if (!extra.secret) p.value = extra.value;
    p.is_value_secret = extra.secret;
  }
  return out;
}
std::optional<ConnectionHttpParameters> shown(const Extras& extras) {
  if (extras.headers.empty() && extras.query.empty() && extras.body.empty()) return std::nullopt;
  ConnectionHttpParameters out;
  out.header_parameters = shown<ConnectionHeaderParameter>(extras.headers);
  out.query_string_parameters = shown<ConnectionQueryStringParameter>(extras.query);
  out.body_parameters = shown<ConnectionBodyParameter>(extras.body);
  return out;
}

// What is asked for beside credentials, which both kinds of request have in common.
template <class In>
void take_rest(ConnectionRecord& c, const In& in) {
  if (in.invocation_connectivity_parameters) {
    throw err::ValidationException("InvocationConnectivityParameters is not served: there are no private resources.");
  }
  if (in.kms_key_identifier && !in.kms_key_identifier->empty()) {
    throw err::ValidationException("KmsKeyIdentifier is not served: connections are not encrypted with KMS keys.");
  }
  if (in.description) c.description = *in.description;
}

Error wrong_parameters() {
  return err::ValidationException(
      "Parameters for AuthParameters are not valid. Reason: they don't fit the AuthorizationType.");
}

void check_url(const std::string& url, std::string_view name) {
  if (!kernel::is_http_url(url)) {
    throw err::ValidationException(cat("Parameter ", name, " is not valid. Reason: it is no http or https address."));
  }
}

// The credentials of `p`; what an update leaves out stays.
template <class P>
void take_credentials(ConnectionRecord& c, const P& p) {
  const auto text = [](const auto& v) -> std::optional<std::string> { return v; };
  const auto set = [&](std::string& out, const auto& v) {
    if (const auto t = text(v)) out = *t;
  };
  if (p.invocation_http_parameters) c.extras = extras_of(*p.invocation_http_parameters);
  const bool basic = p.basic_auth_parameters.has_value(), key = p.api_key_auth_parameters.has_value(),
             oauth = p.oauth_parameters.has_value();
  if ((basic && c.authorization != Authorization::kBasic) || (key && c.authorization != Authorization::kApiKey) ||
      (oauth && c.authorization != Authorization::kOAuth)) {
    throw wrong_parameters();
  }
  if (basic) {
    set(c.user, p.basic_auth_parameters->username);
    set(c.secret, p.basic_auth_parameters->password);
  }
  if (key) {
    set(c.user, p.api_key_auth_parameters->api_key_name);
    set(c.secret, p.api_key_auth_parameters->api_key_value);
  }
  if (oauth) {
    const auto& o = *p.oauth_parameters;
    const auto client = std::optional(o.client_parameters);
    if constexpr (requires { o.client_parameters->client_id; }) {
      if (o.client_parameters) {
        set(c.user, o.client_parameters->client_id);
        set(c.secret, o.client_parameters->client_secret);
      }
      if (o.http_method) c.token_method = to_string(*o.http_method);
    } else {
      set(c.user, o.client_parameters.client_id);
      set(c.secret, o.client_parameters.client_secret);
      c.token_method = to_string(o.http_method);
    }
    set(c.token_url, o.authorization_endpoint);
    check_url(c.token_url, "AuthorizationEndpoint");
    if (o.oauth_http_parameters) c.token_extras = extras_of(*o.oauth_http_parameters);
  }
  if (c.user.empty() || c.secret.empty()) throw wrong_parameters();
}

std::string reason_of(const Failure& failure) {
  const Error* error = error_of(failure);
  return error ? error->message : "The authorization failed.";
}

// Which state of a connection a delivery is to authorize.
struct Authorizing {
  Home home;
  std::string name, id;
  Time modified;
  template <class A>
  void fields(A& a) {
    a(1, home), a(2, name), a(3, id), a(4, modified);
  }
};

template <class Out>
Out answer(const Home& home, const ConnectionRecord& c) {
  Out out;
  out.connection_arn = connection_arn(home, c);
  out.connection_state = state_of(c);
  out.creation_time = c.created;
  out.last_modified_time = c.modified;
  return out;
}

}  // namespace

// Basic credentials and keys are taken as they are; what a token is given for is asked for one now.
void EventsService::begin_authorizing(kv::Txn& tx, const Home& home, ConnectionRecord& c) {
  c.deauthorized = false;
  c.reason.clear();
  c.authorized = c.modified;  // as AWS was recorded, before a token came too
  c.authorizing = c.authorization == Authorization::kOAuth;
  if (!c.authorizing) return;
  kernel::Delivery work;
  work.kind = kAuthorize;
  work.lane = connection_arn(home, c);
  work.payload = kv::encode(Authorizing{home, c.name, c.id, c.modified});
  deps_.deliveries.enqueue(tx, std::move(work));
}

Task<kernel::Verdict> EventsService::authorize(kernel::Attempt attempt) {
  const auto work = kv::decode<Authorizing>(attempt.payload);
  const auto c = co_await Store(*deps_.db.snapshot(), work.home).find<ConnectionRecord>(work.name);
  if (!c || c->id != work.id || c->modified != work.modified) co_return kernel::Verdict::done();
  std::string reason;
  if (auto token = co_await as_result(access_token(work.home, *c, true)); !token) {
    if (!kernel::is_permanent(token.error()) && attempt.attempts < kTokenRetries) co_return kernel::Verdict::again();
    reason = reason_of(token.error());
  }
  co_return kernel::Verdict::done().with(authorized(work.home, *c, std::move(reason)));
}

Task<void> EventsService::deauthorize(Home home, ConnectionRecord c, Failure why) {
  co_await deps_.db.transact(authorized(std::move(home), std::move(c), reason_of(why)));
}

kernel::Verdict::Writes EventsService::authorized(Home home, ConnectionRecord asked, std::string reason) {
  return
      [this, home = std::move(home), asked = std::move(asked), reason = std::move(reason)](kv::Txn& tx) -> Task<void> {
        WriteStore store(tx, home);
        auto c = co_await store.find<ConnectionRecord>(asked.name);
        if (!c || c->id != asked.id || c->modified != asked.modified || c->deauthorized) co_return;
        c->authorizing = false;
        c->deauthorized = !reason.empty();
        c->reason = reason;
        if (reason.empty()) c->authorized = deps_.clock.now();
        store.put(*c);
      };
}

Task<CreateConnectionResponse> EventsService::create_connection(Ctx& ctx, const CreateConnectionRequest& in) {
  ConnectionRecord c;
  c.name = in.name;
  c.id = uuid();
  c.authorization = in.authorization_type == ConnectionAuthorizationType::BASIC     ? Authorization::kBasic
                    : in.authorization_type == ConnectionAuthorizationType::API_KEY ? Authorization::kApiKey
                                                                                    : Authorization::kOAuth;
  take_rest(c, in);
  take_credentials(c, in.auth_parameters);
  c.created = c.modified = ctx.now();
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CreateConnectionResponse> {
    WriteStore store(tx, home_of(ctx));
    if (co_await store.find<ConnectionRecord>(in.name)) {
      co_return err::ResourceAlreadyExistsException(cat("Connection ", in.name, " already exists."));
    }
    if (co_await store.is_full<ConnectionRecord>(kMaxConnections)) co_return too_many();
    begin_authorizing(tx, home_of(ctx), c);
    store.put(c);
    co_return answer<CreateConnectionResponse>(home_of(ctx), c);
  });
}

Task<UpdateConnectionResponse> EventsService::update_connection(Ctx& ctx, const UpdateConnectionRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<UpdateConnectionResponse> {
    WriteStore store(tx, home_of(ctx));
    auto c = co_await store.find<ConnectionRecord>(in.name);
    if (!c) co_return no_connection(in.name);
    if (in.authorization_type && *in.authorization_type != type_of(*c)) {
      c->authorization = *in.authorization_type == ConnectionAuthorizationType::BASIC     ? Authorization::kBasic
                         : *in.authorization_type == ConnectionAuthorizationType::API_KEY ? Authorization::kApiKey
                                                                                          : Authorization::kOAuth;
      c->user.clear();
      c->secret.clear();
    }
    take_rest(*c, in);
    if (in.auth_parameters) take_credentials(*c, *in.auth_parameters);
    if (c->user.empty()) co_return wrong_parameters();
    c->modified = ctx.now();
    if (!c->secret.empty()) begin_authorizing(tx, home_of(ctx), *c);
    store.put(*c);
    auto out = answer<UpdateConnectionResponse>(home_of(ctx), *c);
    out.last_authorized_time = c->authorized;
    co_return out;
  });
}

Task<DeleteConnectionResponse> EventsService::delete_connection(Ctx& ctx, const DeleteConnectionRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeleteConnectionResponse> {
    WriteStore store(tx, home_of(ctx));
    const auto c = co_await store.find<ConnectionRecord>(in.name);
    if (!c) co_return no_connection(in.name);
    store.erase<ConnectionRecord>(in.name);
    auto out = answer<DeleteConnectionResponse>(home_of(ctx), *c);
    out.connection_state = ConnectionState::DELETING;
    co_return out;
  });
}

Task<DeauthorizeConnectionResponse> EventsService::deauthorize_connection(Ctx& ctx,
                                                                          const DeauthorizeConnectionRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeauthorizeConnectionResponse> {
    WriteStore store(tx, home_of(ctx));
    auto c = co_await store.find<ConnectionRecord>(in.name);
    if (!c) co_return no_connection(in.name);
    c->deauthorized = true;
    c->authorizing = false;
    c->reason.clear();
    c->secret.clear();
    c->modified = ctx.now();
    store.put(*c);
    auto out = answer<DeauthorizeConnectionResponse>(home_of(ctx), *c);
    out.connection_state = ConnectionState::DEAUTHORIZING;
    co_return out;
  });
}

Task<DescribeConnectionResponse> EventsService::describe_connection(Ctx& ctx, const DescribeConnectionRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const auto c = co_await Store(*snapshot, home_of(ctx)).find<ConnectionRecord>(in.name);
  if (!c) co_return no_connection(in.name);
  auto out = answer<DescribeConnectionResponse>(home_of(ctx), *c);
  out.name = c->name;
  if (!c->description.empty()) out.description = c->description;
  if (!c->reason.empty()) out.state_reason = c->reason;
  out.authorization_type = type_of(*c);
  out.last_authorized_time = c->authorized;
  ConnectionAuthResponseParameters& auth = out.auth_parameters.emplace();
  auth.invocation_http_parameters = shown(c->extras);
  switch (c->authorization) {
    case Authorization::kBasic:
      auth.basic_auth_parameters.emplace().username = c->user;
      break;
    case Authorization::kApiKey:
      auth.api_key_auth_parameters.emplace().api_key_name = c->user;
      break;
    case Authorization::kOAuth: {
      ConnectionOAuthResponseParameters& o = auth.oauth_parameters.emplace();
      o.client_parameters.emplace().client_id = c->user;
      o.authorization_endpoint = c->token_url;
      ConnectionOAuthHttpMethod method{};
      if (from_string(c->token_method, method)) o.http_method = method;
      o.oauth_http_parameters = shown(c->token_extras);
    }
  }
  co_return out;
}

Task<ListConnectionsResponse> EventsService::list_connections(Ctx& ctx, const ListConnectionsRequest& in) {
  ListConnectionsResponse out;
  out.connections.emplace();
  const auto page = co_await list_page<ConnectionRecord>(
      deps_, ctx, {"events:ListConnections", in.name_prefix.value_or(""), in.next_token, in.limit, home_of(ctx), ""},
      out.next_token,
      [&](const ConnectionRecord& c) { return !in.connection_state || *in.connection_state == state_of(c); });
  for (const ConnectionRecord& c : page) {
    auto one = answer<Connection>(home_of(ctx), c);
    one.name = c.name;
    one.authorization_type = type_of(c);
    if (!c.reason.empty()) one.state_reason = c.reason;
    one.last_authorized_time = c.authorized;
    out.connections->push_back(std::move(one));
  }
  co_return out;
}

}  // namespace virga::events
