#include "rt/watch.h"

#include <cerrno>

#include <asio/io_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>

#include "rt/reactor.h"

namespace virga::rt {

struct Watch::Impl {
  using Descriptor = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;
  Impl(Reactor& reactor, int fd) : descriptor(reactor.context(), fd) {}
  Descriptor descriptor;
};

Watch::Watch(Reactor& reactor, int fd) : impl_(std::make_unique<Impl>(reactor, fd)) {}

Watch::~Watch() { impl_->descriptor.release(); }

void Watch::cancel() {
  asio::error_code ignored;
  impl_->descriptor.cancel(ignored);
}

void Watch::wait(bool for_write, std::move_only_function<void(int)> done) {
  impl_->descriptor.async_wait(for_write ? Impl::Descriptor::wait_write : Impl::Descriptor::wait_read,
                               [done = std::move(done)](asio::error_code e) mutable {
                                 done(e ? (e == asio::error::operation_aborted ? ECANCELED : e.value()) : 0);
                               });
}

}  // namespace virga::rt
