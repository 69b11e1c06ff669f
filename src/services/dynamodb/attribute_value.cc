#include "services/dynamodb/attribute_value.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "base/encoding.h"
#include "base/str.h"
#include "services/dynamodb/errors.h"

namespace virga::dynamodb {

namespace {
// What a container begins with whose elements end at `ends`.
class Head {
 public:
  Head(char tag, const std::vector<uint32_t>& ends)
      : tag_(tag), ends_(ends), width_(width_for(std::max<size_t>(ends.empty() ? 0 : ends.back(), ends.size()))) {}
  size_t size() const { return 2 + width_ * (ends_.size() + 1); }
  void write(char* to) const {
    *to++ = tag_;
    *to++ = static_cast<char>(width_);
    put(to, static_cast<uint32_t>(ends_.size()));
    for (const uint32_t end : ends_) put(to, end);
  }

 private:
  static size_t width_for(size_t largest) { return largest <= 0xFF ? 1 : largest <= 0xFFFF ? 2 : 4; }
  void put(char*& to, uint32_t number) const {
    for (size_t i = 0; i < width_; ++i) *to++ = static_cast<char>(number >> (8 * i));
  }
  const char tag_;
  const std::vector<uint32_t>& ends_;
  const size_t width_;
};
}  // namespace

void Layout::damaged() { throw std::runtime_error("damaged attribute value"); }

Layout::Layout(std::string_view bytes) {
  if (bytes.size() < 3) damaged();
  width_ = static_cast<uint8_t>(bytes[1]);
  if ((width_ != 1 && width_ != 2 && width_ != 4) || bytes.size() < 2 + width_) damaged();
  // The count is written as the ends are.
  ends_ = bytes.data() + 2;
  count_ = end(0);
  ends_ += width_;
  const size_t head = 2 + size_t{width_} * (1 + count_);
  if (head > bytes.size()) damaged();
  data_ = bytes.substr(head);
}

std::string_view name_of(Type type) {
  switch (type) {
    case Type::kS:
      return "S";
    case Type::kN:
      return "N";
    case Type::kB:
      return "B";
    case Type::kBool:
      return "BOOL";
    case Type::kNull:
      return "NULL";
    case Type::kSS:
      return "SS";
    case Type::kNS:
      return "NS";
    case Type::kBS:
      return "BS";
    case Type::kL:
      return "L";
    case Type::kM:
      return "M";
  }
  return "";
}

std::string_view long_name_of(Type type) {
  switch (type) {
    case Type::kS:
      return "STRING";
    case Type::kN:
      return "NUMBER";
    case Type::kB:
      return "BINARY";
    case Type::kBool:
      return "BOOLEAN";
    case Type::kNull:
      return "NULL";
    case Type::kSS:
      return "STRING_SET";
    case Type::kNS:
      return "NUMBER_SET";
    case Type::kBS:
      return "BINARY_SET";
    case Type::kL:
      return "LIST";
    case Type::kM:
      return "MAP";
  }
  return "";
}

std::optional<Type> type_named(std::string_view name) {
  constexpr std::array kAll{Type::kS,  Type::kN,  Type::kM,  Type::kL,    Type::kB,
                            Type::kSS, Type::kNS, Type::kBS, Type::kBool, Type::kNull};
  for (const Type type : kAll) {
    if (name_of(type) == name) return type;
  }
  return std::nullopt;
}

Type View::type() const {
  if (bytes_.empty()) Layout::damaged();
  switch (bytes_[0]) {
    case 'S':
      return Type::kS;
    case 'N':
      return Type::kN;
    case 'B':
      return Type::kB;
    case 'T':
    case 'F':
      return Type::kBool;
    case '0':
      return Type::kNull;
    case 's':
      return Type::kSS;
    case 'n':
      return Type::kNS;
    case 'b':
      return Type::kBS;
    case 'L':
      return Type::kL;
    case 'M':
      return Type::kM;
    default:
      Layout::damaged();
  }
}

namespace {
// Of what append_malformed wrote: the text at `index`, and where the next one begins.
std::pair<std::string_view, size_t> malformed_part(std::string_view bytes, size_t index) {
  size_t at = 1;
  for (;; --index) {
    const size_t size = read_be32(bytes.data() + at);
    at += 4 + size;
    if (index == 0) return {bytes.substr(at - size, size), at};
  }
}
}  // namespace

std::string_view View::malformed(Wording wording) const {
  if (!present() || bytes_[0] != 'X') return {};
  return malformed_part(bytes_, wording == Wording::kOlder ? 0 : 1).first;
}
std::string_view View::malformed_name() const { return malformed_part(bytes_, 2).first; }
View View::malformed_names() const { return View(bytes_.substr(malformed_part(bytes_, 2).second)); }

size_t View::size() const { return Layout(bytes_).count(); }
std::string_view View::name_at(size_t index) const { return Layout::entry(element(index)).first; }
std::string_view View::element(size_t index) const { return Layout(bytes_).element(index); }

View View::at(size_t index) const {
  const std::string_view e = element(index);
  return View(bytes_[0] == 'M' ? Layout::entry(e).second : e);
}

std::optional<size_t> View::index_of(std::string_view name) const {
  const Layout layout(bytes_);
  size_t low = 0, high = layout.count();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const int order = Layout::entry(layout.element(middle)).first.compare(name);
    if (order == 0) return middle;
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return std::nullopt;
}

View View::find(std::string_view name) const {
  const auto index = index_of(name);
  return index ? at(*index) : View();
}

bool View::set_contains(std::string_view content) const {
  const Layout layout(bytes_);
  size_t low = 0, high = layout.count();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const int order = layout.element(middle).compare(content);
    if (order == 0) return true;
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return false;
}

size_t View::stored_size() const {
  switch (type()) {
    case Type::kS:
    case Type::kB:
      return content().size();
    case Type::kN:
      return number().stored_size();
    case Type::kBool:
    case Type::kNull:
      return 1;
    case Type::kSS:
    case Type::kBS:
    case Type::kNS: {
      size_t total = 0;
      Layout(bytes_).for_each([&](std::string_view element) {
        total += bytes_[0] == 'n' ? Number::from_key(element).stored_size() : element.size();
      });
      return total;
    }
    case Type::kL: {
      size_t total = 3;
      Layout(bytes_).for_each([&](std::string_view element) { total += 1 + View(element).stored_size(); });
      return total;
    }
    case Type::kM: {
      return 3 + size() + item_size();
    }
  }
  return 0;
}

size_t View::item_size() const {
  size_t total = 0;
  for_each([&](std::string_view name, View value) { total += name.size() + value.stored_size(); });
  return total;
}

std::optional<std::strong_ordering> compare(View a, View b) {
  if (!a.present() || !b.present() || a.type() != b.type()) return std::nullopt;
  // Key forms of numbers sort as the numbers do.
  if (!a.is(Type::kS) && !a.is(Type::kN) && !a.is(Type::kB)) return std::nullopt;
  return a.content().compare(b.content()) <=> 0;
}

std::string describe(View value) {
  std::string out = cat("{", name_of(value.type()), ":");
  switch (value.type()) {
    case Type::kS:
      out += value.content();
      break;
    case Type::kN:
      value.number().append_text(out);
      break;
    case Type::kB:
      out += base64_encode(value.content());
      break;
    case Type::kBool:
      out += value.boolean() ? "true" : "false";
      break;
    case Type::kNull:
      out += "true";
      break;
    case Type::kSS:
    case Type::kNS:
    case Type::kBS:
      out += '[';
      for (size_t i = 0; i < value.size(); ++i) {
        if (i) out += ", ";
        if (value.is(Type::kNS)) {
          Number::from_key(value.element(i)).append_text(out);
        } else {
          out += value.is(Type::kBS) ? base64_encode(value.element(i)) : std::string(value.element(i));
        }
      }
      out += ']';
      break;
    case Type::kL:
      out += '[';
      for (size_t i = 0; i < value.size(); ++i) append(out, i ? ", " : "", describe(value.at(i)));
      out += ']';
      break;
    case Type::kM:
      out += '{';
      for (size_t i = 0; i < value.size(); ++i)
        append(out, i ? ", " : "", value.name_at(i), "=", describe(value.at(i)));
      out += '}';
      break;
  }
  return out += "}";
}

void ContainerBuilder::add(std::string_view element) {
  data_ += element;
  end_element();
}

void ContainerBuilder::add_entry(std::string_view name, std::string_view value) {
  append_be16(data_, static_cast<uint16_t>(name.size()));
  data_ += name;
  data_ += value;
  end_element();
}

void ContainerBuilder::finish(char tag, std::string& out) const {
  const size_t begin = out.size();
  const Head head(tag, ends_);
  out.reserve(begin + head.size() + data_.size());
  out.resize(begin + head.size());
  head.write(out.data() + begin);
  out += data_;
}

void enclose(std::string& out, size_t begin, char tag, const std::vector<uint32_t>& ends) {
  const Head head(tag, ends);
  out.insert(begin, head.size(), '\0');
  head.write(out.data() + begin);
}

void append_string(std::string& out, std::string_view text) {
  out += 'S';
  out += text;
}
void append_binary(std::string& out, std::string_view bytes) {
  out += 'B';
  out += bytes;
}
void append_number(std::string& out, const Number& number) {
  out += 'N';
  number.append_key(out);
}
void append_boolean(std::string& out, bool value) { out += value ? 'T' : 'F'; }
void append_null(std::string& out) { out += '0'; }

void append_set(std::string& out, Type type, std::vector<std::string_view> contents) {
  std::sort(contents.begin(), contents.end());
  std::vector<uint32_t> ends;
  ends.reserve(contents.size());
  const size_t begin = out.size();
  for (const std::string_view content : contents) {
    out += content;
    ends.push_back(static_cast<uint32_t>(out.size() - begin));
  }
  enclose(out, begin, type == Type::kSS ? 's' : type == Type::kNS ? 'n' : 'b', ends);
}

void append_malformed(std::string& out, std::string_view older, std::string_view current, std::string_view name,
                      View names) {
  out += 'X';
  for (const std::string_view part : {older, current, name}) {
    append_be32(out, static_cast<uint32_t>(part.size()));
    out += part;
  }
  out += names.bytes();
}

AttributeValue AttributeValue::of_bytes(std::string bytes) {
  AttributeValue value;
  value.bytes_ = std::move(bytes);
  return value;
}
AttributeValue AttributeValue::string(std::string_view text) {
  AttributeValue value;
  append_string(value.bytes_, text);
  return value;
}
AttributeValue AttributeValue::number(const Number& number) {
  AttributeValue value;
  append_number(value.bytes_, number);
  return value;
}

Item Item::of_bytes(std::string bytes) {
  Item item;
  item.bytes_ = std::move(bytes);
  return item;
}

Item pick(View item, const std::vector<std::string_view>& names) {
  std::vector<std::pair<std::string_view, View>> entries;
  for (const std::string_view name : names) {
    if (const View value = item.find(name); value.present()) entries.emplace_back(name, value);
  }
  return make_item(std::move(entries));
}

Item make_item(std::vector<std::pair<std::string_view, View>> entries) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  ContainerBuilder builder;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i + 1 < entries.size() && entries[i].first == entries[i + 1].first) continue;
    builder.add_entry(entries[i].first, entries[i].second.bytes());
  }
  std::string bytes;
  builder.finish('M', bytes);
  return Item::of_bytes(std::move(bytes));
}

bool is_structural(std::string_view fault) {
  return fault.starts_with("Supplied AttributeValue") || fault.starts_with("Nesting Levels");
}

void check_well_formed(View value, Wording wording) {
  // A reader that meets a malformed value marks the outermost value, so there is nothing to descend into.
  const std::string fault(value.malformed(wording));
  if (!fault.empty()) throw is_structural(fault) ? uncounted(fault) : validation(fault);
}

}  // namespace virga::dynamodb
