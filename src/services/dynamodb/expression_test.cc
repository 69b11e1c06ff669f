#include "services/dynamodb/expression.h"

#include <gtest/gtest.h>

#include "services/dynamodb/path.h"
#include "services/dynamodb/test_support.h"
#include "services/dynamodb/update.h"

namespace virga::dynamodb {
namespace {

using Names = std::map<std::string, std::string>;

struct Given {
  Names names;
  std::string values = "{}";
};

bool matches(std::string_view expression, std::string item, Given given = {}) {
  const Item values = item_of(given.values);
  Placeholders placeholders(given.names.empty() ? nullptr : &given.names, values == Item() ? nullptr : &values);
  const Node tree = parse_condition(expression, ExpressionKind::kCondition, placeholders);
  placeholders.check_all_used();
  return holds(tree, item_of(std::move(item)));
}
std::string refused(std::string_view expression, Given given = {}) {
  return refusal([&] { matches(expression, "{}", given); });
}
std::string updated(std::string_view expression, std::string item, Given given = {}) {
  const Item values = item_of(given.values);
  Placeholders placeholders(given.names.empty() ? nullptr : &given.names, values == Item() ? nullptr : &values);
  const auto actions = parse_update(expression, placeholders);
  placeholders.check_all_used();
  return json_of(updated_item(actions, item_of(std::move(item))));
}
std::string update_refused(std::string_view expression, std::string item = "{}", Given given = {}) {
  return refusal([&] { updated(expression, item, given); });
}
std::string projected(std::string_view expression, std::string item, Given given = {}) {
  Placeholders placeholders(given.names.empty() ? nullptr : &given.names, nullptr);
  PathSet set;
  for (const Path& path : parse_projection(expression, placeholders)) set.add(path);
  return json_of(set.project(item_of(std::move(item))));
}

TEST(Condition, Compares) {
  const std::string item =
      "{'a':{'N':'5'},'s':{'S':'abc'},'l':{'L':[{'N':'1'},{'M':{'x':{'S':'y'}}}]},'ss':{'SS':['p','q']}}";
  const auto with = [&](std::string_view e, std::string v) { return matches(e, item, {{}, "{':v':" + v + "}"}); };
  EXPECT_TRUE(with("a = :v", "{'N':'5.0'}"));
  EXPECT_FALSE(with("a = :v", "{'S':'5'}"));
  EXPECT_TRUE(with("a <> :v", "{'S':'5'}"));
  EXPECT_TRUE(with("nope <> :v", "{'S':'5'}"));
  EXPECT_FALSE(with("nope = :v", "{'S':'5'}"));
  EXPECT_TRUE(with("a < :v", "{'N':'10'}"));
  EXPECT_FALSE(with("s < :v", "{'N':'10'}"));
  EXPECT_TRUE(with("a IN (:v, l[0])", "{'N':'5'}"));
  EXPECT_TRUE(with("l[1].x = :v", "{'S':'y'}"));
  EXPECT_TRUE(with("contains(ss, :v)", "{'S':'q'}"));
  EXPECT_TRUE(with("contains(s, :v)", "{'S':'bc'}"));
  EXPECT_TRUE(with("begins_with(s, :v)", "{'S':'ab'}"));
  EXPECT_TRUE(with("size(s) = :v", "{'N':'3'}"));
  EXPECT_TRUE(with("attribute_type(ss, :v)", "{'S':'SS'}"));
  EXPECT_TRUE(matches("a BETWEEN :a AND :b AND attribute_exists(s) and not attribute_exists(z)", item,
                      {{}, "{':a':{'N':'1'},':b':{'N':'5'}}"}));
  EXPECT_TRUE(
      matches("(#n = :a or a = :a) and (s = :b)", item, {{{"#n", "odd name"}}, "{':a':{'N':'5'},':b':{'S':'abc'}}"}));
  EXPECT_TRUE(matches("NOT (a = :a AND s = :a)", item, {{}, "{':a':{'N':'5'}}"}));
  EXPECT_TRUE(matches("(a) = (:a)", item, {{}, "{':a':{'N':'5'}}"}));
}

TEST(Condition, RefusesInAwsWords) {
  const Given v{{}, "{':v':{'N':'1'}}"};
  EXPECT_EQ(refused(""), "Invalid ConditionExpression: The expression can not be empty;");
  EXPECT_EQ(refused("a = "), "Invalid ConditionExpression: Syntax error; token: \"<EOF>\", near: \"=\"");
  EXPECT_EQ(refused("a-b = :v", v), "Invalid ConditionExpression: Syntax error; token: \"-\", near: \"a-b\"");
  EXPECT_EQ(refused("name = :v", v),
            "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: name");
  EXPECT_EQ(refused("a = :x", v),
            "Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute "
            "value: :x");
  EXPECT_EQ(refused("#a = :v", v),
            "Invalid ConditionExpression: An expression attribute name used in the document path is not defined; "
            "attribute name: #a");
  EXPECT_EQ(refused("attribute_exists(a)", v),
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}");
  EXPECT_EQ(refused("attribute_exists(a)", {{{"#x", "y"}}, "{}"}),
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}");
  EXPECT_EQ(refused("((a = :v))", v), "Invalid ConditionExpression: The expression has redundant parentheses;");
  EXPECT_EQ(refused("(a = :v) AND (b = :v)", v), "no error");
  EXPECT_EQ(refused("((a = :v) AND (b = :v))", v), "no error");
  EXPECT_EQ(refused("nope(a)"), "Invalid ConditionExpression: Invalid function name; function: nope");
  EXPECT_EQ(
      refused("size(a)"),
      "Invalid ConditionExpression: The function is not allowed to be used this way in an expression; function: size");
  EXPECT_EQ(refused("attribute_exists(a) = :v", v),
            "Invalid ConditionExpression: The function is not allowed to be used this way in an expression; function: "
            "attribute_exists");
  EXPECT_EQ(refused("attribute_exists(a, b)"),
            "Invalid ConditionExpression: Incorrect number of operands for operator or function; operator or function: "
            "attribute_exists, number of operands: 2");
  EXPECT_EQ(refused("begins_with(a, :v)", v),
            "Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: "
            "begins_with, operand type: N");
  EXPECT_EQ(refused("attribute_exists(:v)", v),
            "Invalid ConditionExpression: Operator or function requires a document path; operator or function: "
            "attribute_exists");
  EXPECT_EQ(refused("a = a"),
            "Invalid ConditionExpression: The first operand must be distinct from the remaining operands for this "
            "operator or function; "
            "operator: =, first operand: [a]");
  EXPECT_EQ(refused("a BETWEEN :b AND :a", {{}, "{':a':{'N':'1'},':b':{'N':'2'}}"}),
            "Invalid ConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to "
            "lower bound; "
            "lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}");
  EXPECT_EQ(refused("a = :v", {{}, "{':v':{'N':'x'}}"}),
            "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: x "
            "for key :v");
}

TEST(Condition, BoundsItsSize) {
  std::string many = "a = :v";
  for (int i = 0; i < 320; ++i) many += " OR a = :v";
  EXPECT_TRUE(refused(many, {{}, "{':v':{'N':'1'}}"}).find("too many operators") != std::string::npos);
  EXPECT_TRUE(refused(std::string(4000, '(')).starts_with("Invalid ConditionExpression: "));
  EXPECT_TRUE(refused(std::string(5000, 'a')).find("Expression size has exceeded") != std::string::npos);
}

TEST(Projection, KeepsPaths) {
  const std::string item =
      "{'a':{'M':{'b':{'S':'1'},'c':{'S':'2'}}},'l':{'L':[{'N':'0'},{'N':'1'},{'N':'2'}]},'z':{'S':'z'}}";
  EXPECT_EQ(projected("z, a.c", item), "{'a':{'M':{'c':{'S':'2'}}},'z':{'S':'z'}}");
  EXPECT_EQ(projected("l[2], l[0]", item), "{'l':{'L':[{'N':'0'},{'N':'2'}]}}");
  EXPECT_EQ(projected("nope, a.nope", item), "{}");
  EXPECT_EQ(projected("#x", item, {{{"#x", "z"}}, "{}"}), "{'z':{'S':'z'}}");
  EXPECT_EQ(refusal([&] { projected("a, a.b", item); }),
            "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of "
            "these paths; "
            "path one: [a], path two: [a, b]");
  EXPECT_EQ(refusal([&] { projected("a.b, a[1]", item); }),
            "Invalid ProjectionExpression: Two document paths conflict with each other; must remove or rewrite one of "
            "these paths; "
            "path one: [a, b], path two: [a, [1]]");
}

TEST(Update, Applies) {
  const Given one{{}, "{':v':{'N':'1'}}"};
  EXPECT_EQ(updated("SET a = :v", "{}", one), "{'a':{'N':'1'}}");
  EXPECT_EQ(updated("SET a = a + :v, b = a", "{'a':{'N':'2'}}", one), "{'a':{'N':'3'},'b':{'N':'2'}}");
  EXPECT_EQ(updated("SET a = if_not_exists(a, :v) - :v", "{}", one), "{'a':{'N':'0'}}");
  EXPECT_EQ(updated("ADD a :v", "{}", one), "{'a':{'N':'1'}}");
  EXPECT_EQ(updated("ADD a :v SET b = :v REMOVE c", "{'a':{'N':'4'},'c':{'S':''}}", one),
            "{'a':{'N':'5'},'b':{'N':'1'}}");
  EXPECT_EQ(updated("SET l[9] = :v, l[5] = :v REMOVE l[0]", "{'l':{'L':[{'S':'a'},{'S':'b'}]}}", one),
            "{'l':{'L':[{'S':'b'},{'N':'1'},{'N':'1'}]}}");
  EXPECT_EQ(updated("REMOVE l[0], l[2]", "{'l':{'L':[{'N':'0'},{'N':'1'},{'N':'2'},{'N':'3'}]}}"),
            "{'l':{'L':[{'N':'1'},{'N':'3'}]}}");
  EXPECT_EQ(updated("SET m.x.y = :v", "{'m':{'M':{'x':{'M':{}}}}}", one), "{'m':{'M':{'x':{'M':{'y':{'N':'1'}}}}}}");
  const Given set{{}, "{':s':{'SS':['b','c']}}"};
  EXPECT_EQ(updated("ADD s :s", "{'s':{'SS':['a','b']}}", set), "{'s':{'SS':['a','b','c']}}");
  EXPECT_EQ(updated("DELETE s :s", "{'s':{'SS':['a','b']}}", set), "{'s':{'SS':['a']}}");
  EXPECT_EQ(updated("DELETE s :s", "{'s':{'SS':['b']}}", set), "{}");
  EXPECT_EQ(updated("DELETE s :s", "{}", set), "{}");
  EXPECT_EQ(updated("SET l = list_append(:l, l)", "{'l':{'L':[{'S':'x'}]}}", {{}, "{':l':{'L':[{'S':'y'}]}}"}),
            "{'l':{'L':[{'S':'y'},{'S':'x'}]}}");
}

TEST(Update, RefusesInAwsWords) {
  const Given one{{}, "{':v':{'N':'1'}}"};
  const Given text{{}, "{':v':{'S':'1'}}"};
  EXPECT_EQ(update_refused("SET a = :v, a.b = :v", "{}", one),
            "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these "
            "paths; "
            "path one: [a], path two: [a, b]");
  EXPECT_EQ(update_refused("SET a = :v SET b = :v", "{}", one),
            "Invalid UpdateExpression: The \"SET\" section can only be used once in an update expression;");
  EXPECT_EQ(update_refused("SET a = b", "{}"),
            "The provided expression refers to an attribute that does not exist in the item");
  EXPECT_EQ(update_refused("SET a.b = :v", "{}", one),
            "The document path provided in the update expression is invalid for update");
  EXPECT_EQ(update_refused("SET a = b + :v", "{'b':{'S':''}}", one),
            "An operand in the update expression has an incorrect data type");
  EXPECT_EQ(update_refused("SET a = :v + :v", "{}", text),
            "Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: +, "
            "operand type: S");
  EXPECT_EQ(
      update_refused("ADD a :v", "{}", text),
      "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: STRING");
  EXPECT_EQ(update_refused("ADD a :v", "{'a':{'S':''}}", one),
            "An operand in the update expression has an incorrect data type");
  EXPECT_EQ(update_refused("SET a = size(b)"),
            "Invalid UpdateExpression: The function is not allowed in an update expression; function: size");
  EXPECT_EQ(update_refused("SET"), "Invalid UpdateExpression: Syntax error; token: \"<EOF>\", near: \"SET\"");
  EXPECT_EQ(update_refused("a = :v", "{}", one), "Invalid UpdateExpression: Syntax error; token: \"a\", near: \"a =\"");
  EXPECT_EQ(update_refused("SET book-price = :v", "{}", one),
            "Invalid UpdateExpression: Syntax error; token: \"-\", near: \"book-price\"");
}

TEST(Update, StatementsAreCounted) {
  const auto size = [](std::string_view expression, std::string given = "{}") {
    const Item values = item_of(std::move(given));
    Placeholders placeholders(nullptr, values == Item() ? nullptr : &values);
    return statement_size(parse_update(expression, placeholders));
  };
  EXPECT_EQ(size("SET b = :v", "{':v':{'S':'xyz'}}"), 3u + 19 + 1 + 3);
  EXPECT_EQ(size("SET b = :v, c = :v", "{':v':{'S':'xyz'}}"), 3u + 2 * (19 + 1 + 3));
  EXPECT_EQ(size("SET d.leaf = :v", "{':v':{'S':'xyz'}}"), size("SET d = :v", "{':v':{'M':{'leaf':{'S':'xyz'}}}}"));
  EXPECT_EQ(size("SET d[0] = :v", "{':v':{'S':'xyz'}}"), size("SET d = :v", "{':v':{'L':[{'S':'xyz'}]}}") + 1);
  EXPECT_EQ(size("SET c = abcdefghij"), 3u + 19 + 1 + 1 + 14 + 10);
  EXPECT_EQ(size("SET c = l[10]"), 3u + 19 + 1 + 1 + 14 + 1 + 14 + 2);
  EXPECT_EQ(size("SET n = n + :o", "{':o':{'N':'1'}}"), 3u + 19 + 1 + 34 + 15 + 1 + 2);
  EXPECT_EQ(size("SET n = n - :o", "{':o':{'N':'1'}}"), 3u + 19 + 1 + 37 + 15 + 1 + 2);
  EXPECT_EQ(size("SET c = if_not_exists(c, :v)", "{':v':{'S':'v'}}"), 3u + 19 + 1 + 39 + 15 + 1 + 1);
  EXPECT_EQ(size("SET l = list_append(l, :v)", "{':v':{'L':[{'S':'xyz'}]}}"), 3u + 19 + 1 + 37 + 15 + 1 + 7);
  EXPECT_EQ(size("ADD s :v", "{':v':{'SS':['xyz']}}"), 3u + 19 + 1 + 3);
  EXPECT_EQ(size("REMOVE abc, m.y, l[10]"), 3u + 3 * 1 + 3 + (1 + 4 + 1) + (1 + 4 + 2));
  EXPECT_EQ(size("DELETE s :v", "{':v':{'SS':['xyz']}}"), 3u + 1 + 1);
}

}  // namespace
}  // namespace virga::dynamodb
