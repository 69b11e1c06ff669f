#include "services/dynamodb/attribute_codec.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/cbor.h"
#include "base/encoding.h"
#include "base/str.h"
#include "services/dynamodb/limits.h"
#include "wire/dynamodb_json.h"

namespace virga::dynamodb {

namespace {

constexpr std::string_view kValueType = "com.amazonaws.dynamodb.v20120810.AttributeValue";

// What the two wire formats have in common, so that the rules about values are written once.
class JsonSource {
 public:
  explicit JsonSource(JsonReader& in) : in_(in) {}
  bool take_null() {
    if (in_.peek() != JsonReader::Token::kNull) return false;
    in_.read_null();
    return true;
  }
  void begin_value(bool nested) {
    wire::dynamodb_json::expect_structure(in_, cat("class ", kValueType), nested);
    in_.begin_object();
  }
  void begin_map(bool nested) {
    wire::dynamodb_json::expect_map(in_, cat("java.util.Map<java.lang.String, ", kValueType, ">"), nested);
    in_.begin_object();
  }
  bool next_key(std::string& key) { return in_.next_key(key); }
  void begin_array() {
    wire::dynamodb_json::expect_list(in_, false);
    in_.begin_array();
  }
  bool next_element() { return in_.next_element(); }
  void string(std::string& out) {
    if (in_.peek() != JsonReader::Token::kString) wire::dynamodb_json::refuse_scalar(in_, "String");
    in_.read_string(out);
  }
  bool boolean() { return wire::dynamodb_json::read_boolean(in_); }
  void skip() { in_.skip_value(); }
  void binary(std::string& out) { wire::dynamodb_json::read_blob(in_, out); }

 private:
  JsonReader& in_;
};

class CborSource {
 public:
  explicit CborSource(CborReader& in) : in_(in) {}
  bool take_null() {
    if (in_.peek() != CborReader::Token::kNull) return false;
    in_.read_null();
    return true;
  }
  void begin_value(bool) { in_.begin_map(); }
  void begin_map(bool) { in_.begin_map(); }
  bool next_key(std::string& key) { return in_.next_key(key); }
  void begin_array() { in_.begin_array(); }
  bool next_element() { return in_.next_element(); }
  void string(std::string& out) { in_.read_string(out); }
  bool boolean() { return in_.read_bool(); }
  void skip() { in_.skip_value(); }
  void binary(std::string& out) { in_.read_bytes(out); }

 private:
  CborReader& in_;
};

template <class Source>
class ValueReader {
 public:
  // `nested`: what is read is an element or a map's value itself.
  ValueReader(Source source, bool nested) : in_(source), nested_(nested) {}

  // Appends the value; the first fault found is kept in fault().
  void value(std::string& out, int depth) {
    const size_t start = out.size();
    int members = 0;
    in_.begin_value(nested_ || depth > 1);
    std::string name;
    while (in_.next_key(name)) {
      const auto type = type_named(name);
      if (!type) {
        in_.skip();
        continue;
      }
      if (in_.take_null()) continue;
      // Of several only the last is kept: the value is refused anyway.
      out.resize(start);
      ++members;
      content(*type, out, depth);
    }
    if (members == 0) {
      note("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes");
      append_null(out);
    } else if (members > 1) {
      note(
          "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
          "datatypes");
    }
  }

  void map(std::string& out, int depth) {
    struct Entry {
      std::string_view name;  // in `out`, once that is whole
      size_t begin, end;
      std::string_view in(std::string_view all) const { return all.substr(begin, end - begin); }
    };
    std::vector<Entry> entries;
    entries.reserve(16);
    const size_t start = out.size();
    std::string name;
    in_.begin_map(nested_ && depth == 0);
    nested_ = true;
    while (in_.next_key(name)) {
      if (in_.take_null()) continue;
      const size_t begin = out.size();
      const auto kept = std::string_view(name).substr(0, kMaxAttributeName);
      append_be16(out, static_cast<uint16_t>(kept.size()));
      out += kept;
      const bool was_fine = fault_.empty();
      value(out, depth + 1);
      if (name.size() > kMaxAttributeName) note(std::string(kNameTooLarge));
      // This is looked for before everything else.
      if (name.empty() && depth == 0) fault_ = current_fault_ = kNameEmpty;
      if (depth == 0 && was_fine && !fault_.empty()) fault_name_ = name;
      entries.push_back({{}, begin, out.size()});
    }
    for (Entry& entry : entries) entry.name = Layout::entry(entry.in(out)).first;
    const auto before = [](const Entry& a, const Entry& b) {
      return std::pair(a.name, a.begin) < std::pair(b.name, b.begin);
    };
    const auto same = [](const Entry& a, const Entry& b) { return a.name == b.name; };
    const bool in_place = std::is_sorted(entries.begin(), entries.end(), before) &&
                          std::adjacent_find(entries.begin(), entries.end(), same) == entries.end();
    if (!in_place) {
      std::sort(entries.begin(), entries.end(), before);
      // Of a repeated name the last stays.
      size_t kept = 0;
      for (size_t i = 0; i < entries.size(); ++i) {
        if (i + 1 == entries.size() || !same(entries[i], entries[i + 1])) entries[kept++] = entries[i];
      }
      entries.resize(kept);
    }
    std::vector<uint32_t> ends;
    ends.reserve(entries.size());
    for (const Entry& entry : entries)
      ends.push_back((ends.empty() ? 0 : ends.back()) + static_cast<uint32_t>(entry.end - entry.begin));
    if (in_place) return enclose(out, start, 'M', ends);
    std::string sorted;
    sorted.reserve(out.size() - start + (ends.size() + 2) * sizeof(uint32_t));  // with what comes before them
    for (const Entry& entry : entries) sorted += entry.in(out);
    enclose(sorted, 0, 'M', ends);
    if (start == 0) return out.swap(sorted);
    out.replace(start, std::string::npos, sorted);
  }

