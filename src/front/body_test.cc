#include "front/body.h"

#include <gtest/gtest.h>

#include "base/executor.h"

namespace virga::front {
namespace {

constexpr size_t kPiece = 64 * 1024;

// As it comes from a client that doesn't say how much it will send.
class Endless final : public ByteSource {
 public:
  Task<std::optional<std::string>> next() override { co_return std::string(kPiece, 'x'); }
  std::optional<uint64_t> size() const override { return std::nullopt; }
};

TEST(BodyBudget, RefusesWhatIsTooMuchTogether) {
  BodyBudget budget(10 * kPiece);
  Body first = budget.hold(std::make_shared<Endless>()), second = budget.hold(std::make_shared<Endless>());
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(run(first->next()));
  EXPECT_TRUE(run(second->next()));
  EXPECT_TRUE(run(second->next()));
  const auto refused = run(second->next());
  ASSERT_FALSE(refused);
  ASSERT_TRUE(error_of(refused));
  EXPECT_EQ(error_of(refused)->shape->status, 503);
  // A short body passes, whoever holds what.
  EXPECT_TRUE(run(budget.hold(body_of("short"))->next()));
  EXPECT_TRUE(run(budget.hold(std::make_shared<Endless>())->next()));
  first.reset();
  EXPECT_TRUE(run(second->next()));
  second.reset();
  EXPECT_EQ(budget.held(), 0u);
}

}  // namespace
}  // namespace virga::front
