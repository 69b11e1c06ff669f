// What an image's program sees: told by words of the event, "cat /etc/hosts", answered as a JSON string.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>
#include <vector>

#include "lambda.h"

extern char** environ;

namespace {

std::string failed() { return std::string("refused: ") + strerrorname_np(errno); }

std::string contents(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY);
  if (fd < 0) return failed();
  char piece[4096];
  const ssize_t n = read(fd, piece, sizeof piece);
  const int error = errno;
  close(fd);
  errno = error;
  return n < 0 ? failed() : std::string(piece, static_cast<size_t>(n));
}

std::string list(const std::string& path) {
  DIR* folder = opendir(path.c_str());
  if (!folder) return failed();
  std::vector<std::string> names;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') names.push_back(entry->d_name);
  }
  closedir(folder);
  std::ranges::sort(names);
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : " ") + name;
  return out;
}

std::string status(const std::string& path) {
  struct stat s;
  if (lstat(path.c_str(), &s) != 0) return failed();
  char text[64];
  std::snprintf(text, sizeof text, "%o %u %ld", s.st_mode, s.st_uid, static_cast<long>(s.st_mtime));
  return text;
}

// The exit status of a program, or that it did not run.
std::string run(const std::string& path) {
  const pid_t child = fork();
  if (child == 0) {
    execl(path.c_str(), path.c_str(), "uid", nullptr);
    _exit(errno == EACCES ? 126 : 127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return std::to_string(WEXITSTATUS(status));
}

std::string answer(const std::string& words, const std::vector<std::string>& arguments) {
  std::istringstream in(words);
  std::string verb, path;
  in >> verb >> path;
  if (verb == "cat") return contents(path);
  if (verb == "ls") return list(path);
  if (verb == "stat") return status(path);
  if (verb == "run") return run(path);
  if (verb == "env") return std::getenv(path.c_str()) ? std::getenv(path.c_str()) : "(none)";
  if (verb == "write") {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT, 0644);
    return fd < 0 ? failed() : write(fd, "x", 1) == 1 ? "ESCAPED" : failed();
  }
  if (verb == "mount") return mount("none", path.c_str(), "tmpfs", 0, nullptr) == 0 ? "ESCAPED" : failed();
  if (verb == "umount") return umount2(path.c_str(), MNT_DETACH) == 0 ? "ESCAPED" : failed();
  if (verb == "chroot") return chroot(path.c_str()) == 0 ? "ESCAPED" : failed();
  if (verb == "uid") return std::to_string(getuid()) + " " + std::to_string(geteuid()) + " " + std::to_string(getgid());
  if (verb == "cwd") {
    char directory[4096];
    return getcwd(directory, sizeof directory) ? directory : failed();
  }
  std::string out;
  for (const std::string& argument : arguments) out += (out.empty() ? "" : " ") + argument;
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv, argv + argc);
  if (argc == 2 && arguments[1] == "uid") return geteuid() == 0 ? 42 : 0;
  lambda::run([&](const lambda::Event& event) {
    std::string words = event.body;
    std::erase(words, '"');
    return lambda::json_string(answer(words, arguments));
  });
}