  const std::string& fault() const { return fault_; }
  const std::string& current_fault() const { return current_fault_; }
  // The attribute of the outermost map that the fault is in.
  const std::string& fault_name() const { return fault_name_; }

 private:
  void note(const std::string& older, const std::string& current) {
    if (!fault_.empty()) return;
    fault_ = older;
    current_fault_ = current;
  }
  void note(const std::string& message) { note(message, message); }

  void number(const std::string& text, std::string& key) {
    if (const auto parsed = Number::parse(text)) {
      parsed->append_key(key);
    } else {
      const std::string message = message_of(parsed.error(), text);
      note(older_message_of(parsed.error(), text), text.empty() ? message + ": " : message);
      Number().append_key(key);
    }
  }

  void content(Type type, std::string& out, int depth) {
    if (depth > kMaxNesting) {
      note(
          "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported "
          "limit");
      in_.skip();
      append_null(out);
      return;
    }
    switch (type) {
      case Type::kS:
        in_.string(text_);
        append_string(out, text_);
        break;
      case Type::kN:
        in_.string(text_);
        out += 'N';
        number(text_, out);
        break;
      case Type::kB:
        in_.binary(text_);
        append_binary(out, text_);
        break;
      case Type::kBool:
        append_boolean(out, in_.boolean());
        break;
      case Type::kNull:
        if (!in_.boolean())
          note("One or more parameter values were invalid: Null attribute value types must have the value of true");
        append_null(out);
        break;
      case Type::kSS:
      case Type::kNS:
      case Type::kBS:
        set(type, out);
        break;
      case Type::kL: {
        ContainerBuilder builder;
        in_.begin_array();
        while (in_.next_element()) {
          value(builder.data(), depth + 1);
          builder.end_element();
        }
        builder.finish('L', out);
        break;
      }
      case Type::kM:
        map(out, depth);
        break;
    }
  }

  void set(Type type, std::string& out) {
    std::vector<std::string> elements;
    elements.reserve(8);
    in_.begin_array();
    while (in_.next_element()) {
      std::string& element = elements.emplace_back();
      if (type == Type::kBS) {
        in_.binary(element);
      } else if (type == Type::kNS) {
        in_.string(text_);
        number(text_, element);
      } else {
        in_.string(element);
      }
    }
    if (elements.empty()) {
      note(type == Type::kBS ? "One or more parameter values were invalid: Binary sets should not be empty"
                             : cat("One or more parameter values were invalid: An ",
                                   type == Type::kSS ? "string" : "number", " set  may not be empty"));
    }
    std::vector<std::string_view> views(elements.begin(), elements.end());
    std::sort(views.begin(), views.end());
    if (std::adjacent_find(views.begin(), views.end()) != views.end()) note_duplicates(type, elements);
    append_set(out, type, std::move(views));
  }

  // In current words the elements stand in order up to the first that repeats one.
  void note_duplicates(Type type, std::vector<std::string>& elements) {
    constexpr std::string_view kInvalid = "One or more parameter values were invalid: Input collection ";
    if (type == Type::kNS) return note("Input collection contains duplicates", cat(kInvalid, "contains duplicates."));
    const auto told = [&](std::string_view quote, std::string_view between) {
      std::vector<std::string> list;
      for (const std::string& element : elements)
        list.push_back(cat(quote, type == Type::kBS ? base64_encode(element) : element, quote));
      return cat(kInvalid, "[", join(list, between), "]", type == Type::kBS ? "of type BS" : "",
                 " contains duplicates.");
    };
    const std::string older = told("", ", ");
    std::set<std::string_view> seen;
    auto repeated = elements.begin();
    while (seen.insert(*repeated).second) ++repeated;
    std::sort(elements.begin(), repeated);
    note(older, told("\"", type == Type::kBS ? "," : ", "));
  }

