// What a server may answer our HTTP client: a whole answer or an error, within its bounds, however the bytes were
// split. The first byte is the size of the first piece.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include "rt/http_client.h"
#include "rt/reactor.h"

using namespace virga;
using namespace virga::rt;

namespace {

constexpr size_t kMostBody = 4096;

// Gives each connection one answer of raw bytes and closes it.
struct Server {
  Server() {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof at.sun_path - 1);
    unlink(path.c_str());
    if (bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || listen(listener, 8) != 0) std::abort();
    reactors.start();
  }
  void answer(std::string_view bytes, size_t first) const {
    const int peer = accept(listener, nullptr, nullptr);
    char request[4096];
    if (read(peer, request, sizeof request) <= 0) std::abort();
    for (const std::string_view part : {bytes.substr(0, first), bytes.substr(std::min(first, bytes.size()))}) {
      if (!part.empty()) (void)!send(peer, part.data(), part.size(), MSG_NOSIGNAL);
    }
    close(peer);
  }
  const std::string path = "/tmp/virga-fuzz-http-" + std::to_string(getpid());
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  Reactors reactors{1};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Server server;
  if (size == 0) return 0;
  std::thread answering([&] { server.answer({reinterpret_cast<const char*>(data) + 1, size - 1}, data[0]); });
  ClientRequest request{.url = "http://x/", .unix_path = server.path};
  const auto out = run_on(server.reactors[0], [](ClientRequest request) -> Task<HttpClient::Whole> {
    HttpClient client(*Reactor::here(), {.most_head = 1024});
    co_return co_await client.fetch(std::move(request), kMostBody);
  }(std::move(request)));
  answering.join();
  if (out && (out->status < 100 || out->body.size() > kMostBody)) std::abort();
  return 0;
}
