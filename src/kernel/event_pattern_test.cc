#include "kernel/event_pattern.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>
#include <set>

#include "base/str.h"

namespace virga::kernel {
namespace {

bool matches(std::string_view pattern, std::string_view event) { return EventPattern::parse(pattern).matches(event); }

std::string reason(std::string_view pattern, PatternOptions options = {.locations = false}) {
  try {
    EventPattern::parse(pattern, options);
  } catch (const PatternError& e) {
    return e.what();
  }
  return "";
}

TEST(EventPattern, ValuesAreOfTheirType) {
  EXPECT_TRUE(matches(R"({"a":["x","y"]})", R"({"a":"y"})"));
  EXPECT_FALSE(matches(R"({"a":["x"]})", R"({"a":"xy"})"));
  EXPECT_FALSE(matches(R"({"a":["5"]})", R"({"a":5})"));
  EXPECT_FALSE(matches(R"({"a":[5]})", R"({"a":"5"})"));
  EXPECT_TRUE(matches(R"({"a":[5]})", R"({"a":5.0})"));
  EXPECT_TRUE(matches(R"({"a":[3.018e2]})", R"({"a":301.8})"));
  EXPECT_TRUE(matches(R"({"a":[true,null]})", R"({"a":null})"));
  EXPECT_FALSE(matches(R"({"a":["true"]})", R"({"a":true})"));
  EXPECT_TRUE(matches(R"({"a":[""]})", R"({"a":""})"));
  EXPECT_TRUE(matches(R"({"a":["\u00e9\n"]})", "{\"a\":\"\xc3\xa9\\n\"}"));
  // Numbers that a double can't hold compare by their text.
  EXPECT_FALSE(matches(R"({"a":[9007199254740993]})", R"({"a":9007199254740992})"));
  EXPECT_TRUE(matches(R"({"a":[9007199254740993]})", R"({"a":9007199254740993})"));
}

TEST(EventPattern, Operators) {
  EXPECT_TRUE(matches(R"({"a":[{"prefix":"ab"}]})", R"({"a":"abc"})"));
  EXPECT_TRUE(matches(R"({"a":[{"prefix":""}]})", R"({"a":"abc"})"));
  EXPECT_FALSE(matches(R"({"a":[{"prefix":""}]})", R"({"a":1})"));
  EXPECT_TRUE(matches(R"({"a":[{"suffix":"bc"}]})", R"({"a":"abc"})"));
  EXPECT_TRUE(matches(R"({"a":[{"prefix":{"equals-ignore-case":"AB"}}]})", R"({"a":"aBc"})"));
  EXPECT_TRUE(matches(R"({"a":[{"suffix":{"equals-ignore-case":"É"}}]})", R"({"a":"xé"})"));
  EXPECT_TRUE(matches(R"({"a":[{"equals-ignore-case":"AbC"}]})", R"({"a":"aBc"})"));
  EXPECT_TRUE(matches(R"({"a":[{"wildcard":"*/bin/*.jar"}]})", R"({"a":"/usr/bin/x.jar"})"));
  EXPECT_FALSE(matches(R"({"a":[{"wildcard":"*/bin/*.jar"}]})", R"({"a":"/usr/bin.jar"})"));
  EXPECT_TRUE(matches(R"({"a":[{"wildcard":"a\\*b*"}]})", R"({"a":"a*bc"})"));
  EXPECT_FALSE(matches(R"({"a":[{"wildcard":"ab*ba"}]})", R"({"a":"aba"})"));
  EXPECT_TRUE(matches(R"({"a":[{"numeric":[">",0,"<=",5]}]})", R"({"a":5})"));
  EXPECT_FALSE(matches(R"({"a":[{"numeric":[">",0,"<=",5]}]})", R"({"a":0})"));
  EXPECT_FALSE(matches(R"({"a":[{"numeric":[">",0]}]})", R"({"a":"5"})"));
  EXPECT_TRUE(matches(R"({"a":[{"numeric":["<",-1.5]}]})", R"({"a":-1.6})"));
  EXPECT_TRUE(matches(R"({"a":[{"numeric":["=",0]}]})", R"({"a":-0.0})"));
  EXPECT_TRUE(matches(R"({"a":[{"cidr":"10.0.0.0/24"}]})", R"({"a":"10.0.0.255"})"));
  EXPECT_FALSE(matches(R"({"a":[{"cidr":"10.0.0.0/24"}]})", R"({"a":"10.0.1.0"})"));
  EXPECT_TRUE(matches(R"({"a":[{"cidr":"2001:db8::/32"}]})", R"({"a":"2001:db8:ffff::1"})"));
  EXPECT_TRUE(matches(R"({"a":["::1"]})", R"({"a":"0:0:0:0:0:0:0:1"})"));
}

TEST(EventPattern, AnythingBut) {
  EXPECT_TRUE(matches(R"({"a":[{"anything-but":"x"}]})", R"({"a":"y"})"));
  EXPECT_FALSE(matches(R"({"a":[{"anything-but":"x"}]})", R"({"a":"x"})"));
  EXPECT_FALSE(matches(R"({"a":[{"anything-but":"x"}]})", R"({"b":"y"})"));
  EXPECT_TRUE(matches(R"({"a":[{"anything-but":"x"}]})", R"({"a":["x","y"]})"));
  EXPECT_FALSE(matches(R"({"a":[{"anything-but":[100,2e2]}]})", R"({"a":200})"));
  EXPECT_TRUE(matches(R"({"a":[{"anything-but":[100]}]})", R"({"a":"100"})"));
  EXPECT_FALSE(matches(R"({"a":[{"anything-but":{"prefix":["in","er"]}}]})", R"({"a":"error"})"));
  EXPECT_TRUE(matches(R"({"a":[{"anything-but":{"suffix":"x"}}]})", R"({"a":1})"));
  EXPECT_FALSE(matches(R"({"a":[{"anything-but":{"equals-ignore-case":["A"]}}]})", R"({"a":"a"})"));
  EXPECT_FALSE(matches(R"({"a":[{"anything-but":{"wildcard":"*b*"}}]})", R"({"a":"abc"})"));
}

TEST(EventPattern, Presence) {
  EXPECT_TRUE(matches(R"({"a":{"b":[{"exists":false}]}})", R"({"a":{"c":1}})"));
  EXPECT_TRUE(matches(R"({"a":{"b":[{"exists":false}]}})", R"({"a":{"b":{"c":1}}})"));  // leaves only
  EXPECT_FALSE(matches(R"({"a":{"b":[{"exists":true}]}})", R"({"a":{"b":{"c":1}}})"));
  EXPECT_TRUE(matches(R"({"a":[{"exists":true}]})", R"({"a":null})"));
  EXPECT_TRUE(matches(R"({"a":[{"exists":false},"x"]})", R"({"a":"x"})"));
  EXPECT_TRUE(matches(R"({"a":[{"exists":false},"x"]})", R"({})"));
  EXPECT_FALSE(matches(R"({"a":[{"exists":false},"x"]})", R"({"a":"y"})"));
  EXPECT_TRUE(matches(R"({"a":[{"exists":false}]})", R"({"a":[]})"));
}

TEST(EventPattern, Arrays) {
  EXPECT_TRUE(matches(R"({"r":["b"]})", R"({"r":["a","b"]})"));
  const std::string_view both = R"({"d":{"a":["1"],"b":["2"]}})";
  EXPECT_TRUE(matches(both, R"({"d":[{"a":"0"},{"a":"1","b":"2"}]})"));
  EXPECT_FALSE(matches(both, R"({"d":[{"a":"1"},{"b":"2"}]})"));
  EXPECT_FALSE(matches(both, R"({"d":[{"a":"1","b":"3"},{"a":"2","b":"2"}]})"));
  EXPECT_TRUE(matches(R"({"u":{"t":{"k":["c"],"v":["b"]},"n":["x"]}})",
                      R"({"u":[{"n":"y","t":[{"k":"c","v":"b"}]},{"n":"x","t":[{"k":"d"},{"k":"c","v":"b"}]}]})"));
  EXPECT_FALSE(matches(R"({"u":{"t":{"k":["c"],"v":["b"]},"n":["x"]}})",
                       R"({"u":[{"n":"y","t":[{"k":"c","v":"b"}]},{"n":"x","t":[{"k":"d"},{"k":"c"}]}]})"));
  EXPECT_TRUE(matches(R"({"d":{"a":["1"],"b":[{"exists":false}]}})", R"({"d":[{"a":"0","b":1},{"a":"1"}]})"));
  EXPECT_FALSE(matches(R"({"d":{"b":[{"exists":false}]}})", R"({"d":[{"a":"0","b":1},{"a":"1"}]})"));
}

TEST(EventPattern, OrAndDots) {
  const std::string_view p =
      R"({"s":["x"],"$or":[{"m":["1"]},{"t":["2"],"n":["3"],"$or":[{"i":[1]},{"j":[2]}]},{"c":{"d":["4"]}}]})";
  EXPECT_TRUE(matches(p, R"({"s":"x","m":"1"})"));
  EXPECT_FALSE(matches(p, R"({"s":"x","t":"2","n":"3"})"));
  EXPECT_TRUE(matches(p, R"({"s":"x","t":"2","n":"3","j":2})"));
  EXPECT_TRUE(matches(p, R"({"s":"x","c":{"d":"4"}})"));
  EXPECT_FALSE(matches(p, R"({"s":"y","c":{"d":"4"}})"));
  EXPECT_TRUE(matches(R"({"a.b":["1"]})", R"({"a":{"b":"1"}})"));
  EXPECT_TRUE(matches(R"({"a":{"b":["1"]}})", R"({"a.b":"1"})"));
}

TEST(EventPattern, NothingButObjectsMatches) {
  for (std::string_view event :
       {"", "[]", "\"a\"", "{", R"({"a":"x)", R"({"a":"x"} {})", R"({"a":x})", "{\"a\":\"\\"}) {
    EXPECT_FALSE(matches(R"({"a":["x",{"exists":false}]})", event)) << event;
  }
}

TEST(EventPattern, Reasons) {
  EXPECT_EQ(reason("[]"), "Filter is not an object");
  EXPECT_EQ(reason("{"), "Invalid JSON");
  EXPECT_EQ(reason("{}"), "Empty objects are not allowed");
  EXPECT_EQ(reason(R"({"a":[]})"), "Empty arrays are not allowed");
  EXPECT_EQ(reason(R"({"a":"x"})"), "\"a\" must be an object or an array");
  EXPECT_EQ(reason(R"({"a":[["x"]]})"), "Match value must be String, number, true, false, or null");
  EXPECT_EQ(reason(R"({"a":[{"like":"x"}]})"), "Unrecognized match type like");
  EXPECT_EQ(reason(R"({"a":[{}]})"), "Match expression name not found");
  EXPECT_EQ(reason(R"({"a":[{"prefix":1}]})"), "prefix match pattern must be a string");
  EXPECT_EQ(reason(R"({"a":[{"prefix":"a","suffix":"b"}]})"), "Only one key allowed in match expression");
  EXPECT_EQ(reason(R"({"a":[{"numeric":["!",1]}]})"), "Unrecognized numeric range operator: !");
  EXPECT_EQ(reason(R"({"a":[{"numeric":[">","1"]}]})"), "Value of > must be numeric");
  EXPECT_EQ(reason(R"({"a":[{"numeric":["=",1,2]}]})"), "Too many elements in numeric expression");
  EXPECT_EQ(reason(R"({"a":[{"numeric":[">",5,"<",5]}]})"), "Bottom must be less than top");
  EXPECT_EQ(reason(R"({"a":[{"exists":"x"}]})"), "exists match pattern must be either true or false.");
  EXPECT_EQ(reason(R"({"a":[{"wildcard":"a**b"}]})"), "Consecutive wildcard characters at pos 2");
  EXPECT_EQ(reason(R"({"a":[{"wildcard":"a\\x"}]})"), "Invalid escape character at pos 2");
  EXPECT_EQ(reason(R"({"a":[{"cidr":"10.0.0.0/33"}]})"), "IPv4 mask bits must be < 32");
  EXPECT_EQ(reason(R"({"a":[{"cidr":"10.0.0.0"}]})"), "Malformed CIDR, one '/' required");
  EXPECT_EQ(reason(R"({"a":[{"anything-but":["x",1]}]})"),
            "Inside anything but list, either all values are number or string, mixed type is not supported");
  EXPECT_EQ(reason(R"({"a":[{"anything-but":{"cidr":"x"}}]})"), "Unsupported anything-but pattern: cidr");
  EXPECT_EQ(reason(R"({"$or":[{"a":["x"]}]})"), "There must have at least 2 Objects in $or relationship.");
  EXPECT_EQ(reason(R"({"$or":{"a":["x"]}})"), "It must be an Array followed with $or.");
  EXPECT_EQ(reason(R"({"$or":[{"prefix":["x"]},{"a":["x"]}]})"),
            "prefix is Ruler reserved fieldName which cannot be used inside $or.");
  EXPECT_EQ(reason(R"({"a":[{"numeric":[]}]})"), "Invalid member in numeric match: ]");
  PatternOptions few{.operators = pattern::kPrefix, .locations = false};
  EXPECT_EQ(reason(R"({"a":[{"wildcard":"x*"}]})", few), "Unrecognized match type wildcard");
  EXPECT_EQ(reason(R"({"a":[{"prefix":"x"}]})", few), "");
}

// The places where AWS's parser was seen to stand (from errors that people reported).
TEST(EventPattern, ReasonsSayWhere) {
  const std::string_view health = R"({"source": ["aws.health"], "detail": {}})";
  EXPECT_EQ(reason(health, {}),
            cat("Empty objects are not allowed\n at [Source: (String)\"", health, "\"; line: 1, column: 40]"));
  const std::string_view lender = R"({"source":["test.event-pattern"],"detail":{"lenderId":"LenderA"}})";
  EXPECT_EQ(reason(lender, {}), cat("\"lenderId\" must be an object or an array\n at [Source: (String)\"", lender,
                                    "\"; line: 1, column: 56]"));
  const std::string_view list = R"({"detail": {"state": [{"anything-but": {"prefix": [123, "test"]}}]}})";
  const std::string place = cat("\n at [Source: (String)\"", list, "\"; line: 1, column: 55]");
  EXPECT_EQ(reason(list, {}), cat("prefix/suffix match pattern must be a string", place, place));
  EXPECT_EQ(reason(R"({"a":[{"cidr":"x/8"}]})", {}), "Nonstandard IP address: x");
}

TEST(EventPattern, OfAFieldNamedTwiceTheLastCounts) {
  EXPECT_TRUE(matches(R"({"a":["x"],"b":[1],"a":["y"]})", R"({"a":"y","b":1})"));
  EXPECT_FALSE(matches(R"({"a":["x"],"b":[1],"a":["y"]})", R"({"a":"x","b":1})"));
  EXPECT_TRUE(matches(R"({"a":["x"],"$or":[{"a":["y"]},{"b":[1]}]})", R"({"a":"y"})"));
}

// Hostile patterns and events end soon: refused, or matched in bounded time.
TEST(EventPattern, Hostile) {
  std::string ors = R"({"x":["1"])";
  for (int i = 0; i < 12; ++i) {
    std::string inner = "{\"o\":{\"$or\":[";
    for (int k = 0; k < 10; ++k) append(inner, k ? "," : "", "{\"f", i, "_", k, "\":[1]}");
    if (i == 0) ors = "{";
    append(ors, i ? "," : "", "\"g", i, "\":", inner, "]}}");
  }
  ors += "}";
  EXPECT_EQ(reason(ors), "Rule is too complex - try using fewer $or combinations");
  std::string stars = R"({"a":[{"wildcard":")";
  for (int i = 0; i < 60; ++i) stars += "a*";
  stars += "b\"}]}";
  EXPECT_TRUE(reason(stars).starts_with("Rule is too complex"));
  std::string a = R"({"a":[{"wildcard":"*)" + std::string(2000, 'a') + "b*\"}]}";
  EXPECT_FALSE(matches(a, cat("{\"a\":\"", std::string(250'000, 'a'), "\"}")));
  // Three arrays side by side of a thousand elements each, and a field that is nowhere.
  std::string event = "{";
  for (char name : {'a', 'b', 'c'}) {
    append(event, event.size() > 1 ? "," : "", "\"", name, "\":[");
    for (int i = 0; i < 1000; ++i) append(event, i ? "," : "", "{\"x\":1,\"y\":", i, "}");
    event += "]";
  }
  event += "}";
  EXPECT_FALSE(matches(R"({"a":{"x":[1],"y":[5]},"b":{"x":[1],"y":[7]},"c":{"x":[1],"y":[-1]}})", event));
  EXPECT_TRUE(matches(R"({"a":{"x":[1],"y":[5]},"b":{"x":[1],"y":[7]},"c":{"x":[1],"y":[999]}})", event));
  EXPECT_THROW(EventPattern::parse(std::string(5000, '[')), PatternError);
}

// --- A matcher as simple as can be: every combination of values is tried. -----------------------------------------

using Membership = std::map<int, int>;
struct Leaf {
  Json value;
  Membership membership;
};
struct Flat {
  std::map<std::string, std::vector<Leaf>> leaves;
  int arrays = 0;
  void add(const std::string& path, const Json& v, const Membership& m) {
    if (v.is_object()) {
      for (const auto& [k, x] : v.as_object()) add(path.empty() ? k : path + "." + k, x, m);
    } else if (v.is_array()) {
      const int id = arrays++;
      int i = 0;
      for (const Json& x : v.as_array()) {
        Membership inside = m;
        if (x.is_object() || x.is_array()) inside[id] = i;
        add(path, x, inside);
        ++i;
      }
    } else {
      leaves[path].push_back({v, m});
    }
  }
};

std::string folded(std::string s) { return lower(s); }

bool naive_test(const Json& test, const Json& v) {
  if (!test.is_object()) {
    if (test.is_number() && v.is_number()) return test.as_double() == v.as_double();
    return test.type() == v.type() && test == v;
  }
  const auto& [op, arg] = test.as_object()[0];
  const bool s = v.is_string();
  if (op == "exists") return arg.as_bool();
  if (op == "prefix" && arg.is_object())
    return s && folded(v.as_string()).starts_with(folded(arg.find("equals-ignore-case")->as_string()));
  if (op == "suffix" && arg.is_object())
    return s && folded(v.as_string()).ends_with(folded(arg.find("equals-ignore-case")->as_string()));
  if (op == "prefix") return s && v.as_string().starts_with(arg.as_string());
  if (op == "suffix") return s && v.as_string().ends_with(arg.as_string());
  if (op == "equals-ignore-case") return s && folded(v.as_string()) == folded(arg.as_string());
  if (op == "wildcard") return s && matches_wildcard(arg.as_string(), v.as_string());
  if (op == "numeric") {
    if (!v.is_number()) return false;
    const auto& a = arg.as_array();
    for (size_t i = 0; i < a.size(); i += 2) {
      const std::string& o = a[i].as_string();
      const double x = v.as_double(), y = a[i + 1].as_double();
      if (!(o == "=" ? x == y : o == "<" ? x < y : o == "<=" ? x <= y : o == ">" ? x > y : x >= y)) return false;
    }
    return true;
  }
  if (op == "anything-but") {
    Json list = arg.is_array() ? arg : Json::array();
    std::string inner;
    if (arg.is_object()) {
      inner = arg.as_object()[0].first;
      list = arg.as_object()[0].second;
      if (!list.is_array()) list = Json(Json::Array{list});
    } else if (!arg.is_array()) {
      list.push_back(arg);
    }
    for (const Json& x : list.as_array()) {
      if (naive_test(inner.empty() ? x : Json::object({{inner, x}}), v)) return false;
    }
    return true;
  }
  ADD_FAILURE() << op;
  return false;
}

bool naive_fields(const std::vector<std::pair<std::string, Json>>& fields, size_t at, Flat& flat, const Membership& m,
                  std::vector<std::string>& absent) {
  const auto agrees = [&](const Membership& other) {
    for (const auto& [array, index] : other) {
      const auto found = m.find(array);
      if (found != m.end() && found->second != index) return false;
    }
    return true;
  };
  if (at == fields.size()) {
    for (const std::string& path : absent) {
      for (const Leaf& leaf : flat.leaves[path]) {
        if (agrees(leaf.membership)) return false;
      }
    }
    return true;
  }
  const auto& [path, tests] = fields[at];
  bool may_be_absent = false;
  for (const Json& test : tests.as_array()) {
    if (test == Json::object({{"exists", false}})) {
      may_be_absent = true;
      continue;
    }
    for (const Leaf& leaf : flat.leaves[path]) {
      if (!agrees(leaf.membership) || !naive_test(test, leaf.value)) continue;
      Membership next = m;
      next.insert(leaf.membership.begin(), leaf.membership.end());
      if (naive_fields(fields, at + 1, flat, next, absent)) return true;
    }
  }
  if (!may_be_absent) return false;
  absent.push_back(path);
  const bool found = naive_fields(fields, at + 1, flat, m, absent);
  absent.pop_back();
  return found;
}

void naive_collect(const std::string& path, const Json& pattern,
                   std::vector<std::vector<std::pair<std::string, Json>>>& all) {
  for (const auto& [name, v] : pattern.as_object()) {
    if (name == "$or") {
      std::vector<std::vector<std::pair<std::string, Json>>> out;
      for (const Json& one : v.as_array()) {
        auto here = all;
        naive_collect(path, one, here);
        out.insert(out.end(), here.begin(), here.end());
      }
      all = out;
      continue;
    }
    const std::string below = path.empty() ? name : path + "." + name;
    if (v.is_object()) {
      naive_collect(below, v, all);
    } else {
      for (auto& fields : all) {
        std::erase_if(fields, [&](const auto& field) { return field.first == below; });
        fields.emplace_back(below, v);
      }
    }
  }
}

// The same JSON with white space between its tokens.
std::string spaced(std::string_view json) {
  std::string out;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '"') quoted = !quoted;
    if (quoted && json[i] == '\\') out += json[i++];
    out += json[i];
    if (!quoted && std::string_view("{}[],:").contains(json[i])) out += "\n  ";
  }
  return out;
}

bool naive(const Json& pattern, const Json& event) {
  std::vector<std::vector<std::pair<std::string, Json>>> all(1);
  naive_collect("", pattern, all);
  Flat flat;
  flat.add("", event, {});
  for (const auto& fields : all) {
    std::vector<std::string> absent;
    if (naive_fields(fields, 0, flat, {}, absent)) return true;
  }
  return false;
}

// --- Random patterns and events over few names and values, so that they often meet. --------------------------------

struct Dice {
  std::mt19937 engine;
  int operator()(int n) { return static_cast<int>(engine() % static_cast<unsigned>(n)); }
  std::string word() {
    static const char* kWords[] = {"a", "ab", "abc", "b", "bab", "A", "Ab", "", "x.y", "ba"};
    return kWords[(*this)(10)];
  }
  std::string name() { return std::string(1, static_cast<char>('p' + (*this)(4))); }
  Json scalar() {
    switch ((*this)(6)) {
      case 0:
        return Json((*this)(4));
      case 1:
        return Json((*this)(8) / 2.0);
      case 2:
        return (*this)(2) ? Json(nullptr) : Json((*this)(2) == 0);
      default:
        return Json(word());
    }
  }
  Json event_value(int depth) {
    const int kind = depth > 3 ? 9 : (*this)(10);
    if (kind < 3) return event_object(depth + 1);
    if (kind < 6) {
      Json out = Json::array();
      for (int n = (*this)(4); n > 0; --n) out.push_back((*this)(3) ? event_object(depth + 1) : event_value(depth + 1));
      return out;
    }
    return scalar();
  }
  Json event_object(int depth) {
    Json out = Json::object();
    for (int n = (*this)(4); n >= 0; --n) out[(*this)(30) ? name() : name() + "." + name()] = event_value(depth);
    return out;
  }
  Json one_or_list(const std::function<Json()>& f) {
    if ((*this)(2)) return f();
    Json out = Json::array();
    for (int n = (*this)(3); n >= 0; --n) out.push_back(f());
    return out;
  }
  Json test() {
    const auto w = [&] { return Json(word()); };
    const auto full = [&] { return Json(word() + "a"); };
    switch ((*this)(14)) {
      case 0:
        return Json::object({{"prefix", word()}});
      case 1:
        return Json::object({{"suffix", word()}});
      case 2:
        return Json::object({{"equals-ignore-case", word()}});
      case 3:
        return Json::object({{(*this)(2) ? "prefix" : "suffix", Json::object({{"equals-ignore-case", word()}})}});
      case 4:
        return Json::object({{"wildcard", word() + "*" + word() + ((*this)(2) ? "*b" : "")}});
      case 5:
        return Json::object({{"numeric", Json(Json::Array{(*this)(2) ? ">" : ">=", (*this)(3), "<", 3.5})}});
      case 6:
        return Json::object({{"numeric", Json(Json::Array{(*this)(2) ? "<=" : "=", (*this)(4)})}});
      case 7:
        return Json::object({{"exists", (*this)(2) == 0}});
      case 8:
        return Json::object({{"anything-but", one_or_list(w)}});
      case 9:
        return Json::object({{"anything-but", one_or_list([&] { return Json((*this)(4)); })}});
      case 10: {
        static const char* kInner[] = {"prefix", "suffix", "equals-ignore-case"};
        return Json::object({{"anything-but", Json::object({{kInner[(*this)(3)], one_or_list(full)}})}});
      }
      case 11:
        return Json::object({{"anything-but", Json::object({{"wildcard", word() + "*"}})}});
      default:
        return scalar();
    }
  }
  Json tests() {
    Json out = Json::array();
    for (int n = (*this)(3); n >= 0; --n) out.push_back(test());
    return out;
  }
  Json pattern(int depth) {
    Json out = Json::object();
    for (int n = (*this)(3); n >= 0; --n) {
      if (depth < 2 && (*this)(8) == 0) {
        Json alternatives = Json::array();
        for (int k = 0; k < 2; ++k) alternatives.push_back(pattern(depth + 1));
        out["$or"] = alternatives;
      } else {
        out[name()] = depth < 3 && (*this)(2) ? pattern(depth + 1) : tests();
      }
    }
    return out;
  }
};

TEST(EventPattern, AgreesWithTheSimpleMatcher) {
  for (unsigned seed = 0; seed < 150; ++seed) {
    Dice dice{std::mt19937(seed)};
    std::vector<Json> sources;
    std::vector<EventPattern> patterns;
    while (patterns.size() < 40) {
      Json p = dice.pattern(0);
      try {
        patterns.push_back(EventPattern::parse(p.dump()));
        sources.push_back(std::move(p));
      } catch (const PatternError&) {  // too complex
      }
    }
    const PatternMachine machine(patterns);
    PatternScratch scratch;
    std::vector<uint32_t> found;
    for (int i = 0; i < 60; ++i) {
      const Json event = dice.event_object(0);
      const std::string text = dice(2) ? event.dump() : spaced(event.dump());
      machine.match(text, scratch, found);
      const std::set<uint32_t> got(found.begin(), found.end());
      EXPECT_EQ(got.size(), found.size());
      for (uint32_t p = 0; p < patterns.size(); ++p) {
        const bool expected = naive(sources[p], event);
        ASSERT_EQ(got.contains(p), expected) << "seed " << seed << "\n" << sources[p].dump() << "\n" << event.dump();
        if (i % 10 == 0) ASSERT_EQ(patterns[p].matches(text), expected);
      }
    }
  }
}

}  // namespace
}  // namespace virga::kernel
