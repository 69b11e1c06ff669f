#include "sandbox/jail/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/str.h"
#include "sandbox/jail/error.h"
#include "sandbox/jail/files.h"

namespace virga::sandbox::jail {
namespace {

constexpr std::string_view kFolder = "virga.";
constexpr uint64_t kPreparedMemoryMb = 512;
constexpr uint64_t kPreparedProcesses = 1024;
constexpr uint64_t kLittleMore = 256 << 10;  // what the kernel takes at once for each processor
constexpr uint64_t kPeriodMicros = 20'000;   // the period AWS documents for its shares

struct Hierarchy {
  std::string mount_point;
  bool v2 = false;
  std::vector<std::string> controllers;
  std::string root;  // what of the hierarchy is mounted there
};

std::vector<Hierarchy> hierarchies() {
  std::vector<Hierarchy> out;
  const std::string text = read_text("/proc/self/mountinfo");
  for (std::string_view line : split(text, '\n')) {
    // 31 23 0:28 /root /mount/point options [optional]… - type source superoptions
    const auto dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto left = split(line.substr(0, dash), ' ');
    const auto right = split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    if (right[0] != "cgroup" && right[0] != "cgroup2") continue;
    Hierarchy h;
    h.mount_point = left[4];
    h.root = left[3];
    h.v2 = right[0] == "cgroup2";
    if (h.v2) {
      const std::string controllers = read_text(cat(h.mount_point, "/cgroup.controllers"));
      for (std::string_view c : split(trim(controllers), ' ')) h.controllers.emplace_back(c);
    } else {
      for (std::string_view c : split(right[2], ',')) h.controllers.emplace_back(c);
    }
    out.push_back(std::move(h));
  }
  return out;
}

// The caller's own group in the hierarchy of `controller` ("" for version 2).
std::string own_group(std::string_view controller) {
  const std::string text = read_text("/proc/self/cgroup");
  for (std::string_view line : split(text, '\n')) {
    const auto [number, rest] = split_once(line, ':');
    const auto [names, path] = split_once(rest, ':');
    if (controller.empty() ? names.empty() : std::ranges::count(split(names, ','), controller) > 0) {
      return std::string(path == "/" ? "" : path);
    }
  }
  return {};
}

std::vector<std::string> folders(const std::string& path) {
  std::vector<std::string> out;
  DIR* d = ::opendir(path.c_str());
  if (!d) return out;
  while (dirent* e = ::readdir(d)) {
    if (e->d_type == DT_DIR && std::strcmp(e->d_name, ".") != 0 && std::strcmp(e->d_name, "..") != 0) {
      out.emplace_back(e->d_name);
    }
  }
  ::closedir(d);
  return out;
}

void kill_and_remove(const std::string& group) {
  // A process that was killed takes a moment to give its memory back.
  for (int i = 0; i < 500 && ::rmdir(group.c_str()) != 0 && errno == EBUSY; ++i) {
    const std::string members = read_text(cat(group, "/cgroup.procs"));
    for (std::string_view line : split(trim(members), '\n')) {
      if (const auto pid = parse_int(line); pid && *pid > 1) ::kill(static_cast<pid_t>(*pid), SIGKILL);
    }
    ::usleep(2000);
  }
}

// What launchers that are no more have left behind.
void clear_leftovers(const std::string& base) {
  for (const std::string& name : folders(base)) {
    if (!name.starts_with(kFolder)) continue;
    const auto pid = parse_int(std::string_view(name).substr(kFolder.size()));
    if (!pid || ::kill(static_cast<pid_t>(*pid), 0) == 0 || errno != ESRCH) continue;
    const std::string folder = cat(base, "/", name);
    for (const std::string& child : folders(folder)) kill_and_remove(cat(folder, "/", child));
    kill_and_remove(folder);
  }
}

}  // namespace

Cgroups::Cgroups(pid_t companion) { detect(companion); }

Cgroups::~Cgroups() {
  for (const std::string* base : {&memory_, &pids_, &cpu_}) {
    if (base->empty()) continue;
    for (const std::string& child : folders(*base)) kill_and_remove(cat(*base, "/", child));
    ::rmdir(base->c_str());
  }
}

void Cgroups::detect(pid_t companion) {
  for (const Hierarchy& h : hierarchies()) {
    if (!h.v2) {
      for (const std::string& c : h.controllers) {
        std::string* out = c == "memory" ? &memory_ : c == "pids" ? &pids_ : c == "cpu" ? &cpu_ : nullptr;
        if (!out) continue;
        std::string own = own_group(c);
        // In a container the mount may show only the part of the hierarchy below our own group.
        if (h.root != "/" && own.starts_with(h.root)) own = own.substr(h.root.size());
        *out = cat(h.mount_point, own);
      }
      continue;
    }
    if (std::ranges::count(h.controllers, "memory") == 0) continue;
    std::string own = own_group("");
    if (h.root != "/" && own.starts_with(h.root)) own = own.substr(h.root.size());
    const std::string base = cat(h.mount_point, own);
    if (!own.empty()) {
      // Version 2 gives controllers to the children of a group only when it holds no process of its own.
      const std::string aside = cat(base, "/virga-main");
      ::mkdir(aside.c_str(), 0755);
      if (companion > 0) write_text(cat(aside, "/cgroup.procs"), cat(companion));
      write_text(cat(aside, "/cgroup.procs"), cat(::getpid()));
    }
    bool all = true;
    for (const char* controller : {"+memory", "+pids", "+cpu"}) {
      all = write_text(cat(base, "/cgroup.subtree_control"), controller) && all;
    }
    memory_ = pids_ = cpu_ = base;
    version_ = CgroupVersion::kV2;
    if (!all) why_not_ = cat("cannot give controllers to groups below ", base);
  }
  if (version_ == CgroupVersion::kNone && !memory_.empty()) version_ = CgroupVersion::kV1;
  if (version_ == CgroupVersion::kV2) {
    if (!prepare(memory_, "memory.max")) memory_.clear();
    const std::string folder = memory_;
    const auto has = [&](const char* file) {
      return !folder.empty() && ::access(cat(folder, "/", file).c_str(), W_OK) == 0;
    };
    for (const char* controller : {"+memory", "+pids", "+cpu"}) {
      if (!folder.empty()) write_text(cat(folder, "/cgroup.subtree_control"), controller);
    }
    pids_ = has("pids.max") ? folder : "";
    cpu_ = has("cpu.max") ? folder : "";
  } else {
    if (!prepare(memory_, "memory.limit_in_bytes")) memory_.clear();
    if (!prepare(pids_, "pids.max")) pids_.clear();
    if (!prepare(cpu_, "cpu.cfs_quota_us")) cpu_.clear();
  }
  if (memory_.empty()) version_ = CgroupVersion::kNone;
  if (memory_.empty() && why_not_.empty()) why_not_ = "no memory control group that this user may write";
}

bool Cgroups::prepare(std::string& base, const char* limit_file) {
  if (base.empty()) return false;
  clear_leftovers(base);
  const std::string folder = cat(base, "/", kFolder, ::getpid());
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
    why_not_ = cat("cannot make ", folder, ": ", std::string(std::strerror(errno)));
    return false;
  }
  if (::access(cat(folder, "/", limit_file).c_str(), W_OK) != 0) {
    why_not_ = cat(folder, " has no ", limit_file);
    ::rmdir(folder.c_str());
    return false;
  }
  base = folder;
  return true;
}

