// Who contributes most to a sum, and how many contribute, in bounded memory however many they are: a Space-Saving
// summary, of which several can be merged, and a HyperLogLog for the number once not all are kept. Pure. A record.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace virga::kernel {

// One who is kept. What it contributed lies between the two.
struct Contributor {
  std::string key;
  double most = 0, least = 0;
  template <class A>
  void fields(A& a) {
    a(1, key), a(2, most), a(3, least);
  }
};

class Contributors {
 public:
  static constexpr size_t kKept = 100;

  void add(std::string_view key, double amount);
  // As if all that was added to `other` had been added here.
  void merge(const Contributors& other);

  const std::vector<Contributor>& kept() const { return kept_; }  // in no order
  // The most that one who is not kept has contributed; 0: all are kept.
  double unseen() const { return unseen_; }
  // How many contributed: exact while all are kept, else within some per cent.
  double unique() const;
  double sum() const { return sum_; }
  int64_t samples() const { return samples_; }
  double smallest() const { return smallest_; }  // of the amounts added
  double largest() const { return largest_; }

  template <class A>
  void fields(A& a) {
    a(1, kept_), a(2, unseen_), a(3, sum_), a(4, samples_), a(5, smallest_), a(6, largest_), a(7, registers_);
  }

 private:
  void rehash();
  void count_unique(uint64_t hash);
  void begin_counting();  // from here on not all are kept

  std::vector<Contributor> kept_;
  std::vector<uint64_t> hashes_;  // of kept_, in its order; empty in a record that was just read
  double unseen_ = 0, sum_ = 0, smallest_ = 0, largest_ = 0;
  int64_t samples_ = 0;
  std::string registers_;  // of the HyperLogLog; empty while all are kept
};

// A contributor's key, of several texts.
std::string contributor_key(const std::vector<std::string>& parts);
std::vector<std::string> contributor_parts(std::string_view key);

}  // namespace virga::kernel
