// Records: structs as bytes, with numbered fields, so that an older record reads in a newer build and an unknown field
// survives being skipped. A struct becomes a record by one function that names its fields:
//
//   struct Queue { std::string name; Time created; std::vector<std::string> tags;
//     template <class A> void fields(A& a) { a(1, name); a(2, created); a(3, tags); } };
//   std::string bytes = kv::encode(queue);   Queue q = kv::decode<Queue>(bytes);
//
// Field types: bool, integers, double, std::string, Time, enums, std::optional, std::vector, std::map<std::string, T>,
// std::pair, and nested structs with fields(). Numbers are never reused. Wire: LEB128 field number and byte length,
// then the value. decode throws std::runtime_error on damage.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/time.h"

namespace virga::kv {

namespace detail {

void put_varint(std::string& out, uint64_t v);
uint64_t get_varint(std::string_view& in);         // throws std::runtime_error
std::string_view get_bytes(std::string_view& in);  // a varint length and that many bytes

class FieldWriter;
class FieldReader;

template <class T>
concept Record = requires(T& t, FieldWriter& w) { t.fields(w); };
template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};
template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};
template <class T>
struct is_map : std::false_type {};
template <class T>
struct is_map<std::map<std::string, T>> : std::true_type {};
template <class T>
struct is_pair : std::false_type {};
template <class A, class B>
struct is_pair<std::pair<A, B>> : std::true_type {};

template <class T>
void write_value(std::string& out, const T& v);
template <class T>
void read_value(std::string_view bytes, T& v);

class FieldWriter {
 public:
  explicit FieldWriter(std::string& out) : out_(out) {}
  template <class T>
  void operator()(uint32_t number, const T& v) {
    if constexpr (is_optional<T>::value) {
      if (v) (*this)(number, *v);
    } else if constexpr (std::is_same_v<T, std::string>) {
      put_varint(out_, number);
      put_varint(out_, v.size());
      out_ += v;
    } else {
      std::string bytes;
      write_value(bytes, v);
      put_varint(out_, number);
      put_varint(out_, bytes.size());
      out_ += bytes;
    }
  }

 private:
  std::string& out_;
};

class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto number = static_cast<uint32_t>(get_varint(bytes));
      fields_.emplace_back(number, get_bytes(bytes));
    }
  }
  template <class T>
  void operator()(uint32_t number, T& v) {
    for (const auto& [n, bytes] : fields_) {
      if (n != number) continue;
      if constexpr (is_optional<T>::value) {
        read_value(bytes, v.emplace());
      } else {
        read_value(bytes, v);
      }
      return;
    }
  }

 private:
  std::vector<std::pair<uint32_t, std::string_view>> fields_;
};

template <class T>
void write_element(std::string& out, const T& v) {
  if constexpr (std::is_same_v<T, std::string>) {
    put_varint(out, v.size());
    out += v;
  } else {
    std::string bytes;
    write_value(bytes, v);
    put_varint(out, bytes.size());
    out += bytes;
  }
}

template <class T>
void write_value(std::string& out, const T& v) {
  if constexpr (std::is_same_v<T, std::string>) {
    out += v;
  } else if constexpr (std::is_same_v<T, bool>) {
    out += v ? '\1' : '\0';
  } else if constexpr (std::is_floating_point_v<T>) {
    const double d = v;
    out.append(reinterpret_cast<const char*>(&d), sizeof d);
  } else if constexpr (std::is_enum_v<T>) {
    put_varint(out, static_cast<uint64_t>(v));
  } else if constexpr (std::is_integral_v<T>) {
    // Zigzag, so that small negative numbers stay short.
    const auto i = static_cast<int64_t>(v);
    put_varint(out, (static_cast<uint64_t>(i) << 1) ^ static_cast<uint64_t>(i >> 63));
  } else if constexpr (std::is_same_v<T, Time>) {
    write_value(out, v.micros);
  } else if constexpr (is_vector<T>::value) {
    for (const auto& element : v) write_element<typename T::value_type>(out, element);
  } else if constexpr (is_map<T>::value) {
    for (const auto& [key, value] : v) {
      write_element(out, key);
      write_element(out, value);
    }
  } else if constexpr (is_pair<T>::value) {
    write_element(out, v.first);
    write_element(out, v.second);
  } else {
    static_assert(Record<T>, "a record field needs a fields() function");
    FieldWriter writer(out);
    const_cast<T&>(v).fields(writer);
  }
}

template <class T>
void read_value(std::string_view bytes, T& v) {
  if constexpr (std::is_same_v<T, std::string>) {
    v.assign(bytes);
  } else if constexpr (std::is_same_v<T, bool>) {
    v = !bytes.empty() && bytes[0] != '\0';
  } else if constexpr (std::is_floating_point_v<T>) {
    if (bytes.size() != sizeof(double)) throw std::runtime_error("damaged record: a number of the wrong size");
    double d;
    std::memcpy(&d, bytes.data(), sizeof d);
    v = static_cast<T>(d);
  } else if constexpr (std::is_enum_v<T>) {
    v = static_cast<T>(get_varint(bytes));
  } else if constexpr (std::is_integral_v<T>) {
    const uint64_t z = get_varint(bytes);
    v = static_cast<T>(static_cast<int64_t>(z >> 1) ^ -static_cast<int64_t>(z & 1));
  } else if constexpr (std::is_same_v<T, Time>) {
    read_value(bytes, v.micros);
  } else if constexpr (is_vector<T>::value) {
    v.clear();
    while (!bytes.empty()) {
      typename T::value_type element{};
      read_value(get_bytes(bytes), element);
      v.push_back(std::move(element));
    }
  } else if constexpr (is_map<T>::value) {
    v.clear();
    while (!bytes.empty()) {
      const std::string key(get_bytes(bytes));
      read_value(get_bytes(bytes), v[key]);
    }
  } else if constexpr (is_pair<T>::value) {
    read_value(get_bytes(bytes), v.first);
    read_value(get_bytes(bytes), v.second);
  } else {
    static_assert(Record<T>, "a record field needs a fields() function");
    FieldReader reader(bytes);
    v.fields(reader);
  }
}

}  // namespace detail

template <class T>
std::string encode(const T& record) {
  std::string out;
  detail::write_value(out, record);
  return out;
}

template <class T>
T decode(std::string_view bytes) {
  T record{};
  detail::read_value(bytes, record);
  return record;
}

}  // namespace virga::kv
