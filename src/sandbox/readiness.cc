#include "sandbox/readiness.h"

#include <optional>

#include "rt/reactor.h"
#include "rt/watch.h"
#include "sandbox/loop.h"

namespace virga::sandbox {
namespace {

class OnReactor final : public Readiness {
 public:
  OnReactor(rt::Reactor& reactor, int fd, std::function<void()> ready) : state_(std::make_shared<State>()) {
    state_->ready = std::move(ready);
    state_->watch.emplace(reactor, fd);
    start_background("sandbox", pump(state_));
  }
  ~OnReactor() override {
    state_->live = false;
    // Ends the waits under way; the coroutines then find themselves dead.
    state_->watch.reset();
  }
  void want_write() override {
    if (state_->writing) return;
    state_->writing = true;
    start_background("sandbox", write_once(state_));
  }
  void hold() override { state_->held = true; }
  void again() override {
    state_->held = false;
    if (state_->pumping) return;
    start_background("sandbox", pump(state_));
  }

 private:
  struct State {
    std::function<void()> ready;
    std::optional<rt::Watch> watch;
    bool live = true;
    bool held = false;
    bool pumping = false;
    bool writing = false;
  };
  static Task<void> pump(std::shared_ptr<State> state) {
    state->pumping = true;
    while (state->live && !state->held) {
      if (co_await state->watch->readable() != 0) break;
      if (state->live && !state->held) state->ready();
    }
    state->pumping = false;
  }
  static Task<void> write_once(std::shared_ptr<State> state) {
    const int error = co_await state->watch->writable();
    state->writing = false;
    if (error == 0 && state->live) state->ready();
  }

  std::shared_ptr<State> state_;
};

}  // namespace

std::unique_ptr<Readiness> watch_readiness(Loop& loop, Executor& home, int fd, std::function<void()> ready) {
  if (rt::Reactor* reactor = rt::Reactor::here(); reactor && reactor == &home) {
    return std::make_unique<OnReactor>(*reactor, fd, std::move(ready));
  }
  return loop.watch(fd, &home, std::move(ready));
}

}  // namespace virga::sandbox
