#include "sandbox/jail/mounts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/str.h"
#include "sandbox/jail/error.h"

namespace virga::sandbox::jail {
namespace {

constexpr unsigned long kPlain = MS_NOSUID | MS_NODEV;

bool exists(const std::string& path) {
  struct stat s;
  return ::lstat(path.c_str(), &s) == 0;
}

void make_directory(const std::string& path, mode_t mode = 0755) {
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) throw SystemError(cat("mkdir ", path), errno);
  ::chmod(path.c_str(), mode);
}

void write_file(const std::string& path, std::string_view text) {
  Fd fd(must(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), cat("create ", path)));
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw SystemError(cat("write ", path), errno);
  }
  ::fchmod(fd.get(), 0644);
}

Fd clone_tree(const std::string& path, unsigned flags) {
  return Fd(
      must(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags), cat("open_tree ", path)));
}

void set_attributes(int tree, uint64_t set, unsigned flags, std::string_view what) {
  mount_attr attributes{};
  attributes.attr_set = set;
  must(::mount_setattr(tree, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes), cat("mount_setattr ", what));
}

void move_to(int tree, const std::string& target) {
  must(::move_mount(tree, "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH), cat("move_mount ", target));
}

// A read-only view of a host directory or file, with everything mounted below it.
void bind_read_only(const std::string& from, const std::string& to) {
  Fd tree = clone_tree(from, AT_RECURSIVE);
  set_attributes(tree.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, AT_RECURSIVE, from);
  move_to(tree.get(), to);
}

void bind_directory(const std::string& from, const std::string& to) {
  if (!exists(from)) return;
  make_directory(to);
  bind_read_only(from, to);
}

void bind_device(const std::string& root, const char* name) {
  const std::string to = cat(root, "/dev/", name);
  write_file(to, "");
  Fd tree = clone_tree(cat("/dev/", name), 0);
  set_attributes(tree.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, to);
  move_to(tree.get(), to);
}

// Copies a host file that programs expect and that holds no secret.
void copy_small(const std::string& root, const char* path) {
  Fd from(::open(path, O_RDONLY | O_CLOEXEC));
  if (!from) return;
  std::string text;
  char buffer[8192];
  ssize_t n;
  while ((n = ::read(from.get(), buffer, sizeof buffer)) > 0 && text.size() < (4u << 20)) text.append(buffer, n);
  write_file(cat(root, path), text);
}

void build_etc(const std::string& root) {
  make_directory(cat(root, "/etc"));
  write_file(cat(root, "/etc/passwd"),
             cat("root:x:0:0:root:/root:/sbin/nologin\nsbx_user1051:x:", kInsideUid, ":", kInsideGid,
                 "::/home/sbx_user1051:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"));
  write_file(cat(root, "/etc/group"), cat("root:x:0:\nsbx_user:x:", kInsideGid, ":\nnogroup:x:65534:\n"));
  write_file(cat(root, "/etc/hosts"), "127.0.0.1 localhost sandbox.localdomain sandbox\n::1 localhost\n");
  write_file(cat(root, "/etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n");
  write_file(cat(root, "/etc/resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
  for (const char* file : {"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/localtime", "/etc/mime.types",
                           "/etc/os-release", "/etc/protocols", "/etc/services"}) {
    copy_small(root, file);
  }
  make_directory(cat(root, "/etc/ssl"));
  copy_small(root, "/etc/ssl/openssl.cnf");
  for (const char* directory : {"/etc/ssl/certs", "/etc/alternatives", "/etc/ld.so.conf.d", "/etc/pki/tls/certs",
                                "/etc/python3.11", "/etc/python3.12", "/etc/python3.13"}) {
    if (std::string_view(directory).starts_with("/etc/pki") && exists(directory)) {
      make_directory(cat(root, "/etc/pki"));
      make_directory(cat(root, "/etc/pki/tls"));
    }
    bind_directory(directory, cat(root, directory));
  }
  // Debian's JDKs keep their settings here and link to them.
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/etc", none)) {
    const std::string path = entry.path().string();
    if (path.starts_with("/etc/java-")) bind_directory(path, cat(root, path));
  }
}

void build_root(const TemplateOptions& options) {
  must(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make mounts private");
  const std::string& root = options.root;
  must(::mount("virga", root.c_str(), "tmpfs", kPlain, "mode=0755,size=8m"), "mount the root");
  for (const char* directory : {"/proc", "/dev", "/var", "/var/task", "/var/runtime", "/var/lang", "/opt", "/home",
                                "/home/sbx_user1051", "/tmp"}) {
    make_directory(cat(root, directory));
  }
  bind_directory("/usr", cat(root, "/usr"));
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    char target[256];
    const ssize_t size = ::readlink(name, target, sizeof target - 1);
    if (size > 0) {
      target[size] = 0;
      must(::symlink(target, cat(root, name).c_str()), cat("link ", name));
    } else {
      bind_directory(name, cat(root, name));
    }
  }
  // ES modules know nothing of NODE_PATH: from /var/task they find the SDK here.
  must(::symlink("/var/runtime/node_modules", cat(root, "/var/node_modules").c_str()), "link /var/node_modules");
  build_etc(root);
  for (const char* device : {"null", "zero", "full", "random", "urandom"}) bind_device(root, device);
  must(::symlink("/proc/self/fd", cat(root, "/dev/fd").c_str()), "link /dev/fd");
  must(::symlink("/proc/self/fd/0", cat(root, "/dev/stdin").c_str()), "link /dev/stdin");
  must(::symlink("/proc/self/fd/1", cat(root, "/dev/stdout").c_str()), "link /dev/stdout");
  must(::symlink("/proc/self/fd/2", cat(root, "/dev/stderr").c_str()), "link /dev/stderr");
  if (!options.runtime_directory.empty()) bind_read_only(options.runtime_directory, cat(root, "/var/runtime"));
  for (const auto& [from, to] : options.extra) bind_directory(from, cat(root, to));

  // The kernel lets a sandbox mount its own /proc only where one is visible already. This one belongs to a process
  // namespace that ends with this process, so that nothing of the host shows through it.
  must(::mount("proc", cat(root, "/proc").c_str(), "proc", kPlain | MS_NOEXEC, nullptr), "mount the template's /proc");
  must(::mount("", root.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kPlain, nullptr),
       "make the root read-only");
  must(::chdir(root.c_str()), "enter the root");
  must(::syscall(SYS_pivot_root, ".", "."), "pivot_root");
  must(::umount2(".", MNT_DETACH), "detach the old root");
  must(::chdir("/"), "enter the new root");
}

std::string escape_overlay(std::string_view path) {
  std::string out;
  for (char c : path) {
    if (c == ':' || c == '\\' || c == ',') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

void follow_host_mounts() { must(::mount("", "/", nullptr, MS_REC | MS_SLAVE, nullptr), "separate the mounts"); }

Fd build_template(const TemplateOptions& options) {
  int report[2];
  must(::pipe2(report, O_CLOEXEC), "pipe");
  Fd in(report[0]);
  Fd out(report[1]);
  const auto pid = static_cast<pid_t>(
      must(::syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0), "clone for the template"));
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // had the launcher ended before, nobody would read what it says
    std::string said = "ok";
    try {
      build_root(options);
    } catch (const std::exception& e) {
      said = e.what();
    }
    if (::write(out.get(), said.data(), said.size()) < 0) ::_exit(1);
    if (said == "ok") ::pause();
    ::_exit(1);
  }
  out.reset();
  char said[512];
  const ssize_t size = ::read(in.get(), said, sizeof said);
  const std::string answer(said, size > 0 ? size : 0);
  Fd result;
  if (answer == "ok") result.reset(::open(cat("/proc/", pid, "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  if (answer != "ok") throw std::runtime_error(cat("building the sandboxes' file system: ", answer));
  if (!result) throw SystemError("open the template's mount namespace", errno);
  return result;
}

Fd detached_tree(const std::string& directory, int id_map) {
  Fd tree = clone_tree(directory, 0);
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (id_map >= 0) {
    attributes.attr_set |= MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<uint64_t>(id_map);
    if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0) return tree;
    // Some file systems cannot map owners: then the files' own modes decide what the function can read.
    attributes.attr_set &= ~uint64_t{MOUNT_ATTR_IDMAP};
    attributes.userns_fd = 0;
  }
  must(::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes),
       cat("mount_setattr ", directory));
  return tree;
}

Fd detached_layers(const std::vector<std::string>& directories, int id_map, const std::string& scratch) {
  if (directories.size() == 1) return detached_tree(directories[0], id_map);
  std::vector<std::string> mounted;
  Fd result;
  std::string failure;
  try {
    std::string lower;
    for (size_t i = 0; i < directories.size(); ++i) {
      const std::string at = cat(scratch, "/", i);
      make_directory(at, 0700);
      Fd tree = detached_tree(directories[i], id_map);
      move_to(tree.get(), at);
      mounted.push_back(at);
      lower = lower.empty() ? escape_overlay(at) : cat(escape_overlay(at), ":", lower);
    }
    Fd fs(must(::fsopen("overlay", FSOPEN_CLOEXEC), "fsopen overlay"));
    must(::fsconfig(fs.get(), FSCONFIG_SET_STRING, "source", "layers", 0), "overlay source");
    must(::fsconfig(fs.get(), FSCONFIG_SET_STRING, "lowerdir", lower.c_str(), 0), "overlay lowerdir");
    must(::fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), "create the overlay of layers");
    result.reset(must(::fsmount(fs.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV),
                      "mount the overlay of layers"));
  } catch (const std::exception& e) {
    failure = e.what();
  }
  for (const std::string& at : mounted) ::umount2(at.c_str(), MNT_DETACH);
  if (!result) throw std::runtime_error(failure);
  return result;
}

void attach_tree(int tree, const char* target) { move_to(tree, target); }

void become_root(int tree) {
  constexpr const char* kTurn = "/var/task";  // where the tree is on its way
  attach_tree(tree, kTurn);
  const Fd root(must(::open(kTurn, O_PATH | O_DIRECTORY | O_CLOEXEC), "open the image"));
  for (const char* path : {"proc", "dev", "tmp", "etc/hosts", "etc/resolv.conf"}) {
    const Fd ours = clone_tree(cat("/", path), AT_RECURSIVE);
    // Not through a link, which would be the image's choice of another place.
    open_how how{};
    how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    const Fd theirs(static_cast<int>(
        must(::syscall(SYS_openat2, root.get(), path, &how, sizeof how), cat("open the image's ", path))));
    must(::move_mount(ours.get(), "", theirs.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH),
         cat("mount over the image's ", path));
  }
  must(::fchdir(root.get()), "enter the image");
  must(::syscall(SYS_pivot_root, ".", "."), "make the image the root");
  must(::umount2(".", MNT_DETACH), "leave the former root");
}

void resize_tmp(uint64_t tmp_mb) {
  must(::mount("tmp", "/tmp", "tmpfs", MS_REMOUNT | kPlain, cat("size=", tmp_mb, "m,nr_inodes=", tmp_mb * 256).c_str()),
       "resize /tmp");
}

}  // namespace virga::sandbox::jail
