// The filter of system calls: compiled once in the launcher, loaded by each sandbox.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace virga::sandbox::jail {

std::vector<sock_filter> compile_filter();
// Needs no_new_privs. Throws when the kernel refuses.
void load_filter(const std::vector<sock_filter>& filter);

}  // namespace virga::sandbox::jail
