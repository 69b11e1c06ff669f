#include "sandbox/jail/names.h"

#include <arpa/inet.h>

#include "base/str.h"
#include "sandbox/jail/files.h"

namespace virga::sandbox::jail {
namespace {

using Steady = std::chrono::steady_clock;

constexpr size_t kMostQueries = 128;
constexpr auto kPatience = std::chrono::seconds(10);
constexpr auto kServerKnownFor = std::chrono::seconds(5);
constexpr size_t kHeader = 12;

}  // namespace

Address Names::server() {
  const auto now = Steady::now();
  if (server_.family() != 0 && now - server_read_ < kServerKnownFor) return server_;
  server_read_ = now;
  server_ = Address::loopback(AF_INET, kNamesPort);
  for (const std::string_view line : split(read_text("/etc/resolv.conf"), '\n')) {
    const auto [word, rest] = split_once(trim(line), ' ');
    in_addr address;
    if (word != "nameserver" || ::inet_pton(AF_INET, std::string(trim(rest)).c_str(), &address) != 1) continue;
    server_ = Address::v4(address.s_addr, kNamesPort);
    break;
  }
  return server_;
}

std::vector<std::pair<int, uint32_t>> Names::take(bool allowed) {
  std::vector<std::pair<int, uint32_t>> out;
  for (int i = 0; i < 64; ++i) {
    char packet[4096];
    Query query;
    socklen_t size = sizeof query.from;
    const ssize_t n =
        ::recvfrom(socket_.get(), packet, sizeof packet, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&query.from), &size);
    if (n < 0) break;
    if (static_cast<size_t>(n) < kHeader) continue;
    const Address to = server();
    query.socket.reset(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (allowed && queries_.size() < kMostQueries && query.socket &&
        ::connect(query.socket.get(), to.get(), to.size()) == 0 &&
        ::send(query.socket.get(), packet, static_cast<size_t>(n), MSG_NOSIGNAL) == n) {
      query.deadline = Steady::now() + kPatience;
      out.emplace_back(query.socket.get(), next_);
      queries_.emplace(next_++, std::move(query));
      continue;
    }
    packet[2] = static_cast<char>(packet[2] | 0x80);        // an answer …
    packet[3] = static_cast<char>((packet[3] & 0xf0) | 5);  // … that refuses
    ::sendto(socket_.get(), packet, static_cast<size_t>(n), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&query.from),
             sizeof query.from);
  }
  return out;
}

void Names::reply(uint32_t number) {
  const auto found = queries_.find(number);
  if (found == queries_.end()) return;
  char packet[65536];
  const ssize_t n = ::recv(found->second.socket.get(), packet, sizeof packet, MSG_DONTWAIT);
  if (n > 0) {
    ::sendto(socket_.get(), packet, static_cast<size_t>(n), MSG_NOSIGNAL,
             reinterpret_cast<sockaddr*>(&found->second.from), sizeof found->second.from);
  }
  queries_.erase(found);
}

void Names::expire(Steady::time_point now) {
  while (!queries_.empty() && queries_.begin()->second.deadline <= now) queries_.erase(queries_.begin());
}

Steady::time_point Names::deadline() const {
  return queries_.empty() ? Steady::time_point::max() : queries_.begin()->second.deadline;
}

}  // namespace virga::sandbox::jail
