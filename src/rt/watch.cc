#include "rt/watch.h"

#include <sys/epoll.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "rt/reactor.h"

namespace virga::rt {

namespace {
// Of what nobody waits for the kernel tells the edges at most, which are few: a descriptor that were taken from its set
// might not be taken in again, when memory is short.
constexpr uint32_t kEdges = EPOLLET;
}  // namespace

Watch::Watch(Reactor& reactor, int fd) : reactor_(reactor), fd_(fd), armed_(EPOLLIN) {
  if (const int error = reactor.control(EPOLL_CTL_ADD, fd, armed_, this))
    throw std::system_error(error, std::generic_category(), "cannot watch a descriptor");
}

Watch::~Watch() {
  cancel();
  reactor_.control(EPOLL_CTL_DEL, fd_, 0, this);
  reactor_.forget(this);
}

void Watch::wait(bool for_write, Done done) {
  Waits& waits = for_write ? writes_ : reads_;
  Done& place = waits[0] ? waits[1] : waits[0];
  if (place) throw std::logic_error("two already wait for this descriptor");
  place = std::move(done);
  arm((armed_ & ~kEdges) | wanted());
}

void Watch::cancel() {
  for (Waits* waits : {&reads_, &writes_}) {
    for (Done& done : *waits) {
      if (!done) continue;
      reactor_.post([done = std::exchange(done, nullptr)]() mutable { done(ECANCELED); });
    }
  }
}

// Whom it ends may destroy it.
void Watch::told(uint32_t events) {
  const uint32_t broken = events & (EPOLLERR | EPOLLHUP);
  Waits reads, writes;
  if (events & EPOLLIN || broken) reads = std::exchange(reads_, {});
  if (events & EPOLLOUT || broken) writes = std::exchange(writes_, {});
  if (!reads[0] && !writes[0]) {
    arm(wanted());  // nobody waits for it now: the kernel would tell it for ever
    return;
  }
  for (Waits* waits : {&writes, &reads}) {
    for (Done& done : *waits) {
      if (done) Reactor::perform([&] { done(0); });
    }
  }
}

uint32_t Watch::wanted() const {
  const uint32_t events = (reads_[0] || reads_[1] ? EPOLLIN : 0) | (writes_[0] || writes_[1] ? EPOLLOUT : 0);
  return events ? events : kEdges;
}

// To change what is told needs no memory: it can't fail.
void Watch::arm(uint32_t events) {
  if (events == armed_) return;
  reactor_.control(EPOLL_CTL_MOD, fd_, events, this);
  armed_ = events;
}

}  // namespace virga::rt
