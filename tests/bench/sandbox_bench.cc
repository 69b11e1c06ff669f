// What a warm call costs on the channel alone: Instance::invoke to a function in its jail and back, on a reactor as in
// the product, without door, service or store. Arguments: a folder for its state, one with the code, the runtime, the
// number of calls, the pause between them in microseconds, and the payload. Prints the median in microseconds.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/str.h"
#include "rt/reactor.h"
#include "sandbox/sandbox.h"

namespace virga {
namespace {

struct Plan {
  sandbox::Spec spec;
  std::string payload;
  size_t calls;
  Micros pause;
};

Task<double> measure(sandbox::Sandboxes& sandboxes, Plan plan) {
  const auto instance = co_await sandboxes.start(plan.spec, [](std::string_view, std::string_view) {});
  std::vector<double> took;
  for (size_t i = 0; i < plan.calls; ++i) {
    sandbox::Invocation call;
    call.request_id = "3e3b8d20-5b7a-4b0e-9a52-0d8f6f1f7c11";
    call.payload = plan.payload;
    call.timeout = Millis{5000};
    call.deadline = SystemClock().now() + Millis{5000};
    call.function_arn = "arn:aws:lambda:us-east-1:000000000000:function:bench";
    const auto began = std::chrono::steady_clock::now();
    const sandbox::Outcome outcome = co_await instance->invoke(std::move(call));
    if (outcome.status != sandbox::Status::kOk) throw std::runtime_error(cat("the function failed: ", outcome.payload));
    took.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began).count());
    co_await sleep_for(plan.pause);
  }
  std::ranges::sort(took);
  co_return took[took.size() / 2];
}

int main_of(const std::vector<std::string>& words) {
  Plan plan;
  plan.spec.code_directory = words[1];
  plan.spec.runtime = words[2];
  plan.spec.handler = "app.handler";
  plan.spec.limits.memory_mb = 1769;  // one whole processor
  plan.calls = static_cast<size_t>(parse_int(words[3]).value_or(1000));
  plan.pause = Micros(parse_int(words[4]).value_or(0));
  plan.payload = words[5];
  const auto sandboxes = sandbox::open({.state_directory = words[0]});
  rt::Reactors reactors(1);
  reactors.start();
  const Result<double> median = rt::run_on(reactors[0], measure(*sandboxes, std::move(plan)));
  if (!median) return std::fprintf(stderr, "%s\n", describe(median.error()).c_str()), 1;
  std::printf("%.1f\n", *median);
  std::fflush(stdout);
  rt::run_on(reactors[0], sandboxes->stop());
  reactors.stop();
  return 0;
}

}  // namespace
}  // namespace virga

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "launcher") return virga::sandbox::launcher_main(argc, argv);
  if (argc != 7) return std::fprintf(stderr, "usage: %s STATE CODE RUNTIME CALLS PAUSE PAYLOAD\n", argv[0]), 2;
  return virga::main_of({argv + 1, argv + argc});
}
