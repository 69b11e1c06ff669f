#include "kernel/outbound.h"

#include <map>
#include <mutex>

#include "base/str.h"
#include "rt/http_client.h"
#include "rt/reactor.h"

namespace virga::kernel {

struct Outbound::State {
  OutboundOptions options;
  std::mutex mutex;
  bool stopped = false;
  // A client is used and destroyed on its reactor's thread only.
  std::map<rt::Reactor*, std::shared_ptr<rt::HttpClient>> clients;

  std::shared_ptr<rt::HttpClient> client_here() {
    rt::Reactor* reactor = rt::Reactor::here();
    std::lock_guard lock(mutex);
    if (!reactor || stopped) return nullptr;
    auto& client = clients[reactor];
    if (!client) {
      rt::HttpClientOptions client_options;
      client_options.connect_time = options.connect_time;
      client_options.answer_time = options.answer_time;
      client_options.idle_time = options.answer_time;
      client = std::make_shared<rt::HttpClient>(*reactor, client_options);
    }
    return client;
  }
};

Outbound::Outbound(OutboundOptions options) : state_(std::make_unique<State>()) { state_->options = options; }
Outbound::~Outbound() = default;

std::string_view OutboundAnswer::header(std::string_view name) const { return rt::find_field(headers, name); }

Task<OutboundAnswer> Outbound::send(OutboundRequest request) {
  const auto client = state_->client_here();
  if (!client) {
    static constexpr ErrorShape kStopped{"ServiceUnavailable", 503, Fault::kReceiver, {}};
    co_return Error{&kStopped, "Virga is stopping.", nullptr, {}};
  }
  auto answer = co_await client->fetch({.method = std::move(request.method),
                                        .url = std::move(request.url),
                                        .headers = std::move(request.headers),
                                        .body = std::move(request.body)},
                                       state_->options.most_answer);
  co_return OutboundAnswer{answer.status, std::move(answer.headers), std::move(answer.body)};
}

Task<void> Outbound::stop() {
  std::map<rt::Reactor*, std::shared_ptr<rt::HttpClient>> clients;
  {
    std::lock_guard lock(state_->mutex);
    state_->stopped = true;
    clients.swap(state_->clients);
  }
  for (auto& [reactor, client] : clients) {
    co_await move_to(*reactor);
    client.reset();
  }
}

bool is_http_url(std::string_view text) { return rt::parse_url(text).has_value(); }

}  // namespace virga::kernel
