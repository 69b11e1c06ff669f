#include "sandbox/jail/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "sandbox/jail/error.h"
#include "sandbox/jail/names.h"

namespace virga::sandbox::jail {
namespace {

Fd listen_on(uint16_t port) {
  Fd fd(must(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  const int one = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  must(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "bind in the sandbox's network");
  must(::listen(fd.get(), 128), "listen in the sandbox's network");
  return fd;
}

// IPv4 comes in through IPv6's socket; a machine without IPv6 has one of its own.
Fd listen_for_relay() {
  Fd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return listen_on(0);
  const int no = 0;
  ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  must(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "bind in the sandbox's network");
  must(::listen(fd.get(), 128), "listen in the sandbox's network");
  return fd;
}

Fd serve_names() {
  Fd fd(must(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  const Address address = Address::loopback(AF_INET, kNamesPort);
  must(::bind(fd.get(), address.get(), address.size()), "bind the name server's port");
  return fd;
}

}  // namespace

Network enter_new_network(uint16_t api_port, uint16_t door_port) {
  must(::unshare(CLONE_NEWNET), "make a network namespace");
  Fd any(must(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  must(::ioctl(any.get(), SIOCSIFFLAGS, &request), "bring up the loopback interface");
  Network network;
  network.space.reset(must(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "open a network namespace"));
  if (api_port) network.api_listener = listen_on(api_port);
  if (door_port) network.door_listener = listen_on(door_port);
  network.relay = listen_for_relay();
  network.names = serve_names();
  return network;
}

}  // namespace virga::sandbox::jail
