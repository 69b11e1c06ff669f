#include <algorithm>
#include <vector>

#include "base/str.h"
#include "wire/access.h"
#include "wire/dynamodb.h"
#include "wire/errors.h"
#include "wire/findings.h"
#include "wire/pattern.h"
#include "wire/protocol.h"

namespace virga::wire {

namespace {

// A value as Java prints it.
void render(std::string& out, const Shape& shape, const void* value);

template <class Number>
std::string java_number(Number number) {
  std::string text = cat(number);
  return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
}

struct EntryRenderer {
  std::string& out;
  const Shape& value;
  bool first = true;
  static void render_entry(void* context, const std::string& key, const void* entry) {
    auto& self = *static_cast<EntryRenderer*>(context);
    append(self.out, std::exchange(self.first, false) ? "" : ", ", key, '=');
    render(self.out, self.value, entry);
  }
};

void render(std::string& out, const Shape& shape, const void* value) {
  constexpr size_t kMost = 4096;  // of an echoed value: a message is no place for a whole request
  if (out.size() > kMost) return;
  switch (shape.kind) {
    case Kind::kBoolean:
      out += *static_cast<const bool*>(value) ? "true" : "false";
      return;
    case Kind::kInteger:
      append(out, *static_cast<const int32_t*>(value));
      return;
    case Kind::kLong:
      append(out, *static_cast<const int64_t*>(value));
      return;
    case Kind::kFloat:
      out += java_number(*static_cast<const float*>(value));
      return;
    case Kind::kDouble:
      out += java_number(*static_cast<const double*>(value));
      return;
    case Kind::kString:
      out += *static_cast<const std::string*>(value);
      return;
    case Kind::kEnum:
      out += enum_name(shape, shape.enumeration->get(value));
      return;
    case Kind::kTimestamp:
      out += iso8601(*static_cast<const Time*>(value));
      return;
    case Kind::kBlob:
      append(out, "java.nio.HeapByteBuffer[pos=0 lim=", static_cast<const std::string*>(value)->size(),
             " cap=", static_cast<const std::string*>(value)->size(), "]");
      return;
    case Kind::kStructure:
    case Kind::kUnion: {
      append(out, shape.name, '(');
      bool first = true;
      for (const Member& member : shape.structure->members) {
        const void* field = field_of(value, member);
        if (!member.access->has(field)) continue;
        const Path name(nullptr, Path::Kind::kMember, member.name);
        append(out, std::exchange(first, false) ? "" : ", ", name.text(), '=');
        render(out, *member.shape, member.access->get(field));
      }
      out += ')';
      return;
    }
    case Kind::kList: {
      const ListInfo& info = *shape.list;
      out += '[';
      for (size_t i = 0; i < info.size(value); ++i) {
        if (i > 0) out += ", ";
        render(out, *info.element, info.at(value, i));
      }
      out += ']';
      return;
    }
    case Kind::kMap: {
      EntryRenderer entries{out, *shape.map->value};
      out += '{';
      shape.map->each(value, &entries, &EntryRenderer::render_entry);
      out += '}';
      return;
    }
    case Kind::kDocument:
      out += static_cast<const Json*>(value)->dump();
      return;
    case Kind::kStreamingBlob:
    case Kind::kEventStream:
    case Kind::kCustom:
      out += shape.name;
      return;
  }
}

struct Size {
  const Shape& shape;
  const void* value;
  int64_t operator()() const {
    switch (shape.kind) {
      case Kind::kString:
        return static_cast<int64_t>(count_characters(*static_cast<const std::string*>(value)));
      case Kind::kBlob:
        return static_cast<int64_t>(static_cast<const std::string*>(value)->size());
      case Kind::kList:
        return static_cast<int64_t>(shape.list->size(value));
      case Kind::kMap:
        return static_cast<int64_t>(shape.map->size(value));
      default:
        return 0;
    }
  }
};

bool has_size(Kind kind) {
  return kind == Kind::kString || kind == Kind::kBlob || kind == Kind::kList || kind == Kind::kMap;
}

std::optional<double> number_of(const Shape& shape, const void* value) {
  switch (shape.kind) {
    case Kind::kInteger:
      return *static_cast<const int32_t*>(value);
    case Kind::kLong:
      return static_cast<double>(*static_cast<const int64_t*>(value));
    case Kind::kFloat:
      return *static_cast<const float*>(value);
    case Kind::kDouble:
      return *static_cast<const double*>(value);
    default:
      return std::nullopt;
  }
}

std::string bound(const Shape& shape, int64_t value) {
  return cat(value, shape.kind == Kind::kFloat || shape.kind == Kind::kDouble ? ".0" : "");
}

// The shape's own constraints that `value` violates: nothing in the ordinary case.
void violations_of(const Shape& shape, const void* value, std::vector<std::string>& out) {
  const Constraints& c = *shape.constraints;
  if (!c.pattern.empty() && shape.kind == Kind::kString &&
      !matches_pattern(c.pattern, *static_cast<const std::string*>(value)))
    out.push_back(cat("Member must satisfy regular expression pattern: ", c.pattern));
  if (c.has_range) {
    const std::optional<double> number = number_of(shape, value);
    if (!number) return;
    if (c.has_max && *number > static_cast<double>(c.max))
      out.push_back(cat("Member must have value less than or equal to ", bound(shape, c.max)));
    if (c.has_min && *number < static_cast<double>(c.min))
      out.push_back(cat("Member must have value greater than or equal to ", bound(shape, c.min)));
    return;
  }
  if (!has_size(shape.kind) || (c.min < 0 && c.max < 0)) return;
  const int64_t size = Size{shape, value}();
  if (c.max >= 0 && size > c.max) out.push_back(cat("Member must have length less than or equal to ", c.max));
  if (c.min >= 0 && size < c.min) out.push_back(cat("Member must have length greater than or equal to ", c.min));
}

// All that an element, key or value must satisfy, as one bracket.
std::string all_of(const Shape& shape, bool not_null) {
  const Constraints& c = *shape.constraints;
  const char* what = c.has_range ? "value" : "length";
  std::vector<std::string> parts;
  if (c.has_range ? c.has_max : c.max >= 0)
    parts.push_back(cat("Member must have ", what, " less than or equal to ", bound(shape, c.max)));
  if (c.has_range ? c.has_min : c.min >= 0)
    parts.push_back(cat("Member must have ", what, " greater than or equal to ", bound(shape, c.min)));
  if (!c.pattern.empty()) parts.push_back(cat("Member must satisfy regular expression pattern: ", c.pattern));
  if (not_null) parts.emplace_back("Member must not be null");
  return cat("[", join(parts, ", "), "]");
}

class Checker {
 public:
  // `spelled`: the place of all that is found, told without the value; empty: each place and value is told.
  explicit Checker(const Findings& findings, std::string_view spelled = {}) : findings_(findings), spelled_(spelled) {}

