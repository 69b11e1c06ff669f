// The door alone: answers every request with 1 KB, a body with the body. For comparing with nginx `return 200` under
// wrk:
//   taskset -c 0 build/release/front_bench 8080 & taskset -c 1 wrk -t1 -c64 -d5 http://127.0.0.1:8080/
#include <csignal>
#include <cstdio>
#include <string>

#include "base/str.h"
#include "front/server.h"
#include "rt/tls.h"

int main(int argc, char** argv) {
  using namespace virga;
  const uint16_t port = argc > 1 ? static_cast<uint16_t>(parse_int(argv[1]).value_or(8080)) : 8080;
  const int threads = argc > 2 ? static_cast<int>(parse_int(argv[2]).value_or(1)) : 1;
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);

  rt::Reactors reactors(threads);
  reactors.start();
  front::Server server(reactors, {});
  const std::string body(1024, 'x');
  const auto handler = [&body](wire::HttpRequest& request) -> Task<wire::HttpResponse> {
    wire::HttpResponse response;
    response.headers.add("content-type", "text/plain");
    response.body = body;
    if (request.method == "POST") response.stream = request.body;
    co_return response;
  };
  if (argc > 3) {
    auto tls = std::make_shared<rt::TlsServer>(rt::self_signed({"localhost", "127.0.0.1"}, 1));
    server.listen("127.0.0.1", static_cast<uint16_t>(parse_int(argv[3]).value_or(8443)), {handler, nullptr},
                  std::move(tls));
  }
  std::printf("port %u\n", server.listen("127.0.0.1", port, {handler, nullptr}));
  std::fflush(stdout);
  int signal = 0;
  sigwait(&stop, &signal);
  return server.stop(Millis(1000)) ? 0 : 1;
}
