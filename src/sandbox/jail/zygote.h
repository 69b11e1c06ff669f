// Interpreters that have started and wait. A sandbox that is forked from one begins with a program that has started
// already, which saves most of what making it costs.
//
// A zygote runs the interpreter and our bootstrap, and never anything of a function; it sees what every sandbox sees of
// the file system. What it forks is a sandbox's first process, which builds the jail by the code of init.cc: the
// interpreter has loaded it as a library (zygote_main.cc).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sandbox/jail/fd.h"
#include "sandbox/jail/init.h"

namespace virga::sandbox::jail {

class Zygote {
 public:
  // Starts the program of `strings` (its arguments, then its environment) with the word "zygote" added to its
  // arguments, in the file system `root` and in a network of its own. Returns at once.
  Zygote(const Fd& root, const std::vector<std::string>& strings, size_t arguments);
  ~Zygote();  // ends it; sandboxes go on
  Zygote(const Zygote&) = delete;

  pid_t process() const { return process_; }
  // True once it can fork.
  bool ready();
  // The first process of a sandbox, a child of the caller, in the given network. Throws.
  pid_t fork(const InitOptions& init, const Fd& network, const Fd& group);
  size_t forks() const { return forks_; }

 private:
  pid_t process_ = 0;
  Fd control_, output_;
  bool ready_ = false;
  size_t forks_ = 0;
};

// Those of a launcher, one for each program.
class Zygotes {
 public:
  explicit Zygotes(const Fd& root) : root_(root) {}

  // The one that runs this program, when it is ready.
  Zygote* find(const std::vector<std::string>& strings, size_t arguments);
  // Starts it, or its successor, when there should be one and is not.
  void want(const std::vector<std::string>& strings, size_t arguments);
  // `zygote` failed.
  void lose(const Zygote& zygote);
  // Whether the process, which has ended, was one of them.
  bool ended(pid_t process);
  // Ends those that nobody wanted for long. To be called now and then.
  void expire();
  bool empty() const { return kinds_.empty(); }

 private:
  struct Kind {
    std::unique_ptr<Zygote> current, next;
    int failures = 0;
    std::chrono::steady_clock::time_point used;
  };
  const Fd& root_;
  std::map<std::vector<std::string>, Kind> kinds_;  // by the program's arguments
};

}  // namespace virga::sandbox::jail
