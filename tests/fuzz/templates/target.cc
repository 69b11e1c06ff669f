// Templates of rules and pipes, and paths into events: anything comes to an end within bounds, and a template of one
// path gives what the path does. Template, path and event are separated by zero bytes.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "services/events/transform.h"
#include "services/pipes/flow.h"

using namespace virga;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto [form, rest] = split_once(text, '\0');
  const auto [path, event_text] = split_once(rest, '\0');
  Json event;
  try {
    event = Json::parse(event_text);
  } catch (const JsonError&) {
    return 0;
  }
  const auto found = kernel::at_path(event, path);
  if (found && !kernel::is_path(path)) std::abort();
  const auto alone = events::fill_template("<p>", {{"p", std::string(path)}}, event, event_text, {});
  if (found && alone && *alone != found->dump()) std::abort();
  events::fill_template(form, {{"p", std::string(path)}}, event, event_text, {});
  events::compact(event_text);
  try {
    pipes::text_of(pipes::transformed(event, std::string(form), {}));
  } catch (const Error&) {  // too large
  }
  pipes::value_of(pipes::view_of(event), std::string(path));
  pipes::identifier_of(event);
  pipes::enriched(std::string(event_text));
  return 0;
}
