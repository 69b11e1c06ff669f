#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/md5.h"
#include "kernel/cloud.h"
#include "kernel/deps.h"
#include "kernel/elapsed_clock.h"
#include "kernel/service.h"
#include "kv/db.h"

namespace virga::sqs {

// `elapsed` is what visibility, delays and deduplication last by; without it, the clock that all see.
std::unique_ptr<kernel::Service> make_sqs(kernel::Deps& deps, const kernel::ElapsedClock* elapsed = nullptr);
// Answers the receives that wait for a message, so that a Virga that stops need not wait for them. From any thread.
void end_waiting(kernel::Service& sqs);
// The same of the one receive that was called in the context of this request, if it waits now.
void end_waiting(kernel::Service& sqs, std::string_view queue_arn, std::string_view request_id);

// How the bodies of many messages begin: looked through and hashed once for all of them.
class Opening {
 public:
  explicit Opening(std::string text);
  const std::string& text() const { return text_; }
  bool valid() const { return valid_; }  // as is_valid_body says
  // The MD5 of the text and what follows it, in hexadecimal.
  std::string md5_with(std::string_view rest) const;

 private:
  std::string text_;
  bool valid_;
  Md5 md5_;
};

// Messages for many queues in one commit, that of the sender's own transaction: what a topic with a thousand queues
// needs.
class Post {
 public:
  virtual ~Post() = default;
  // One message to a standard queue as part of `tx`, as ctx.principal and as far as the queue's policy lets it; its
  // body is the opening and what `input` says. Fails as SendMessage does; then `tx` holds nothing of it.
  virtual Task<void> post(kernel::Ctx& ctx, kv::Txn& tx, std::string queue_arn, const Opening& opening,
                          kernel::TargetInput input) = 0;
};
// Of what make_sqs made.
Post& post_of(kernel::Service& sqs);

}  // namespace virga::sqs
