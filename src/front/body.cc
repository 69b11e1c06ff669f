#include "front/body.h"

#include "wire/protocol.h"

namespace virga::front {
namespace {

constexpr uint64_t kShort = 64 * 1024;

}  // namespace

class BodyBudget::Held final : public ByteSource {
 public:
  Held(Body inner, uint64_t most, std::shared_ptr<std::atomic<uint64_t>> all)
      : inner_(std::move(inner)), most_(most), all_(std::move(all)) {}
  ~Held() override { all_->fetch_sub(mine_); }
  std::optional<uint64_t> size() const override { return inner_->size(); }
  Task<std::optional<std::string>> next() override {
    auto chunk = co_await inner_->next();
    if (chunk) {
      mine_ += chunk->size();
      if (all_->fetch_add(chunk->size()) + chunk->size() > most_ && mine_ > kShort) {
        co_return wire::door::service_unavailable();
      }
    }
    co_return chunk;
  }

 private:
  Body inner_;
  const uint64_t most_;
  std::shared_ptr<std::atomic<uint64_t>> all_;
  uint64_t mine_ = 0;
};

Body BodyBudget::hold(Body body) {
  if (body->size().value_or(kShort + 1) <= kShort) return body;
  return std::make_shared<Held>(std::move(body), most_, held_);
}

}  // namespace virga::front
