// One running Virga: everything it is made of, built in order, started, and stopped in the reverse order.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "kernel/authorize.h"
#include "services/lambda/api.h"

namespace virga::app {

struct Settings {
  std::string data;  // the folder with everything durable
  std::string host = "127.0.0.1";
  uint16_t port = 4566;  // 0: a free one
  int threads = 0;       // reactors; 0: one a core
  kernel::IamMode iam = kernel::IamMode::kEnforce;
  std::string root_access_key, root_secret_key;  // of account 000000000000; empty: the development key test/test
  std::string tls_certificate, tls_key;          // PEM files; both or none
  std::string runtimes;                          // where added runtimes are; may not exist
  std::string node_modules;                      // packages every Node function finds; empty: none
  lambda::Options functions;
  bool functions_reach_outside = true;
  uint64_t body_limit = 16 << 20;
  size_t cache_bytes = 16 << 20;  // of the store: half for blocks, half for rows that are read again and again
};

class Instance {
 public:
  // Starts the sandbox's launcher, so it comes before any thread. Throws CommandError with a sentence for people: a
  // data folder in use or newer, a port in use, the development key on an address that others can reach.
  explicit Instance(Settings settings);
  ~Instance();
  // Serves from here on. Returns the port.
  uint16_t start();
  // Finishes what is running, then ends everything. False when something had to be cut off.
  bool stop();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Whether only this machine can reach `host`.
bool is_loopback(std::string_view host);

}  // namespace virga::app
