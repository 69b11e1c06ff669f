// Cuts what a function writes into log events: one a line, with its end, or one a record of several lines that a
// bootstrap marked, as it stands.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace virga::sandbox {

class Lines {
 public:
  using Event = std::function<void(std::string_view text)>;
  static constexpr size_t kMostEvent =
      256 * 1024;  // CloudWatch Logs' limit of an event; longer ones are cut into several

  void feed(std::string_view bytes, const Event& event);
  // What was written without an end of line.
  void finish(const Event& event);

 private:
  std::string buffer_;
};

}  // namespace virga::sandbox
