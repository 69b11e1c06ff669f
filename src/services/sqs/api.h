#pragma once

#include <memory>
#include <string>

#include "kernel/cloud.h"
#include "kernel/deps.h"
#include "kernel/service.h"
#include "kv/db.h"

namespace virga::sqs {

std::unique_ptr<kernel::Service> make_sqs(kernel::Deps& deps);
// Answers the receives that wait for a message, so that a Virga that stops need not wait for them. From any thread.
void end_waiting(kernel::Service& sqs);

// Messages for many queues in one commit, that of the sender's own transaction: what a topic with a thousand queues
// needs.
class Post {
 public:
  virtual ~Post() = default;
  // One message to a standard queue as part of `tx`, as ctx.principal and as far as the queue's policy lets it. Fails
  // as SendMessage does; then `tx` holds nothing of it.
  virtual Task<void> post(kernel::Ctx& ctx, kv::Txn& tx, std::string queue_arn, kernel::TargetInput input) = 0;
};
// Of what make_sqs made.
Post& post_of(kernel::Service& sqs);

}  // namespace virga::sqs
