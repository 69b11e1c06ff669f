#include "kv/engine.h"

#include "kv/depend.h"

namespace virga::kv {

namespace {

class SnapshotReader final : public Reader {
 public:
  explicit SnapshotReader(std::shared_ptr<const View> view) : view_(std::move(view)) {}
  Version version() const override { return view_->version(); }
  Task<std::optional<std::string>> get(std::string key) override { co_return view_->get(key); }
  Task<std::vector<Entry>> scan(Range range, ScanOptions options) override {
    co_return scan_view(*view_, nullptr, std::move(range), options, nullptr);
  }

 private:
  std::shared_ptr<const View> view_;
};

}  // namespace

BufferedTxn::BufferedTxn(std::shared_ptr<const View> view) : view_(std::move(view)) {}

BufferedTxn::~BufferedTxn() { view_->transactions.fetch_sub(1, std::memory_order_release); }

Task<std::optional<std::string>> BufferedTxn::get(std::string key) {
  if (const auto point = writes_.points().find(key); point != writes_.points().end()) co_return point->second;
  if (writes_.erased().find(key)) co_return std::nullopt;
  auto value = view_->get(key);
  reads_.keys.push_back(std::move(key));
  co_return value;
}

Task<std::optional<std::string>> BufferedTxn::get_relaxed(std::string key) {
  if (const auto point = writes_.points().find(key); point != writes_.points().end()) co_return point->second;
  if (writes_.erased().find(key)) co_return std::nullopt;
  co_return view_->get(key);
}

Task<std::vector<Entry>> BufferedTxn::scan(Range range, ScanOptions options) {
  Range passed;
  auto entries = scan_view(*view_, &writes_, std::move(range), options, &passed);
  if (passed.begin < passed.end) reads_.ranges.push_back(std::move(passed));
  co_return entries;
}

void BufferedTxn::append(std::string_view log, std::string value) {
  writes_.put_ordered(log_prefix(log), std::move(value));
}

void BufferedTxn::put_ordered(std::string key_prefix, std::string value) {
  writes_.put_ordered(std::move(key_prefix), std::move(value));
}

void depend_on(Txn& txn, std::string key) { static_cast<BufferedTxn&>(txn).depend_on(std::move(key)); }

std::unique_ptr<Reader> Engine::snapshot() { return std::make_unique<SnapshotReader>(newest(Purpose::kReading)); }

Task<bool> Engine::wait_change(std::string prefix, Version since, Micros timeout) {
  return watches_->wait(std::move(prefix), since, timeout);
}

}  // namespace virga::kv
