// A running MD5 that goes on from a copy of itself: what many texts begin with is hashed once.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace virga {

class Md5 {
 public:
  Md5();
  void update(std::string_view bytes);
  std::string finish();  // once

 private:
  std::array<uint32_t, 23> state_;  // OpenSSL's
};

}  // namespace virga
