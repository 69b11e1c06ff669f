#include "kernel/audit.h"

#include <gtest/gtest.h>

#include <set>

#include "base/executor.h"
#include "kernel/page.h"
#include "kernel/tokens.h"

namespace virga::kernel {
namespace {

AuditRecord record(std::string operation, Time at, std::string account = "1") {
  AuditRecord r;
  r.operation = operation;
  r.time = at;
  r.account = account;
  r.region = "r";
  return r;
}

TEST(Audit, KeepsCallsNewestFirstWithinBounds) {
  auto db = kv::open_mem();
  ManualClock clock;
  const auto done = run([](kv::Db& db, ManualClock& clock) -> Task<void> {
    Audit audit(db, clock, {.most = 2000});
    audit.start();
    for (int i = 0; i < 5; ++i) audit.record(record("Op" + std::to_string(i), clock.now() + std::chrono::seconds(i)));
    audit.record(record("Other", clock.now(), "2"));
    co_await audit.stop();
    auto page = co_await audit.find("1", "r", {}, {}, nullptr, "", 3);
    EXPECT_EQ(page.records.size(), 3u);
    EXPECT_EQ(page.records[0].operation, "Op4");
    EXPECT_FALSE(page.records[0].id.empty());
    page = co_await audit.find("1", "r", {}, {}, nullptr, page.next, 3);
    EXPECT_EQ(page.records.size(), 2u);
    EXPECT_EQ(page.records.back().operation, "Op0");
    EXPECT_EQ(page.next, "");
    page = co_await audit.find("1", "r", clock.now() + std::chrono::seconds(4), {}, nullptr, "", 3);
    EXPECT_EQ(page.records.size(), 1u);

    for (int i = 0; i < 4000; ++i) audit.record(record("Many", clock.now(), "3"));
    co_await audit.flush();
    size_t kept = 0;
    std::string next;
    do {
      page = co_await audit.find("3", "r", {}, {}, nullptr, next, 1000);
      kept += page.records.size();
      next = page.next;
    } while (!next.empty());
    EXPECT_LE(kept, 3512u);
    EXPECT_GE(kept, 2000u);
  }(*db, clock));
  ASSERT_TRUE(done) << describe(done.error());
}

TEST(Tokens, OpenOnlyWhereTheyBelong) {
  auto db = kv::open_mem();
  const auto key = run(Tokens::load_key(*db));
  ASSERT_TRUE(key);
  EXPECT_EQ(*run(Tokens::load_key(*db)), *key);
  const Tokens tokens(*key);
  const std::string token = tokens.seal("a", "payload");
  EXPECT_EQ(tokens.open("a", token), "payload");
  EXPECT_FALSE(tokens.open("b", token));
  EXPECT_FALSE(tokens.open("a", token + "x"));
  EXPECT_FALSE(tokens.open("a", ""));
  EXPECT_FALSE(Tokens(std::string(32, 'k')).open("a", token));
}

struct After {
  std::string name;
  template <class A>
  void fields(A& a) {
    a(1, name);
  }
};

// Reads that one caller repeats are one record with their number; another caller's, a refused one and writes are not.
TEST(Audit, CountsRepeatedReads) {
  auto db = kv::open_mem();
  ManualClock clock;
  const auto done = run([](kv::Db& db, ManualClock& clock) -> Task<void> {
    Audit audit(db, clock);
    AuditRecord read = record("GetThing", clock.now());
    read.read_only = true;
    for (int i = 0; i < 3; ++i) audit.record(read);
    AuditRecord other = read;
    other.principal_arn = "someone else";
    audit.record(other);
    AuditRecord refused = read;
    refused.error_code = "AccessDenied";
    for (int i = 0; i < 2; ++i) audit.record(refused);
    for (int i = 0; i < 2; ++i) audit.record(record("PutThing", clock.now()));
    co_await audit.flush();
    const auto page = co_await audit.find("1", "r", {}, {}, nullptr, "", 100);
    std::multiset<std::pair<std::string, uint64_t>> counts;
    for (const AuditRecord& r : page.records)
      counts.emplace(r.error_code.empty() ? r.operation : r.error_code, r.count);
    EXPECT_EQ(counts, (std::multiset<std::pair<std::string, uint64_t>>{{"GetThing", 3},
                                                                       {"GetThing", 1},
                                                                       {"AccessDenied", 1},
                                                                       {"AccessDenied", 1},
                                                                       {"PutThing", 1},
                                                                       {"PutThing", 1}}));
  }(*db, clock));
  ASSERT_TRUE(done);
}

TEST(Tokens, Pages) {
  const Tokens tokens(std::string(32, 'k'));
  constexpr static ErrorShape kBad{"InvalidNextToken"};
  const Error bad{&kBad, "bad", nullptr, ""};
  Ctx ctx;
  ctx.account = "1";
  const std::string token = seal_page(tokens, ctx, "x:List", After{"last"});
  EXPECT_EQ(open_page<After>(tokens, ctx, "x:List", token, bad)->name, "last");
  EXPECT_FALSE(open_page<After>(tokens, ctx, "x:List", std::nullopt, bad));
  EXPECT_THROW(open_page<After>(tokens, ctx, "y:List", token, bad), Error);
  ctx.account = "2";
  EXPECT_THROW(open_page<After>(tokens, ctx, "x:List", token, bad), Error);
}

}  // namespace
}  // namespace virga::kernel
