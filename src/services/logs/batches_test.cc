#include <gtest/gtest.h>

#include "base/str.h"
#include "kv/engine.h"
#include "kv/key.h"
#include "kv/test_store.h"
#include "services/logs/store.h"

namespace virga::logs {
namespace {

struct World {
  std::unique_ptr<kv::Db> db = kv::open_mem();
  const Home home{"000000000000", "us-east-1"};

  // Events as milliseconds and text: "10 a, 20 b". What is written together is one put.
  void put(const std::string& text) {
    std::vector<NewEvent> events;
    for (const std::string_view part : split(text, ',')) {
      const auto [time, message] = split_once(trim(part), ' ');
      events.push_back({Time::from_millis(*parse_int(time)), message});
    }
    kv::get(db->transact([&](kv::Txn& tx) -> Task<void> {
      WriteStore(tx, home).add_events("g", "s", events, Time::from_seconds(1));
      co_return;
    }));
  }
  std::vector<Event> events(EventPosition from, EventPosition to, size_t limit, size_t bytes, bool reverse) {
    const auto snapshot = db->snapshot();
    return kv::get(Store(*snapshot, home).read_events("g", "s", from, to, limit, bytes, reverse));
  }
  std::string read(size_t limit = 1000, bool reverse = false, EventPosition from = {}, EventPosition to = {},
                   size_t bytes = SIZE_MAX) {
    std::string out;
    for (const Event& event : events(from, to, limit, bytes, reverse)) append(out, event.message, " ");
    return out.substr(0, out.empty() ? 0 : out.size() - 1);
  }
  size_t batches() {
    const auto snapshot = db->snapshot();
    return kv::get(snapshot->scan({}, {})).size();
  }
};

EventPosition at(int64_t millis) { return first_position(Time::from_millis(millis)); }

TEST(LogBatches, WhatComesTogetherIsOneRecord) {
  World world;
  world.put("5000 a, 5000 b, 5200 c, 6000 d");
  EXPECT_EQ(world.batches(), 1);
  world.put("7000 e, 8001 f");  // wider than a batch
  EXPECT_EQ(world.batches(), 3);
  EXPECT_EQ(world.read(), "a b c d e f");
  EXPECT_EQ(world.read(1000, true), "f e d c b a");
}

TEST(LogBatches, OverlappingOnesAreReadInTheOrderOfTime) {
  World world;
  world.put("1000 a, 1500 d, 1900 g");
  world.put("1200 b, 1500 e, 1999 h");
  world.put("1300 c, 1600 f, 2300 i");
  world.put("9000 z");
  EXPECT_EQ(world.read(), "a b c d e f g h i z");
  for (size_t limit = 1; limit <= 10; ++limit) {
    EXPECT_EQ(world.read(limit), std::string("a b c d e f g h i z").substr(0, 2 * limit - 1));
    EXPECT_EQ(world.read(limit, true), std::string("z i h g f e d c b a").substr(0, 2 * limit - 1));
  }
}

TEST(LogBatches, AWindowCutsThemAnywhere) {
  World world;
  world.put("1000 a, 1500 c, 1900 d");
  world.put("1200 b, 1999 e");
  EXPECT_EQ(world.read(1000, false, at(1500)), "c d e");
  EXPECT_EQ(world.read(1000, true, at(1500)), "e d c");
  EXPECT_EQ(world.read(1000, false, {}, at(1500)), "a b");
  EXPECT_EQ(world.read(1000, false, at(1200), at(1900)), "b c");
  EXPECT_EQ(world.read(1000, false, at(2000)), "");
}

TEST(LogBatches, PositionsGoOnWhereAPageEnded) {
  World world;
  world.put("1000 a, 1000 b, 1000 c, 1400 f");
  world.put("1000 d, 1300 e, 1400 g");
  for (const size_t limit : {1, 2, 3, 5}) {
    std::string all;
    EventPosition from;
    for (auto page = world.events(from, {}, limit, SIZE_MAX, false); !page.empty();
         page = world.events(from, {}, limit, SIZE_MAX, false)) {
      for (const Event& event : page) {
        EXPECT_EQ(event.position.size(), kEventPosition);
        all += event.message;
      }
      from = page.back().position + '\0';
    }
    EXPECT_EQ(all, "abcdefg");
    EventPosition to;
    for (auto page = world.events({}, to, limit, SIZE_MAX, true); !page.empty();
         page = world.events({}, to, limit, SIZE_MAX, true)) {
      for (const Event& event : page) all.insert(all.begin() + 7, event.message[0]);
      to = page.back().position;
    }
    EXPECT_EQ(all, "abcdefgabcdefg");
  }
}

TEST(LogBatches, BytesEndAPageWithTheEventThatReachesThem) {
  World world;
  world.put("1000 aaaa, 1100 bbbb, 1200 cccc");
  world.put("1150 dddd");
  EXPECT_EQ(world.read(1000, false, {}, {}, 1), "aaaa");
  EXPECT_EQ(world.read(1000, false, {}, {}, 8), "aaaa bbbb");
  EXPECT_EQ(world.read(1000, false, {}, {}, 9), "aaaa bbbb dddd");
  EXPECT_EQ(world.read(1000, true, {}, {}, 5), "cccc dddd");
}

TEST(LogBatches, LargeMessagesAreBatchesOfTheirOwn) {
  World world;
  const std::string large(kBatchBytes, 'x');
  world.put(cat("1000 a, 1001 ", large, ", 1002 b, 1003 c"));
  EXPECT_EQ(world.batches(), 3);
  EXPECT_EQ(world.read(), cat("a ", large, " b c"));
}

TEST(LogBatches, RetentionTakesWholeOnes) {
  World world;
  world.put("1000 a, 1900 b");
  world.put("2500 c, 3400 d");
  kv::get(world.db->transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, world.home);
    EXPECT_EQ(co_await store.erase_events_before("g", "s", Time::from_millis(3000)), 2 * (1 + 26));
    EXPECT_EQ(co_await store.erase_events_before("g", "s", Time::from_millis(3000)), std::nullopt);
  }));
  EXPECT_EQ(world.read(), "c d");
}

TEST(LogBatches, EventsThatStandAloneAreReadAsBefore) {
  World world;
  kv::get(world.db->transact([&](kv::Txn& tx) -> Task<void> {
    const std::string prefix =
        kv::KeyWriter("logs").raw("e").text(world.home.account).text(world.home.region).text("g").text("s").take();
    std::string record("\1\1a\2\1\0", 6);  // the fields 1 and 2 only
    tx.put_ordered(prefix + at(1000), record);
    co_return;
  }));
  world.put("1000 b, 1001 c");
  EXPECT_EQ(world.read(), "a b c");
}

}  // namespace
}  // namespace virga::logs
