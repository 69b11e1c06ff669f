// A network of one machine: loopback only, with the listeners that stand for AWS's local addresses.
#pragma once

#include <cstdint>

#include "sandbox/jail/fd.h"

namespace virga::sandbox::jail {

struct Network {
  Fd space;          // the namespace
  Fd api_listener;   // 127.0.0.1:<api port>, the Runtime API
  Fd door_listener;  // 127.0.0.1:<door port>, Virga's front door
  Fd relay;          // a port of the kernel's choice on 127.0.0.1 and ::1, for what goes out
  Fd names;          // datagrams on 127.0.0.1:53
};

// Moves the caller into a new network namespace and fills it. The caller returns to its own by setns.
Network enter_new_network(uint16_t api_port, uint16_t door_port);

}  // namespace virga::sandbox::jail
