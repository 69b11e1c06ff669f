// For tests of this folder: functions written to a directory of their own, and one set of sandboxes for a test binary.
#pragma once

#include <string>
#include <vector>

#include "sandbox/sandbox.h"

namespace virga::sandbox::testing {

// A directory that is removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  const std::string& path() const { return path_; }
  const Folder& write(const std::string& name, const std::string& text, int mode = 0644) const;

 private:
  std::string path_;
};

// What the function wrote, event by event.
struct Log {
  std::vector<std::string> lines;
  std::string text() const;
  LogSink sink() {
    return [this](std::string_view id, std::string_view line) { lines.emplace_back(line); };
  }
};

Spec python(const std::string& code, const std::string& handler = "app.handler");
Spec node(const std::string& code, const std::string& handler = "app.handler");
Invocation call(const std::string& payload, Millis timeout = Millis{10'000});

// Starts `spec`, makes each call in turn, and gives the last outcome.
Outcome invoke(Spec spec, Log& log, std::vector<Invocation> calls);
Outcome invoke(Spec spec, Log& log, const std::string& payload = "{}");

// An IPv4 address of this machine that is not the loopback's; nothing on a machine without a network.
std::optional<std::string> own_address();

// Whether the machine enforces this, by its name in Sandboxes::capabilities.
bool enforced(const std::string& capability);

// The one launcher of the test binary.
Sandboxes& sandboxes();

}  // namespace virga::sandbox::testing
