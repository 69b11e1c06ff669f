// DynamoDB's values as bytes. One encoding serves the request, the store and the answer: a value is read in place
// through a View, and reading one attribute or element touches no other.
//
// Encoding: a tag byte, then
//   S B            the content                      N   the number's key form (number.h)
//   T F 0          nothing (true, false, null)      X   malformed: a message, a name, the names, 0x00 between
//   L M s n b      a container (list, map, and the sets): width w (1, 2 or 4), count, the end offset of each element,
//                  all little-endian in w bytes, then the elements. Elements of L are values, of sets contents, of M
//                  a two-byte big-endian name length, the name and a value.
// Maps are sorted by name and sets by content, so equal values have equal bytes.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/dynamodb/number.h"

namespace virga::dynamodb {

enum class Type : uint8_t { kS, kN, kB, kBool, kNull, kSS, kNS, kBS, kL, kM };
std::string_view name_of(Type type);       // "S", "N", …
std::string_view long_name_of(Type type);  // "STRING", "NUMBER", …: as some messages call it
std::optional<Type> type_named(std::string_view name);

// Where the parts of a container are: looked up once, for all of them.
class Layout {
 public:
  explicit Layout(std::string_view bytes);
  size_t count() const { return count_; }
  std::string_view element(size_t i) const {
    if (i >= count_) damaged();
    return between(i ? end(i - 1) : 0, end(i));
  }
  // Calls `each(element)` with every element.
  template <class F>
  void for_each(F each) const {
    for (size_t i = 0, begin = 0; i < count_; ++i) {
      const size_t after = end(i);
      each(between(begin, after));
      begin = after;
    }
  }
  // Name and value, of an element of M.
  static std::pair<std::string_view, std::string_view> entry(std::string_view element) {
    if (element.size() < 2) damaged();
    const size_t name = static_cast<uint8_t>(element[0]) << 8 | static_cast<uint8_t>(element[1]);
    if (element.size() < 2 + name) damaged();
    return {element.substr(2, name), element.substr(2 + name)};
  }
  [[noreturn]] static void damaged();

 private:
  size_t end(size_t i) const {
    const auto* p = reinterpret_cast<const uint8_t*>(ends_) + i * width_;
    switch (width_) {
      case 1:
        return p[0];
      case 2:
        return p[0] | p[1] << 8;
      default:
        return p[0] | p[1] << 8 | p[2] << 16 | uint32_t{p[3]} << 24;
    }
  }
  std::string_view between(size_t begin, size_t end) const {
    if (begin > end || end > data_.size()) damaged();
    return {data_.data() + begin, end - begin};
  }
  const char* ends_;
  std::string_view data_;  // of all elements
  size_t count_;
  unsigned width_;
};

// AWS has two sets of words for values that it refuses: batches of writes, transactions, scans and statements have the
// older ones.
enum class Wording : uint8_t { kOlder, kCurrent };

// One encoded value, borrowed.
class View {
 public:
  View() = default;
  explicit View(std::string_view bytes) : bytes_(bytes) {}

  bool present() const { return !bytes_.empty(); }
  std::string_view bytes() const { return bytes_; }
  Type type() const;
  bool is(Type type) const { return present() && this->type() == type; }
  bool is_set() const { return present() && (bytes_[0] == 's' || bytes_[0] == 'n' || bytes_[0] == 'b'); }

  // The message of a malformed value, else empty; and of a malformed item which attribute it was.
  std::string_view malformed(Wording wording = Wording::kOlder) const;
  std::string_view malformed_name() const;
  View malformed_names() const;  // a map with the names of the malformed item

  std::string_view content() const { return bytes_.substr(1); }  // of S and B; of N its key form
  bool boolean() const { return bytes_[0] == 'T'; }
  Number number() const { return Number::from_key(content()); }

