// Mail, text messages and push notifications that would leave for people: kept where the operator of this Virga sees
// them (GET /_virga/outbox, `virga outbox`), because nothing here has a mail server or a telephone company. The newest
// kOutboxKept of them stay.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "kv/db.h"

namespace virga::kernel {

inline constexpr size_t kOutboxKept = 10'000;

struct OutboxItem {
  Time time;
  std::string service;  // "sns"
  std::string account, region;
  std::string kind;  // "email", "sms", "push"
  std::string to;    // address, number, device token
  std::string subject, body;
  std::map<std::string, std::string> details;  // what the service has to say of it: MessageId, TopicArn
  template <class A>
  void fields(A& a) {
    a(1, time), a(2, service), a(3, account), a(4, region), a(5, kind), a(6, to), a(7, subject), a(8, body);
    a(9, details);
  }
};

// Part of the transaction. Never in conflict with others.
void put_in_outbox(kv::Txn& tx, const OutboxItem& item);
// The newest first; only those of `to` when it is not empty.
Task<std::vector<OutboxItem>> read_outbox(kv::Reader& reader, std::string to, size_t limit);
// A delivery's kind: what a person answers to a service's message. Its payload is the message, as an item, with the
// answer for a body.
inline std::string reply_kind(std::string_view service) { return std::string(service) + ".reply"; }
Json outbox_json(const std::vector<OutboxItem>& items);
// Erases all but the newest kOutboxKept.
Task<void> trim_outbox(kv::Db& db);

}  // namespace virga::kernel
