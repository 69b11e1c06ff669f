// From an HTTP request to an answer: the stops between the listener and a handler, in the order they matter.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <string>

#include "base/task.h"
#include "base/worker_pool.h"
#include "front/body.h"
#include "front/route.h"
#include "kernel/authorize.h"
#include "kernel/cloud.h"
#include "wire/http.h"
#include "wire/sigv4.h"

namespace virga::front {

struct ServeLimits {
  uint64_t body = 16 << 20;             // bytes of a body that is read whole
  uint64_t held = 1 << 30;              // bytes of all those bodies at a time; more get 503
  uint64_t streamed_body = 5ull << 30;  // bytes of a body that streams (S3: 5 GiB a part)
  uint32_t concurrent = 20'000;         // requests being served, also those that wait for a message; more get 503
};

class Door {
 public:
  Door(kernel::Cloud& cloud, ServeLimits limits);

  // A path of Virga's own: answered before any routing, unsigned, to those outside. It begins with "/_virga/"; or it
  // is "/", and then answered to a GET that is nothing else: without signature or query, to no bucket's or API's host.
  using Local = std::function<Task<wire::HttpResponse>(const wire::HttpRequest&)>;
  void add_local(std::string path, Local handler);

  // Where a request came in. Functions are other people's code: through their own loopback they reach the APIs and
  // endpoints with the credentials they were given, but no path of Virga's own, and no account's root key.
  enum class From : uint8_t { kOutside, kFunction };
  // Never fails: whatever happens becomes a response.
  Task<wire::HttpResponse> serve(wire::HttpRequest& request, From from);

 private:
  struct Call;
  const Local* find_local(const wire::HttpRequest& request) const;
  Task<wire::HttpResponse> serve_routed(wire::HttpRequest& request, From from);
  Task<wire::HttpResponse> serve_call(wire::HttpRequest& request, Call& call);
  Task<wire::HttpResponse> serve_operation(wire::HttpRequest& request, Call& call);
  Task<void> identify(const wire::HttpRequest& request, Call& call);
  void admit_anonymous(const Call& call) const;
  void authenticate(wire::HttpRequest& request, Call& call, std::string_view body_sha256);
  void require_served(Call& call);
  Body unchunked(wire::HttpRequest& request, Call& call);

  kernel::Cloud& cloud_;
  Router router_;
  ServeLimits limits_;
  BodyBudget held_;
  wire::sigv4::KeyCache keys_;
  std::map<std::string, Local, std::less<>> locals_;
  std::atomic<uint32_t> running_ = 0;
  WorkerPool packers_{2};  // last, because its work uses the rest
};

}  // namespace virga::front
