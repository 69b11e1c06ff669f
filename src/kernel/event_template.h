// Parts of events by path, and templates filled with them: what input transformers of rules and input templates of
// pipes have in common. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace virga::kernel {

// The value at a path as EventBridge writes them: $.detail.items[0].name, $.detail['a b'], [*] for all of an array.
// Nothing when the event has none.
std::optional<Json> at_path(const Json& event, std::string_view path);
bool is_path(std::string_view text);
// A value as text, which may be given as a path into the event: then it is empty when the event has none.
std::string text_of(const Json& value);
std::string value_of(const Json& event, std::string_view given);

// What stands in a template for `<name>`.
struct Filling {
  Json value;
  bool raw = false;  // value is text that is JSON already
};
// Nothing when the name is none of a value's: the text stays as it is. `quoted`: it stands inside quotes.
using FillingOf = std::function<std::optional<Filling>(std::string_view name, bool quoted)>;

// `<name>` stands for a value: as JSON outside quotes, as its text inside them. Objects inside quotes lose their own
// quotes, as on AWS. Nothing when it comes to more than `most` bytes: a short template can repeat a large value.
std::optional<std::string> fill_template(std::string_view text, const FillingOf& filling_of, size_t most);

}  // namespace virga::kernel
