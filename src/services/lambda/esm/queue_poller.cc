// Queues: built once SQS is served.
#include "services/lambda/esm/engine.h"

namespace virga::lambda::esm {
namespace {
class QueuePoller final : public Poller {
 public:
  Task<void> run() override { co_return; }
  Task<void> wake() override { co_return; }
};
}  // namespace
std::unique_ptr<Poller> make_queue_poller(Work&) { return std::make_unique<QueuePoller>(); }
}  // namespace virga::lambda::esm
