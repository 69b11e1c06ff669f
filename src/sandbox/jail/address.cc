#include "sandbox/jail/address.h"

#include <arpa/inet.h>

#include <cstring>

#include "sandbox/jail/fd.h"

namespace virga::sandbox::jail {
namespace {

// Where EC2 has its metadata service beside the link-local address: fd00:ec2::254.
constexpr unsigned char kMetadata[16] = {0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54};

}  // namespace

Address Address::of(const sockaddr_in6& raw) {
  Address out;
  out.raw_ = raw;
  return out;
}

Address Address::v4(in_addr_t address, uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  in.sin_addr.s_addr = address;
  Address out;
  std::memcpy(&out.raw_, &in, sizeof in);
  return out;
}

Address Address::loopback(int family, uint16_t port) {
  if (family == AF_INET) return v4(htonl(INADDR_LOOPBACK), port);
  Address out;
  out.raw_.sin6_family = AF_INET6;
  out.raw_.sin6_port = htons(port);
  out.raw_.sin6_addr = in6addr_loopback;
  return out;
}

bool Address::complete(size_t size) {
  if (family() == AF_INET && size >= sizeof(sockaddr_in)) return true;
  if (family() != AF_INET6 || size < sizeof(sockaddr_in6)) return false;
  if (IN6_IS_ADDR_V4MAPPED(&raw_.sin6_addr)) {
    in_addr_t address;
    std::memcpy(&address, raw_.sin6_addr.s6_addr + 12, sizeof address);
    *this = v4(address, port());
  }
  return true;
}

bool Address::own_loopback() const {
  if (family() == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&raw_.sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&raw_.sin6_addr);
  sockaddr_in in;
  std::memcpy(&in, &raw_, sizeof in);
  const uint32_t address = ntohl(in.sin_addr.s_addr);
  return address >> 24 == 127 || address >> 24 == 0;
}

bool Address::out_of_bounds() const {
  if (family() == AF_INET6) {
    const in6_addr& address = raw_.sin6_addr;
    // Those that carry an IPv4 address in another form would be a way around the rules for it.
    return IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_MULTICAST(&address) || IN6_IS_ADDR_V4COMPAT(&address) ||
           std::memcmp(&address, kMetadata, sizeof kMetadata) == 0;
  }
  sockaddr_in in;
  std::memcpy(&in, &raw_, sizeof in);
  const uint32_t address = ntohl(in.sin_addr.s_addr);
  return address >> 16 == 0xa9fe || address >> 28 >= 0xe;
}

bool Address::of_this_machine() const {
  const Fd probe(::socket(family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  Address any_port = *this;
  any_port.raw_.sin6_port = 0;
  return !probe || ::bind(probe.get(), any_port.get(), any_port.size()) == 0;
}

}  // namespace virga::sandbox::jail