  void structure(const StructInfo& info, const void* structure, const Path& at) {
    for (const Member& member : info.members) this->member(member, structure, at);
  }

  void member(const Member& member, const void* structure, const Path& at) {
    const Path here = at.member(member.name);
    if (reported(here)) return;
    const void* field = field_of(structure, member);
    if (member.access->has(field)) value(*member.shape, member.access->get(field), here, member.sensitive);
  }

  std::vector<std::string> sentences;

 private:
  bool reported(const Path& at) {
    if (findings_.empty()) return false;
    const auto found = findings_.by_place.find(at.text());
    if (found == findings_.by_place.end()) return false;
    add(found->second);
    return true;
  }

  void add(std::string sentence) {
    constexpr size_t kMost = 100;
    if (sentences.size() < kMost) sentences.push_back(std::move(sentence));
  }

  void report(const Shape& shape, const void* value, const Path& at, bool sensitive, std::string_view constraint) {
    std::string rendered;
    if (!sensitive && spelled_.empty()) {
      rendered = " '";
      render(rendered, shape, value);
      rendered += '\'';
    }
    const std::string place = spelled_.empty() ? at.text() : std::string(spelled_);
    add(cat("Value", rendered, " at '", place, "' failed to satisfy constraint: ", constraint));
  }

  void value(const Shape& shape, const void* value, const Path& at, bool sensitive) {
    if (shape.constraints) {
      scratch_.clear();
      violations_of(shape, value, scratch_);
      for (const std::string& constraint : scratch_) report(shape, value, at, sensitive, constraint);
    }
    switch (shape.kind) {
      case Kind::kStructure:
      case Kind::kUnion:
        structure(*shape.structure, value, at);
        return;
      case Kind::kList:
        list(shape, value, at, sensitive);
        return;
      case Kind::kMap:
        map(shape, value, at, sensitive);
        return;
      default:
        return;
    }
  }

  static bool simple(const Shape& shape) {
    return shape.kind != Kind::kStructure && shape.kind != Kind::kUnion && shape.kind != Kind::kList &&
           shape.kind != Kind::kMap;
  }

