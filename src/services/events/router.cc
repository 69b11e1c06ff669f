#include "services/events/router.h"

#include <aws/events/errors.h>

#include <algorithm>

#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/context.h"
#include "kernel/target_delivery.h"
#include "kv/record.h"
#include "services/events/limits.h"

namespace virga::events {

namespace {

// An event and rules whose targets have not been given it yet.
struct Rest {
  Home home;
  Event event;
  std::vector<RuleRecord> rules;
  template <class A>
  void fields(A& a) {
    a(1, home.account), a(2, home.region), a(3, event), a(4, rules);
  }
};

}  // namespace

std::string envelope(const Envelope& e) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.key("version");
  w.string("0");
  w.key("id");
  w.string(e.id);
  w.key("detail-type");
  w.string(e.detail_type);
  w.key("source");
  w.string(e.source);
  w.key("account");
  w.string(e.account);
  w.key("time");
  w.string(iso8601(Time::from_seconds(e.time.seconds())));
  w.key("region");
  w.string(e.region);
  w.key("resources");
  w.raw(e.resources);
  if (!e.replay.empty()) {
    w.key("replay-name");
    w.string(e.replay);
  }
  w.key("detail");
  w.raw(e.detail);
  w.end_object();
  return out;
}

std::string bus_arn(const Home& home, std::string_view bus) {
  return cat("arn:aws:events:", home.region, ":", home.account, ":event-bus/", bus);
}

std::string rule_arn(const Home& home, std::string_view bus, std::string_view rule) {
  return cat("arn:aws:events:", home.region, ":", home.account, ":rule/", bus == "default" ? "" : cat(bus, "/"), rule);
}

Task<std::shared_ptr<const Router::View>> Router::view(kv::Txn& tx, const Home& home, const std::string& bus) {
  const WriteStore store(tx, home);
  const std::string name = cat(home.account, '/', home.region, '/', bus);
  const std::string generation = co_await store.generation(bus);
  {
    std::lock_guard lock(mutex_);
    const auto kept = views_.find(name);
    if (kept != views_.end() && kept->second->generation == generation) co_return kept->second;
  }
  auto made = std::make_shared<View>();
  made->generation = generation;
  made->exists = bus == "default" || co_await store.find<BusRecord>(bus);
  std::vector<kernel::EventPattern> patterns;
  for (RuleRecord& rule : co_await store.list<RuleRecord>("", "", SIZE_MAX, bus)) {
    if (!rule.enabled || rule.pattern.empty() || rule.targets.empty()) continue;
    patterns.push_back(kernel::EventPattern::parse(rule.pattern));
    if (may_want_calls(rule.pattern)) {
      made->calls.changes = true;
      made->calls.reads |= rule.management_events;
    }
    made->rules.push_back(std::move(rule));
  }
  for (ArchiveRecord& archive : co_await store.list<ArchiveRecord>("", "", SIZE_MAX)) {
    if (archive.bus != bus) continue;
    made->calls.changes |= archive.pattern.empty() || may_want_calls(archive.pattern);
    if (!archive.pattern.empty()) {
      patterns.push_back(kernel::EventPattern::parse(archive.pattern));
      made->patterned.push_back(made->archives.size());
    }
    made->archives.push_back(std::move(archive));
  }
  made->machine = kernel::PatternMachine(patterns);
  std::lock_guard lock(mutex_);
  if (views_.size() >= kKeptBuses) views_.clear();
  views_[name] = made;
  co_return made;
}

// Source and detail type decide, for those that name one.
bool Router::may_want_calls(const std::string& pattern) const {
  const Json whole = Json::parse(pattern);
  Json part = Json::object();
  for (const char* name : {"source", "detail-type"}) {
    if (const Json* tests = whole.find(name)) part[name] = *tests;
  }
  if (part.as_object().empty()) return true;
  const kernel::EventPattern wanted = kernel::EventPattern::parse(part.dump());
  for (const auto& service : deps_.cloud.services()) {
    const Json call =
        Json::object({{"source", cat("aws.", service->model().signing_name)}, {"detail-type", kCallDetailType}});
    if (wanted.matches_value(call)) return true;
  }
  return false;
}

Task<Router::Interest> Router::interest(kv::Txn& tx, Home home) {
  co_return (co_await view(tx, home, "default"))->calls;
}

Task<bool> Router::route(kv::Txn& tx, Home home, std::string bus, Event event) {
  const auto here = co_await view(tx, home, bus);
  if (!here->exists) co_return false;
  if (here->rules.empty() && here->archives.empty()) co_return true;
  kernel::PatternScratch scratch;
  std::vector<uint32_t> matched;
  here->machine.match(event.text, scratch, matched);
  std::sort(matched.begin(), matched.end());
  WriteStore store(tx, home);
  std::vector<const RuleRecord*> wanting;
  for (const uint32_t index : matched) {
    if (index < here->rules.size()) {
      const RuleRecord& rule = here->rules[index];
      if (!event.only.empty() &&
          std::find(event.only.begin(), event.only.end(), rule_arn(home, bus, rule.name)) == event.only.end()) {
        continue;
      }
      if (event.read_only && !rule.management_events) continue;
      wanting.push_back(&rule);
    } else if (event.replay.empty() && !event.read_only) {
      store.archive(here->archives[here->patterned[index - here->rules.size()]].name, event.ingested, event.text);
    }
  }
  if (event.replay.empty() && !event.read_only) {
    for (const ArchiveRecord& archive : here->archives) {
      if (archive.pattern.empty()) store.archive(archive.name, event.ingested, event.text);
    }
  }
  give_all(tx, home, wanting, event);
  co_return true;
}

