// The launcher's state: the sandboxes it made and what it needs to make more. One thread.
#pragma once

#include <linux/filter.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/jail/cgroup.h"
#include "sandbox/jail/fd.h"
#include "sandbox/jail/mounts.h"
#include "sandbox/jail/network.h"
#include "sandbox/jail/outside.h"
#include "sandbox/jail/protocol.h"
#include "sandbox/jail/zygote.h"

namespace virga::sandbox::jail {

struct LauncherOptions {
  pid_t owner = 0;            // Virga
  bool outside = true;        // functions may connect to the outside
  uint16_t control_port = 0;  // Virga's own, which they may not
  std::string state_directory;
  TemplateOptions root;
};

class Launcher {
 public:
  explicit Launcher(LauncherOptions options);
  ~Launcher();
  Launcher(const Launcher&) = delete;

  // Until Virga closes its end.
  void run();

 private:
  struct Sandbox {
    uint32_t id = 0;
    pid_t first = 0;  // its first process, as the launcher sees it
    int slot = 0;     // decides its user on the host
    Fd control;
    Fd mounts;        // its mount namespace
    Fd network;       // its network namespace
    Fd relay, names;  // of its network, until the way out has them
    Fd channel;       // Virga's end, kept until the assignment has written the first frame
    bool ready = false;
    std::vector<Message> waiting;    // an assignment, and what follows it, that came before it was ready
    std::optional<Message> execute;  // what to run as soon as it is ready
    std::optional<uint64_t> status;  // of its program
    uint64_t peak_kb = 0;
    uint64_t memory_mb = 0, tmp_mb = 0;  // its function's
    int outgrown = 0;                    // how many times in a row it held more than its memory when looked at
  };

  // launcher.cc
  void prepare_namespaces();
  void say_hello();
  void handle(Message message);
  void hear(Sandbox& sandbox);
  void reap();
  void report_failure(uint32_t id, Stage stage, int error, const std::string& sentence,
                      uint64_t program = kMainProgram);
  // spawn.cc
  void create(const Message& order);
  pid_t first_process(const Message& order, const InitOptions& init, Network& network, bool& copy);
  void map_users(pid_t pid, int slot);
  int id_map(int slot);
  void assign(Sandbox& sandbox, const Message& order);
  void run(Sandbox& sandbox, Message order);
  void enforce_memory(Sandbox& sandbox);
  void give_socket(const Sandbox& sandbox);
  int take_slot();
  uint64_t data_limit(uint64_t memory_mb) const;
  void limit_program(const Sandbox& sandbox, const Message& order);

  LauncherOptions options_;
  bool root_ = false;  // real root, not only in a namespace of our own
  std::unique_ptr<Outside> outside_;
  std::unique_ptr<Cgroups> cgroups_;
  Fd host_mounts_, host_network_, template_;
  Fd signals_, poll_;
  std::vector<sock_filter> filter_;
  Zygotes zygotes_{template_};
  std::map<uint32_t, std::unique_ptr<Sandbox>> sandboxes_;
  std::vector<bool> slots_;
  std::vector<Fd> id_maps_;  // by slot
};

}  // namespace virga::sandbox::jail
