// Function URLs: their configuration. url_serve.cc answers what comes to them.
#include <aws/lambda/errors.h>

#include "base/id.h"
#include "base/str.h"
#include "kernel/http_function.h"
#include "kernel/page.h"
#include "services/lambda/limits.h"
#include "services/lambda/resources.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

template <class Out>
Out describe(const Ctx& ctx, const UrlRecord& url) {
  Out out;
  const FunctionId id{url.account, url.region, url.function, url.qualifier};
  out.function_url = cat(kernel::address_below(ctx, cat(url.id, ".lambda-url.", url.region)), "/");
  out.function_arn = url.qualifier.empty() ? function_arn(ctx, id) : qualified_arn(ctx, id, url.qualifier);
  out.auth_type = url.signed_only ? FunctionUrlAuthType::AWS_IAM : FunctionUrlAuthType::NONE;
  if (url.cors) out.cors = kernel::cors_shape<Cors>(*url.cors);
  out.creation_time = iso8601_millis(url.created);
  if constexpr (requires { out.last_modified_time; }) out.last_modified_time = iso8601_millis(url.modified);
  out.invoke_mode = url.streams ? InvokeMode::RESPONSE_STREAM : InvokeMode::BUFFERED;
  return out;
}

Error no_function() { return err::ResourceNotFoundException("Function does not exist"); }
Error no_url() { return err::ResourceNotFoundException("The resource you requested does not exist."); }

}  // namespace

Task<CreateFunctionUrlConfigResponse> LambdaService::create_function_url_config(
    Ctx& ctx, const CreateFunctionUrlConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  UrlRecord url;
  url.id = random_lower_alnum(32);
  url.account = id.account;
  url.region = id.region;
  url.function = id.name;
  url.qualifier = id.qualifier == kLatest ? "" : id.qualifier;
  url.signed_only = in.auth_type == FunctionUrlAuthType::AWS_IAM;
  url.streams = in.invoke_mode == InvokeMode::RESPONSE_STREAM;
  url.mode_given = in.invoke_mode.has_value();
  if (in.cors) url.cors = kernel::cors_record(*in.cors);
  url.created = url.modified = ctx.now();
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_function(id.name)) co_await fail(no_function());
    if (const auto latest = co_await store.find_version(id.name, 0); latest && latest->per_tenant) {
      co_await fail(
          err::InvalidParameterValueException("Function URLs are not supported for functions with tenant isolation."));
    }
    if (!url.qualifier.empty() && !co_await store.find_alias(id.name, url.qualifier)) co_await fail(no_function());
    if (co_await store.find_url(id.name, url.qualifier)) {
      co_await fail(err::ResourceConflictException(
          cat("Failed to create function url config for [functionArn = ", function_arn(ctx, id),
              "]. Error message:  FunctionUrlConfig exists for this Lambda function")));
    }
    store.put_url(url);
  });
  auto out = describe<CreateFunctionUrlConfigResponse>(ctx, url);
  if (!url.mode_given) out.invoke_mode.reset();
  co_return out;
}

Task<GetFunctionUrlConfigResponse> LambdaService::get_function_url_config(Ctx& ctx,
                                                                          const GetFunctionUrlConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const auto snapshot = deps_.db.snapshot();
  const auto url = co_await Store(*snapshot, id.home()).find_url(id.name, id.qualifier);
  if (!url) co_return no_url();
  co_return describe<GetFunctionUrlConfigResponse>(ctx, *url);
}

Task<UpdateFunctionUrlConfigResponse> LambdaService::update_function_url_config(
    Ctx& ctx, const UpdateFunctionUrlConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const Time now = ctx.now();
  const UrlRecord answer = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<UrlRecord> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_function(id.name)) co_return no_function();
    if (!id.qualifier.empty() && !co_await store.find_alias(id.name, id.qualifier)) co_return no_function();
    auto url = co_await store.find_url(id.name, id.qualifier);
    if (!url) co_return no_url();
    if (in.auth_type) url->signed_only = *in.auth_type == FunctionUrlAuthType::AWS_IAM;
    if (in.invoke_mode) {
      url->streams = *in.invoke_mode == InvokeMode::RESPONSE_STREAM;
      url->mode_given = true;
    }
    if (in.cors) url->cors = kernel::cors_record(*in.cors);
    url->modified = now;
    store.put_url(*url);
    co_return *url;
  });
  auto out = describe<UpdateFunctionUrlConfigResponse>(ctx, answer);
  if (!answer.mode_given) out.invoke_mode.reset();
  co_return out;
}

Task<op::DeleteFunctionUrlConfig::Output> LambdaService::delete_function_url_config(
    Ctx& ctx, const DeleteFunctionUrlConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteFunctionUrlConfig::Output> {
    WriteStore store(tx, id.home(), catalog_);
    const auto url = co_await store.find_url(id.name, id.qualifier);
    if (!url) co_return no_url();
    store.erase_url(*url);
    co_return op::DeleteFunctionUrlConfig::Output{};
  });
}

Task<ListFunctionUrlConfigsResponse> LambdaService::list_function_url_configs(Ctx& ctx,
                                                                              const ListFunctionUrlConfigsRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const std::string page_of = cat("lambda:ListFunctionUrlConfigs:", id.name);
  const size_t from = kernel::open_page<uint64_t>(deps_.tokens, ctx, page_of, in.marker, bad_marker()).value_or(0);
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, id.home());
  if (!co_await store.find_function(id.name)) co_return no_function();
  const auto urls = co_await store.list_urls(id.name);
  ListFunctionUrlConfigsResponse out;
  for (size_t i = from; i < urls.size() && i < from + limit; ++i)
    out.function_url_configs.push_back(describe<FunctionUrlConfig>(ctx, urls[i]));
  if (from + limit < urls.size())
    out.next_marker = kernel::seal_page(deps_.tokens, ctx, page_of, static_cast<uint64_t>(from + limit));
  co_return out;
}

void LambdaService::url_operations(kernel::OpTable& t) {
  using S = LambdaService;
  t.add<op::CreateFunctionUrlConfig>(this, &S::create_function_url_config)
      .resource(by_qualified<CreateFunctionUrlConfigRequest>);
  t.add<op::GetFunctionUrlConfig>(this, &S::get_function_url_config)
      .resource(by_qualified<GetFunctionUrlConfigRequest>);
  t.add<op::UpdateFunctionUrlConfig>(this, &S::update_function_url_config)
      .resource(by_qualified<UpdateFunctionUrlConfigRequest>);
  t.add<op::DeleteFunctionUrlConfig>(this, &S::delete_function_url_config)
      .resource(by_qualified<DeleteFunctionUrlConfigRequest>);
  t.add<op::ListFunctionUrlConfigs>(this, &S::list_function_url_configs)
      .resource(by_function<ListFunctionUrlConfigsRequest>);
  t.add<op::InvokeWithResponseStream>(this, &S::invoke_with_response_stream)
      .action("lambda:InvokeFunction")
      .resource(by_qualified<InvokeWithResponseStreamRequest>)
      .guarded()
      .data_plane();
}

}  // namespace virga::lambda
