#include "base/worker_pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

namespace virga {

namespace {
constexpr std::chrono::seconds kIdle{10};
}

struct WorkerPool::State {
  std::mutex mutex;
  std::condition_variable wake, gone;
  std::deque<std::move_only_function<void()>> queue;
  size_t most, threads = 0, idle = 0;
  bool stopping = false;
};

WorkerPool::WorkerPool(size_t most_threads) : state_(std::make_shared<State>()) { state_->most = most_threads; }

WorkerPool::~WorkerPool() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->wake.notify_all();
  state_->gone.wait(lock, [&] { return state_->threads == 0; });
}

void WorkerPool::post(std::move_only_function<void()> work) {
  std::unique_lock lock(state_->mutex);
  state_->queue.push_back(std::move(work));
  if (state_->idle >= state_->queue.size()) {
    state_->wake.notify_one();
  } else if (state_->threads < state_->most) {
    ++state_->threads;
    try {
      std::thread([state = state_] { serve(state); }).detach();
    } catch (const std::system_error&) {
      if (--state_->threads > 0) return;  // those there are take the work; without any the caller is told
      const auto undone = std::move(state_->queue.back());
      state_->queue.pop_back();
      lock.unlock();  // what it destroys may have work, too
      throw;
    }
  }
}

void WorkerPool::serve(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  while (true) {
    if (!state->queue.empty()) {
      auto work = std::move(state->queue.front());
      state->queue.pop_front();
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
      continue;
    }
    if (state->stopping) break;
    ++state->idle;
    const bool woken = state->wake.wait_for(lock, kIdle, [&] { return !state->queue.empty() || state->stopping; });
    --state->idle;
    if (!woken) break;
  }
  if (--state->threads == 0) state->gone.notify_all();
}

}  // namespace virga
