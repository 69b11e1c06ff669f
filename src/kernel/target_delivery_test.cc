#include "kernel/target_delivery.h"

#include <gtest/gtest.h>

#include "base/async.h"
#include "base/str.h"
#include "kernel/audit.h"
#include "kernel/elapsed_clock.h"

namespace virga::kernel {
namespace {

using std::chrono::seconds;

constexpr ErrorShape kDenied{"AccessDeniedException", 403};
constexpr ErrorShape kThrottled{"ThrottlingException", 400};
constexpr ErrorShape kDown{"InternalFailure", 500, Fault::kReceiver};
constexpr const char* kQueue = "arn:aws:sqs:eu-west-1:111122223333:dead";
constexpr const char* kTarget = "arn:aws:thing:eu-west-1:111122223333:target";

struct World {
  std::unique_ptr<kv::Db> db = kv::open_mem();
  ManualClock clock;
  ElapsedClock elapsed{clock};
  MetricRegistry metrics;
  Authorizer authorizer{IamMode::kEnforce};
  Audit audit{*db, clock};
  Cloud cloud{clock, authorizer, audit, metrics};
  Deliveries deliveries{*db, elapsed, metrics};
  Targets targets{cloud, deliveries};
  const ErrorShape* answer = nullptr;  // of the target
  int calls = 0;
  std::vector<Ctx> callers;
  std::vector<TargetInput> letters;

  World() {
    targets.serve();
    cloud.accept("thing", [this](Ctx& ctx, const Arn&, TargetInput input) -> Task<std::string> {
      ++calls;
      callers.push_back(ctx);
      if (answer) co_return Error{answer, "why not", nullptr, ""};
      co_return input.body;
    });
    cloud.accept("sqs", [this](Ctx& ctx, const Arn&, TargetInput input) -> Task<std::string> {
      callers.push_back(ctx);
      letters.push_back(std::move(input));
      co_return "";
    });
  }

  TargetDelivery delivery() const {
    TargetDelivery out;
    out.target = kTarget;
    out.input.body = R"({"a":1})";
    out.input.trace = "Root=1-2-3";
    out.account = "111122223333";
    out.region = "eu-west-1";
    out.service = "events.amazonaws.com";
    out.source_arn = "arn:aws:events:eu-west-1:111122223333:rule/r";
    out.dead_letter.target = kQueue;
    out.dead_letter.input.attributes = {{"ERROR_CODE", {"${code}"}},
                                        {"ERROR_MESSAGE", {"${message}"}},
                                        {"RETRY_ATTEMPTS", {"${retries}", "Number"}},
                                        {"EXHAUSTED_RETRY_CONDITION", {"${condition}"}},
                                        {"RULE_ARN", {"arn:${unknown}"}}};
    return out;
  }
  Task<void> send(TargetDelivery delivery) {
    co_await db->transact([&](kv::Txn& tx) -> Task<void> {
      targets.enqueue(tx, delivery);
      co_return;
    });
    co_await sleep_for(Millis(20));
  }
  Task<void> pass(Micros by) {
    clock.advance(by);
    deliveries.clock_moved();
    co_await sleep_for(Millis(20));
  }
};

template <class F>
void with_world(F body) {
  World w;
  const auto done = run([](World& w, F& body) -> Task<void> {
    co_await w.deliveries.start();
    co_await body(w);
    co_await w.deliveries.stop();
  }(w, body));
  EXPECT_TRUE(done) << describe(done.error());
}

TEST(Targets, AreCalledAsTheServiceForItsResource) {
  with_world([](World& w) -> Task<void> {
    co_await w.send(w.delivery());
    EXPECT_EQ(w.calls, 1);
    if (w.callers.empty()) co_return;
    EXPECT_EQ(w.callers[0].principal.service, "events.amazonaws.com");
    EXPECT_EQ(w.callers[0].source_arn, "arn:aws:events:eu-west-1:111122223333:rule/r");
    EXPECT_EQ(w.callers[0].source_account, "111122223333");
    EXPECT_EQ(w.callers[0].trace, "Root=1-2-3");
    EXPECT_EQ(co_await w.targets.call(w.delivery(), "id"), R"({"a":1})");
  });
}

TEST(Targets, WhatWillNotPassIsALetterAtOnce) {
  with_world([](World& w) -> Task<void> {
    w.answer = &kDenied;
    co_await w.send(w.delivery());
    EXPECT_EQ(w.calls, 1);
    EXPECT_EQ(w.letters.size(), 1u);
    if (w.letters.empty()) co_return;
    EXPECT_EQ(w.letters[0].body, R"({"a":1})");
    auto& attributes = w.letters[0].attributes;
    EXPECT_EQ(attributes.size(), 4u);  // no condition was exhausted
    EXPECT_EQ(attributes["ERROR_CODE"].value, "AccessDeniedException");
    EXPECT_EQ(attributes["ERROR_MESSAGE"].value, "why not");
    EXPECT_EQ(attributes["RETRY_ATTEMPTS"].value, "0");
    EXPECT_EQ(attributes["RETRY_ATTEMPTS"].type, "Number");
    EXPECT_EQ(attributes["RULE_ARN"].value, "arn:${unknown}");
    EXPECT_EQ(w.callers.back().principal.service, "events.amazonaws.com");
  });
}

TEST(Targets, RetriesEndWithTheirNumber) {
  with_world([](World& w) -> Task<void> {
    w.answer = &kThrottled;
    TargetDelivery delivery = w.delivery();
    delivery.retry = {2, 3600};
    co_await w.send(delivery);
    for (int i = 0; i < 6; ++i) co_await w.pass(seconds(4));
    EXPECT_EQ(w.calls, 3);
    EXPECT_EQ(w.letters.size(), 1u);
    if (w.letters.empty()) co_return;
    EXPECT_EQ(w.letters[0].attributes["EXHAUSTED_RETRY_CONDITION"].value, "MaximumRetryAttempts");
    EXPECT_EQ(w.letters[0].attributes["RETRY_ATTEMPTS"].value, "2");
  });
}

TEST(Targets, RetriesEndWithTheirAge) {
  with_world([](World& w) -> Task<void> {
    w.answer = &kDown;
    TargetDelivery delivery = w.delivery();
    delivery.retry = {185, 60};
    co_await w.send(delivery);
    for (int i = 0; i < 59; ++i) co_await w.pass(seconds(1));
    EXPECT_GE(w.calls, 4);
    EXPECT_LE(w.calls, 8);
    EXPECT_TRUE(w.letters.empty());
    co_await w.pass(seconds(1));  // a last attempt when the time is up
    EXPECT_EQ(w.letters.size(), 1u);
    if (w.letters.empty()) co_return;
    EXPECT_EQ(w.letters[0].attributes["EXHAUSTED_RETRY_CONDITION"].value, "MaximumEventAgeInSeconds");
  });
}

TEST(Targets, RecoverWithoutALetter) {
  with_world([](World& w) -> Task<void> {
    w.answer = &kDown;
    co_await w.send(w.delivery());
    w.answer = nullptr;
    co_await w.pass(seconds(1));
    EXPECT_EQ(w.calls, 2);
    EXPECT_TRUE(w.letters.empty());
    const auto rows = co_await w.db->snapshot()->scan(kv::prefix_range("dlv"));
    EXPECT_EQ(rows.size(), 1u);  // the count of starts
  });
}

}  // namespace
}  // namespace virga::kernel
