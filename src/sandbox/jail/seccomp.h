// The filter of system calls: compiled once in the launcher, loaded by each sandbox's first process.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace virga::sandbox::jail {

std::vector<sock_filter> compile_filter();

}  // namespace virga::sandbox::jail
