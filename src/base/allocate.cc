// operator new and delete for everything: a thread keeps what it frees for the next who wants as much. A request
// allocates and frees a hundred small things, most of the same few sizes, and dozens of requests are under way at once:
// more than the C library keeps for a thread, so half of them would go the long way through its arena, which threads
// share. What is kept is bounded; the rest goes back.
#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif

// The sanitizers watch the allocations that are theirs.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer) && !__has_feature(memory_sanitizer)

namespace {

constexpr size_t kStep = 32;             // sizes are kept by such steps
constexpr size_t kMost = 8192;           // larger ones are not
constexpr size_t kKeptSmall = 64 << 10;  // bytes of one size,
constexpr size_t kKept = 64;             // or so many: the coroutines of some dozen requests
constexpr size_t kKeptInAll = 4 << 20;

struct Free {
  Free* next;
};
struct Kept {
  Free* first = nullptr;
  uint32_t bytes = 0;
};

struct Cache {
  std::array<Kept, kMost / kStep + 1> kept{};
  size_t room = 0;  // for more, of all sizes; none before the thread keeps something and once it ends
};
// Of a type that nothing has to be run for, so that it is reached without asking whether it was.
constinit thread_local Cache cache;
constinit thread_local bool begun = false;

struct End {
  ~End() {
    cache.room = 0;
    for (Kept& size : cache.kept) {
      while (size.first) std::free(std::exchange(size.first, size.first->next));
    }
  }
};
thread_local End end;

size_t steps(size_t bytes) { return bytes == 0 ? 1 : (bytes + kStep - 1) / kStep; }

void* allocate(size_t bytes) {
  // Rounded up, so that whoever takes it next may use all of the step.
  const size_t step = steps(bytes);
  if (step <= kMost / kStep) {
    Kept& size = cache.kept[step];
    if (size.first) {
      size.bytes -= static_cast<uint32_t>(step * kStep);
      cache.room += step * kStep;
      Free* const memory = std::exchange(size.first, size.first->next);
      __builtin_prefetch(size.first, 1);  // whoever wants as much next would wait for it
      return memory;
    }
    bytes = step * kStep;
  }
  while (true) {
    if (void* memory = std::malloc(bytes)) return memory;
    const std::new_handler handler = std::get_new_handler();
    if (!handler) throw std::bad_alloc();
    handler();
  }
}

void keep_or_free(void* memory, size_t step);

[[gnu::noinline]] void begin(void* memory, size_t step) {
  begun = true;
  (void)&end;
  cache.room = kKeptInAll;
  keep_or_free(memory, step);
}

// Memory that holds `step` steps.
inline void keep_or_free(void* memory, size_t step) {
  if (step <= kMost / kStep) {
    const size_t bytes = step * kStep;
    Kept& size = cache.kept[step];
    if (bytes <= cache.room && size.bytes < std::max(kKeptSmall, kKept * bytes)) {
      size.bytes += static_cast<uint32_t>(bytes);
      cache.room -= bytes;
      size.first = new (memory) Free{size.first};
      return;
    }
    if (!begun) return begin(memory, step);
  }
  std::free(memory);
}

void release(void* memory) {
  if (memory) keep_or_free(memory, ::malloc_usable_size(memory) / kStep);
}
void release_of(void* memory, size_t bytes) {
  if (memory) keep_or_free(memory, steps(bytes));
}

}  // namespace

void* operator new(size_t bytes) { return allocate(bytes); }
void* operator new[](size_t bytes) { return allocate(bytes); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, size_t bytes) noexcept { release_of(memory, bytes); }
void operator delete[](void* memory, size_t bytes) noexcept { release_of(memory, bytes); }

#endif
