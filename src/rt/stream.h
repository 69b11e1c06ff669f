// Byte streams: TCP, Unix sockets and TLS behind one interface whose operations are awaited without a
// coroutine frame or an allocation of their own.
#pragma once

#include <sys/uio.h>

#include <coroutine>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/task.h"

namespace virga::rt {

class Reactor;

// How a step of I/O ended. The end of the stream is no error: a read of zero bytes.
struct Io {
  size_t bytes = 0;
  int error = 0;  // errno; ECANCELED after cancel() or close(); EPROTO for what only TLS can get wrong
  bool ok() const { return error == 0; }
};

// One side of a connection. Belongs to one reactor and is used on its thread only. One read and one write may be
// under way at a time, together. It must outlive its operations: cancel() or close() ends them soon, not at once.
class Stream {
 public:
  using Buffers = std::span<const iovec>;

  virtual ~Stream() = default;

  class ReadAwaiter;
  class WriteAwaiter;
  // Waits for some bytes and reads at most `room` of them.
  ReadAwaiter read_some(char* into, size_t room);
  // Writes all of it or fails. What `buffers` points to stays in place until then.
  WriteAwaiter write(Buffers buffers);
  WriteAwaiter write(std::string_view bytes);

  // Tells the peer that no more bytes follow.
  virtual void shutdown_write() = 0;
  // Ends the operations under way with ECANCELED; the stream stays usable (TLS: only to close).
  virtual void cancel() = 0;
  // Ends operations as cancel() does, and the connection.
  virtual void close() = 0;
  // close(), such that the peer sees a reset where the transport can say so: for an answer that broke off.
  virtual void reset() { close(); }
  virtual bool is_open() const = 0;
  // Address of the peer without port; empty when it has none.
  virtual std::string peer() const { return {}; }
  virtual uint16_t local_port() const { return 0; }
  // What TLS agreed on: "h2", "http/1.1" or nothing.
  virtual std::string_view protocol() const { return {}; }

 protected:
  struct Pending {
    std::coroutine_handle<> waiter;
    Io io;
  };
  // Starts the operation. True when it is done already, with `pending.io` set; otherwise `pending.waiter` is resumed
  // later on the reactor's thread.
  virtual bool start_read(char* into, size_t room, Pending& pending) = 0;
  virtual bool start_write(Buffers buffers, Pending& pending) = 0;

 public:
  class ReadAwaiter {
   public:
    ReadAwaiter(Stream& stream, char* into, size_t room) : stream_(stream), into_(into), room_(room) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter) {
      pending_.waiter = waiter;
      return !stream_.start_read(into_, room_, pending_);
    }
    Io await_resume() const noexcept { return pending_.io; }

   private:
    Stream& stream_;
    char* into_;
    size_t room_;
    Pending pending_;
  };
  class WriteAwaiter {
   public:
    WriteAwaiter(Stream& stream, Buffers buffers) : stream_(stream), buffers_(buffers) {}
    WriteAwaiter(Stream& stream, std::string_view bytes)
        : stream_(stream), one_{const_cast<char*>(bytes.data()), bytes.size()} {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter) {
      pending_.waiter = waiter;
      return !stream_.start_write(buffers_.data() ? buffers_ : Buffers(&one_, 1), pending_);
    }
    Io await_resume() const noexcept { return pending_.io; }

   private:
    Stream& stream_;
    Buffers buffers_;
    iovec one_{};
    Pending pending_;
  };
};

inline Stream::ReadAwaiter Stream::read_some(char* into, size_t room) { return {*this, into, room}; }
inline Stream::WriteAwaiter Stream::write(Buffers buffers) { return {*this, buffers}; }
inline Stream::WriteAwaiter Stream::write(std::string_view bytes) { return {*this, bytes}; }

// Takes over a connected socket (any family, stream type). Call on `reactor`'s thread. Throws std::system_error, the
// socket closed, when the kernel takes in no more.
std::unique_ptr<Stream> adopt_socket(Reactor& reactor, int fd);

// Connect on the calling reactor. They fail with Error `err::unreachable`, whose message names the address.
Task<std::unique_ptr<Stream>> connect_tcp(std::string host, uint16_t port, Millis timeout);
Task<std::unique_ptr<Stream>> connect_unix(std::string path, Millis timeout);

namespace err {
Error unreachable(std::string message);  // no connection
Error broken(std::string message);       // a connection or protocol that failed half-way
Error timed_out(std::string message);
}  // namespace err

}  // namespace virga::rt
