// The name server that a sandbox sees at 127.0.0.1:53: passes queries on to the host's.
#pragma once

#include <chrono>
#include <map>
#include <utility>
#include <vector>

#include "sandbox/jail/address.h"
#include "sandbox/jail/fd.h"

namespace virga::sandbox::jail {

inline constexpr uint16_t kNamesPort = 53;

class Names {
 public:
  // `socket`: datagrams on the sandbox's 127.0.0.1:53.
  explicit Names(Fd socket) : socket_(std::move(socket)) {}
  int socket() const { return socket_.get(); }

  // Passes on what has come (refuses it where it is not `allowed`): new sockets to watch, each with its number.
  std::vector<std::pair<int, uint32_t>> take(bool allowed);
  // An answer has come for query `number`.
  void reply(uint32_t number);
  void expire(std::chrono::steady_clock::time_point now);
  std::chrono::steady_clock::time_point deadline() const;
  // The host's name server.
  Address server();

 private:
  struct Query {
    Fd socket;
    sockaddr_in from{};
    std::chrono::steady_clock::time_point deadline;
  };
  Fd socket_;
  uint32_t next_ = 0;
  std::map<uint32_t, Query> queries_;  // oldest first, so the first has the first deadline
  Address server_;
  std::chrono::steady_clock::time_point server_read_{};
};

}  // namespace virga::sandbox::jail
