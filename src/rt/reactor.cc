#include "rt/reactor.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "base/str.h"
#include "rt/watch.h"

namespace virga::rt {
namespace {

constexpr int kMostAfterStop = 100'000;                               // batches
constexpr Micros kLongestDelay = std::chrono::hours(24 * 365 * 100);  // the clock holds no more than 292 years
constexpr int kMostTold = 128;                                        // events in one turn
constexpr int kAlone = 16;    // events in a row of the few that were told lately, before the loop stays awake
constexpr int kPatience = 4;  // more of them, when it did so in vain
constexpr Micros kAwake{100};

thread_local Reactor* here_ = nullptr;

int processors() {
  cpu_set_t cpus;
  return ::sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

int made(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return fd;
}

}  // namespace

bool Reactor::later(const Timed& one, const Timed& other) {
  return one.due != other.due ? one.due > other.due : one.number > other.number;
}

Reactor::Reactor(int index) : index_(index), others_(processors() - 1) {
  poll_ = made(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  wake_ = made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
  timer_ = made(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create");
  // Their edges are told, so that nobody has to read them.
  for (const int fd : {wake_, timer_}) {
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = fd == timer_ ? this : nullptr}};
    made(::epoll_ctl(poll_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }
}

Reactor::~Reactor() {
  close();
  for (const int fd : {timer_, wake_, poll_}) ::close(fd);
}

Reactor* Reactor::here() noexcept { return here_; }

void Reactor::failed(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    log_error("rt", "posted work threw", {{"what", e.what()}});
  } catch (...) {
    log_error("rt", "posted work threw something unknown");
  }
}

int Reactor::control(int operation, int fd, uint32_t events, Watch* watch) {
  epoll_event event{.events = events, .data = {.ptr = watch}};
  return ::epoll_ctl(poll_, operation, fd, &event) == 0 ? 0 : errno;
}

void Reactor::forget(const Watch* watch) {
  for (int i = 0; i < left_; ++i) {
    if (told_[i].data.ptr == watch) told_[i].data.ptr = nullptr;
  }
}

void Reactor::post(Work work) {
  if (here_ == this) {
    ready_.push_back(std::move(work));
    return;
  }
  std::lock_guard lock(mutex_);
  if (closed_) return;
  posted_.push_back(std::move(work));
  rouse();
}

void Reactor::post_after(Micros delay, Work work) {
  Timed timed{std::chrono::steady_clock::now() + std::min(delay, kLongestDelay), 0, std::move(work)};
  if (here_ == this) return plan(std::move(timed));
  std::lock_guard lock(mutex_);
  if (closed_) return;
  posted_timed_.push_back(std::move(timed));
  rouse();
}

// With the lock held.
void Reactor::rouse() {
  if (!std::exchange(asleep_, false)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_, &one, sizeof one);
}

void Reactor::plan(Timed timed) {
  timed.number = planned_++;
  timed_.push_back(std::move(timed));
  std::ranges::push_heap(timed_, later);
}

void Reactor::arm(CoarseTimer& timer, Millis delay) {
  wheel_.arm(timer, delay);
  if (ticking_) return;
  ticking_ = true;
  last_tick_ = std::chrono::steady_clock::now();
  tick();
}

// Ticks while a timer is linked; a reactor without connections sleeps.
void Reactor::tick() {
  const auto next = [this] {
    const auto ticks = (std::chrono::steady_clock::now() - last_tick_) / TimerWheel::kTick;
    last_tick_ += ticks * TimerWheel::kTick;
    wheel_.advance(static_cast<uint64_t>(ticks));
    if (wheel_.empty()) {
      ticking_ = false;
    } else {
      tick();
    }
  };
  plan({last_tick_ + TimerWheel::kTick, 0, next});
}

void Reactor::run() {
  // A peer that closed is an error of the write, not the end of the process.
  signal(SIGPIPE, SIG_IGN);
  here_ = this;
  Executor* previous = current();
  set_current(this);
  while (!stopping_.load(std::memory_order_relaxed)) turn();
  // Waits that were ended just before the stop are told so: their frames would stay for ever otherwise.
  for (int i = 0; i < kMostAfterStop && take_posted(); ++i) run_posted();
  stopping_ = false;
  set_current(previous);
  here_ = nullptr;
}

void Reactor::turn() {
  take_posted();
  run_due();
  run_posted();
  wait();
}

// Of other threads; whether there is any work.
bool Reactor::take_posted() {
  std::vector<Work> work;
  std::vector<Timed> timed;
  {
    std::lock_guard lock(mutex_);
    if (posted_.empty() && posted_timed_.empty()) return !ready_.empty();
    work.swap(posted_);
    timed.swap(posted_timed_);
  }
  for (Timed& one : timed) plan(std::move(one));
  std::ranges::move(work, std::back_inserter(ready_));
  return !ready_.empty();
}

// What they post has its turn after what is ready elsewhere.
void Reactor::run_posted() {
  if (ready_.empty()) return;
  std::vector<Work> batch;
  batch.swap(ready_);
  for (Work& work : batch) perform(work);
}

void Reactor::run_due() {
  if (timed_.empty()) return;
  const Steady now = std::chrono::steady_clock::now();
  while (!timed_.empty() && timed_.front().due <= now) {
    std::ranges::pop_heap(timed_, later);
    Work work = std::move(timed_.back().work);
    timed_.pop_back();
    perform(work);
  }
}

// The timer stays armed while the loop goes to sleep and wakes: on a virtual machine each arming costs a trap.
void Reactor::arm_timer() {
  if (timed_.empty() || timed_.front().due >= armed_) return;
  const Steady next = timed_.front().due;
  const auto due = std::chrono::duration_cast<std::chrono::nanoseconds>(next.time_since_epoch());
  itimerspec when{};
  when.it_value = {.tv_sec = due.count() / 1'000'000'000, .tv_nsec = due.count() % 1'000'000'000};
  if (::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr) == 0) armed_ = next;
}

void Reactor::wait() {
  bool sleeps = ready_.empty();
  if (sleeps) {
    arm_timer();
    std::lock_guard lock(mutex_);
    sleeps = asleep_ = posted_.empty() && posted_timed_.empty() && !stopping_.load();
  }
  epoll_event events[kMostTold];
  int count = sleeps && alone_ == kAlone ? look(events) : 0;
  if (count == 0) count = ::epoll_wait(poll_, events, kMostTold, sleeps ? -1 : 0);
  if (sleeps) {
    std::lock_guard lock(mutex_);
    asleep_ = false;
  }
  told_ = events;
  for (left_ = std::max(count, 0); left_ > 0;) {
    const epoll_event event = *told_++;
    --left_;
    if (event.data.ptr == this) {
      armed_ = Steady::max();
    } else if (event.data.ptr) {
      auto& watch = *static_cast<Watch*>(event.data.ptr);
      note(&watch);
      watch.told(event.events);
    }
  }
}

// While few are told again and again, as when one client waits for each answer before it asks anew, the next event is
// near, and to be woken for it by another processor takes longer than what there is to do. Gives how many came.
int Reactor::look(epoll_event* events) {
  static std::atomic<int> looking = 0;  // of all reactors; what they look for needs a processor, too
  if (looking.fetch_add(1) >= others_) {
    looking.fetch_sub(1);
    return 0;
  }
  const Steady until = std::chrono::steady_clock::now() + kAwake;
  const auto is_told = [&](const epoll_event& event) { return event.data.ptr && event.data.ptr != this; };
  int count;
  do {
    count = ::epoll_wait(poll_, events, kMostTold, 0);
  } while (count == 0 && std::chrono::steady_clock::now() < until);
  looking.fetch_sub(1);
  if (std::none_of(events, events + std::max(count, 0), is_told)) alone_ -= kPatience;
  return count;
}

void Reactor::note(const Watch* watch) {
  if (others_ == 0) return;
  if (std::ranges::find(lately_, watch) != lately_.end()) {
    alone_ = std::min(alone_ + 1, kAlone);
  } else {
    lately_[oldest_++ % lately_.size()] = watch;
    alone_ = 0;
  }
}

void Reactor::stop() {
  std::lock_guard lock(mutex_);
  stopping_ = true;
  rouse();
}

bool Reactor::closed() {
  std::lock_guard lock(mutex_);
  return closed_;
}

void Reactor::close() {
  std::vector<Work> posted;
  std::vector<Timed> timed;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    posted.swap(posted_);
    timed.swap(posted_timed_);
  }
  // What they destroy may post and watch.
  posted.clear();
  timed.clear();
  std::exchange(ready_, {}).clear();
  std::exchange(timed_, {}).clear();
}

Reactors::Reactors(int threads) {
  if (threads <= 0) threads = processors();
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
