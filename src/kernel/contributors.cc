#include "kernel/contributors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

namespace virga::kernel {

namespace {

constexpr int kRegisterBits = 10;
constexpr size_t kRegisters = size_t{1} << kRegisterBits;  // an error of 3% in the mean

uint64_t hash_of(std::string_view key) { return std::hash<std::string_view>{}(key); }

bool contributes_less(const Contributor& a, const Contributor& b) { return a.most < b.most; }

}  // namespace

void Contributors::rehash() {
  hashes_.clear();
  for (const Contributor& c : kept_) hashes_.push_back(hash_of(c.key));
}

void Contributors::count_unique(uint64_t hash) {
  char& highest = registers_[hash >> (64 - kRegisterBits)];
  highest = std::max(highest, static_cast<char>(std::countl_zero(hash << kRegisterBits | 1) + 1));
}

void Contributors::begin_counting() {
  if (!registers_.empty()) return;
  registers_.assign(kRegisters, '\0');
  for (const uint64_t hash : hashes_) count_unique(hash);
}

void Contributors::add(std::string_view key, double amount) {
  smallest_ = samples_ ? std::min(smallest_, amount) : amount;
  largest_ = std::max(largest_, amount);
  sum_ += amount;
  ++samples_;
  if (hashes_.size() != kept_.size()) rehash();
  const uint64_t hash = hash_of(key);
  if (!registers_.empty()) count_unique(hash);
  for (auto at = hashes_.begin(); (at = std::find(at, hashes_.end(), hash)) != hashes_.end(); ++at) {
    Contributor& known = kept_[static_cast<size_t>(at - hashes_.begin())];
    if (known.key != key) continue;
    known.most += amount;
    known.least += amount;
    return;
  }
  if (kept_.size() < kKept) {
    kept_.push_back({std::string(key), unseen_ + amount, amount});
    hashes_.push_back(hash);
    return;
  }
  begin_counting();
  count_unique(hash);
  // The place of the one with the least goes to the new one, who may have contributed as much before without a place.
  const auto last = std::min_element(kept_.begin(), kept_.end(), contributes_less);
  unseen_ = last->most;
  *last = {std::string(key), unseen_ + amount, amount};
  hashes_[static_cast<size_t>(last - kept_.begin())] = hash;
}

void Contributors::merge(const Contributors& other) {
  if (other.samples_ == 0) return;
  rehash();
  smallest_ = samples_ ? std::min(smallest_, other.smallest_) : other.smallest_;
  largest_ = std::max(largest_, other.largest_);
  sum_ += other.sum_;
  samples_ += other.samples_;

  std::vector<Contributor> fresh;
  std::vector<bool> in_both(kept_.size());
  for (const Contributor& theirs : other.kept_) {
    const auto mine = std::find_if(kept_.begin(), kept_.end(), [&](const auto& c) { return c.key == theirs.key; });
    if (mine == kept_.end()) {
      fresh.push_back({theirs.key, theirs.most + unseen_, theirs.least});
      continue;
    }
    mine->most += theirs.most;
    mine->least += theirs.least;
    in_both[static_cast<size_t>(mine - kept_.begin())] = true;
  }
  for (size_t i = 0; i < in_both.size(); ++i) {
    if (!in_both[i]) kept_[i].most += other.unseen_;
  }
  unseen_ += other.unseen_;
  if (!registers_.empty() || !other.registers_.empty() || kept_.size() + fresh.size() > kKept) {
    begin_counting();
    for (const Contributor& c : other.kept_) count_unique(hash_of(c.key));
    for (size_t i = 0; i < std::min(registers_.size(), other.registers_.size()); ++i)
      registers_[i] = std::max(registers_[i], other.registers_[i]);
  }
  std::move(fresh.begin(), fresh.end(), std::back_inserter(kept_));
  if (kept_.size() > kKept) {
    std::sort(kept_.begin(), kept_.end(), [](const auto& a, const auto& b) { return contributes_less(b, a); });
    unseen_ = std::max(unseen_, kept_[kKept].most);
    kept_.resize(kKept);
  }
  rehash();
}

double Contributors::unique() const {
  const auto kept = static_cast<double>(kept_.size());
  if (registers_.empty()) return kept;
  constexpr auto kCount = static_cast<double>(kRegisters);
  double sum = 0, empty = 0;
  for (const char highest : registers_) {
    sum += std::ldexp(1, -highest);
    empty += highest == 0;
  }
  double estimate = 0.7213 / (1 + 1.079 / kCount) * kCount * kCount / sum;
  if (estimate <= 2.5 * kCount && empty > 0) estimate = kCount * std::log(kCount / empty);
  return std::max(kept, std::round(estimate));
}

std::string contributor_key(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) {
    out += static_cast<char>(part.size() >> 8);
    out += static_cast<char>(part.size());
    out += part;
  }
  return out;
}

std::vector<std::string> contributor_parts(std::string_view key) {
  std::vector<std::string> out;
  while (key.size() >= 2) {
    const size_t size = static_cast<uint8_t>(key[0]) << 8 | static_cast<uint8_t>(key[1]);
    out.emplace_back(key.substr(2, size));
    key.remove_prefix(std::min(key.size(), size + 2));
  }
  return out;
}

}  // namespace virga::kernel
