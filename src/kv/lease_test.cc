#include "kv/lease.h"

#include "kv/test_store.h"

namespace virga::kv {
namespace {

constexpr Micros kLife = std::chrono::seconds(10);
const Time kNow = Time::from_seconds(1000);

class LeaseTest : public testing::Test {
 protected:
  std::unique_ptr<Db> db_ = open_mem();
  std::optional<Lease> acquire(std::string holder, Time now) {
    return get(acquire_lease(*db_, "work", holder, now, kLife));
  }
  // Whether work under the lease goes through.
  bool work(const Lease& lease) {
    return run(db_->transact([&](Txn& tx) -> Task<void> {
             co_await require_lease(tx, lease);
             tx.put("done", lease.holder);
           }))
        .has_value();
  }
};

TEST_F(LeaseTest, HasOneHolderAtATime) {
  const auto first = acquire("a", kNow);
  ASSERT_TRUE(first);
  EXPECT_FALSE(acquire("b", kNow + kLife / 2));
  EXPECT_EQ(acquire("a", kNow + kLife / 2)->fence, first->fence);
  EXPECT_TRUE(acquire("b", kNow + kLife * 2));
}

TEST_F(LeaseTest, FencesOffAHolderThatSlept) {
  const auto first = acquire("a", kNow);
  EXPECT_TRUE(work(*first));
  const auto second = acquire("b", kNow + kLife);
  ASSERT_TRUE(second);
  EXPECT_GT(second->fence, first->fence);
  EXPECT_FALSE(work(*first));
  EXPECT_TRUE(work(*second));
}

TEST_F(LeaseTest, GivesUpOnlyItsOwn) {
  const auto first = acquire("a", kNow);
  const auto second = acquire("b", kNow + kLife);
  get(release_lease(*db_, *first));
  EXPECT_TRUE(work(*second));
  get(release_lease(*db_, *second));
  EXPECT_FALSE(work(*second));
  const auto third = acquire("c", kNow + kLife);
  ASSERT_TRUE(third);
  EXPECT_GT(third->fence, second->fence);
}

// Two that want it at once: one gets it, whatever the conflicts.
TEST_F(LeaseTest, SurvivesConflicts) {
  inject_conflicts(*db_, 3);
  EXPECT_TRUE(acquire("a", kNow));
  EXPECT_FALSE(acquire("b", kNow));
}

}  // namespace
}  // namespace virga::kv
