// Small facts about sockets, for rt.
#pragma once

#include <cstdint>
#include <string>

#include "base/executor.h"
#include "base/task.h"

namespace virga::rt {

std::string peer_of(int fd);     // the other side's address without port; empty for Unix sockets
uint16_t local_port_of(int fd);  // 0 where there is none
void prepare_socket(int fd);     // never blocks, sends small pieces at once

// A connected socket that nobody watches yet; fails as connect_tcp does.
Task<int> connect_socket(std::string host, uint16_t port, Millis timeout);

}  // namespace virga::rt
