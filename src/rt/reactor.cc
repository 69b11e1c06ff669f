#include "rt/reactor.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <condition_variable>
#include <mutex>

#include "base/log.h"
#include "base/str.h"

namespace virga::rt {
namespace {

constexpr int kMostAfterStop = 100'000;

thread_local Reactor* here_ = nullptr;

}  // namespace

struct Reactor::Context : asio::io_context {
  using asio::io_context::io_context;
  using asio::io_context::shutdown;
};

class Reactor::Posting {
 public:
  explicit Posting(Reactor& reactor) : reactor_(reactor) { reactor_.posting_.fetch_add(1); }
  ~Posting() { reactor_.posting_.fetch_sub(1); }
  bool allowed() const { return !reactor_.closed_.load(); }

 private:
  Reactor& reactor_;
};

struct Reactor::Ticker {
  explicit Ticker(asio::io_context& context) : timer(context) {}
  asio::steady_timer timer;
  std::chrono::steady_clock::time_point last;
  bool running = false;
};

Reactor::Reactor(int index)
    : index_(index), context_(std::make_unique<Context>(1)), ticker_(std::make_unique<Ticker>(*context_)) {}

Reactor::~Reactor() {
  close();
  ticker_.reset();
  context_.reset();
}

Reactor* Reactor::here() noexcept { return here_; }

asio::io_context& Reactor::context() { return *context_; }

void Reactor::post(std::move_only_function<void()> work) {
  const Posting posting(*this);
  if (posting.allowed()) asio::post(*context_, std::move(work));
}

void Reactor::post_after(Micros delay, std::move_only_function<void()> work) {
  const Posting posting(*this);
  if (!posting.allowed()) return;
  auto timer = std::make_unique<asio::steady_timer>(*context_, delay);
  asio::steady_timer& t = *timer;
  t.async_wait([timer = std::move(timer), work = std::move(work)](asio::error_code) mutable { work(); });
}

void Reactor::arm(CoarseTimer& timer, Millis delay) {
  Ticker& t = *ticker_;
  wheel_.arm(timer, delay);
  if (t.running) return;
  t.running = true;
  t.last = std::chrono::steady_clock::now();
  tick();
}

// Ticks while a timer is linked; a reactor without connections sleeps.
void Reactor::tick() {
  Ticker& t = *ticker_;
  t.timer.expires_at(t.last + TimerWheel::kTick);
  t.timer.async_wait([this](asio::error_code error) {
    if (error) return;
    Ticker& t = *ticker_;
    const auto ticks = (std::chrono::steady_clock::now() - t.last) / TimerWheel::kTick;
    t.last += ticks * TimerWheel::kTick;
    wheel_.advance(static_cast<uint64_t>(ticks));
    if (wheel_.empty()) {
      t.running = false;
    } else {
      tick();
    }
  });
}

void Reactor::run() {
  // A peer that closed is an error of the write, not the end of the process.
  signal(SIGPIPE, SIG_IGN);
  here_ = this;
  Executor* previous = current();
  set_current(this);
  auto guard = asio::make_work_guard(*context_);
  const auto handled = [](auto step) -> size_t {
    try {
      return step();
    } catch (const std::exception& e) {
      log_error("rt", "posted work threw", {{"what", e.what()}});
    } catch (...) {
      log_error("rt", "posted work threw something unknown");
    }
    return 1;
  };
  while (!context_->stopped()) handled([&] { return context_->run(); });
  // Waits that were ended just before the stop are told so: their frames would stay for ever otherwise.
  for (int i = 0; i < kMostAfterStop; ++i) {
    if (handled([&] { return context_->poll_one(); }) > 0) continue;
    if (!context_->stopped()) break;
    context_->restart();
  }
  set_current(previous);
  here_ = nullptr;
}

void Reactor::stop() { context_->stop(); }

void Reactor::close() {
  if (closed_.exchange(true)) return;
  while (posting_.load() > 0) std::this_thread::yield();
  context_->shutdown();
}

Reactors::Reactors(int threads) {
  if (threads <= 0) {
    cpu_set_t cpus;
    threads = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
  }
  for (int i = 0; i < threads; ++i) reactors_.push_back(std::make_unique<Reactor>(i));
}

Reactors::~Reactors() {
  stop();
  close();
}

void Reactors::start() {
  for (auto& reactor : reactors_) {
    threads_.emplace_back([&reactor = *reactor] {
      pthread_setname_np(pthread_self(), cat("reactor-", reactor.index()).c_str());
      reactor.run();
    });
  }
}

void Reactors::stop() {
  for (auto& reactor : reactors_) reactor->stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Reactors::close() {
  for (auto& reactor : reactors_) reactor->close();
}

Reactor& Reactors::next() { return *reactors_[next_.fetch_add(1, std::memory_order_relaxed) % reactors_.size()]; }

void Reactors::each(const std::function<void(Reactor&)>& f) {
  for (auto& reactor : reactors_) f(*reactor);
}

void Reactors::run_on_each(const std::function<void(Reactor&)>& f) {
  for (auto& reactor : reactors_) {
    detail::wait_for(*reactor, [&](std::function<void()> done) {
      f(*reactor);
      done();
    });
  }
}

namespace detail {

void wait_for(Reactor& reactor, std::move_only_function<void(std::function<void()>)> work) {
  std::mutex mutex;
  std::condition_variable wake;
  bool finished = false;
  reactor.post([&] {
    work([&] {
      std::lock_guard lock(mutex);
      finished = true;
      wake.notify_one();
    });
  });
  std::unique_lock lock(mutex);
  wake.wait(lock, [&] { return finished; });
}

}  // namespace detail
}  // namespace virga::rt
