// What every service is built from.
#pragma once

#include <string>

#include "base/time.h"

namespace virga::kv {
class Db;
}
namespace virga::blob {
class Store;
}

namespace virga::kernel {

class Cloud;
class Deliveries;
class Targets;
class Timers;
class Tokens;

struct Deps {
  kv::Db& db;
  blob::Store& blobs;
  const Clock& clock;
  Cloud& cloud;
  Timers& timers;
  Deliveries& deliveries;
  Targets& targets;
  Tokens& tokens;
  std::string data_directory;  // for caches that can be rebuilt (unpacked code), below a folder of the service's name
};

}  // namespace virga::kernel
