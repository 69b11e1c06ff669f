// Keys and records of SNS. The only file that knows how they are spelled.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "kernel/context.h"
#include "kv/db.h"

namespace virga::sns {

using Attributes = std::map<std::string, std::string>;

using kernel::Home;

struct TopicId {
  std::string account, region, name;
  std::string arn() const;
  bool operator==(const TopicId&) const = default;
};

struct TopicRecord {
  std::string name;
  Time created;
  Attributes attributes;  // as they were set; what AWS adds by itself is made when they are read
  Attributes tags;
  std::string data_protection;
  Time archive_began;  // zero: it has no archive
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, created), a(3, attributes), a(4, tags), a(5, data_protection), a(6, archive_began);
  }
  bool fifo() const { return is("FifoTopic"); }
  bool is(const std::string& attribute) const;  // "true" in any case
  std::string attribute(const std::string& name) const;
};

struct TopicCounts {
  int64_t pending = 0, confirmed = 0, deleted = 0, filters = 0;
  template <class A>
  void fields(A& a) {
    a(1, pending), a(2, confirmed), a(3, deleted), a(4, filters);
  }
};

enum class Replay : uint8_t { kNone, kPending, kRunning, kCompleted, kFailed };

struct SubscriptionRecord {
  std::string id;  // the last part of its ARN
  std::string protocol, endpoint;
  std::string owner;      // account
  std::string principal;  // ARN of who subscribed
  bool confirmed = false;
  bool authenticated = false;  // by whom it was confirmed
  bool authenticate_on_unsubscribe = false;
  Attributes attributes;
  Time created;
  std::string base_url;  // where the subscriber reached us: URLs in what it is sent start with it
  Replay replay = Replay::kNone;
  std::string replayed_to;  // archive position
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, protocol), a(3, endpoint), a(4, owner), a(5, principal), a(6, confirmed), a(7, authenticated);
    a(8, authenticate_on_unsubscribe), a(9, attributes), a(10, created), a(11, base_url), a(12, replay);
    a(13, replayed_to);
  }
  bool is(const std::string& attribute) const;
  std::string attribute(const std::string& name) const;
  bool replaying() const { return replay == Replay::kPending || replay == Replay::kRunning; }
};

struct MessageAttribute {
  std::string type;   // "String", "Number", "Binary", "String.Array", with a custom suffix
  std::string value;  // of Binary: the bytes
  template <class A>
  void fields(A& a) {
    a(1, type), a(2, value);
  }
  bool operator==(const MessageAttribute&) const = default;
};

// A published message, or one of SNS's own to a subscriber.
struct Message {
  std::string type = "Notification";  // or SubscriptionConfirmation, UnsubscribeConfirmation
  std::string id, topic_arn;
  std::optional<std::string> subject;
  std::string body;        // with structure json: what "default" says
  Attributes by_protocol;  // with structure json: the other entries
  std::map<std::string, MessageAttribute> attributes;
  Time time;
  std::string sequence, group, deduplication;
  std::string trace;
  std::string signature_version = "1";
  std::string token, subscribe_url;  // of confirmations
  bool replayed = false;
  template <class A>
  void fields(A& a) {
    a(1, type), a(2, id), a(3, topic_arn), a(4, subject), a(5, body), a(6, by_protocol), a(7, attributes), a(8, time);
    a(9, sequence), a(10, group), a(11, deduplication), a(12, trace), a(13, signature_version), a(14, token);
    a(15, subscribe_url), a(16, replayed);
  }
  const std::string& for_protocol(const std::string& protocol) const;
};

struct Deduplicated {
  std::string message_id, sequence;
  Time expires;
  template <class A>
  void fields(A& a) {
    a(1, message_id), a(2, sequence), a(3, expires);
  }
};

struct ApplicationRecord {
  std::string platform, name;
  Attributes attributes;
  Time created;
  template <class A>
  void fields(A& a) {
    a(1, platform), a(2, name), a(3, attributes), a(4, created);
  }
};
struct EndpointRecord {
  std::string id;
  Attributes attributes;  // Token, Enabled, CustomUserData
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, attributes);
  }
};

struct SandboxNumber {
  std::string number;
  bool verified = false;
  std::string password;
  template <class A>
  void fields(A& a) {
    a(1, number), a(2, verified), a(3, password);
  }
};

struct KeyRecord {
  std::string id, private_pem, certificate_pem;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, private_pem), a(3, certificate_pem);
  }
};

// Where a message stands in a topic's archive: its time, then its sequence number. Compares as bytes.
using ArchivePosition = std::string;
ArchivePosition archive_position(Time time, std::string_view sequence = "");

