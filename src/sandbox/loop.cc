#include "sandbox/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <csignal>

#include "sandbox/jail/error.h"

namespace virga::sandbox {

using jail::must;

namespace {

void drain(const Fd& counter) {
  uint64_t count;
  [[maybe_unused]] const ssize_t n = ::read(counter.get(), &count, sizeof count);
}

}  // namespace

struct Loop::Entry {
  std::function<void()> ready;
  Executor* executor = nullptr;
  std::atomic<bool> posted = false;
  bool live = true;  // on the executor's thread only
};

class Loop::Watched final : public Readiness {
 public:
  Watched(Loop& loop, uint64_t key, int fd, std::shared_ptr<Entry> entry)
      : loop_(loop), key_(key), fd_(fd), entry_(std::move(entry)) {}
  ~Watched() override {
    entry_->live = false;
    ::epoll_ctl(loop_.poll_.get(), EPOLL_CTL_DEL, fd_, nullptr);
    std::lock_guard lock(loop_.mutex_);
    loop_.entries_.erase(key_);
  }

 private:
  Loop& loop_;
  uint64_t key_;
  int fd_;
  std::shared_ptr<Entry> entry_;
};

Loop::Loop() {
  poll_.reset(must(::epoll_create1(EPOLL_CLOEXEC), "epoll"));
  wake_.reset(must(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
  timer_.reset(must(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd"));
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  for (const Fd* fd : {&wake_, &timer_}) must(::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd->get(), &event), "epoll");
}

Loop::~Loop() {
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake();
  if (thread_.joinable()) thread_.join();
}

void Loop::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
}

// With the lock held. The thread sleeps on until the first is due, whoever planned it.
void Loop::arm() {
  const auto due = std::chrono::duration_cast<std::chrono::nanoseconds>(timed_.begin()->first.time_since_epoch());
  itimerspec when{};
  when.it_value = {.tv_sec = due.count() / 1'000'000'000, .tv_nsec = due.count() % 1'000'000'000};
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void Loop::ensure_thread() {
  if (started_ || ended_) return;
  started_ = true;
  thread_ = std::thread([this] { run(); });
}

void Loop::post(std::move_only_function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    ready_.push_back(std::move(work));
    ensure_thread();
  }
  if (current() != this) wake();
}

void Loop::post_after(Micros delay, std::move_only_function<void()> work) {
  std::lock_guard lock(mutex_);
  const auto planned = timed_.emplace(std::chrono::steady_clock::now() + delay, std::move(work));
  if (planned == timed_.begin()) arm();
  ensure_thread();
}

std::unique_ptr<Readiness> Loop::watch(int fd, Executor* executor, std::function<void()> ready) {
  auto entry = std::make_shared<Entry>();
  entry->ready = std::move(ready);
  entry->executor = executor;
  uint64_t key;
  {
    std::lock_guard lock(mutex_);
    key = next_key_++;
    entries_.emplace(key, entry);
    ensure_thread();
  }
  const uint32_t writing = executor ? EPOLLOUT : 0;
  epoll_event event{.events = EPOLLIN | writing | EPOLLRDHUP | EPOLLET, .data = {.u64 = key}};
  must(::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event), "watch a descriptor");
  return std::make_unique<Watched>(*this, key, fd, std::move(entry));
}

void Loop::run() {
  set_current(this);
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (true) {
    std::vector<std::move_only_function<void()>> batch;
    {
      std::lock_guard lock(mutex_);
      if (ended_) return;
      const auto now = std::chrono::steady_clock::now();
      const size_t planned = timed_.size();
      while (!timed_.empty() && timed_.begin()->first <= now) {
        ready_.push_back(std::move(timed_.begin()->second));
        timed_.erase(timed_.begin());
      }
      if (timed_.size() < planned && !timed_.empty()) arm();
      batch.swap(ready_);
    }
    if (!batch.empty()) {
      for (auto& work : batch) work();
      continue;
    }
    epoll_event events[64];
    const int count = ::epoll_wait(poll_.get(), events, 64, -1);
    for (int i = 0; i < count; ++i) {
      const uint64_t key = events[i].data.u64;  // the kernel's structure is packed: no reference to it
      if (key == 0) {
        drain(wake_);
        drain(timer_);
        continue;
      }
      std::shared_ptr<Entry> entry;
      {
        std::lock_guard lock(mutex_);
        const auto found = entries_.find(key);
        if (found != entries_.end()) entry = found->second;
      }
      if (!entry || entry->posted.exchange(true)) continue;
      auto call = [entry] {
        entry->posted = false;
        if (entry->live) entry->ready();
      };
      if (entry->executor && entry->executor != this) {
        entry->executor->post(std::move(call));
      } else {
        call();
      }
    }
  }
}

}  // namespace virga::sandbox
