// The first process of a sandbox: it finishes the jail from inside, then waits to be told which programs to run and
// reaps. Where there is one program it ends with it, which takes every other process of the sandbox along; where there
// are several, whoever ordered them hears of each end and decides.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "sandbox/jail/fd.h"

namespace virga::sandbox::jail {

struct InitOptions {
  int control = -1;       // to the launcher
  int channel = -1;       // becomes descriptor 3 of the program
  int output = -1;        // becomes its standard output and error
  std::vector<int> join;  // control groups to enter, by writing "0"
  const std::vector<sock_filter>* filter = nullptr;
  bool many_users = false;    // the launcher is root: groups can be dropped
  uint64_t processes = 1024;  // RLIMIT_NPROC; 0: the control group counts them
};

[[noreturn]] void run_init(const InitOptions& options);

}  // namespace virga::sandbox::jail