  Source in_;
  std::string text_;
  std::string fault_;
  std::string current_fault_;
  std::string fault_name_;
  bool nested_;
};

template <class Source>
std::string read_value(Source source, bool nested) {
  ValueReader<Source> reader(source, nested);
  std::string bytes;
  reader.value(bytes, 1);
  if (!reader.fault().empty()) {
    bytes.clear();
    append_malformed(bytes, reader.fault(), reader.current_fault());
  }
  return bytes;
}

template <class Source>
std::string read_item(Source source, bool nested) {
  ValueReader<Source> reader(source, nested);
  std::string bytes;
  bytes.reserve(1024);
  reader.map(bytes, 0);
  if (!reader.fault().empty()) {
    const std::string names = std::exchange(bytes, {});
    append_malformed(bytes, reader.fault(), reader.current_fault(), reader.fault_name(), View(names));
  }
  return bytes;
}

// JSON is written straight from the stored form, through a pointer: answers of many items are mostly this, and a string
// that looks after itself at every piece costs more than the pieces.
class JsonText {
 public:
  void clear() { size_ = 0; }
  std::string_view text() const { return {bytes_.data(), size_}; }
  void shrink(size_t most) {
    if (bytes_.size() > most) bytes_ = {};
  }

  void put(char c) {
    *room(1) = c;
    ++size_;
  }
  void put(std::string_view s) {
    std::memcpy(room(s.size()), s.data(), s.size());
    size_ += s.size();
  }
  void string(std::string_view s) {
    char* to = room(s.size() + 2);
    *to++ = '"';
    const char* from = s.data();
    const char* const end = from + s.size();
    if (!(copy_plain<32>(to, from, end) && copy_plain<8>(to, from, end) && copy_plain<1>(to, from, end))) {
      std::string escaped;
      append_json_string(escaped, s);
      return put(escaped);
    }
    *to = '"';
    size_ += s.size() + 2;
  }
  void number(const Number& number) {
    put('"');
    put(number.text());
    put('"');
  }

 private:
  char* room(size_t bytes) {
    if (bytes_.size() - size_ < bytes) bytes_.resize(2 * (size_ + bytes) + 256);
    return bytes_.data() + size_;
  }
  // Whole blocks; false when a character in one needs escaping.
  template <size_t kSize>
  static bool copy_plain(char*& to, const char*& from, const char* end) {
    using Block = unsigned char __attribute__((vector_size(kSize)));
    for (; end - from >= static_cast<ptrdiff_t>(kSize); from += kSize, to += kSize) {
      Block block;
      std::memcpy(&block, from, kSize);
      if (__builtin_reduce_or((block == '"') | (block == '\\') | (block < 0x20))) return false;
      std::memcpy(to, &block, kSize);
    }
    return true;
  }

  std::string bytes_;  // of which size_ are written
  size_t size_ = 0;
};

void emit_map(JsonText& out, View map);

void emit(JsonText& out, View value) {
  const auto list = [&](auto element) {
    char before = '[';
    Layout(value.bytes()).for_each([&](std::string_view bytes) {
      out.put(before);
      before = ',';
      element(bytes);
    });
    out.put(before == '[' ? "[]" : "]");
  };
  switch (value.type()) {
    case Type::kS:
      out.put("{\"S\":");
      out.string(value.content());
      break;
    case Type::kN:
      out.put("{\"N\":");
      out.number(value.number());
      break;
    case Type::kB:
      out.put("{\"B\":");
      out.string(base64_encode(value.content()));
      break;
    case Type::kBool:
      out.put(value.boolean() ? "{\"BOOL\":true" : "{\"BOOL\":false");
      break;
    case Type::kNull:
      out.put("{\"NULL\":true");
      break;
    case Type::kSS:
      out.put("{\"SS\":");
      list([&](std::string_view text) { out.string(text); });
      break;
    case Type::kNS:
      out.put("{\"NS\":");
      list([&](std::string_view key) { out.number(Number::from_key(key)); });
      break;
    case Type::kBS:
      out.put("{\"BS\":");
      list([&](std::string_view bytes) { out.string(base64_encode(bytes)); });
      break;
    case Type::kL:
      out.put("{\"L\":");
      list([&](std::string_view bytes) { emit(out, View(bytes)); });
      break;
    case Type::kM:
      out.put("{\"M\":");
      emit_map(out, value);
      break;
  }
  out.put('}');
}

void emit_map(JsonText& out, View map) {
  char before = '{';
  map.for_each([&](std::string_view name, View value) {
    out.put(before);
    before = ',';
    out.string(name);
    out.put(':');
    emit(out, value);
  });
  out.put(before == '{' ? "{}" : "}");
}

// The text is made beside the writer and copied once, which is cheaper than the writer's bookkeeping a token.
template <class Emit>
void write_through(JsonWriter& out, Emit emit_to) {
  thread_local JsonText text;
  constexpr size_t kKept = 1 << 20;
  text.clear();
  emit_to(text);
  out.raw(text.text());
  text.shrink(kKept);
}

class CborSink {
 public:
  explicit CborSink(CborWriter& out) : out_(out) {}
  void begin_map(size_t n) { out_.map(n); }
  void end_map() {}
  void begin_array(size_t n) { out_.array(n); }
  void end_array() {}
  void key(std::string_view name) { out_.key(name); }
  void string(std::string_view s) { out_.string(s); }
  void binary(std::string_view s) { out_.bytes(s); }
  void boolean(bool b) { out_.boolean(b); }

