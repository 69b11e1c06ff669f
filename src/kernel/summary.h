// What is known of the values of a metric in a while: their statistics, and about how they are distributed. Pure. A
// record.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace virga::kernel {

struct Summary {
  double count = 0, sum = 0, smallest = 0, largest = 0;
  // How often values were in each bucket, of which the next is two per cent above; ascending. Not known when statistics
  // came without their values, or values were below zero.
  bool distributed = true;
  std::vector<std::pair<int64_t, double>> buckets;
  template <class A>
  void fields(A& a) {
    a(1, count), a(2, sum), a(3, smallest), a(4, largest), a(5, distributed), a(6, buckets);
  }

  void add(double value, double times);
  // Of values that aren't known one by one.
  void add_statistics(double count, double sum, double smallest, double largest);
  void merge(const Summary& other);
  // The value below which that many of a hundred lie, to within one per cent; nothing when that isn't known.
  std::optional<double> percentile(double percent) const;

 private:
  void note(double n, double total, double least, double most);
  void bound();
};

}  // namespace virga::kernel
