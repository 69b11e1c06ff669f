#include "services/lambda/esm/batch.h"

#include "base/json.h"

namespace virga::lambda::esm {

std::string event_of(const std::vector<const std::string*>& records, const WindowView* window) {
  size_t size = 256;
  for (const std::string* record : records) size += record->size() + 1;
  std::string out;
  out.reserve(size);
  out += R"({"Records":[)";
  for (size_t i = 0; i < records.size(); ++i) {
    if (i) out += ',';
    out += *records[i];
  }
  out += ']';
  if (window) {
    const auto text = [&](std::string_view name, std::string_view value) {
      out += ',';
      append_json_string(out, name);
      out += ':';
      append_json_string(out, value);
    };
    out += R"(,"window":{"start":)";
    append_json_string(out, iso8601(window->start));
    out += R"(,"end":)";
    append_json_string(out, iso8601(window->end));
    out += R"(},"state":)";
    out += window->state.empty() ? "{}" : window->state;
    text("shardId", window->shard);
    text("eventSourceARN", window->source);
    out += R"(,"isFinalInvokeForWindow":)";
    out += window->final ? "true" : "false";
    out += R"(,"isWindowTerminatedEarly":)";
    out += window->early ? "true" : "false";
  }
  out += '}';
  return out;
}

std::optional<std::vector<std::string>> reported_failures(const std::string& answer) {
  std::vector<std::string> out;
  Json json;
  try {
    if (answer.empty()) return out;
    json = Json::parse(answer);
  } catch (const JsonError&) {
    return std::nullopt;
  }
  if (json.is_null() || (json.is_array() && json.as_array().empty())) return out;
  if (!json.is_object()) return std::nullopt;
  const Json* failures = json.find("batchItemFailures");
  if (!failures || failures->is_null()) return out;
  if (!failures->is_array()) return std::nullopt;
  for (const Json& failure : failures->as_array()) {
    const Json* id = failure.find("itemIdentifier");
    if (!id || !id->is_string() || id->as_string().empty()) return std::nullopt;
    out.push_back(id->as_string());
  }
  return out;
}

std::string window_state_of(const std::string& answer) {
  try {
    const Json json = Json::parse(answer);
    const Json* state = json.find("state");
    return state && !state->is_null() ? state->dump() : "{}";
  } catch (const JsonError&) {
    return "{}";
  }
}

}  // namespace virga::lambda::esm
