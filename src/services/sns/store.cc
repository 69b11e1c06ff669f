#include "services/sns/store.h"

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::sns {
namespace {

kv::KeyWriter key(std::string_view part) { return std::move(kv::KeyWriter("sns").raw(part)); }
kv::KeyWriter at_home(std::string_view part, const Home& home) {
  return std::move(key(part).text(home.account).text(home.region));
}
kv::KeyWriter of_topic(std::string_view part, const TopicId& id) {
  return std::move(at_home(part, {id.account, id.region}).text(id.name));
}

std::string topic_key(const TopicId& id) { return of_topic("t", id); }
std::string counts_key(const TopicId& id) { return of_topic("c", id); }
std::string subscription_prefix(const TopicId& id) { return of_topic("s", id); }
std::string subscription_key(const TopicId& id, std::string_view sub) { return of_topic("s", id).text(sub); }
std::string ended_key(const TopicId& id, std::string_view sub) { return of_topic("x", id).text(sub); }
std::string same_key(const TopicId& id, std::string_view protocol, std::string_view endpoint) {
  return of_topic("e", id).raw(sha256(cat(protocol, "\n", endpoint)));
}
std::string owned_prefix(const Home& home) { return at_home("o", home); }
std::string owned_key(const TopicId& id, const std::string& owner, std::string_view sub) {
  return at_home("o", {owner, id.region}).text(id.account).text(id.name).text(sub);
}
std::string sequence_key(const TopicId& id) { return of_topic("q", id); }
std::string duplicate_key(const TopicId& id, std::string_view scope, std::string_view dedup) {
  return of_topic("d", id).text(scope).text(dedup);
}
std::string expiry_prefix(const TopicId& id) { return of_topic("f", id); }
std::string archive_prefix(const TopicId& id) { return of_topic("a", id); }

std::string application_prefix(const Home& home) { return at_home("pa", home); }
std::string application_key(const Home& home, std::string_view platform, std::string_view name) {
  return at_home("pa", home).text(platform).text(name);
}
std::string endpoint_prefix(const Home& home, std::string_view platform, std::string_view name) {
  return at_home("pe", home).text(platform).text(name);
}
std::string endpoint_key(const Home& home, std::string_view platform, std::string_view name, std::string_view id) {
  return at_home("pe", home).text(platform).text(name).text(id);
}
std::string token_prefix(const Home& home, std::string_view platform, std::string_view name) {
  return at_home("pt", home).text(platform).text(name);
}
std::string token_key(const Home& home, std::string_view platform, std::string_view name, std::string_view token) {
  return at_home("pt", home).text(platform).text(name).raw(sha256(token));
}
std::string sms_key(const Home& home) { return at_home("ms", home); }
std::string opted_prefix(const Home& home) { return at_home("mo", home); }
std::string opted_key(const Home& home, std::string_view number) { return at_home("mo", home).text(number); }
std::string sandbox_prefix(const Home& home) { return at_home("mb", home); }
std::string sandbox_key(const Home& home, std::string_view number) { return at_home("mb", home).text(number); }
std::string signing_key_key() { return key("k"); }

kv::Range after_key(const std::string& prefix, const std::string& last) {
  return {last.empty() ? prefix : kv::prefix_end(last), kv::prefix_end(prefix)};
}

bool is_true(const Attributes& attributes, const std::string& name) {
  const auto found = attributes.find(name);
  return found != attributes.end() && equals_ignoring_case(found->second, "true");
}
std::string value_of(const Attributes& attributes, const std::string& name) {
  const auto found = attributes.find(name);
  return found == attributes.end() ? std::string() : found->second;
}

template <class T>
Task<std::optional<T>> find_record(kv::Reader& reader, std::string key) {
  const auto bytes = co_await reader.get(std::move(key));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<T>(*bytes);
}

template <class T>
Task<std::vector<T>> list_records(kv::Reader& reader, kv::Range range, size_t limit) {
  std::vector<T> out;
  for (const kv::Entry& entry : co_await reader.scan(std::move(range), {.limit = limit}))
    out.push_back(kv::decode<T>(entry.value));
  co_return out;
}

}  // namespace

std::string TopicId::arn() const { return cat("arn:aws:sns:", region, ":", account, ":", name); }

bool TopicRecord::is(const std::string& attribute) const { return is_true(attributes, attribute); }
std::string TopicRecord::attribute(const std::string& name) const { return value_of(attributes, name); }
bool SubscriptionRecord::is(const std::string& attribute) const { return is_true(attributes, attribute); }
std::string SubscriptionRecord::attribute(const std::string& name) const { return value_of(attributes, name); }

const std::string& Message::for_protocol(const std::string& protocol) const {
  const auto own = by_protocol.find(protocol);
  return own == by_protocol.end() ? body : own->second;
}

ArchivePosition archive_position(Time time, std::string_view sequence) {
  std::string out;
  append_be64(out, static_cast<uint64_t>(time.micros));
  out += sequence;
  return out;
}

Task<std::optional<TopicRecord>> Store::find_topic(TopicId id) const {
  return find_record<TopicRecord>(reader_, topic_key(id));
}

Task<std::vector<TopicRecord>> Store::list_topics(Home home, std::string after, size_t limit) const {
  const std::string last = after.empty() ? "" : topic_key({home.account, home.region, after});
  return list_records<TopicRecord>(reader_, after_key(at_home("t", home), last), limit);
}

Task<TopicCounts> Store::counts(TopicId id) const {
  co_return (co_await find_record<TopicCounts>(reader_, counts_key(id))).value_or(TopicCounts{});
}

Task<std::optional<SubscriptionRecord>> Store::find_subscription(TopicId topic, std::string id) const {
  return find_record<SubscriptionRecord>(reader_, subscription_key(topic, id));
}

Task<std::vector<SubscriptionRecord>> Store::list_subscriptions(TopicId topic, std::string after, size_t limit) const {
  const std::string last = after.empty() ? "" : subscription_key(topic, after);
  return list_records<SubscriptionRecord>(reader_, after_key(subscription_prefix(topic), last), limit);
}

Task<std::vector<Store::Owned>> Store::list_owned(Home home, std::string after, size_t limit) const {
  const std::string prefix = owned_prefix(home);
  const std::string last = after.empty() ? "" : cat(prefix, after);
  std::vector<Owned> out;
  for (const kv::Entry& entry : co_await reader_.scan(after_key(prefix, last), {.limit = limit})) {
    Owned owned;
    owned.key = entry.key.substr(prefix.size());
    kv::KeyReader parts(owned.key);
    owned.topic.account = parts.text();
    owned.topic.region = home.region;
    owned.topic.name = parts.text();
    owned.id = parts.text();
    out.push_back(std::move(owned));
  }
  co_return out;
}

Task<std::optional<std::string>> Store::find_same(TopicId topic, std::string protocol, std::string endpoint) const {
  return reader_.get(same_key(topic, protocol, endpoint));
}

Task<std::optional<SubscriptionRecord>> Store::find_ended(TopicId topic, std::string id) const {
  return find_record<SubscriptionRecord>(reader_, ended_key(topic, id));
}

Task<std::optional<Deduplicated>> Store::find_duplicate(TopicId topic, std::string scope, std::string id) const {
  return find_record<Deduplicated>(reader_, duplicate_key(topic, scope, id));
}

Task<std::vector<Store::Archived>> Store::read_archive(TopicId topic, ArchivePosition after, ArchivePosition until,
                                                       size_t limit) const {
  const std::string prefix = archive_prefix(topic);
  // The first position after `after`: positions have no common prefixes but equal ones.
  kv::Range range{cat(prefix, after, std::string_view("\0", 1)),
                  until.empty() ? kv::prefix_end(prefix) : prefix + until};
  if (after.empty()) range.begin = prefix;
  std::vector<Archived> out;
  for (kv::Entry& entry : co_await reader_.scan(range, {.limit = limit}))
    out.push_back({entry.key.substr(prefix.size()), kv::decode<Message>(entry.value)});
  co_return out;
}

Task<std::optional<ApplicationRecord>> Store::find_application(Home home, std::string platform,
                                                               std::string name) const {
  return find_record<ApplicationRecord>(reader_, application_key(home, platform, name));
}

Task<std::vector<ApplicationRecord>> Store::list_applications(Home home, std::string after, size_t limit) const {
  const std::string prefix = application_prefix(home);
  return list_records<ApplicationRecord>(reader_, after_key(prefix, after.empty() ? "" : prefix + after), limit);
}

std::string Store::application_after(const ApplicationRecord& last) {
  return application_key({"", ""}, last.platform, last.name).substr(application_prefix({"", ""}).size());
}

Task<std::optional<EndpointRecord>> Store::find_endpoint(Home home, std::string platform, std::string application,
                                                         std::string id) const {
  return find_record<EndpointRecord>(reader_, endpoint_key(home, platform, application, id));
}

Task<std::optional<std::string>> Store::find_endpoint_of_token(Home home, std::string platform, std::string application,
                                                               std::string token) const {
  return reader_.get(token_key(home, platform, application, token));
}

Task<std::vector<EndpointRecord>> Store::list_endpoints(Home home, std::string platform, std::string application,
                                                        std::string after, size_t limit) const {
  const std::string last = after.empty() ? "" : endpoint_key(home, platform, application, after);
  return list_records<EndpointRecord>(reader_, after_key(endpoint_prefix(home, platform, application), last), limit);
}

Task<Attributes> Store::sms_attributes(Home home) const {
  const auto bytes = co_await reader_.get(sms_key(home));
  co_return bytes ? kv::decode<Attributes>(*bytes) : Attributes{};
}

Task<std::vector<std::string>> Store::opted_out(Home home, std::string after, size_t limit) const {
  const std::string last = after.empty() ? "" : opted_key(home, after);
  return list_records<std::string>(reader_, after_key(opted_prefix(home), last), limit);
}

Task<bool> Store::is_opted_out(Home home, std::string number) const {
  co_return (co_await reader_.get(opted_key(home, number))).has_value();
}

Task<std::optional<SandboxNumber>> Store::find_sandbox_number(Home home, std::string number) const {
  return find_record<SandboxNumber>(reader_, sandbox_key(home, number));
}

Task<std::vector<SandboxNumber>> Store::sandbox_numbers(Home home, std::string after, size_t limit) const {
  const std::string last = after.empty() ? "" : sandbox_key(home, after);
  return list_records<SandboxNumber>(reader_, after_key(sandbox_prefix(home), last), limit);
}

Task<std::optional<KeyRecord>> Store::signing_key() const { return find_record<KeyRecord>(reader_, signing_key_key()); }

void WriteStore::put_topic(const TopicId& id, const TopicRecord& topic) { tx_.put(topic_key(id), kv::encode(topic)); }

void WriteStore::erase_topic(const TopicId& id) {
  tx_.erase(topic_key(id));
  tx_.erase(counts_key(id));
  for (const char* part : {"s", "e", "x", "q", "d", "f", "a"})
    tx_.erase_range(kv::prefix_range(of_topic(part, id).view()));
}

void WriteStore::put_counts(const TopicId& id, const TopicCounts& counts) {
  tx_.put(counts_key(id), kv::encode(counts));
}

void WriteStore::put_subscription(const TopicId& topic, const SubscriptionRecord& subscription) {
  tx_.put(subscription_key(topic, subscription.id), kv::encode(subscription));
  tx_.put(same_key(topic, subscription.protocol, subscription.endpoint), subscription.id);
  tx_.put(owned_key(topic, subscription.owner, subscription.id), "");
}

void WriteStore::erase_subscription(const TopicId& topic, const SubscriptionRecord& subscription) {
  tx_.erase(subscription_key(topic, subscription.id));
  tx_.erase(same_key(topic, subscription.protocol, subscription.endpoint));
  erase_owned(topic, subscription);
}

void WriteStore::erase_owned(const TopicId& topic, const SubscriptionRecord& subscription) {
  tx_.erase(owned_key(topic, subscription.owner, subscription.id));
}

void WriteStore::put_ended(const TopicId& topic, const SubscriptionRecord& subscription) {
  tx_.put(ended_key(topic, subscription.id), kv::encode(subscription));
}

void WriteStore::erase_ended(const TopicId& topic, const std::string& id) { tx_.erase(ended_key(topic, id)); }

Task<int64_t> WriteStore::next_sequence(const TopicId& topic) {
  const std::string at = sequence_key(topic);
  const auto bytes = co_await tx_.get(at);
  const int64_t next = (bytes ? kv::decode<int64_t>(*bytes) : 0) + 1;
  tx_.put(at, kv::encode(next));
  co_return next;
}

void WriteStore::remember(const TopicId& topic, const std::string& scope, const std::string& id,
                          const Deduplicated& first) {
  const std::string at = duplicate_key(topic, scope, id);
  tx_.put(at, kv::encode(first));
  tx_.put(of_topic("f", topic).time(first.expires).raw(first.sequence), at);
}

Task<void> WriteStore::forget_expired(TopicId topic, Time now, size_t most) {
  const std::string prefix = expiry_prefix(topic);
  const kv::Range expired{prefix, of_topic("f", topic).time(now)};
  for (const kv::Entry& entry : co_await tx_.scan(expired, {.limit = most})) {
    tx_.erase(entry.key);
    // The same id may have been sent again since; then what is remembered is newer.
    const auto bytes = co_await tx_.get(entry.value);
    if (bytes && kv::decode<Deduplicated>(*bytes).expires <= now) tx_.erase(entry.value);
  }
}

void WriteStore::archive(const TopicId& topic, const Message& message) {
  tx_.put(archive_prefix(topic) + archive_position(message.time, message.sequence), kv::encode(message));
}

void WriteStore::erase_archive_before(const TopicId& topic, Time time) {
  const std::string prefix = archive_prefix(topic);
  tx_.erase_range({prefix, prefix + archive_position(time)});
}

void WriteStore::put_application(const Home& home, const ApplicationRecord& application) {
  tx_.put(application_key(home, application.platform, application.name), kv::encode(application));
}

void WriteStore::erase_application(const Home& home, const ApplicationRecord& application) {
  tx_.erase(application_key(home, application.platform, application.name));
  tx_.erase_range(kv::prefix_range(endpoint_prefix(home, application.platform, application.name)));
  tx_.erase_range(kv::prefix_range(token_prefix(home, application.platform, application.name)));
}

void WriteStore::put_endpoint(const Home& home, const ApplicationRecord& application, const EndpointRecord& endpoint,
                              const std::string& former_token) {
  tx_.put(endpoint_key(home, application.platform, application.name, endpoint.id), kv::encode(endpoint));
  if (!former_token.empty()) tx_.erase(token_key(home, application.platform, application.name, former_token));
  tx_.put(token_key(home, application.platform, application.name, value_of(endpoint.attributes, "Token")), endpoint.id);
}

void WriteStore::erase_endpoint(const Home& home, const ApplicationRecord& application,
                                const EndpointRecord& endpoint) {
  tx_.erase(endpoint_key(home, application.platform, application.name, endpoint.id));
  tx_.erase(token_key(home, application.platform, application.name, value_of(endpoint.attributes, "Token")));
}

void WriteStore::put_sms_attributes(const Home& home, const Attributes& attributes) {
  tx_.put(sms_key(home), kv::encode(attributes));
}

void WriteStore::put_opted_out(const Home& home, const std::string& number, bool out) {
  if (out) {
    tx_.put(opted_key(home, number), kv::encode(number));
  } else {
    tx_.erase(opted_key(home, number));
  }
}

void WriteStore::put_sandbox_number(const Home& home, const SandboxNumber& number) {
  tx_.put(sandbox_key(home, number.number), kv::encode(number));
}

void WriteStore::erase_sandbox_number(const Home& home, const std::string& number) {
  tx_.erase(sandbox_key(home, number));
}

void WriteStore::put_signing_key(const KeyRecord& record) { tx_.put(signing_key_key(), kv::encode(record)); }

}  // namespace virga::sns
