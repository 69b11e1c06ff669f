#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <latch>
#include <optional>
#include <thread>

#include "base/async.h"
#include "base/str.h"
#include "rt/http_client.h"
#include "rt/reactor.h"
#include "rt/timer_wheel.h"
#include "rt/tls.h"
#include "rt/watch.h"

namespace virga::rt {
namespace {

class Counting final : public CoarseTimer {
 public:
  int fired = 0;
  void expired() override { ++fired; }
};

TEST(TimerWheel, ExpiresNeverEarlyAndOnlyOnce) {
  TimerWheel wheel;
  Counting soon, later, far, moved, none;
  wheel.arm(soon, Millis(100));
  wheel.arm(later, Millis(1000));
  wheel.arm(far, Millis(100'000));
  wheel.arm(moved, Millis(200));
  wheel.arm(moved, Millis(2000));
  wheel.arm(none, Millis(300));
  wheel.disarm(none);
  wheel.advance(1);
  EXPECT_EQ(soon.fired, 0);
  wheel.advance(1);
  EXPECT_EQ(soon.fired, 1);
  wheel.advance(9);
  EXPECT_EQ(later.fired, 1);
  EXPECT_EQ(moved.fired, 0);
  wheel.advance(10);
  EXPECT_EQ(moved.fired, 1);
  EXPECT_EQ(none.fired, 0);
  EXPECT_FALSE(wheel.empty());
  for (int i = 0; i < 978; ++i) wheel.advance(1);
  EXPECT_EQ(far.fired, 0);
  wheel.advance(2000);
  EXPECT_EQ(far.fired, 1);
  EXPECT_TRUE(wheel.empty());
  wheel.arm(far, Millis(1000));
  wheel.arm(far, Millis(100));  // earlier than before
  wheel.advance(2);
  EXPECT_EQ(far.fired, 2);
}

class RtTest : public testing::Test {
 protected:
  void SetUp() override { reactors.start(); }
  Reactors reactors{1};
};

// Its frame would never be destroyed otherwise.
TEST_F(RtTest, TellsWaitsThatEndWithIt) {
  std::array<int, 2> ends;
  ASSERT_EQ(::pipe(ends.data()), 0);
  std::optional<Watch> watch;
  int heard = -1;
  reactors[0].post([&] {
    watch.emplace(reactors[0], ends[0]);
    start_background("test",
                     [](Watch& watch, int& heard) -> Task<void> { heard = co_await watch.readable(); }(*watch, heard));
    watch.reset();
    reactors[0].stop();
  });
  reactors.stop();
  EXPECT_EQ(heard, ECANCELED);
  for (const int end : ends) ::close(end);
}

struct Pair {
  Pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0); }
  ~Pair() {
    for (const int end : ends) ::close(end);
  }
  void say() { EXPECT_EQ(::write(ends[1], "x", 1), 1); }
  std::array<int, 2> ends;
};

TEST_F(RtTest, TellsOfWhatIsStillReady) {
  const auto told = run_on(reactors[0], []() -> Task<int> {
    Pair pair, other;
    Watch watch(*Reactor::here(), pair.ends[0]), others(*Reactor::here(), other.ends[0]);
    pair.say();
    other.say();
    int told = 0;
    for (int i = 0; i < 3; ++i) told += co_await watch.readable() == 0;
    (void)co_await others.readable();  // in the same turn the first is told while nobody waits
    told += co_await watch.readable() == 0;
    ::shutdown(pair.ends[1], SHUT_RDWR);
    (void)co_await others.readable();  // as is that it is broken
    told += co_await watch.readable() == 0 && co_await watch.writable() == 0;
    co_return told;
  }());
  EXPECT_EQ(told.value(), 5);
}

TEST_F(RtTest, TwoMayWaitForTheSame) {
  const auto told = run_on(reactors[0], []() -> Task<int> {
    Pair pair;
    Watch watch(*Reactor::here(), pair.ends[0]);
    int told = 0;
    virga::Event both;
    for (int i = 0; i < 2; ++i) {
      watch.wait(false, [&](int error) {
        told += error == 0;
        if (told == 2) both.set();
      });
    }
    EXPECT_THROW(watch.wait(false, [](int) {}), std::logic_error);
    EXPECT_EQ(co_await watch.writable(), 0);
    EXPECT_EQ(told, 0);
    pair.say();
    co_await both.wait();
    co_return told;
  }());
  EXPECT_EQ(told.value(), 2);
}

// Both are ready at once; whoever is told first destroys the other's watch.
TEST_F(RtTest, ToldWatchesMayDestroyOthers) {
  const auto told = run_on(reactors[0], []() -> Task<std::string> {
    std::array<Pair, 2> pairs;
    std::array<std::optional<Watch>, 2> watches;
    std::string told;
    virga::Event cancelled;
    for (size_t i = 0; i < 2; ++i) {
      watches[i].emplace(*Reactor::here(), pairs[i].ends[0]);
      watches[i]->wait(false, [&, i](int error) {
        append(told, error, " ");
        if (error == ECANCELED) cancelled.set();
        watches[1 - i].reset();
      });
    }
    for (Pair& pair : pairs) pair.say();
    co_await cancelled.wait();
    co_return told;
  }());
  EXPECT_EQ(told.value(), cat("0 ", ECANCELED, " "));
}

// Both sides are ready at once: whoever is told first may cancel the other, which then waits no more.
TEST_F(RtTest, ReadersMayCancelWriters) {
  const auto ended = run_on(reactors[0], []() -> Task<int> {
    int pair[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    auto left = adopt_socket(*Reactor::here(), pair[0]);
    std::string big(5 << 20, 'x');
    Io written;
    virga::Event over;
    start_background("test", [](Stream& stream, std::string& big, Io& written, virga::Event& over) -> Task<void> {
      written = co_await stream.write(big);
      over.set();
    }(*left, big, written, over));
    // Room for some of it, and something to read, before the loop looks.
    std::string some(64 << 10, '\0');
    while (::recv(pair[1], some.data(), some.size(), MSG_DONTWAIT) > 0) {
    }
    EXPECT_EQ(::write(pair[1], "x", 1), 1);
    char byte;
    EXPECT_EQ((co_await left->read_some(&byte, 1)).bytes, 1u);
    left->cancel();
    co_await over.wait();
    ::close(pair[1]);
    co_return written.error;
  }());
  EXPECT_EQ(ended.value(), ECANCELED);
}

TEST_F(RtTest, WorkAndTimersOfOtherThreadsRunInTheirOrder) {
  std::string order;
  virga::Event all;
  const auto say = [&](char what) {
    order += what;
    if (order.size() == 4) all.set();
  };
  std::latch planned(1);
  reactors[0].post([&] { planned.wait(); });
  reactors[0].post_after(std::chrono::hours(1), [&] { say('x'); });
  reactors[0].post_after(Micros(0), [&] { say('a'); });
  reactors[0].post_after(Micros(0), [&] { say('b'); });
  reactors[0].post([&] { say('c'); });
  reactors[0].post([&] {
    say('d');
    throw std::runtime_error("the loop goes on");
  });
  planned.count_down();
  ASSERT_TRUE(run_on(reactors[0], [](virga::Event& all) -> Task<void> { co_await all.wait(); }(all)));
  EXPECT_LT(order.find('a'), order.find('b'));
  EXPECT_LT(order.find('c'), order.find('d'));
  EXPECT_EQ(order.size(), 4u);
}

TEST_F(RtTest, RunsTasksAndTimersOnItsThread) {
  const auto result = run_on(reactors[0], []() -> Task<int> {
    Executor* before = Executor::current();
    co_await sleep_for(Millis(20));
    co_return before == Executor::current() && Reactor::here() == before ? 7 : 0;
  }());
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 7);
}

TEST_F(RtTest, StreamsReadWriteAndCancel) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  const auto result = run_on(reactors[0], [](int a, int b) -> Task<std::string> {
    auto left = adopt_socket(*Reactor::here(), a), right = adopt_socket(*Reactor::here(), b);
    std::string seen;
    char buffer[100];
    co_await left->write("hello");
    seen.append(buffer, (co_await right->read_some(buffer, sizeof buffer)).bytes);
    Stream* waiting = right.get();
    Executor::current()->post_after(Millis(10), [waiting] { waiting->cancel(); });
    const Io cancelled = co_await right->read_some(buffer, sizeof buffer);
    append(seen, " ", cancelled.error == ECANCELED ? "cancelled" : "?");
    left->close();
    const Io end = co_await right->read_some(buffer, sizeof buffer);
    append(seen, " ", end.bytes, " ", end.error);
    co_return seen;
  }(pair[0], pair[1]));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, "hello cancelled 0 0");
}