void Router::give_all(kv::Txn& tx, const Home& home, const std::vector<const RuleRecord*>& rules, const Event& event) {
  size_t bytes = 0;
  Rest rest{home, event, {}};
  for (const RuleRecord* rule : rules) {
    const size_t more = rule->targets.size() * event.text.size();
    if (rest.rules.empty() && (bytes == 0 || bytes + more <= kMostCopies)) {
      give(tx, home, *rule, event);
      bytes += more;
    } else {
      rest.rules.push_back(*rule);
    }
  }
  if (rest.rules.empty()) return;
  kernel::Delivery delivery;
  delivery.kind = kRest;
  delivery.lane = bus_arn(home, rest.rules.front().bus);
  delivery.payload = kv::encode(rest);
  deps_.deliveries.enqueue(tx, std::move(delivery));
}

Task<kernel::Verdict> Router::give_rest(kernel::Attempt attempt) {
  auto rest = std::make_shared<const Rest>(kv::decode<Rest>(attempt.payload));
  co_return kernel::Verdict::done().with([this, rest](kv::Txn& tx) -> Task<void> {
    std::vector<const RuleRecord*> rules;
    for (const RuleRecord& rule : rest->rules) rules.push_back(&rule);
    give_all(tx, rest->home, rules, rest->event);
    co_return;
  });
}

void Router::give(kv::Txn& tx, const Home& home, const RuleRecord& rule, const Event& event) {
  const std::string arn = rule_arn(home, rule.bus, rule.name);
  std::optional<Json> parsed;
  const auto json = [&]() -> const Json& {
    if (!parsed) parsed = Json::parse(event.text);
    return *parsed;
  };
  for (const TargetRecord& target : rule.targets) {
    const auto to = kernel::parse_arn(target.arn);
    if (!to) continue;
    kernel::TargetDelivery delivery;
    delivery.target = target.arn;
    delivery.input.trace = event.trace;
    std::string_view unusable;
    if (target.input) {
      delivery.input.body = *target.input;
    } else if (target.input_path) {
      const auto part = at_path(json(), *target.input_path);
      delivery.input.body = part ? part->dump() : "null";
    } else if (target.input_template) {
      auto filled = fill_template(*target.input_template, target.input_paths, json(), event.text,
                                  {arn, rule.name, event.ingested});
      if (!filled) unusable = filled.error();
      delivery.input.body = std::move(filled).value_or("");
    } else {
      delivery.input.body = event.text;
    }
    if (to->service == "events" && to->resource.starts_with("event-bus/")) {
      if (event.hops >= kMostHops) {
        log_warning("events", "an event went round too many buses and is not passed on",
                    {{"rule", arn}, {"event", event.id}});
        continue;
      }
      delivery.input.body = event.text;
      delivery.input.parameters = {{"Event", event.id}, {"Hops", cat(event.hops + 1)}};
    } else if (to->service == "events") {
      Json http = Json::object();
      for (const std::string& value : target.path_values) http["Path"].push_back(kernel::value_of(json(), value));
      for (const auto& [key, value] : target.headers) http["Headers"][key] = kernel::value_of(json(), value);
      for (const auto& [key, value] : target.query) http["Query"][key] = kernel::value_of(json(), value);
      delivery.input.parameters["Http"] = http.dump();
    } else if (to->service == "kinesis") {
      const auto key = target.partition_key_path.empty() ? std::nullopt : at_path(json(), target.partition_key_path);
      delivery.input.parameters["PartitionKey"] = key ? kernel::text_of(*key) : event.id;
    }
    delivery.input.group = target.message_group;
    delivery.account = home.account;
    delivery.region = home.region;
    delivery.service = "events.amazonaws.com";
    delivery.role = target.role;
    delivery.source_arn = arn;
    delivery.retry = {target.retries.value_or(kMaxRetries), target.max_age.value_or(kMaxAge)};
    if (!target.dead_letter.empty()) {
      kernel::DeadLetter& letter = delivery.dead_letter;
      letter.target = target.dead_letter;
      if (delivery.input.body != event.text) letter.input.body = event.text;
      letter.input.attributes["RULE_ARN"].value = arn;
      letter.input.attributes["TARGET_ARN"].value = target.arn;
      letter.input.attributes["ERROR_CODE"].value = "${kind}";
      letter.input.attributes["ERROR_MESSAGE"].value = "${message}";
      letter.input.attributes["EXHAUSTED_RETRY_CONDITION"].value = "${condition}";
      letter.input.attributes["RETRY_ATTEMPTS"].value = "${retries}";
    }
    if (!unusable.empty()) {
      deps_.targets.refuse(tx, delivery, err::ValidationException(std::string(unusable)));
    } else {
      deps_.targets.enqueue(tx, std::move(delivery));
    }
  }
}

}  // namespace virga::events
