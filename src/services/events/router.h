// From an event on a bus to deliveries to the targets of the rules it matches, and into archives, within the
// transaction that accepts the event.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "kernel/delivery.h"
#include "kernel/deps.h"
#include "kernel/event_pattern.h"
#include "services/events/store.h"
#include "services/events/transform.h"

namespace virga::events {

struct Event {
  std::string id;
  std::string text;  // the whole envelope, as JSON
  std::string trace;
  Time time, ingested;
  int hops = 0;                   // buses it came through
  std::string replay;             // the name of the replay that brings it back
  std::vector<std::string> only;  // ARNs of the rules that may take it; empty: all
  bool read_only = false;         // a call that only reads: for the rules that ask for such
  template <class A>
  void fields(A& a) {  // what targets are given depends on
    a(1, id), a(2, text), a(3, trace), a(4, time), a(5, ingested), a(6, hops);
  }
};

inline constexpr std::string_view kCallDetailType = "AWS API Call via CloudTrail";

// {"version":"0","id":…}; `detail` and `resources` are JSON. Seconds are the finest that `time` shows.
struct Envelope {
  std::string id, detail_type, source, account, region, resources = "[]", detail, replay;
  Time time;
};
std::string envelope(const Envelope& e);

std::string bus_arn(const Home& home, std::string_view bus);
std::string rule_arn(const Home& home, std::string_view bus, std::string_view rule);

class Router {
 public:
  static constexpr const char* kRest = "events.rest";

  explicit Router(kernel::Deps& deps) : deps_(deps) {}

  // False when there is no such bus: nothing happens then.
  Task<bool> route(kv::Txn& tx, Home home, std::string bus, Event event);
  // Whether something on the default bus could want the management calls that change something, and those that read.
  struct Interest {
    bool changes = false, reads = false;
  };
  Task<Interest> interest(kv::Txn& tx, Home home);
  // To the targets of one rule, whatever its pattern.
  void give(kv::Txn& tx, const Home& home, const RuleRecord& rule, const Event& event);
  // Goes on with the rules that one transaction did not come to.
  Task<kernel::Verdict> give_rest(kernel::Attempt attempt);

 private:
  // As much as one transaction should hold of copies of the event; a delivery goes on with the rest.
  void give_all(kv::Txn& tx, const Home& home, const std::vector<const RuleRecord*>& rules, const Event& event);

  // A bus's rules and archives, compiled, as of one generation.
  struct View {
    std::string generation;
    bool exists = false;
    std::vector<RuleRecord> rules;        // those with patterns that are enabled
    std::vector<ArchiveRecord> archives;  // patterns follow the rules'; archives without one take everything
    std::vector<size_t> patterned;        // archives with a pattern
    kernel::PatternMachine machine;
    Interest calls;
  };
  Task<std::shared_ptr<const View>> view(kv::Txn& tx, const Home& home, const std::string& bus);
  bool may_want_calls(const std::string& pattern) const;

  kernel::Deps& deps_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const View>, std::less<>> views_;
};

}  // namespace virga::events
