#include "kernel/outbox.h"

#include <gtest/gtest.h>

#include "base/executor.h"
#include "base/str.h"

namespace virga::kernel {
namespace {

Task<void> put(kv::Db& db, std::string to, int count) {
  co_await db.transact([&](kv::Txn& tx) -> Task<void> {
    for (int i = 0; i < count; ++i) put_in_outbox(tx, {.service = "sns", .kind = "sms", .to = to, .body = cat(i)});
    co_return;
  });
}

TEST(Outbox, ShowsTheNewestFirst) {
  const auto db = kv::open_mem();
  ASSERT_TRUE(run(put(*db, "+49", 3)));
  ASSERT_TRUE(run(put(*db, "+50", 1)));
  const auto snapshot = db->snapshot();
  const auto all = run(read_outbox(*snapshot, "", 10));
  ASSERT_EQ(all->size(), 4u);
  EXPECT_EQ(all->front().to, "+50");
  const auto some = run(read_outbox(*snapshot, "+49", 2));
  ASSERT_EQ(some->size(), 2u);
  EXPECT_EQ((*some)[0].body, "2");
  EXPECT_EQ(outbox_json(*some).find("Items")->as_array()[1].string_or("Body"), "1");
}

TEST(Outbox, KeepsTheNewest) {
  const auto db = kv::open_mem();
  ASSERT_TRUE(run(put(*db, "+49", static_cast<int>(kOutboxKept) + 5)));
  ASSERT_TRUE(run(trim_outbox(*db)));
  const auto snapshot = db->snapshot();
  const auto all = run(read_outbox(*snapshot, "", kOutboxKept + 10));
  ASSERT_EQ(all->size(), kOutboxKept);
  EXPECT_EQ(all->back().body, "5");
}

}  // namespace
}  // namespace virga::kernel
