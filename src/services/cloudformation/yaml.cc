// YAML by libyaml's parser. Only this file knows it.
#include <yaml.h>

#include <map>
#include <memory>

#include "base/str.h"
#include "services/cloudformation/limits.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/yaml.h"

namespace virga::cloudformation {

namespace {

std::string_view text_of(const yaml_char_t* s) { return s ? reinterpret_cast<const char*>(s) : ""; }

// The value of a plain scalar. What would not print as it was written stays text.
Json plain_scalar(std::string text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  const std::string low = lower(text);
  const bool one_case =
      text == low || text == upper(text) || (text[0] == upper(text)[0] && text.substr(1) == low.substr(1));
  if (one_case) {
    if (low == "true" || low == "yes" || low == "on") return true;
    if (low == "false" || low == "no" || low == "off") return false;
  }
  if (const auto i = parse_int(text); i && cat(*i) == text) return *i;
  if (text.find('.') != std::string::npos && text.find_first_not_of("-0123456789.") == std::string::npos) {
    if (const auto d = parse_double(text); d && cat(*d) == text) return *d;
  }
  return text;
}

class YamlReader {
 public:
  explicit YamlReader(std::string_view text) {
    if (!yaml_parser_initialize(&parser_)) throw std::bad_alloc();
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  ~YamlReader() { yaml_parser_delete(&parser_); }
  YamlReader(const YamlReader&) = delete;

  Json read() {
    expect(YAML_STREAM_START_EVENT);
    Event first = next();
    if (first->type == YAML_STREAM_END_EVENT) throw format_error("unsupported structure.");
    Json root = value(next(), 0);
    expect(YAML_DOCUMENT_END_EVENT);
    if (next()->type != YAML_STREAM_END_EVENT) throw format_error("a template is one YAML document.");
    return root;
  }

 private:
  struct Free {
    void operator()(yaml_event_t* e) const {
      yaml_event_delete(e);
      delete e;
    }
  };
  using Event = std::unique_ptr<yaml_event_t, Free>;
  struct Anchor {
    Json value;
    size_t nodes = 0, bytes = 0;
  };

  Event next() {
    auto raw = std::make_unique<yaml_event_t>();
    if (!yaml_parser_parse(&parser_, raw.get())) {
      throw format_error(cat("YAML not well-formed. (line ", parser_.problem_mark.line + 1, ", column ",
                             parser_.problem_mark.column + 1, ")"));
    }
    return Event(raw.release());
  }
  void expect(yaml_event_type_t type) {
    if (next()->type != type) throw format_error("unsupported structure.");
  }
  void count(size_t nodes, size_t bytes) {
    nodes_ += nodes;
    bytes_ += bytes;
    if (nodes_ > kNodesMost || bytes_ > kExpandedMost) {
      throw format_error("the template expands to more than Virga reads; YAML aliases may multiply it.");
    }
  }

  Json value(Event event, int depth) {
    if (depth > kDepthMost) throw format_error(cat("nesting is deeper than ", kDepthMost, " levels."));
    const size_t nodes = nodes_, bytes = bytes_;
    count(1, 0);
    std::string anchor, tag;
    Json out;
    switch (event->type) {
      case YAML_ALIAS_EVENT: {
        const auto found = anchors_.find(text_of(event->data.alias.anchor));
        if (found == anchors_.end())
          throw format_error(cat("unknown YAML alias ", text_of(event->data.alias.anchor), "."));
        count(found->second.nodes, found->second.bytes);
        return found->second.value;
      }
      case YAML_SCALAR_EVENT: {
        const auto& scalar = event->data.scalar;
        anchor = text_of(scalar.anchor);
        tag = text_of(scalar.tag);
        std::string text(reinterpret_cast<const char*>(scalar.value), scalar.length);
        count(0, text.size());
        const bool plain = scalar.style == YAML_PLAIN_SCALAR_STYLE && (tag.empty() || tag[0] != '!');
        out = plain && tag != YAML_STR_TAG ? plain_scalar(std::move(text)) : Json(std::move(text));
        break;
      }
      case YAML_SEQUENCE_START_EVENT: {
        anchor = text_of(event->data.sequence_start.anchor);
        tag = text_of(event->data.sequence_start.tag);
        out = Json::array();
        for (Event e = next(); e->type != YAML_SEQUENCE_END_EVENT; e = next())
          out.push_back(value(std::move(e), depth + 1));
        break;
      }
      case YAML_MAPPING_START_EVENT: {
        anchor = text_of(event->data.mapping_start.anchor);
        tag = text_of(event->data.mapping_start.tag);
        Json::Object members;
        std::map<std::string, size_t> index;  // a key said twice keeps its last value
        for (Event e = next(); e->type != YAML_MAPPING_END_EVENT; e = next()) {
          const std::string key = key_text(*e);
          Json member = value(next(), depth + 1);
          const auto [at, added] = index.emplace(key, members.size());
          if (added) {
            members.emplace_back(key, std::move(member));
          } else {
            members[at->second].second = std::move(member);
          }
        }
        out = Json(std::move(members));
        break;
      }
      default:
        throw format_error("unsupported structure.");
    }
    out = apply_tag(tag, std::move(out));
    if (!anchor.empty()) anchors_.insert_or_assign(anchor, Anchor{out, nodes_ - nodes, bytes_ - bytes});
    return out;
  }

  // A key is its text, whatever else it looks like.
  std::string key_text(const yaml_event_t& event) {
    if (event.type != YAML_SCALAR_EVENT) throw format_error("a key of a YAML mapping must be text.");
    const auto& scalar = event.data.scalar;
    count(1, scalar.length);
    return std::string(reinterpret_cast<const char*>(scalar.value), scalar.length);
  }

  static Json apply_tag(std::string_view tag, Json value) {
    if (tag.size() < 2 || tag[0] != '!' || tag == "!!") return value;
    const std::string_view name = tag.substr(1);
    if (name == "Ref" || name == "Condition") return Json::object({{std::string(name), std::move(value)}});
    if (name == "GetAtt" && value.is_string()) {
      const auto [resource, attribute] = split_once(value.as_string(), '.');
      return Json::object({{"Fn::GetAtt", Json(Json::Array{resource, attribute})}});
    }
    return Json::object({{cat("Fn::", name), std::move(value)}});
  }

  yaml_parser_t parser_;
  std::map<std::string, Anchor, std::less<>> anchors_;
  size_t nodes_ = 0, bytes_ = 0;
};

}  // namespace

Json parse_yaml(std::string_view text) { return YamlReader(text).read(); }

}  // namespace virga::cloudformation
