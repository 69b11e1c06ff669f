// What AWS promises of Organizations (User Guide, "Quotas for AWS Organizations").
#pragma once

#include <cstddef>

namespace virga::organizations {

inline constexpr size_t kAccounts = 1000;  // AWS's default is ten, and is raised on request
inline constexpr size_t kMostListed = 20;  // of one page

}  // namespace virga::organizations