  void list(const Shape& shape, const void* list, const Path& at, bool sensitive) {
    const ListInfo& info = *shape.list;
    const Shape& element = *info.element;
    if (simple(element) && !element.constraints) return;
    const size_t size = info.size(list);
    for (size_t i = 0; i < size; ++i) {
      if (!simple(element)) {
        value(element, info.at(list, i), at.element(i), sensitive);
        continue;
      }
      scratch_.clear();
      violations_of(element, info.at(list, i), scratch_);
      if (scratch_.empty()) continue;
      // One sentence for the whole list, however many of its elements are wrong.
      report(shape, list, at, sensitive, cat("Member must satisfy constraint: ", all_of(element, info.not_null)));
      return;
    }
  }

  struct MapWalk {
    Checker& self;
    const MapInfo& info;
    const Path& at;
    bool sensitive;
    bool bad_key = false, bad_value = false;
    static void visit(void* context, const std::string& key, const void* entry) {
      auto& walk = *static_cast<MapWalk*>(context);
      std::vector<std::string>& scratch = walk.self.scratch_;
      if (walk.info.key->kind == Kind::kString && walk.info.key->constraints && !walk.bad_key) {
        scratch.clear();
        violations_of(*walk.info.key, &key, scratch);
        walk.bad_key = !scratch.empty();
      }
      if (!walk.info.value->constraints) {
        if (!simple(*walk.info.value)) walk.self.value(*walk.info.value, entry, walk.at.key(key), walk.sensitive);
        return;
      }
      scratch.clear();
      violations_of(*walk.info.value, entry, scratch);
      if (!scratch.empty()) {
        walk.bad_value = true;
      } else if (!simple(*walk.info.value)) {
        walk.self.value(*walk.info.value, entry, walk.at.key(key), walk.sensitive);
      }
    }
  };

  void map(const Shape& shape, const void* map, const Path& at, bool sensitive) {
    MapWalk walk{*this, *shape.map, at, sensitive};
    shape.map->each(map, &walk, &MapWalk::visit);
    if (walk.bad_key)
      report(shape, map, at, sensitive, cat("Map keys must satisfy constraint: ", all_of(*shape.map->key, false)));
    if (walk.bad_value)
      report(shape, map, at, sensitive,
             cat("Map value must satisfy constraint: ", all_of(*shape.map->value, shape.map->not_null)));
  }

  const Findings& findings_;
  const std::string_view spelled_;
  std::vector<std::string> scratch_;
};

// `all`, or those of them that DynamoDB tells, in its own words.
std::vector<std::string> dynamodb_sentences(const OperationModel& op, const void* input, const Findings& findings,
                                            std::vector<std::string> all) {
  const auto is_other = [](const auto& found) { return is_missing(found.second) && found.first != "tableName"; };
  const auto name = findings.by_place.find("tableName");
  const bool unnamed = name != findings.by_place.end() && is_missing(name->second);
  const bool missing = std::ranges::any_of(findings.by_place, is_other);
  // Where anything is missing but the table's name, all is told as it is of other services.
  if (missing && !unnamed && !is_on_table(op)) return all;
  Findings told = findings;
  for (auto& [place, sentence] : told.by_place) {
    if (const std::string_view words = own_words(op, place); !words.empty() && !missing) sentence = words;
  }
  for (const std::string_view first : hides_others(op)) {
    const bool spelled = first == kTableName && !is_on_table(op);
    Checker alone(told, spelled ? kTableName : std::string_view());
    for (const Member& member : op.input->structure->members) {
      if (member.name == first) alone.member(member, input, Path());
    }
    if (!alone.sentences.empty()) return std::move(alone.sentences);
  }
  Checker checker(told);
  checker.structure(*op.input->structure, input, Path());
  return std::move(checker.sentences);
}

}  // namespace

void check(const OperationModel& op, const void* input, const Findings& findings) {
  if (!op.input) return;
  Checker checker(findings);
  checker.structure(*op.input->structure, input, Path());
  if (checker.sentences.empty()) return;
  for (const auto& [place, sentence] : findings.by_place) {
    if (!is_missing(sentence)) continue;
    if (auto error = missing_parameter(op, place)) throw std::move(*error);
  }
  std::vector<std::string> sentences = std::move(checker.sentences);
  if (is_dynamodb(op.service)) sentences = dynamodb_sentences(op, input, findings, std::move(sentences));
  // A Query's wrong operator is told without a count.
  if (sentences.size() == 1 && op.name == "Query" && sentences[0] == own_words(op, "conditionalOperator"))
    throw validation_error(op, std::move(sentences[0]));
  const size_t count = sentences.size();
  throw validation_error(
      op,
      cat(count, count == 1 ? " validation error detected: " : " validation errors detected: ", join(sentences, "; ")));
}

void check_constraints(const OperationModel& op, const void* input) { check(op, input, Findings()); }

}  // namespace virga::wire
