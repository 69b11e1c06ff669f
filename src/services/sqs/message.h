// A message: what is kept of it, the checksums clients verify, and the handles they delete it with. Pure.
#pragma once

#include <aws/sqs/types.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace virga::sqs {

struct StoredAttribute {
  std::string name, type, value;
  bool binary = false;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, type), a(3, value), a(4, binary);
  }
};

struct StoredMessage {
  std::string id;
  std::string body;
  std::string body_md5;  // hex
  std::string sender;
  Time sent;
  std::vector<StoredAttribute> attributes;  // by name
  std::string trace;                        // AWSTraceHeader
  std::string group;
  std::string deduplication;
  Time due;                      // of a FIFO queue with a delay: not before
  std::string dead_letter_from;  // ARN of the queue it was moved from as a dead letter
  int64_t received = 0;          // receives in queues it was in before
  Time first_received;           // there
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, body), a(3, body_md5), a(4, sender), a(5, sent), a(6, attributes), a(7, trace), a(8, group);
    a(9, deduplication), a(10, due), a(11, dead_letter_from), a(12, received), a(13, first_received);
  }
};

// AWS's checksum over attributes in the order of their names; empty when there are none. Hex.
std::string attributes_md5(const std::vector<StoredAttribute>& attributes);
// The same for the one system attribute there is.
std::string trace_md5(std::string_view trace);

// Checked and brought into order. Throws what AWS refuses with.
std::vector<StoredAttribute> message_attributes(const std::map<std::string, MessageAttributeValue>& attributes);
std::string trace_header(const std::map<std::string, MessageSystemAttributeValue>& attributes);
// Bytes as AWS counts them against the limit.
size_t message_size(std::string_view body, const std::vector<StoredAttribute>& attributes);
// Whether every character is one that AWS takes in a body.
bool is_valid_body(std::string_view body);

// Twenty digits, as AWS's sequence numbers.
std::string sequence_number(uint64_t sequence);

// What a receipt handle says.
struct Handle {
  uint64_t queue = 0;     // QueueRecord::id
  uint64_t contents = 0;  // QueueRecord::contents
  uint64_t receive = 0;   // tells one receive of the message from another
  Time deadline;          // when the message becomes visible again, as of the receive
  std::string place;      // of a standard queue: where the message lies
  uint64_t sequence = 0;  // of a FIFO queue
  std::string group;      // of a FIFO queue
};
std::string encode_handle(const Handle& handle);
std::optional<Handle> decode_handle(std::string_view text);

}  // namespace virga::sqs
