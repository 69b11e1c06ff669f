// Any text as a line of an Ion import: an item or an Error, in bounded time and memory; what is read is read again from
// what is written of it.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "services/dynamodb/ion.h"

using namespace virga;
using namespace virga::dynamodb;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Item item;
  try {
    item = read_ion_item({reinterpret_cast<const char*>(data), size});
  } catch (const Error&) {
    return 0;
  }
  std::string line = "$ion_1_0 {Item:";
  append_ion_struct(line, item);
  line += '}';
  if (read_ion_item(line) != item) std::abort();
  return 0;
}
