// Counts primes: work that a compiled function does in a moment. The event says below which number, {"below": 1000000},
// or the request to the function's URL does: ?below=1000000.
#include <cctype>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "lambda.h"

namespace {

constexpr long kMost = 100'000'000;

// The number after "below" in the event, as a number or as text.
long limit_of(const std::string& event) {
  auto at = event.find("\"below\"");
  if (at == event.npos) return 100;
  at = event.find_first_not_of(" :\"", at + 7);
  if (at == event.npos || !std::isdigit(static_cast<unsigned char>(event[at]))) throw std::invalid_argument("below is no number");
  const long below = std::strtol(event.c_str() + at, nullptr, 10);
  if (below > kMost) throw std::invalid_argument("below is more than 100000000");
  return below;
}

long count_primes(long below) {
  std::vector<bool> composite(static_cast<size_t>(below > 0 ? below : 0));
  long count = 0;
  for (long n = 2; n < below; ++n) {
    if (composite[static_cast<size_t>(n)]) continue;
    ++count;
    for (long multiple = n * n; multiple < below; multiple += n) composite[static_cast<size_t>(multiple)] = true;
  }
  return count;
}

}  // namespace

int main() {
  lambda::run([](const lambda::Event& event) {
    const long below = limit_of(event.body);
    return "{\"below\":" + std::to_string(below) + ",\"primes\":" + std::to_string(count_primes(below)) + "}";
  });
}
