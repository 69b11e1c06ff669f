// What all engines share: transactions that read a View and buffer writes, snapshots, watching. An engine adds the
// newest view and how to commit.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kv/conflict.h"
#include "kv/db.h"
#include "kv/view.h"
#include "kv/watch.h"
#include "kv/write_set.h"

namespace virga::kv {

class BufferedTxn final : public Txn {
 public:
  // `view` counts this transaction already; the destructor takes it off.
  explicit BufferedTxn(std::shared_ptr<const View> view);
  ~BufferedTxn() override;

  Version version() const override { return view_->version(); }
  Task<std::optional<std::string>> get(std::string key) override;
  Task<std::vector<Entry>> scan(Range range, ScanOptions options) override;
  Task<std::optional<std::string>> get_relaxed(std::string key) override;
  void put(std::string key, std::string value) override { writes_.put(std::move(key), std::move(value)); }
  void erase(std::string key) override { writes_.erase(std::move(key)); }
  void erase_range(Range range) override { writes_.erase_range(std::move(range)); }
  void append(std::string_view log, std::string value) override;
  void put_ordered(std::string key_prefix, std::string value) override;
  void on_commit(std::function<void()> effect) override { effects_.push_back(std::move(effect)); }

  void depend_on(std::string key) { reads_.keys.push_back(std::move(key)); }

  const View& view() const { return *view_; }
  const ReadSet& reads() const { return reads_; }
  const WriteSet& writes() const { return writes_; }
  std::vector<std::function<void()>> take_effects() { return std::move(effects_); }

 private:
  std::shared_ptr<const View> view_;
  ReadSet reads_;
  WriteSet writes_;
  std::vector<std::function<void()>> effects_;
};

class Engine : public Db {
 public:
  Engine() : watches_(std::make_shared<WatchRegistry>()) {}
  std::unique_ptr<Reader> snapshot() override;
  Task<bool> wait_change(std::string prefix, Version since, Micros timeout) override;
  void wake(std::string_view prefix) override { watches_->wake(prefix); }

 protected:
  std::unique_ptr<Txn> begin() override { return std::make_unique<BufferedTxn>(newest(Purpose::kTransaction)); }
  std::vector<std::function<void()>> take_effects(Txn& txn) override {
    return static_cast<BufferedTxn&>(txn).take_effects();
  }

  // The newest committed instant. For a transaction the engine also counts it in View::transactions, under the lock
  // that publishing takes: so one that is just beginning keeps the writes it may conflict with from being forgotten.
  enum class Purpose { kReading, kTransaction };
  virtual std::shared_ptr<const View> newest(Purpose purpose) = 0;

  std::shared_ptr<WatchRegistry> watches_;
};

}  // namespace virga::kv
