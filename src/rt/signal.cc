#include "rt/signal.h"

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include "rt/reactor.h"

namespace virga::rt {

struct Signals::Impl {
  explicit Impl(Reactor& reactor) : set(reactor.context()) {}
  asio::signal_set set;
};

Signals::Signals(Reactor& reactor, std::initializer_list<int> numbers) : impl_(std::make_unique<Impl>(reactor)) {
  for (const int number : numbers) impl_->set.add(number);
}

Signals::~Signals() = default;

Task<int> Signals::next() {
  int number = 0;
  co_await suspend_until([this, &number](Resume resume) {
    impl_->set.async_wait([resume, &number](asio::error_code error, int n) {
      number = error ? 0 : n;
      resume();
    });
  });
  co_return number;
}

void Signals::cancel() {
  asio::error_code ignored;
  impl_->set.cancel(ignored);
}

}  // namespace virga::rt
