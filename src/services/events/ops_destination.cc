#include <aws/events/errors.h>

#include "base/id.h"
#include "base/str.h"
#include "kernel/outbound.h"
#include "services/events/limits.h"
#include "services/events/list.h"
#include "services/events/service.h"

namespace virga::events {
namespace {

std::string destination_arn(const Home& home, const DestinationRecord& d) {
  return cat("arn:aws:events:", home.region, ":", home.account, ":api-destination/", d.name, "/", d.id);
}

Error no_destination(std::string_view name) {
  return err::ResourceNotFoundException(
      cat("Failed to describe the api-destination(s). An api-destination '", name, "' does not exist."));
}

void check_url(const std::string& url) {
  if (!kernel::is_http_url(url)) {
    throw err::ValidationException(
        "Parameter InvocationEndpoint is not valid. Reason: it is no http or https address.");
  }
}

Task<std::optional<ConnectionRecord>> find_connection(Store store, std::string arn) {
  const auto parsed = kernel::parse_arn(arn);
  const auto parts = parsed ? split(parsed->resource, '/') : std::vector<std::string_view>();
  if (parts.size() != 3 || parts[0] != "connection") co_return std::nullopt;
  auto c = co_await store.find<ConnectionRecord>(std::string(parts[1]));
  if (c && c->id != parts[2]) c.reset();
  co_return c;
}

// Destinations are as useful as their connections.
template <class Out>
Task<Out> answer(Store store, Home home, DestinationRecord d) {
  const auto c = co_await find_connection(store, d.connection);
  Out out;
  out.api_destination_arn = destination_arn(home, d);
  out.api_destination_state =
      c && !c->deauthorized && !c->authorizing ? ApiDestinationState::ACTIVE : ApiDestinationState::INACTIVE;
  out.creation_time = d.created;
  out.last_modified_time = d.modified;
  co_return out;
}

template <class Out>
void describe(Out& out, const DestinationRecord& d) {
  out.name = d.name;
  out.connection_arn = d.connection;
  out.invocation_endpoint = d.url;
  ApiDestinationHttpMethod method{};
  if (from_string(d.method, method)) out.http_method = method;
  out.invocation_rate_limit_per_second = d.rate.value_or(kDefaultRate);
}

// Fails unless the ARN is of a connection that is there.
Task<void> check_connection(Store store, std::string arn) {
  if (!co_await find_connection(store, arn)) {
    co_await fail(err::ResourceNotFoundException(cat("Connection '", arn, "' does not exist.")));
  }
}

}  // namespace

Task<CreateApiDestinationResponse> EventsService::create_api_destination(Ctx& ctx,
                                                                         const CreateApiDestinationRequest& in) {
  check_url(in.invocation_endpoint);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CreateApiDestinationResponse> {
    WriteStore store(tx, home_of(ctx));
    if (co_await store.find<DestinationRecord>(in.name)) {
      co_return err::ResourceAlreadyExistsException(cat("An api-destination '", in.name, "' already exists."));
    }
    if (co_await store.is_full<DestinationRecord>(kMaxDestinations)) co_return too_many();
    co_await check_connection(store, in.connection_arn);
    DestinationRecord d;
    d.name = in.name;
    d.id = uuid();
    d.description = in.description.value_or("");
    d.connection = in.connection_arn;
    d.url = in.invocation_endpoint;
    d.method = to_string(in.http_method);
    d.rate = in.invocation_rate_limit_per_second;
    d.created = d.modified = ctx.now();
    store.put(d);
    co_return co_await answer<CreateApiDestinationResponse>(store, home_of(ctx), d);
  });
}

Task<UpdateApiDestinationResponse> EventsService::update_api_destination(Ctx& ctx,
                                                                         const UpdateApiDestinationRequest& in) {
  if (in.invocation_endpoint) check_url(*in.invocation_endpoint);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<UpdateApiDestinationResponse> {
    WriteStore store(tx, home_of(ctx));
    auto d = co_await store.find<DestinationRecord>(in.name);
    if (!d) co_return no_destination(in.name);
    if (in.connection_arn) {
      co_await check_connection(store, *in.connection_arn);
      d->connection = *in.connection_arn;
    }
    if (in.description) d->description = *in.description;
    if (in.invocation_endpoint) d->url = *in.invocation_endpoint;
    if (in.http_method) d->method = to_string(*in.http_method);
    if (in.invocation_rate_limit_per_second) d->rate = in.invocation_rate_limit_per_second;
    d->modified = ctx.now();
    store.put(*d);
    co_return co_await answer<UpdateApiDestinationResponse>(store, home_of(ctx), *d);
  });
}

Task<DeleteApiDestinationResponse> EventsService::delete_api_destination(Ctx& ctx,
                                                                         const DeleteApiDestinationRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeleteApiDestinationResponse> {
    WriteStore store(tx, home_of(ctx));
    if (!co_await store.find<DestinationRecord>(in.name)) co_return no_destination(in.name);
    store.erase<DestinationRecord>(in.name);
    co_return DeleteApiDestinationResponse{};
  });
}

Task<DescribeApiDestinationResponse> EventsService::describe_api_destination(Ctx& ctx,
                                                                             const DescribeApiDestinationRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home_of(ctx));
  const auto d = co_await store.find<DestinationRecord>(in.name);
  if (!d) co_return no_destination(in.name);
  auto out = co_await answer<DescribeApiDestinationResponse>(store, home_of(ctx), *d);
  describe(out, *d);
  if (!d->description.empty()) out.description = d->description;
  co_return out;
}

Task<ListApiDestinationsResponse> EventsService::list_api_destinations(Ctx& ctx, const ListApiDestinationsRequest& in) {
  ListApiDestinationsResponse out;
  out.api_destinations.emplace();
  const auto page = co_await list_page<DestinationRecord>(
      deps_, ctx,
      {"events:ListApiDestinations", in.name_prefix.value_or(""), in.next_token, in.limit, home_of(ctx), ""},
      out.next_token,
      [&](const DestinationRecord& d) { return !in.connection_arn || *in.connection_arn == d.connection; });
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home_of(ctx));
  for (const DestinationRecord& d : page) {
    auto one = co_await answer<ApiDestination>(store, home_of(ctx), d);
    describe(one, d);
    out.api_destinations->push_back(std::move(one));
  }
  co_return out;
}

}  // namespace virga::events
