// The first process of a sandbox: it finishes the jail from inside, then waits to be told which programs to run and
// reaps. Where there is one program it ends with it, which takes every other process of the sandbox along; where there
// are several, whoever ordered them hears of each end and decides.
//
// It is a copy of the launcher, or of an interpreter that has started already (zygote.h); then its main program may be
// a copy of it. The same code builds the jail in both, as a part of Virga and as a library for the interpreter.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

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
  bool rehearse = false;      // somebody will wait for its program to be executed
};

enum class Parent { kCaller, kCallers };  // the caller itself, or its parent

// Clones a sandbox's first process out of the caller: into namespaces of its own but for the network, which is the
// caller's, and into the control group whose folder `group` is (-1: none). Gives its pid, and 0 in the program when
// that is a copy of the first process. Throws.
pid_t clone_first(const InitOptions& options, int group, Parent parent);

}  // namespace virga::sandbox::jail
