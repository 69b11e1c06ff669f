// An Internet address as connect() takes it, and what it means for a sandbox. IPv4 addresses within IPv6 count as what
// they are.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>

namespace virga::sandbox::jail {

class Address {
 public:
  static Address of(const sockaddr_in6& raw);  // of whichever family the first field says
  static Address loopback(int family, uint16_t port);
  static Address v4(in_addr_t address, uint16_t port);  // network byte order, host byte order

  void* data() { return &raw_; }
  size_t room() const { return sizeof raw_; }
  // True when `size` bytes read into data() are an Internet address.
  bool complete(size_t size);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&raw_); }
  socklen_t size() const { return family() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6); }
  int family() const { return raw_.sin6_family; }
  uint16_t port() const { return ntohs(raw_.sin6_port); }  // at the same place in both families

  // Loopback and "any", which mean the sandbox's own loopback.
  bool own_loopback() const;
  // Link-local (the metadata services of clouds), multicast and broadcast addresses.
  bool out_of_bounds() const;
  // An address of one of this machine's interfaces.
  bool of_this_machine() const;

 private:
  sockaddr_in6 raw_{};
};

}  // namespace virga::sandbox::jail
