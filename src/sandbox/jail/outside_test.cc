// The way out of a sandbox, with programs that take it: servers of this test on this machine's own address.
#include "sandbox/jail/outside.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <thread>

#include "base/str.h"
#include "sandbox/jail/address.h"
#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

using testing::Folder;
using testing::invoke;
using testing::Log;
using testing::python;

// Answers every connection with what it was sent, until the end.
class Echo {
 public:
  explicit Echo(const std::string& host) {
    in_addr address{};
    ::inet_pton(AF_INET, host.c_str(), &address);
    const jail::Address at = jail::Address::v4(address.s_addr, 0);
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listener_.get(), at.get(), at.size()), 0);
    EXPECT_EQ(::listen(listener_.get(), 64), 0);
    sockaddr_in6 own{};
    socklen_t size = sizeof own;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&own), &size);
    port_ = jail::Address::of(own).port();
    thread_ = std::thread([this] { serve(); });
  }
  ~Echo() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    for (std::thread& t : peers_) t.join();
  }
  uint16_t port() const { return port_; }

 private:
  void serve() {
    while (true) {
      Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer) return;
      peers_.emplace_back([peer = std::move(peer)] {
        char buffer[16384];
        for (ssize_t n; (n = ::recv(peer.get(), buffer, sizeof buffer, 0)) > 0;) {
          for (ssize_t at = 0; at < n;) {
            const ssize_t sent = ::send(peer.get(), buffer + at, static_cast<size_t>(n - at), MSG_NOSIGNAL);
            if (sent <= 0) return;
            at += sent;
          }
        }
      });
    }
  }
  Fd listener_;
  uint16_t port_ = 0;
  std::thread thread_;
  std::vector<std::thread> peers_;
};

class Outside : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto own = testing::own_address();
    if (!own) GTEST_SKIP() << "this machine has no network";
    host_ = *own;
  }
  std::string run(const std::string& body, uint16_t port, const std::string& network = "") {
    Folder code;
    code.write("app.py", cat("import asyncio, errno, os, socket, threading\nHOST, PORT = '", host_, "', ", port,
                             "\ndef handler(event, context):\n", body));
    Spec spec = python(code.path());
    if (!network.empty()) spec.environment.emplace_back("VIRGA_NETWORK", network);
    Log log;
    const Outcome out = invoke(spec, log);
    return out.status == Status::kOk ? out.payload : cat(out.payload, out.exit, log.text());
  }
  std::string host_;
};

constexpr std::string_view kExchange = R"(
  data = os.urandom(1 << 20)
  def exchange():
    with socket.create_connection((HOST, PORT), timeout=10) as s:
      sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
      sender.start()
      got = b''
      while chunk := s.recv(65536): got += chunk
      sender.join()
      return got == data
  return [exchange() for _ in range(5)]
)";

TEST_F(Outside, CarriesBytesBothWaysAndTheEnd) {
  Echo echo(host_);
  EXPECT_EQ(run(std::string(kExchange), echo.port()), "[true, true, true, true, true]");
}

TEST_F(Outside, ServesProgramsThatDoNotBlock) {
  Echo echo(host_);
  EXPECT_EQ(run(R"(
  async def one(n):
    reader, writer = await asyncio.open_connection(HOST, PORT)
    writer.write(b'%d' % n); writer.write_eof()
    return int(await reader.read())
  async def all(): return sum(await asyncio.gather(*(one(n) for n in range(50))))
  return asyncio.run(all())
)",
                echo.port()),
            "1225");
}

TEST_F(Outside, TellsARefusalExactly) {
  uint16_t closed;
  {
    closed = Echo(host_).port();
  }
  EXPECT_EQ(run(R"(
  out = []
  for timeout in (None, 5):
    try: socket.create_connection((HOST, PORT), timeout=timeout)
    except OSError as e: out.append(errno.errorcode[e.errno])
  return out
)",
                closed),
            R"(["ECONNREFUSED", "ECONNREFUSED"])");
}

TEST_F(Outside, LeadsNowhereWhenCutOff) {
  Echo echo(host_);
  for (const std::string network : {"virga", "none"}) {
    EXPECT_EQ(run(R"(
  try: socket.create_connection((HOST, PORT), timeout=5)
  except OSError as e: return errno.errorcode[e.errno]
)",
                  echo.port(), network),
              "\"ENETUNREACH\"");
  }
}

// A socket that was outside must not be the way to the host's own loopback.
TEST_F(Outside, KeepsSocketsInTheSandbox) {
  Echo echo(host_), on_loopback("127.0.0.1");
  EXPECT_EQ(run(cat(R"(
  s = socket.create_connection((HOST, PORT), timeout=5)
  peer = s.getpeername()[0]
  libc = __import__('ctypes').CDLL(None)
  libc.connect(s.fileno(), bytes(16), 16)
  try: s.connect(('127.0.0.1', )",
                    on_loopback.port(), R"())
  except OSError as e: return [peer, errno.errorcode[e.errno]]
)"),
                echo.port()),
            R"(["127.0.0.1", "ECONNREFUSED"])");
}

TEST(OutsideAddress, KnowsWhatIsOutOfBounds) {
  const auto address = [](const char* text) {
    jail::Address out;
    sockaddr_in6 six{};
    sockaddr_in four{};
    six.sin6_family = AF_INET6;
    four.sin_family = AF_INET;
    if (::inet_pton(AF_INET, text, &four.sin_addr) == 1) {
      std::memcpy(out.data(), &four, sizeof four);
      EXPECT_TRUE(out.complete(sizeof four));
    } else {
      EXPECT_EQ(::inet_pton(AF_INET6, text, &six.sin6_addr), 1);
      std::memcpy(out.data(), &six, sizeof six);
      EXPECT_TRUE(out.complete(sizeof six));
    }
    return out;
  };
  for (const char* own : {"127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"})
    EXPECT_TRUE(address(own).own_loopback()) << own;
  for (const char* never : {"169.254.169.254", "224.0.0.1", "255.255.255.255", "fe80::1", "ff02::1",
                            "::ffff:169.254.169.254", "::169.254.169.254", "fd00:ec2::254"})
    EXPECT_TRUE(address(never).out_of_bounds()) << never;
  for (const char* fine : {"10.1.2.3", "93.184.216.34", "2606:4700::1111", "::ffff:10.0.0.1"})
    EXPECT_FALSE(address(fine).own_loopback() || address(fine).out_of_bounds()) << fine;
  EXPECT_TRUE(address("127.0.0.1").of_this_machine());
  EXPECT_FALSE(address("203.0.113.7").of_this_machine());
}

}  // namespace
}  // namespace virga::sandbox
