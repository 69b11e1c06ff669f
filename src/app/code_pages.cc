#include "app/code_pages.h"

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

// The last of the functions that the linker lays beside each other, at the beginning of the code.
extern "C" [[gnu::noinline]] void virga_hot_code_ends() { asm volatile(""); }

namespace virga::app {

namespace {

constexpr uintptr_t kPage = 4096, kLargePage = 2 << 20;
constexpr uintptr_t kMost = 3 * kLargePage;

struct Part {
  uintptr_t begin, end;
  bool writable, runs;
};

std::vector<Part> parts_of_program() {
  std::vector<Part> parts;
  const auto add = [](dl_phdr_info* object, size_t, void* to) {
    for (int i = 0; i < object->dlpi_phnum; ++i) {
      const auto& part = object->dlpi_phdr[i];
      if (part.p_type != PT_LOAD) continue;
      const uintptr_t begin = object->dlpi_addr + part.p_vaddr;
      static_cast<std::vector<Part>*>(to)->push_back(
          {begin, begin + part.p_memsz, (part.p_flags & PF_W) != 0, (part.p_flags & PF_X) != 0});
    }
    return 1;  // the first object is the program; the libraries are everybody's
  };
  ::dl_iterate_phdr(add, &parts);
  return parts;
}

uintptr_t round_down(uintptr_t address, uintptr_t to) { return address & ~(to - 1); }
uintptr_t round_up(uintptr_t address, uintptr_t to) { return round_down(address + to - 1, to); }
void* at(uintptr_t address) { return reinterpret_cast<void*>(address); }

bool has_large_pages() {
  char text[64] = {};
  const int fd = ::open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  return n > 0 && std::string_view(text).find("[never]") == std::string_view::npos;
}

// Room for `bytes` in large pages, anywhere; 0 if there is none.
uintptr_t large_pages(size_t bytes) {
  void* const room = ::mmap(nullptr, bytes + kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return 0;
  const auto begin = reinterpret_cast<uintptr_t>(room), pages = round_up(begin, kLargePage);
  if (pages > begin) ::munmap(room, pages - begin);
  if (pages < begin + kLargePage) ::munmap(at(pages + bytes), begin + kLargePage - pages);
  if (::madvise(at(pages), bytes, MADV_HUGEPAGE) == 0) return pages;
  ::munmap(at(pages), bytes);
  return 0;
}

}  // namespace

void release_start_up_pages() {
  for (const Part& part : parts_of_program()) {
    const uintptr_t begin = round_up(part.begin, kPage), end = round_down(part.end, kPage);
    if (!part.writable && begin < end) ::madvise(at(begin), end - begin, MADV_DONTNEED);
  }
}

void gather_hot_code() {
  const std::vector<Part> parts = parts_of_program();
  const auto code = std::ranges::find_if(parts, &Part::runs);
  if (code == parts.end() || !has_large_pages()) return;
  const uintptr_t begin = round_down(code->begin, kLargePage);
  const uintptr_t end = std::min({round_up(reinterpret_cast<uintptr_t>(&virga_hot_code_ends), kLargePage),
                                  round_down(code->end, kLargePage), begin + kMost});
  if (end <= code->begin) return;
  // The linker leaves what is before the code in its large page to nobody; it has to stay so.
  const size_t before = round_down(code->begin, kPage) - begin;
  if (before > 0 &&
      ::mmap(at(begin), before, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at(begin)) {
    return;
  }
  const size_t bytes = end - begin;
  const uintptr_t copy = large_pages(bytes);
  if (copy == 0) return;
  std::memcpy(at(copy + (code->begin - begin)), at(code->begin), end - code->begin);
  if (::mprotect(at(copy), bytes, PROT_READ | PROT_EXEC) != 0 ||
      ::mremap(at(copy), bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at(begin)) == MAP_FAILED) {
    ::munmap(at(copy), bytes);
  }
}

}  // namespace virga::app
