// Typed values of any service's shapes from and to JSON that people wrote: templates, inputs of schedules. Names are
// matched as people write them (the model's name, its wire name, or either with another first letter), and scalars
// convert where nothing is lost: "5" is a number where one is wanted, true is "true" where text is.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "base/json.h"
#include "wire/shape.h"

namespace virga::kernel {

// What doesn't fit; what() names the path and what is wrong with it, in CloudFormation's words.
struct TypedJsonError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What JSON says of binary data: base64, or the text itself (any other value: its JSON).
enum class Blobs : uint8_t { kBase64, kText };

// Fills the default-constructed `out` (of `shape`). Throws TypedJsonError.
void fill(const wire::Shape& shape, const Json& value, void* out, const std::string& path = "#",
          Blobs blobs = Blobs::kBase64);
// How values are written: by the model's names with a capital first letter and blobs as base64; or as CloudTrail shows
// calls, by those names with a small first letter, without blobs, and with what is sensitive hidden.
enum class Style : uint8_t { kModel, kTrail };
// The value as JSON. Absent members are absent; streams are left out.
Json read(const wire::Shape& shape, const void* value, Style style = Style::kModel);

// An owned value of a structure shape. Without one it is the empty structure that operations without input or output
// have.
class TypedValue {
 public:
  explicit TypedValue(const wire::Shape* shape);
  ~TypedValue();
  TypedValue(const TypedValue&) = delete;
  TypedValue& operator=(const TypedValue&) = delete;
  void* get() { return structure_ ? at_ : this; }

 private:
  const wire::StructInfo* structure_;
  void* at_ = nullptr;
};

// The member that somebody means by `name`; null when there is none.
const wire::Member* find_member(const wire::StructInfo& structure, std::string_view name);

}  // namespace virga::kernel
