// The models' regular expressions.
#pragma once

#include <string_view>

namespace virga::wire {

// `text`, valid UTF-8, matches the whole of `pattern`, which is in AWS's (Java's) syntax and a literal of a generated
// table: it is compiled once and remembered by its address. Text that exhausts the matcher's limits does not match; a
// pattern that can't be compiled matches everything and is logged once.
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace virga::wire
