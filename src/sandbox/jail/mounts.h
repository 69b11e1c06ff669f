// The file system of a sandbox. The template is built once; each sandbox starts from a copy of it.
#pragma once

#include <string>
#include <vector>

#include "sandbox/jail/fd.h"

namespace virga::sandbox::jail {

inline constexpr int kInsideUid = 993;  // sbx_user1051, as AWS's sandboxes have it
inline constexpr int kInsideGid = 990;

struct TemplateOptions {
  std::string root;                                        // an empty directory to build in
  std::string runtime_directory;                           // appears at /var/runtime
  std::vector<std::pair<std::string, std::string>> extra;  // host directory, where it appears
};

// In a mount namespace of the caller's own: what the host mounts later appears, what the caller mounts stays here.
void follow_host_mounts();

// Builds the root in a mount namespace of its own and gives that namespace. Runs in a child of the caller.
Fd build_template(const TemplateOptions& options);

// A detached read-only mount of a host directory, its owner shown as the sandbox's user when `id_map` (a user
// namespace) is given and the file system can do that. To be called in the host's mount namespace.
Fd detached_tree(const std::string& directory, int id_map);
// The same of several directories merged, the last on top. `scratch` is an empty host directory for the moment.
Fd detached_layers(const std::vector<std::string>& directories, int id_map, const std::string& scratch);

// In a sandbox's mount namespace.
void attach_tree(int tree, const char* target);
void resize_tmp(uint64_t tmp_mb);
// Puts `tree` in the place of the root, for all who are in the namespace, with the /proc, /dev, /tmp and names of hosts
// that are there now: what the tree has of these is covered.
void become_root(int tree);

}  // namespace virga::sandbox::jail
