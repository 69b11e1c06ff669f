// What subscribers are sent, byte for byte as AWS writes it, and what is signed of it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "services/sns/store.h"

namespace virga::sns {

// The text that the signature of a message is of, which every verifier rebuilds from the envelope. `body` is what the
// message says to the subscription's protocol.
std::string string_to_sign(const Message& message, std::string_view body);

struct Signed {
  std::string signature;    // base64; empty: the envelope has none (FIFO topics)
  std::string certificate;  // URL
};

// The JSON document that SQS, HTTP and email-json subscriptions get: of one message the same for all but for one URL.
class Envelope {
 public:
  Envelope(const Message& message, std::string_view body, const Signed& signed_by);
  std::string with(std::string_view unsubscribe_url) const { return opening() + rest(unsubscribe_url); }
  // The same in two parts: what does not depend on the subscription, and what follows.
  const std::string& opening() const { return opening_; }
  std::string rest(std::string_view unsubscribe_url) const;

 private:
  std::string opening_, after_;
  bool confirms_;  // then it has no such URL
};
std::string envelope(const Message& message, std::string_view body, const Signed& signed_by,
                     std::string_view unsubscribe_url);

// The event that a function gets.
std::string lambda_event(const Message& message, std::string_view body, const Signed& signed_by,
                         std::string_view unsubscribe_url, std::string_view subscription_arn);

// What an e-mail says.
std::string email_text(const Message& message, std::string_view body, std::string_view endpoint,
                       std::string_view unsubscribe_url);

// Bytes that count towards the limit: the body and every attribute's name, type and value.
size_t size_of(const Message& message);

}  // namespace virga::sns
