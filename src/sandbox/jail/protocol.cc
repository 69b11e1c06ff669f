#include "sandbox/jail/protocol.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace virga::sandbox::jail {
namespace {

void put(std::string& out, const void* data, size_t size) { out.append(static_cast<const char*>(data), size); }

class Reader {
 public:
  Reader(const char* data, size_t size) : at_(data), left_(size) {}
  template <class T>
  T get() {
    T value{};
    take(&value, sizeof value);
    return value;
  }
  std::string text(size_t size) {
    if (size > left_) {
      ok_ = false;
      return {};
    }
    std::string out(at_, size);
    at_ += size;
    left_ -= size;
    return out;
  }
  bool ok() const { return ok_; }
  size_t left() const { return left_; }

 private:
  void take(void* to, size_t size) {
    if (size > left_) {
      ok_ = false;
      return;
    }
    std::memcpy(to, at_, size);
    at_ += size;
    left_ -= size;
  }
  const char* at_;
  size_t left_;
  bool ok_ = true;
};

}  // namespace

int send(int socket, const Message& message, bool wait) {
  std::string bytes;
  const auto kind = static_cast<uint8_t>(message.kind);
  put(bytes, &kind, sizeof kind);
  put(bytes, &message.id, sizeof message.id);
  const auto numbers = static_cast<uint32_t>(message.numbers.size());
  put(bytes, &numbers, sizeof numbers);
  for (uint64_t n : message.numbers) put(bytes, &n, sizeof n);
  const auto strings = static_cast<uint32_t>(message.strings.size());
  put(bytes, &strings, sizeof strings);
  for (const std::string& s : message.strings) {
    const auto size = static_cast<uint32_t>(s.size());
    put(bytes, &size, sizeof size);
    bytes += s;
  }
  if (bytes.size() > kMostMessage || message.fds.size() > kMostFds) return EMSGSIZE;

  iovec part{bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostFds)];
  if (!message.fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * message.fds.size());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * message.fds.size());
    int* out = reinterpret_cast<int*>(CMSG_DATA(c));
    for (const Fd& fd : message.fds) *out++ = fd.get();
  }
  while (::sendmsg(socket, &header, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

std::optional<Message> receive(int socket, bool wait, bool& closed) {
  static thread_local std::unique_ptr<char[]> buffer = std::make_unique_for_overwrite<char[]>(kMostMessage);
  iovec part{buffer.get(), kMostMessage};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostFds)];
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t size;
  while ((size = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT))) < 0) {
    if (errno == EAGAIN) return std::nullopt;
    if (errno != EINTR) break;
  }
  if (size <= 0) {
    closed = true;
    return std::nullopt;
  }
  Message message;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const int* fds = reinterpret_cast<const int*>(CMSG_DATA(c));
    for (size_t i = 0; i < count; ++i) message.fds.emplace_back(fds[i]);
  }
  Reader in(buffer.get(), static_cast<size_t>(size));
  message.kind = static_cast<Kind>(in.get<uint8_t>());
  message.id = in.get<uint32_t>();
  auto numbers = in.get<uint32_t>();
  while (in.ok() && numbers-- > 0) message.numbers.push_back(in.get<uint64_t>());
  auto strings = in.get<uint32_t>();
  while (in.ok() && strings-- > 0) message.strings.push_back(in.text(in.get<uint32_t>()));
  if (!in.ok() || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
    closed = true;
    return std::nullopt;
  }
  return message;
}

}  // namespace virga::sandbox::jail
