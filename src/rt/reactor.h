// Reactors: one thread and one event loop per core. A reactor is the Executor of everything that runs on it; a
// connection lives on one reactor from accept to close.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/executor.h"
#include "base/worker_pool.h"
#include "rt/timer_wheel.h"

struct epoll_event;

namespace virga::rt {

class Watch;

class Reactor final : public Executor {
 public:
  explicit Reactor(int index = 0);
  ~Reactor() override;
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  void post(std::move_only_function<void()> work) override;
  void post_after(Micros delay, std::move_only_function<void()> work) override;

  int index() const { return index_; }
  // The reactor of the calling thread, or null.
  static Reactor* here() noexcept;
  // Time-outs; only from this reactor's thread.
  void arm(CoarseTimer& timer, Millis delay);
  void disarm(CoarseTimer& timer) { wheel_.disarm(timer); }

  // Runs the loop on the calling thread until stop(); then the thread is nobody's reactor again.
  void run();
  // Ends run() soon, when what is ready has run; timers and waits stay. Safe from any thread.
  void stop();
  // After run() has ended: destroys what is queued, and from then on whatever is posted. Other threads may still post,
  // and what watched descriptors here may still be destroyed.
  void close();
  bool closed();  // safe from any thread

  // For rt only. Names are looked up there.
  WorkerPool& lookups() { return lookups_; }

 private:
  friend class Watch;
  using Work = std::move_only_function<void()>;
  using Steady = std::chrono::steady_clock::time_point;
  struct Timed {
    Steady due;
    uint64_t number;  // of those due at once the first is done first
    Work work;
  };
  static bool later(const Timed& one, const Timed& other);

  // Runs it; an exception is told to the log.
  template <class F>
  static void perform(F&& work) {
    try {
      work();
    } catch (...) {
      failed(std::current_exception());
    }
  }
  static void failed(const std::exception_ptr& error);

  // epoll_ctl; gives an errno.
  int control(int operation, int fd, uint32_t events, Watch* watch);
  // The watch is gone: what is ready of it is not told.
  void forget(const Watch* watch);

  void turn();
  bool take_posted();
  void run_posted();
  void run_due();
  void arm_timer();
  void wait();
  int look(epoll_event* events);
  void note(const Watch* watch);
  void rouse();
  void plan(Timed timed);
  void tick();

  const int index_;
  int poll_ = -1, wake_ = -1, timer_ = -1;
  std::atomic<bool> stopping_ = false;

  // The loop's thread only.
  std::vector<Work> ready_;
  std::vector<Timed> timed_;      // a heap; the next is its first
  Steady armed_ = Steady::max();  // when the timer fires
  uint64_t planned_ = 0;
  epoll_event* told_ = nullptr;  // what is not passed on yet, and how many
  int left_ = 0;
  const int others_;                      // processors beside the one that it runs on
  std::array<const Watch*, 4> lately_{};  // told
  size_t oldest_ = 0;
  int alone_ = 0;  // events in a row of them
  TimerWheel wheel_;
  Steady last_tick_;
  bool ticking_ = false;

  std::mutex mutex_;
  bool closed_ = false;
  bool asleep_ = false;  // in epoll_wait, until it is roused
  std::vector<Work> posted_;
  std::vector<Timed> posted_timed_;

  WorkerPool lookups_{1};
};

// A fixed set of reactors on threads of their own.
class Reactors {
 public:
  // Zero threads: one for each core this process may use.
  explicit Reactors(int threads = 0);
  ~Reactors();  // stops, joins and closes

  // Starts the threads; before that work may already be posted.
  void start();
  void stop();
  // After stop(): drops the work that never ran, on all before any is gone, because it may post to any of them.
  void close();
  bool running() const { return !threads_.empty(); }

  size_t size() const { return reactors_.size(); }
  Reactor& operator[](size_t i) { return *reactors_[i]; }
  // Round robin.
  Reactor& next();
  // Calls `f(Reactor&)` once for each, on the calling thread.
  void each(const std::function<void(Reactor&)>& f);
  // Runs `f` on each reactor's own thread and waits for all. Not from a reactor's thread; only while started.
  void run_on_each(const std::function<void(Reactor&)>& f);

 private:
  std::vector<std::unique_ptr<Reactor>> reactors_;
  std::vector<std::thread> threads_;
  std::atomic<size_t> next_ = 0;
};

// Runs `task` to its end on `reactor` and gives its result to the calling thread, which must not be a reactor's.
template <class T>
Result<T> run_on(Reactor& reactor, Task<T> task);

namespace detail {
void wait_for(Reactor& reactor, std::move_only_function<void(std::function<void()> done)> work);
}

template <class T>
Result<T> run_on(Reactor& reactor, Task<T> task) {
  std::optional<Result<T>> out;
  detail::wait_for(reactor, [&](std::function<void()> done) {
    virga::start(std::move(task), [&out, done = std::move(done)](Result<T> result) {
      out = std::move(result);
      done();
    });
  });
  return std::move(*out);
}

}  // namespace virga::rt
