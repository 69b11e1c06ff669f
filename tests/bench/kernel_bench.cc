// Rules found per event: 1,000 patterns of several kinds compiled into one machine, events of about 600 bytes as text,
// on one thread's processor time. Prints one line a scenario: events a second, matches an event.
//   build/release/kernel_bench
#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "base/str.h"
#include "kernel/event_pattern.h"

namespace {

using namespace virga;

double processor_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

std::string event(int i) {
  return cat(
      R"({"version":"0","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","detail-type":"Order )", i % 40,
      R"(","source":"shop.service)", i % 25,
      R"(","account":"111122223333","time":"2026-11-21T03:00:00Z","region":"us-east-1","resources":)"
      R"(["arn:aws:s3:::bucket/)",
      i % 100, R"("],"detail":{"order":{"id":"o-)", i % 1000, R"(","total":)", i % 500,
      R"(.5,"currency":"EUR","lines":3},"customer":{"id":"c-)", i % 777,
      R"(","tier":"gold","country":"de"},)"
      R"("path":"/srv/data/)",
      i % 1000, R"(/report.csv","ip":"10.)", i % 200,
      R"(.3.4","note":"a sentence that no rule looks at, of the length that such sentences have in real events"}})");
}

struct Scenario {
  const char* name;
  std::function<std::string(int)> pattern;
};

}  // namespace

int main() {
  const Scenario scenarios[] = {
      {"exact",
       [](int i) {
         return cat(R"({"source":["shop.service)", i % 25, R"("],"detail-type":["Order )", i % 40,
                    R"("],"detail":{"customer":{"id":["c-)", i % 777, R"("]}}})");
       }},
      {"mixed",
       [](int i) {
         const std::string head = cat(R"({"source":["shop.service)", i % 25, R"("],"detail":{)");
         switch (i % 5) {
           case 0:
             return cat(head, R"("order":{"id":["o-)", i, R"("]}}})");
           case 1:
             return cat(head, R"("order":{"total":[{"numeric":[">",)", i % 500, R"(,"<=",)", i % 500 + 3, "]}]}}}");
           case 2:
             return cat(head, R"("path":[{"prefix":"/srv/data/)", i, R"(/"}]}})");
           case 3:
             return cat(head, R"("customer":{"tier":[{"anything-but":"gold"}],"country":["fr","it"]}}})");
           default:
             return cat(head, R"("path":[{"wildcard":"/srv/data/)", i, R"(/*.csv"}]}})");
         }
       }},
      {"prefix", [](int i) { return cat(R"({"detail":{"path":[{"prefix":"/srv/data/)", i, R"("}]}})"); }},
      {"numeric",
       [](int i) { return cat(R"({"detail":{"order":{"total":[{"numeric":[">",)", i, R"(,"<",)", i + 2, "]}]}}}"); }},
      {"cidr", [](int i) { return cat(R"({"detail":{"ip":[{"cidr":"10.)", i % 250, ".", i / 250, R"(.0/24"}]}})"); }},
      {"wildcard_tail",
       [](int i) { return cat(R"({"detail":{"path":[{"wildcard":"/srv/data/)", i, R"(/*.csv"}]}})"); }},
      {"wildcard", [](int i) { return cat(R"({"detail":{"path":[{"wildcard":"*/)", i, R"(/*.csv"}]}})"); }},
  };
  std::vector<std::string> events;
  for (int i = 0; i < 1000; ++i) events.push_back(event(i * 7));
  for (const Scenario& scenario : scenarios) {
    std::vector<kernel::EventPattern> patterns;
    for (int i = 0; i < 1000; ++i) patterns.push_back(kernel::EventPattern::parse(scenario.pattern(i)));
    const kernel::PatternMachine machine(patterns);
    kernel::PatternScratch scratch;
    std::vector<uint32_t> matched;
    size_t count = 0, matches = 0;
    const double begin = processor_seconds();
    double end = begin;
    while (end - begin < 0.5) {
      for (const std::string& text : events) {
        machine.match(text, scratch, matched);
        matches += matched.size();
      }
      count += events.size();
      end = processor_seconds();
    }
    std::printf("event_pattern %s rules=1000 bytes=%zu events_per_second=%.0f matches_per_event=%.2f\n", scenario.name,
                events[0].size(), static_cast<double>(count) / (end - begin),
                static_cast<double>(matches) / static_cast<double>(count));
  }
  return 0;
}
