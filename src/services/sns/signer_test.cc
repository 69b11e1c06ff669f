#include "services/sns/signer.h"

#include <gtest/gtest.h>

#include <ctime>

#include "base/executor.h"

namespace virga::sns {
namespace {

// Deliveries that wait for the first key make one, not each its own: counted in processor time, which other programs
// don't change.
TEST(SnsSigner, MakesOneKeyForAllWhoWait) {
  constexpr int kMakes = 4, kWaiting = 100;
  const std::clock_t began = std::clock();
  for (int i = 0; i < kMakes; ++i) SigningKey::make("test", 1);
  const std::clock_t made = std::clock();

  const auto db = kv::open_mem();
  Signer signer(*db);
  std::string signature;
  const auto done = run([](Signer& signer, std::string& signature) -> Task<void> {
    const Message message;
    const std::string body = "hello";
    int left = kWaiting;
    co_await suspend_until([&](Resume resume) {
      for (int i = 0; i < kWaiting; ++i) {
        start(signer.sign(message, body, "http://x"), [&, resume](Result<Signed> result) {
          EXPECT_TRUE(result && (signature.empty() || signature == result->signature));
          if (result) signature = result->signature;
          if (--left == 0) resume.later();
        });
      }
    });
  }(signer, signature));
  EXPECT_TRUE(done);
  EXPECT_FALSE(signature.empty());
  EXPECT_LT((std::clock() - made) / kWaiting, (made - began) / kMakes / 4);
}

}  // namespace
}  // namespace virga::sns
