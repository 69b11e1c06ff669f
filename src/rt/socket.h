// Small facts about sockets.
#pragma once

#include <cstdint>
#include <string>

#include "base/executor.h"
#include "base/task.h"

namespace virga::rt {

std::string peer_of(int fd);     // the other side's address without port; empty for Unix sockets
uint16_t local_port_of(int fd);  // 0 where there is none
void prepare_socket(int fd);     // never blocks, sends small pieces at once
// Of accept: descriptors or memory are short, and the connection waits in the kernel. To try again at once only burns
// the processor.
bool is_shortage(int error);
constexpr Micros kShortagePause = std::chrono::milliseconds(200);

// A connected socket that nobody watches yet; fails as connect_tcp does.
Task<int> connect_socket(std::string host, uint16_t port, Millis timeout);

}  // namespace virga::rt