class Store {
 public:
  explicit Store(kv::Reader& reader) : reader_(reader) {}

  Task<std::optional<TopicRecord>> find_topic(TopicId id) const;
  Task<std::vector<TopicRecord>> list_topics(Home home, std::string after, size_t limit) const;
  Task<TopicCounts> counts(TopicId id) const;

  Task<std::optional<SubscriptionRecord>> find_subscription(TopicId topic, std::string id) const;
  // By id, after `after`.
  Task<std::vector<SubscriptionRecord>> list_subscriptions(TopicId topic, std::string after, size_t limit) const;
  // Of an account, over all topics: topic and subscription id, after `after` (of the same form).
  struct Owned {
    TopicId topic;
    std::string id, key;
  };
  Task<std::vector<Owned>> list_owned(Home home, std::string after, size_t limit) const;
  // The id of the topic's subscription of this endpoint.
  Task<std::optional<std::string>> find_same(TopicId topic, std::string protocol, std::string endpoint) const;
  // A subscription that was ended and can still be restored.
  Task<std::optional<SubscriptionRecord>> find_ended(TopicId topic, std::string id) const;

  Task<std::optional<Deduplicated>> find_duplicate(TopicId topic, std::string scope, std::string id) const;
  struct Archived {
    ArchivePosition position;
    Message message;
  };
  Task<std::vector<Archived>> read_archive(TopicId topic, ArchivePosition after, ArchivePosition until,
                                           size_t limit) const;

  Task<std::optional<ApplicationRecord>> find_application(Home home, std::string platform, std::string name) const;
  Task<std::vector<ApplicationRecord>> list_applications(Home home, std::string after, size_t limit) const;
  static std::string application_after(const ApplicationRecord& last);
  Task<std::optional<EndpointRecord>> find_endpoint(Home home, std::string platform, std::string application,
                                                    std::string id) const;
  Task<std::optional<std::string>> find_endpoint_of_token(Home home, std::string platform, std::string application,
                                                          std::string token) const;
  Task<std::vector<EndpointRecord>> list_endpoints(Home home, std::string platform, std::string application,
                                                   std::string after, size_t limit) const;

  Task<Attributes> sms_attributes(Home home) const;
  Task<std::vector<std::string>> opted_out(Home home, std::string after, size_t limit) const;
  Task<bool> is_opted_out(Home home, std::string number) const;
  Task<std::optional<SandboxNumber>> find_sandbox_number(Home home, std::string number) const;
  Task<std::vector<SandboxNumber>> sandbox_numbers(Home home, std::string after, size_t limit) const;

  Task<std::optional<KeyRecord>> signing_key() const;

 protected:
  kv::Reader& reader_;
};

class WriteStore : public Store {
 public:
  explicit WriteStore(kv::Txn& tx) : Store(tx), tx_(tx) {}

  void put_topic(const TopicId& id, const TopicRecord& topic);
  void erase_topic(const TopicId& id);  // with everything in it but the owners' index of its subscriptions
  void put_counts(const TopicId& id, const TopicCounts& counts);

  void put_subscription(const TopicId& topic, const SubscriptionRecord& subscription);  // new or changed
  void erase_subscription(const TopicId& topic, const SubscriptionRecord& subscription);
  void erase_owned(const TopicId& topic, const SubscriptionRecord& subscription);
  void put_ended(const TopicId& topic, const SubscriptionRecord& subscription);
  void erase_ended(const TopicId& topic, const std::string& id);

  // The next sequence number of a FIFO topic.
  Task<int64_t> next_sequence(const TopicId& topic);
  void remember(const TopicId& topic, const std::string& scope, const std::string& id, const Deduplicated& first);
  // Forgets up to `most` of what was remembered and has expired.
  Task<void> forget_expired(TopicId topic, Time now, size_t most);
  void archive(const TopicId& topic, const Message& message);
  void erase_archive_before(const TopicId& topic, Time time);

  void put_application(const Home& home, const ApplicationRecord& application);
  void erase_application(const Home& home, const ApplicationRecord& application);  // with its endpoints
  void put_endpoint(const Home& home, const ApplicationRecord& application, const EndpointRecord& endpoint,
                    const std::string& former_token);
  void erase_endpoint(const Home& home, const ApplicationRecord& application, const EndpointRecord& endpoint);

  void put_sms_attributes(const Home& home, const Attributes& attributes);
  void put_opted_out(const Home& home, const std::string& number, bool out);
  void put_sandbox_number(const Home& home, const SandboxNumber& number);
  void erase_sandbox_number(const Home& home, const std::string& number);
  void put_signing_key(const KeyRecord& key);

 private:
  kv::Txn& tx_;
};

}  // namespace virga::sns
