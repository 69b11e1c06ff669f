// How a table reaches into the C++ value it describes: one small function table a field type, list, map and enum.
// Included by generated tables only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/box.h"
#include "wire/shape.h"

namespace virga::wire {

// A required field: always there; emplace starts it afresh.
template <class F>
struct AccessOf {
  static bool has(const void*) { return true; }
  static const void* get(const void* field) { return field; }
  static void* emplace(void* field) {
    *static_cast<F*>(field) = F{};
    return field;
  }
};

template <class T>
struct AccessOf<std::optional<T>> {
  static bool has(const void* field) { return static_cast<const std::optional<T>*>(field)->has_value(); }
  static const void* get(const void* field) { return &**static_cast<const std::optional<T>*>(field); }
  static void* emplace(void* field) { return &static_cast<std::optional<T>*>(field)->emplace(); }
};

template <class T>
struct AccessOf<Box<T>> {
  static bool has(const void* field) { return static_cast<const Box<T>*>(field)->has_value(); }
  static const void* get(const void* field) { return &**static_cast<const Box<T>*>(field); }
  static void* emplace(void* field) { return &static_cast<Box<T>*>(field)->emplace(); }
};

// A body or an event stream: the value is the pointer itself.
template <class T>
struct AccessOf<std::shared_ptr<T>> {
  static bool has(const void* field) { return *static_cast<const std::shared_ptr<T>*>(field) != nullptr; }
  static const void* get(const void* field) { return field; }
  static void* emplace(void* field) { return field; }
};

template <class F>
inline constexpr Access kAccess = {&AccessOf<F>::has, &AccessOf<F>::get, &AccessOf<F>::emplace};

template <class T>
void construct(void* at) {
  ::new (at) T();
}

template <class T>
void destroy(void* at) {
  static_cast<T*>(at)->~T();
}

template <class L>
struct ListOps {
  static size_t size(const void* list) { return static_cast<const L*>(list)->size(); }
  static const void* at(const void* list, size_t index) { return &(*static_cast<const L*>(list))[index]; }
  static void* append(void* list) { return &static_cast<L*>(list)->emplace_back(); }
};

template <class M>
struct MapOps {
  static size_t size(const void* map) { return static_cast<const M*>(map)->size(); }
  static void* emplace(void* map, std::string key) { return &(*static_cast<M*>(map))[std::move(key)]; }
  static void each(const void* map, void* context, void (*visit)(void*, const std::string&, const void*)) {
    for (const auto& [key, value] : *static_cast<const M*>(map)) visit(context, key, &value);
  }
};

template <class E>
struct EnumOps {
  static int get(const void* field) { return static_cast<int>(*static_cast<const E*>(field)); }
  static void set(void* field, int index) { *static_cast<E*>(field) = static_cast<E>(index); }
};

template <class T>
struct EventStreamOps {
  static Task<bool> next(const void* stream, void* union_out) {
    const auto source = *static_cast<const std::shared_ptr<Source<T>>*>(stream);
    auto event = co_await source->next();
    if (!event) co_return false;
    *static_cast<T*>(union_out) = std::move(*event);
    co_return true;
  }
  static std::shared_ptr<const void> keep(const void* stream) {
    return std::make_shared<std::shared_ptr<Source<T>>>(*static_cast<const std::shared_ptr<Source<T>>*>(stream));
  }
};

inline std::string_view enum_name(const Shape& shape, int index) {
  return shape.enumeration->values[static_cast<size_t>(index)];
}

// Sets *value to the enumerator that is spelled `text`; false when there is none.
inline bool enum_value(const Shape& shape, std::string_view text, void* value) {
  const auto values = shape.enumeration->values;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == text) {
      shape.enumeration->set(value, static_cast<int>(i));
      return true;
    }
  }
  return false;
}

inline Error make_error(const ErrorShape& shape, std::string message) {
  return Error{&shape, std::move(message), nullptr, {}};
}
inline Error make_error(const ErrorShape& shape, std::string message, const Json& members) {
  return Error{&shape, std::move(message), std::make_shared<const Json>(members), {}};
}

}  // namespace virga::wire
