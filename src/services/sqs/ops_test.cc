// SQS over the reference engine with a clock that the test moves, called by operation name with the JSON of the wire.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "kernel/test_world.h"
#include "kv/key.h"
#include "services/sqs/limits.h"
#include "services/sqs/service.h"
#include "services/sqs/store.h"

namespace virga::sqs {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

struct World : kernel::ServiceWorld<SqsService> {
  void make(std::string name, std::string attributes = "{}") {
    ASSERT_FALSE(call("CreateQueue", cat("{'QueueName':'", name, "','Attributes':", attributes, "}")).find("error"));
  }
  Json send(std::string queue, std::string body, std::string more = "") {
    return call("SendMessage", cat("{'QueueUrl':'", queue, "','MessageBody':'", body, "'", more, "}"));
  }
  // The bodies received, joined by spaces; `handles` gets theirs.
  std::string receive(std::string queue, std::string more = "") {
    const Json answer = call("ReceiveMessage", cat("{'QueueUrl':'", queue, "','MaxNumberOfMessages':10", more, "}"));
    if (answer.find("error")) return answer.string_or("error");
    handles.clear();
    std::string bodies;
    if (const Json* messages = answer.find("Messages")) {
      for (const Json& message : messages->as_array()) {
        append(bodies, bodies.empty() ? "" : " ", message.string_or("Body"));
        handles.push_back(message.string_or("ReceiptHandle"));
      }
    }
    return bodies;
  }
  std::string edit(std::string operation, std::string queue, std::string handle, std::string more = "") {
    return call(operation, cat("{'QueueUrl':'", queue, "','ReceiptHandle':'", handle, "'", more, "}"))
        .string_or("error");
  }
  std::string count(std::string queue) {
    const Json all = call("GetQueueAttributes", cat("{'QueueUrl':'", queue, "','AttributeNames':['All']}"));
    const Json& found = *all.find("Attributes");
    return cat(found.string_or("ApproximateNumberOfMessages"), " ",
               found.string_or("ApproximateNumberOfMessagesNotVisible"), " ",
               found.string_or("ApproximateNumberOfMessagesDelayed"));
  }
  // Messages "0", "1", … ten at a time; each of a group of its own where `fifo`.
  void send_many(std::string queue, int count, bool fifo = false) {
    for (int i = 0; i < count;) {
      std::string entries;
      for (int end = std::min(i + 10, count); i < end; ++i) {
        append(entries, entries.empty() ? "" : ",", "{'Id':'", i, "','MessageBody':'", i, "'");
        if (fifo) append(entries, ",'MessageGroupId':'", i, "'");
        entries += "}";
      }
      const Json sent = call("SendMessageBatch", cat("{'QueueUrl':'", queue, "','Entries':[", entries, "]}"));
      ASSERT_FALSE(sent.find("error")) << sent.string_or("message");
    }
  }
  // Receives until nothing comes any more; how many came.
  int receive_all(std::string queue) {
    int count = 0;
    while (true) {
      const Json answer = call("ReceiveMessage", cat("{'QueueUrl':'", queue, "','MaxNumberOfMessages':10}"));
      const Json* messages = answer.find("Messages");
      if (!messages || messages->as_array().empty()) return count;
      count += static_cast<int>(messages->as_array().size());
    }
  }
  std::vector<std::string> handles;
};

const std::string kFifo = "{'FifoQueue':'true','ContentBasedDeduplication':'true'}";

TEST(SqsTime, VisibilityEndsWhenItsTimeHasCome) {
  World w;
  w.make("q");
  w.send("q", "a");
  EXPECT_EQ(w.receive("q"), "a");
  EXPECT_EQ(w.count("q"), "0 1 0");
  w.clock.advance(seconds(29));
  EXPECT_EQ(w.receive("q"), "");
  w.clock.advance(seconds(1));
  EXPECT_EQ(w.count("q"), "1 0 0");
  EXPECT_EQ(w.receive("q"), "a");
  EXPECT_EQ(w.count("q"), "0 1 0");
}

TEST(SqsTime, ClockPutForwardAndBack) {
  World w;
  w.make("q");
  w.send("q", "a", ",'DelaySeconds':60");
  w.clock.advance(minutes(60));
  EXPECT_EQ(w.receive("q"), "a");
  const std::string handle = w.handles[0];
  w.clock.advance(-minutes(60));
  EXPECT_EQ(w.receive("q"), "");
  EXPECT_EQ(w.edit("DeleteMessage", "q", handle), "");
  EXPECT_EQ(w.count("q"), "0 0 0");
}

TEST(SqsTime, ChangedVisibilityHasALimit) {
  World w;
  w.make("q");
  w.send("q", "a");
  EXPECT_EQ(w.receive("q", ",'VisibilityTimeout':100"), "a");
  const std::string handle = w.handles[0];
  EXPECT_EQ(w.edit("ChangeMessageVisibility", "q", handle, ",'VisibilityTimeout':40000"), "");
  w.clock.advance(seconds(10'000));
  EXPECT_EQ(w.edit("ChangeMessageVisibility", "q", handle, ",'VisibilityTimeout':40000"),
            "InvalidParameterValueException");
  EXPECT_EQ(w.edit("ChangeMessageVisibility", "q", handle, ",'VisibilityTimeout':0"), "");
  EXPECT_EQ(w.receive("q"), "a");
  // Kept and deleted by any handle it ever had.
  EXPECT_EQ(w.edit("ChangeMessageVisibility", "q", handle, ",'VisibilityTimeout':5"), "");
  EXPECT_EQ(w.receive("q"), "");
  EXPECT_EQ(w.edit("DeleteMessage", "q", handle), "");
  EXPECT_EQ(w.count("q"), "0 0 0");
}

TEST(SqsTime, RetentionEnds) {
  World w;
  w.make("q", "{'MessageRetentionPeriod':'60'}");
  w.send("q", "old");
  w.clock.advance(seconds(59));
  w.send("q", "new");
  w.clock.advance(seconds(1));
  EXPECT_EQ(w.receive("q"), "new");
  EXPECT_EQ(w.count("q"), "0 1 0");
}

// Nobody receives: what is past its time goes from the store all the same, and what is not stays.
TEST(SqsTime, WhatIsPastItsRetentionIsSwept) {
  World w;
  w.make("q", "{'MessageRetentionPeriod':'60'}");
  w.send_many("q", static_cast<int>(2 * kSweep) + 1);
  w.clock.advance(seconds(59));
  w.send("q", "new");
  w.clock.advance(seconds(1));
  EXPECT_EQ(w.count("q"), cat(2 * kSweep + 2, " 0 0"));
  const auto done = run([](World& w) -> Task<void> {
    w.timers.start();
    for (int i = 0; i < 500; ++i) {
      co_await sleep_for(Millis(10));
      const auto view = w.db->snapshot();
      const auto queue = co_await find_queue(*view, QueueName{"000000000000", "us-east-1", "q"});
      const auto rows =
          co_await view->scan(kv::prefix_range(keys::message(queue->contents, {})), {.limit = 2 * kSweep + 2});
      if (rows.size() == 1) break;
    }
    co_await w.timers.stop();
  }(w));
  EXPECT_TRUE(done);
  EXPECT_EQ(w.count("q"), "1 0 0");
  EXPECT_EQ(w.receive("q"), "new");
}

// Those deleted or visible again make room.
TEST(SqsInFlight, AStandardQueueSaysThatItIsOverItsLimit) {
  World w;
  w.make("q");
  w.send_many("q", kMaxInFlight + 5);
  EXPECT_EQ(w.receive("q"), "0 1 2 3 4 5 6 7 8 9");
  const std::string first = w.handles[0];
  EXPECT_EQ(w.receive_all("q"), kMaxInFlight - 10);
  EXPECT_EQ(w.receive("q"), "OverLimit");
  EXPECT_EQ(w.count("q"), cat("5 ", kMaxInFlight, " 0"));
  EXPECT_EQ(w.edit("DeleteMessage", "q", first), "");
  EXPECT_EQ(w.receive("q"), cat(kMaxInFlight));
  EXPECT_EQ(w.receive("q"), "OverLimit");
  w.clock.advance(seconds(30));
  EXPECT_EQ(w.receive("q"), "1 2 3 4 5 6 7 8 9 10");
}

TEST(SqsInFlight, AFifoQueueGivesNoMoreThanItsLimit) {
  World w;
  w.make("q.fifo", kFifo);
  w.send_many("q.fifo", kMaxInFlightFifo + 5, true);
  EXPECT_EQ(w.receive("q.fifo"), "0 1 2 3 4 5 6 7 8 9");
  const std::string first = w.handles[0];
  EXPECT_EQ(w.receive_all("q.fifo"), kMaxInFlightFifo - 10);
  EXPECT_EQ(w.receive("q.fifo"), "");
  EXPECT_EQ(w.edit("DeleteMessage", "q.fifo", first), "");
  EXPECT_NE(w.receive("q.fifo"), "");
}

TEST(SqsFair, ANoisyGroupLetsOthersGoFirst) {
  World w;
  w.make("q");
  for (int i = 0; i < 60; ++i) w.send("q", "noisy", ",'MessageGroupId':'n'");
  w.send("q", "quiet", ",'MessageGroupId':'q'");
  std::string got;
  for (int i = 0; i < 3; ++i) append(got, w.receive("q"), " ");
  EXPECT_NE(got.find("quiet"), got.npos) << got;
  std::string rest;
  for (int i = 0; i < 5; ++i) append(rest, w.receive("q"), " ");
  EXPECT_EQ(split(got + rest, 'y').size(), 61u) << got << rest;
  EXPECT_EQ(w.count("q"), "0 61 0");
}

TEST(SqsTime, NamesRestAfterDeletion) {
  World w;
  w.make("q");
  EXPECT_FALSE(w.call("DeleteQueue", "{'QueueUrl':'q'}").find("error"));
  EXPECT_EQ(w.call("CreateQueue", "{'QueueName':'q'}").string_or("error"), "QueueDeletedRecently");
  w.clock.advance(seconds(60));
  w.make("q");
  EXPECT_EQ(w.receive("q"), "");
}

TEST(SqsTime, PurgesRest) {
  World w;
  w.make("q");
  w.send("q", "a");
  EXPECT_FALSE(w.call("PurgeQueue", "{'QueueUrl':'q'}").find("error"));
  EXPECT_EQ(w.count("q"), "0 0 0");
  EXPECT_EQ(w.call("PurgeQueue", "{'QueueUrl':'q'}").string_or("error"), "PurgeQueueInProgress");
  w.clock.advance(seconds(60));
  EXPECT_FALSE(w.call("PurgeQueue", "{'QueueUrl':'q'}").find("error"));
}

TEST(SqsFifo, DeduplicationLastsFiveMinutes) {
  World w;
  w.make("q.fifo", kFifo);
  const std::string first = w.send("q.fifo", "a", ",'MessageGroupId':'g'").string_or("MessageId");
  w.clock.advance(minutes(4));
  EXPECT_EQ(w.send("q.fifo", "a", ",'MessageGroupId':'g'").string_or("MessageId"), first);
  w.clock.advance(-minutes(5));
  EXPECT_EQ(w.send("q.fifo", "a", ",'MessageGroupId':'g'").string_or("MessageId"), first);
  w.clock.advance(minutes(6));
  EXPECT_NE(w.send("q.fifo", "a", ",'MessageGroupId':'g'").string_or("MessageId"), first);
  EXPECT_EQ(w.receive("q.fifo"), "a a");
}

TEST(SqsFifo, DelayHoldsTheGroupBack) {
  World w;
  w.make("q.fifo", "{'FifoQueue':'true','ContentBasedDeduplication':'true','DelaySeconds':'10'}");
  w.send("q.fifo", "a", ",'MessageGroupId':'g'");
  w.clock.advance(seconds(5));
  w.send("q.fifo", "b", ",'MessageGroupId':'g'");
  EXPECT_EQ(w.count("q.fifo"), "0 0 2");
  w.clock.advance(seconds(5));
  EXPECT_EQ(w.receive("q.fifo"), "a");
  EXPECT_EQ(w.edit("DeleteMessage", "q.fifo", w.handles[0]), "");
  EXPECT_EQ(w.receive("q.fifo"), "");
  w.clock.advance(seconds(5));
  EXPECT_EQ(w.receive("q.fifo"), "b");
  EXPECT_EQ(w.count("q.fifo"), "0 1 0");
}

TEST(SqsFifo, GroupsTakeTurns) {
  World w;
  w.make("q.fifo", kFifo);
  for (const char* body : {"a1", "b1", "a2", "b2"}) w.send("q.fifo", body, cat(",'MessageGroupId':'", body[0], "'"));
  EXPECT_EQ(w.call("ReceiveMessage", "{'QueueUrl':'q.fifo'}").find("Messages")->as_array()[0].string_or("Body"), "a1");
  EXPECT_EQ(w.receive("q.fifo"), "b1 b2");
  EXPECT_EQ(w.receive("q.fifo"), "");
  w.clock.advance(seconds(30));
  EXPECT_EQ(w.receive("q.fifo"), "a1 a2 b1 b2");
}

TEST(SqsFifo, SequencesGoOnAfterAPurge) {
  World w;
  w.make("q.fifo", kFifo);
  const std::string before = w.send("q.fifo", "a", ",'MessageGroupId':'g'").string_or("SequenceNumber");
  w.call("PurgeQueue", "{'QueueUrl':'q.fifo'}");
  const std::string after = w.send("q.fifo", "b", ",'MessageGroupId':'g'").string_or("SequenceNumber");
  EXPECT_EQ(before.size(), 20u);
  EXPECT_EQ(after.size(), 20u);
  EXPECT_LT(before, after);
}

// Every transaction runs again when the store says that it conflicts, and nothing is counted or sent twice.
TEST(SqsConflicts, ChangeNothing) {
  for (const char* queue : {"q", "q.fifo"}) {
    World w;
    const bool fifo = std::string_view(queue).ends_with(".fifo");
    w.make("q");
    w.make("q.fifo", kFifo);
    const std::string group = fifo ? ",'MessageGroupId':'g'" : "";
    for (const char* body : {"a", "b", "c"}) {
      kv::inject_conflicts(*w.db, 2);
      w.send(queue, body, group);
    }
    kv::inject_conflicts(*w.db, 2);
    EXPECT_EQ(w.receive(queue), "a b c");
    kv::inject_conflicts(*w.db, 2);
    const auto handles = w.handles;
    EXPECT_EQ(w.edit("DeleteMessage", queue, handles[0]), "");
    kv::inject_conflicts(*w.db, 2);
    EXPECT_EQ(w.edit("ChangeMessageVisibility", queue, handles[1], ",'VisibilityTimeout':0"), "");
    EXPECT_EQ(w.count(queue), fifo ? "1 1 0" : "1 1 0");
  }
}

TEST(SqsMessages, OtherQueuesHandlesAreRefused) {
  World w;
  w.make("q");
  w.make("r");
  w.send("q", "a");
  w.receive("q");
  EXPECT_EQ(w.edit("DeleteMessage", "r", w.handles[0]), "ReceiptHandleIsInvalid");
  EXPECT_EQ(w.edit("DeleteMessage", "q", "AAAA"), "ReceiptHandleIsInvalid");
}

}  // namespace
}  // namespace virga::sqs