TEST_F(RtTest, WritesMoreThanTheSocketHolds) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  size_t got = 0;
  std::thread reader([&] {
    char buffer[65536];
    ssize_t n;
    while ((n = ::read(pair[1], buffer, sizeof buffer)) > 0) got += static_cast<size_t>(n);
    ::close(pair[1]);
  });
  const auto result = run_on(reactors[0], [](int fd) -> Task<size_t> {
    auto stream = adopt_socket(*Reactor::here(), fd);
    const std::string big(5 << 20, 'x');
    const Io io = co_await stream->write(big);
    co_return io.bytes;
  }(pair[0]));
  reader.join();
  EXPECT_EQ(result.value(), 5u << 20);
  EXPECT_EQ(got, 5u << 20);
}

TEST_F(RtTest, FailsToConnectWithASentence) {
  const auto result = run_on(reactors[0], []() -> Task<std::string> {
    auto stream = co_await as_result(connect_tcp("127.0.0.1", 1, Millis(1000)));
    co_return stream ? "" : error_of(stream)->message;
  }());
  EXPECT_NE(result.value().find("Cannot connect to 127.0.0.1:1"), std::string::npos);
}

TEST_F(RtTest, ConnectsToNoMetadataService) {
  for (const std::string host :
       {"169.254.169.254", "[::ffff:169.254.169.254]", "[::169.254.169.254]", "[fe80::1]", "[fd00:ec2::254]"}) {
    const auto result = run_on(reactors[0], [](std::string to) -> Task<std::string> {
      auto stream = co_await as_result(connect_tcp(to, 80, Millis(1000)));
      co_return stream ? "" : error_of(stream)->message;
    }(host));
    EXPECT_NE(result.value().find("link-local"), std::string::npos) << host;
  }
}

TEST(Url, IsTakenApart) {
  const auto url = parse_url("https://[::1]:8443?q#f");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/?q");
  EXPECT_FALSE(parse_url("ftp://h/"));
  EXPECT_FALSE(parse_url("http://u@h/"));
  EXPECT_FALSE(parse_url("http://h:0/"));
  EXPECT_FALSE(parse_url("http://h/a b"));
  EXPECT_FALSE(parse_url("http:///x"));
}

TEST(TlsServer, RefusesCertificatesThatDoNotFit) {
  const Certificate certificate = self_signed({"example.test"}, 1);
  EXPECT_NO_THROW(TlsServer{certificate});
  EXPECT_THROW(TlsServer({certificate.chain_pem, self_signed({"x"}, 1).key_pem}), TlsError);
  EXPECT_THROW(TlsServer({"nonsense", certificate.key_pem}), TlsError);
}

}  // namespace
}  // namespace virga::rt
