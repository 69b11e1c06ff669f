// Reactors: one thread and one event loop per core. A reactor is the Executor of everything that runs on it; a
// connection lives on one reactor from accept to close.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/executor.h"
#include "rt/timer_wheel.h"

namespace asio {
class io_context;
}

namespace virga::rt {

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

  asio::io_context& context();  // for rt only

 private:
  struct Context;
  struct Ticker;
  class Posting;
  void tick();

  const int index_;
  std::atomic<bool> closed_ = false;
  std::atomic<int> posting_ = 0;  // calls of post under way, which close() waits for
  std::unique_ptr<Context> context_;
  TimerWheel wheel_;
  std::unique_ptr<Ticker> ticker_;
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