std::string Cgroups::at(const std::string& base, uint32_t id) const { return cat(base, "/", id); }

void Cgroups::make(uint32_t id) {
  for (const std::string* base : {&memory_, &pids_, &cpu_}) {
    if (base->empty()) continue;
    if (::mkdir(at(*base, id).c_str(), 0755) != 0 && errno != EEXIST)
      throw SystemError(cat("mkdir ", at(*base, id)), errno);
  }
  set_limits(id, kPreparedMemoryMb, 0, kPreparedProcesses);
}

std::vector<Fd> Cgroups::join_descriptors(uint32_t id) const {
  std::vector<Fd> out;
  if (version_ != CgroupVersion::kV1) return out;
  std::vector<std::string> seen;
  for (const std::string* base : {&memory_, &pids_, &cpu_}) {
    if (base->empty()) continue;
    const std::string path = cat(at(*base, id), "/cgroup.procs");
    out.emplace_back(must(::open(path.c_str(), O_WRONLY | O_CLOEXEC), cat("open ", path)));
  }
  return out;
}

Fd Cgroups::directory(uint32_t id) const {
  if (version_ != CgroupVersion::kV2) return {};
  return Fd(must(::open(at(memory_, id).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open the control group"));
}

// Version 1: false when the group holds more than that. Version 2 ends processes until it doesn't.
bool Cgroups::limit_memory(uint32_t id, uint64_t limit) {
  const std::string group = at(memory_, id);
  const std::string bytes = cat(limit);
  if (version_ == CgroupVersion::kV2) return write_text(cat(group, "/memory.max"), bytes);
  // Memory plus swap may never be below memory, whichever way the limit moves.
  const std::string both = cat(group, "/memory.memsw.limit_in_bytes");
  const std::string alone = cat(group, "/memory.limit_in_bytes");
  if (!write_text(alone, bytes)) {
    write_text(both, bytes);
    if (!write_text(alone, bytes)) return false;
  }
  write_text(both, bytes);
  return true;
}

void Cgroups::set_limits(uint32_t id, uint64_t memory_mb, uint64_t tmp_mb, uint64_t processes) {
  if (!memory_.empty()) {
    if (!limit_memory(id, (memory_mb + tmp_mb) << 20)) throw SystemError("set the memory limit", errno);
    if (version_ == CgroupVersion::kV2) write_text(cat(at(memory_, id), "/memory.swap.max"), "0");
  }
  if (!pids_.empty()) {
    // Ours is the sandbox's first process.
    if (!write_text(cat(at(pids_, id), "/pids.max"), cat(processes + 1)))
      throw SystemError("set the process limit", errno);
  }
}

bool Cgroups::enforce_memory(uint32_t id, uint64_t memory_mb, uint64_t tmp_mb, uint64_t tmp_bytes) {
  if (memory_.empty()) return true;
  const uint64_t own = (memory_mb << 20) + tmp_bytes;
  const auto used = [&] { return memory_file(id, "memory.usage_in_bytes", "memory.current"); };
  if (used() <= own || limit_memory(id, own)) {
    limit_memory(id, (memory_mb + tmp_mb) << 20);
    return true;
  }
  // A group that grows meanwhile is too large for the first of these limits.
  for (int i = 0; i < 10 && !limit_memory(id, used() + kLittleMore); ++i) {
  }
  return false;
}

void Cgroups::set_processor(uint32_t id, uint64_t memory_mb) {
  if (cpu_.empty()) return;
  const uint64_t quota = std::max<uint64_t>(memory_mb * kPeriodMicros / 1769, 1000);
  if (version_ == CgroupVersion::kV2) {
    write_text(cat(at(cpu_, id), "/cpu.max"),
               memory_mb == 0 ? cat("max ", kPeriodMicros) : cat(quota, " ", kPeriodMicros));
    return;
  }
  write_text(cat(at(cpu_, id), "/cpu.cfs_period_us"), cat(kPeriodMicros));
  write_text(cat(at(cpu_, id), "/cpu.cfs_quota_us"), memory_mb == 0 ? std::string("-1") : cat(quota));
}

Fd Cgroups::peak_file(uint32_t id) const {
  if (memory_.empty()) return {};
  const char* name = version_ == CgroupVersion::kV2 ? "/memory.peak" : "/memory.max_usage_in_bytes";
  return Fd(::open(cat(at(memory_, id), name).c_str(), O_RDONLY | O_CLOEXEC));
}

uint64_t Cgroups::peak_bytes(uint32_t id) const { return memory_file(id, "memory.max_usage_in_bytes", "memory.peak"); }

uint64_t Cgroups::memory_file(uint32_t id, const char* v1, const char* v2) const {
  if (memory_.empty()) return 0;
  const std::string text = read_text(cat(at(memory_, id), "/", version_ == CgroupVersion::kV2 ? v2 : v1));
  return static_cast<uint64_t>(parse_int(trim(text)).value_or(0));
}

uint64_t Cgroups::out_of_memory_kills(uint32_t id) const {
  if (memory_.empty()) return 0;
  const char* name = version_ == CgroupVersion::kV2 ? "/memory.events" : "/memory.oom_control";
  const std::string text = read_text(cat(at(memory_, id), name));
  for (std::string_view line : split(text, '\n')) {
    const auto [key, value] = split_once(line, ' ');
    if (key == "oom_kill") return static_cast<uint64_t>(parse_int(trim(value)).value_or(0));
  }
  return 0;
}

void Cgroups::remove(uint32_t id) {
  std::vector<std::string> bases{memory_, pids_, cpu_};
  std::ranges::sort(bases);
  bases.erase(std::unique(bases.begin(), bases.end()), bases.end());
  for (const std::string& base : bases) {
    if (!base.empty()) kill_and_remove(at(base, id));
  }
}

}  // namespace virga::sandbox::jail
