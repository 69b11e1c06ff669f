// Keys and records: whatever the bytes, reading refuses or succeeds, and what was written reads back the same.
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "kv/key.h"
#include "kv/record.h"

namespace {

struct Inner {
  int64_t number = 0;
  std::optional<std::string> note;
  template <class A>
  void fields(A& a) {
    a(1, number);
    a(2, note);
  }
};
struct Outer {
  std::string name;
  bool flag = false;
  double ratio = 0;
  virga::Time at;
  std::vector<Inner> list;
  std::map<std::string, Inner> map;
  template <class A>
  void fields(A& a) {
    a(1, name);
    a(2, flag);
    a(3, ratio);
    a(4, at);
    a(5, list);
    a(6, map);
  }
};

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace virga;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto outer = kv::decode<Outer>(bytes);
    const std::string once = kv::encode(outer);
    check(kv::encode(kv::decode<Outer>(once)) == once);
  } catch (const std::runtime_error&) {
  }
  try {
    kv::KeyReader reader(bytes);
    while (!reader.rest().empty()) reader.text();
  } catch (const std::runtime_error&) {
  }
  // Two texts cut from the input: the order of their keys is their order, and both read back.
  const std::string_view a = bytes.substr(0, size / 2), b = bytes.substr(size / 2);
  const std::string key_a = kv::KeyWriter("t").text(a).u32(1), key_b = kv::KeyWriter("t").text(b).u32(1);
  check((a < b) == (key_a < key_b) && (a == b) == (key_a == key_b));
  kv::KeyReader reader(key_a);
  check(reader.text() == "t" && reader.text() == a && reader.u32() == 1 && reader.rest().empty());
  return 0;
}