 private:
  CborWriter& out_;
};

template <class Sink>
void write_map(Sink out, View map);

template <class Sink>
void write_value(Sink out, View value) {
  const Type type = value.type();
  out.begin_map(1);
  out.key(name_of(type));
  switch (type) {
    case Type::kS:
      out.string(value.content());
      break;
    case Type::kN:
      out.string(value.number().text());
      break;
    case Type::kB:
      out.binary(value.content());
      break;
    case Type::kBool:
      out.boolean(value.boolean());
      break;
    case Type::kNull:
      out.boolean(true);
      break;
    case Type::kSS:
    case Type::kNS:
    case Type::kBS: {
      const size_t size = value.size();
      out.begin_array(size);
      for (size_t i = 0; i < size; ++i) {
        if (type == Type::kSS) out.string(value.element(i));
        if (type == Type::kBS) out.binary(value.element(i));
        if (type == Type::kNS) out.string(Number::from_key(value.element(i)).text());
      }
      out.end_array();
      break;
    }
    case Type::kL: {
      const size_t size = value.size();
      out.begin_array(size);
      for (size_t i = 0; i < size; ++i) write_value(out, value.at(i));
      out.end_array();
      break;
    }
    case Type::kM:
      write_map(out, value);
      break;
  }
  out.end_map();
}

template <class Sink>
void write_map(Sink out, View map) {
  const size_t size = map.size();
  out.begin_map(size);
  for (size_t i = 0; i < size; ++i) {
    out.key(map.name_at(i));
    write_value(out, map.at(i));
  }
  out.end_map();
}

}  // namespace

void write_json(JsonWriter& out, View value) {
  write_through(out, [&](JsonText& text) { emit(text, value); });
}
void write_json_item(JsonWriter& out, View item) {
  write_through(out, [&](JsonText& text) { emit_map(text, item); });
}
Item read_json_item(JsonReader& in) { return Item::of_bytes(read_item(JsonSource(in), false)); }

const wire::CustomInfo kAttributeValueInfo = {
    .read_json =
        [](JsonReader& in, void* out, std::string_view path) {
          *static_cast<AttributeValue*>(out) = AttributeValue::of_bytes(read_value(JsonSource(in), path.empty()));
        },
    .write_json = [](JsonWriter& out,
                     const void* value) { write_json(out, *static_cast<const AttributeValue*>(value)); },
    .read_cbor =
        [](CborReader& in, void* out, std::string_view) {
          *static_cast<AttributeValue*>(out) = AttributeValue::of_bytes(read_value(CborSource(in), false));
        },
    .write_cbor =
        [](CborWriter& out, const void* value) {
          write_value(CborSink(out), static_cast<const AttributeValue*>(value)->view());
        },
};

const wire::CustomInfo kItemInfo = {
    .read_json =
        [](JsonReader& in, void* out, std::string_view path) {
          *static_cast<Item*>(out) = Item::of_bytes(read_item(JsonSource(in), path.empty()));
        },
    .write_json = [](JsonWriter& out, const void* value) { write_json_item(out, *static_cast<const Item*>(value)); },
    .read_cbor = [](CborReader& in, void* out,
                    std::string_view) { *static_cast<Item*>(out) = Item::of_bytes(read_item(CborSource(in), false)); },
    .write_cbor = [](CborWriter& out,
                     const void* value) { write_map(CborSink(out), static_cast<const Item*>(value)->view()); },
};

}  // namespace virga::dynamodb