  size_t size() const;          // elements of a container
  View at(size_t index) const;  // of L, and the values of M
  std::string_view name_at(size_t index) const;
  // Calls `each(name, value)` with every entry of M.
  template <class F>
  void for_each(F each) const {
    Layout(bytes_).for_each([&](std::string_view element) {
      const auto [name, value] = Layout::entry(element);
      each(name, View(value));
    });
  }
  std::string_view element(size_t index) const;  // of a set: its content
  View find(std::string_view name) const;        // of M; not present when there is none
  std::optional<size_t> index_of(std::string_view name) const;
  bool set_contains(std::string_view content) const;

  // Bytes that AWS counts for the value, without its name. For a top-level map: of the whole item.
  size_t stored_size() const;
  size_t item_size() const;

  bool operator==(const View& other) const { return bytes_ == other.bytes_; }

 private:
  std::string_view bytes_;
};

// Order of two S, N or B of the same type; nothing for anything else.
std::optional<std::strong_ordering> compare(View a, View b);

// The JSON of AWS's messages: {S:abc}.
std::string describe(View value);

// Makes what was written to `out` since `begin` the elements of a container that end at `ends`, from `begin` on.
void enclose(std::string& out, size_t begin, char tag, const std::vector<uint32_t>& ends);

// Collects the elements of a container and appends it.
class ContainerBuilder {
 public:
  void add(std::string_view element);
  void add_entry(std::string_view name, std::string_view value);  // of M: names in ascending order
  // The scratch that elements are written to directly; call end_element() after each.
  std::string& data() { return data_; }
  void end_element() { ends_.push_back(static_cast<uint32_t>(data_.size())); }
  size_t size() const { return ends_.size(); }
  void finish(char tag, std::string& out) const;

 private:
  std::string data_;
  std::vector<uint32_t> ends_;
};

void append_string(std::string& out, std::string_view text);
void append_binary(std::string& out, std::string_view bytes);
void append_number(std::string& out, const Number& number);
void append_boolean(std::string& out, bool value);
void append_null(std::string& out);
// A set of `type` from contents in any order, without repetitions.
void append_set(std::string& out, Type type, std::vector<std::string_view> contents);
// `older` and `current`: the message in both wordings.
void append_malformed(std::string& out, std::string_view older, std::string_view current, std::string_view name = {},
                      View names = {});

// An owned value.
class AttributeValue {
 public:
  AttributeValue() = default;
  explicit AttributeValue(View view) : bytes_(view.bytes()) {}
  static AttributeValue of_bytes(std::string bytes);
  static AttributeValue string(std::string_view text);
  static AttributeValue number(const Number& number);

  View view() const { return View(bytes_); }
  operator View() const { return view(); }
  const std::string& bytes() const { return bytes_; }
  std::string& bytes() { return bytes_; }
  bool operator==(const AttributeValue& other) const = default;

 private:
  std::string bytes_;
};

// An owned map of attributes: an item, a key, or the values of an expression. Its bytes are those of an M.
class Item {
 public:
  Item() : bytes_("M\1\0", 3) {}
  explicit Item(View view) : bytes_(view.bytes()) {}
  static Item of_bytes(std::string bytes);

  View view() const { return View(bytes_); }
  operator View() const { return view(); }
  View find(std::string_view name) const { return view().find(name); }
  size_t size() const { return view().size(); }
  const std::string& bytes() const { return bytes_; }
  std::string& bytes() { return bytes_; }
  bool operator==(const Item& other) const = default;

 private:
  std::string bytes_;
};

// Not present when there is none.
inline View view_of(const std::optional<Item>& item) { return item ? item->view() : View(); }

// The attributes of `item` called `names`, those that are there; names in any order.
Item pick(View item, const std::vector<std::string_view>& names);
// An item of these entries, in any order; a repeated name must have the same value.
Item make_item(std::vector<std::pair<std::string_view, View>> entries);

// Whether what is malformed is no value at all or nested too deeply: AWS does not count that among a request's faults
// (errors.h).
bool is_structural(std::string_view fault);
// Throws ValidationException when a value anywhere in `value` was malformed.
void check_well_formed(View value, Wording wording = Wording::kOlder);

}  // namespace virga::dynamodb
