// A function instance's log stream: lines gathered and written to CloudWatch Logs in the background, as the function's
// role.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "kernel/cloud.h"

namespace virga::lambda {

class LogWriter : public std::enable_shared_from_this<LogWriter> {
 public:
  LogWriter(kernel::Cloud& cloud, std::string account, std::string region, std::string group, std::string stream);
  // Once: as whom it writes. Until then lines wait.
  void act_as(kernel::Principal role);

  // Takes a line and writes it soon. Bounded: when the store can't keep up, lines are dropped and a line says how many.
  void add(std::string_view line);
  // Writes what waits, now.
  Task<void> flush();
  const std::string& stream() const { return stream_; }

 private:
  struct Line {
    Time time;
    std::string text;
  };
  void plan();
  Task<void> write_all();
  Task<void> put(std::vector<Line> lines);
  Task<void> create();

  kernel::Cloud& cloud_;
  const std::string account_, region_, group_, stream_;
  bool created_ = false;  // only the one running write_all looks

  std::mutex mutex_;
  std::optional<kernel::Principal> role_;
  std::vector<Line> waiting_;
  size_t waiting_bytes_ = 0;
  size_t dropped_ = 0;
  bool many_ = false;     // lines came in the last write
  bool planned_ = false;  // a write will come, or runs
  bool running_ = false;
};

}  // namespace virga::lambda
