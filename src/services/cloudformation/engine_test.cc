// The pure engine: reading templates, functions, parameters, order.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/str.h"
#include "services/cloudformation/cidr.h"
#include "services/cloudformation/intrinsics.h"
#include "services/cloudformation/parameters.h"
#include "services/cloudformation/references.h"
#include "services/cloudformation/template.h"

namespace virga::cloudformation {
namespace {

template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.message;
  }
  return "no refusal";
}

TEST(Template, ReadsShortTags) {
  const Json t = parse_template(R"(
A: !Ref X
B: !GetAtt Table.Stream.Arn
C: !Sub "${A}-x"
D: !If [Prod, !Ref A, !Ref "AWS::NoValue"]
E: !Join [":", [a, b]]
F: !Condition Prod
G: !Cidr [10.0.0.0/16, 2, 8]
)");
  EXPECT_EQ(t.dump(), R"({"A":{"Ref":"X"},"B":{"Fn::GetAtt":["Table","Stream.Arn"]},"C":{"Fn::Sub":"${A}-x"},)"
                      R"("D":{"Fn::If":["Prod",{"Ref":"A"},{"Ref":"AWS::NoValue"}]},"E":{"Fn::Join":[":",["a","b"]]},)"
                      R"("F":{"Condition":"Prod"},"G":{"Fn::Cidr":["10.0.0.0/16",2,8]}})");
}

TEST(Template, ScalarsKeepWhatWouldBeLost) {
  const Json t = parse_template(
      "a: 012345678901\nb: 1.10\nc: 1.5\nd: 42\ne: yes\nf: 'yes'\ng: 2012-10-17\nh: ''\ni: -7\nj: 1e3\nk: TRUE\nl: "
      "tRue");
  EXPECT_EQ(
      t.dump(),
      R"({"a":"012345678901","b":"1.10","c":1.5,"d":42,"e":true,"f":"yes","g":"2012-10-17","h":"","i":-7,"j":"1e3","k":true,"l":"tRue"})");
}

TEST(Template, BillionLaughsAreRefused) {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    text += cat("a", i, ": &a", i, " [");
    for (int j = 0; j < 10; ++j) text += cat("*a", i - 1, ",");
    text += "]\n";
  }
  EXPECT_NE(refusal([&] { parse_template(text); }).find("expands"), std::string::npos);
  EXPECT_NE(refusal([&] { parse_template(std::string(500, '[')); }).find("Template format error"), std::string::npos);
  EXPECT_EQ(parse_template("a: &x {p: 1}\nb: *x").dump(), R"({"a":{"p":1},"b":{"p":1}})");
}

TEST(Template, MalformedTextNamesThePlace) {
  EXPECT_EQ(refusal([] { parse_template("{\"a\": }"); }).substr(0, 44), "Template format error: JSON not well-formed.");
  EXPECT_EQ(refusal([] { parse_template("a: [1\nb: 2"); }).substr(0, 44),
            "Template format error: YAML not well-formed.");
  EXPECT_EQ(refusal([] { parse_template("just text"); }), "Template format error: unsupported structure.");
}

TEST(Template, StructureIsChecked) {
  const auto check = [](std::string_view text) { return refusal([&] { check_template(parse_template(text)); }); };
  EXPECT_EQ(check("Outputs: {}"), "Template format error: At least one Resources member must be defined.");
  EXPECT_EQ(check("Foo: 1\nResources: {A: {Type: T}}"), "Invalid template property or properties [Foo]");
  EXPECT_EQ(check("Resources: {A: {Properties: {}}}"),
            "Template format error: [/Resources/A] Every Resources object must contain a Type member.");
  EXPECT_EQ(check("Resources: {A: {Type: T, Foo: 1}}"), "Invalid template resource property 'Foo'");
  EXPECT_EQ(check("Resources: {A-b: {Type: T}}"), "Template format error: Resource name A-b is non alphanumeric.");
  EXPECT_EQ(check("Resources: {A: {Type: T, Properties: {X: !Ref B, Y: !Sub '${C}'}}}"),
            "Template format error: Unresolved resource dependencies [B, C] in the Resources block of the template");
  EXPECT_EQ(check("Resources: {A: {Type: T}}\nOutputs: {O: {Value: !Ref Z}}"),
            "Template format error: Unresolved resource dependencies [Z] in the Outputs block of the template");
  EXPECT_EQ(check("Resources: {A: {Type: T, Properties: {X: !GetAtt B.Arn}}}"),
            "Template error: instance of Fn::GetAtt references undefined resource B");
  EXPECT_EQ(
      check(
          "Resources: {A: {Type: T, Properties: {X: !Ref B}}, B: {Type: T, DependsOn: A}, C: {Type: T, DependsOn: A}}"),
      "Circular dependency between resources: [A, B]");
  EXPECT_EQ(check("Resources: {A: {Type: T, Properties: {X: null}}}"),
            "Template format error: [/Resources/A/Properties/X] 'null' values are not allowed in templates");
  EXPECT_EQ(check("Resources: {A: {Type: T, Condition: C}}"),
            "Template format error: Unresolved condition dependency C in the Resources block of the template");
  EXPECT_EQ(check("Conditions: {C: !Equals [!Ref A, x]}\nResources: {A: {Type: T}}"),
            "Template format error: Unresolved dependencies [A]. Cannot reference resources in the Conditions block of "
            "the template");
  EXPECT_EQ(check("Resources: {A: {Type: T, DeletionPolicy: Retain}}"), "no refusal");
}

Resolver example() {
  Resolver r;
  r.pseudo = {"000000000000", "eu-west-1", "aws", "arn:stack", "demo", {}};
  r.parameters = {{"Env", "prod"}, {"List", Json(Json::Array{"a", "b"})}};
  r.ref = [](const std::string& name) -> std::optional<Json> {
    return name == "Table" ? std::optional<Json>("tbl") : std::nullopt;
  };
  r.get_att = [](const std::string& name, const std::string& a) -> std::optional<Json> {
    return name == "Table" ? std::optional<Json>(cat("att-", a)) : std::nullopt;
  };
  return r;
}
std::string resolved(const Resolver& r, std::string_view yaml) { return r.resolve(parse_template(yaml)).dump(); }

TEST(Intrinsics, Evaluate) {
  const Json mappings = parse_template("M: {prod: {Size: 3, L: [x, y]}}");
  const std::map<std::string, std::string> exports = {{"shared", "value"}};
  Resolver r = example();
  r.mappings = &mappings;
  r.exports = &exports;
  EXPECT_EQ(resolved(r, "a: !Ref Table\nb: !GetAtt Table.Arn\nc: !Ref List\nd: !Ref AWS::Region\ne: !Ref AWS::NoValue"),
            R"({"a":"tbl","b":"att-Arn","c":["a","b"],"d":"eu-west-1"})");
  EXPECT_EQ(
      resolved(r, "a: !Sub '${Env}-${Table.Arn}-${!Lit}-${AWS::StackName}'\nb: !Sub ['${X}${Env}', {X: !Ref Table}]"),
      R"({"a":"prod-att-Arn-${Lit}-demo","b":"tblprod"})");
  EXPECT_EQ(resolved(r,
                     "a: !Join ['-', [x, !Ref Env, 3]]\nb: !Select [1, !Ref List]\nc: !Split [',', 'p,q']\nd: !Base64 "
                     "hi\ne: !FindInMap [M, !Ref Env, Size]"),
            R"({"a":"x-prod-3","b":"b","c":["p","q"],"d":"aGk=","e":3})");
  EXPECT_EQ(
      resolved(r,
               "a: !GetAZs ''\nb: !Cidr [10.0.0.0/16, 2, 8]\nc: !ImportValue shared\nd: {Fn::Length: !Ref List}\ne: "
               "{Fn::ToJsonString: {k: !Ref Env}}"),
      R"({"a":["eu-west-1a","eu-west-1b","eu-west-1c"],"b":["10.0.0.0/24","10.0.1.0/24"],"c":"value","d":2,"e":"{\"k\":\"prod\"}"})");
  EXPECT_EQ(r.imported, std::vector<std::string>{"shared"});
}

TEST(Intrinsics, Refuse) {
  const Resolver r = example();
  const auto why = [&](std::string_view yaml) { return refusal([&] { resolved(r, yaml); }); };
  EXPECT_EQ(why("a: !Select [5, [x]]"), "Template error: Fn::Select  cannot select nonexistent value at index 5");
  EXPECT_EQ(why("a: !FindInMap [M, k, v]"),
            "Template error: Mapping named 'M' is not present in the 'Mappings' section of template.");
  EXPECT_EQ(why("a: !ImportValue nothing"), "No export named nothing found.");
  EXPECT_EQ(why("a: !Sub '${a-b}'").substr(0, 53), "Template error: variable names in Fn::Sub syntax must");
  EXPECT_EQ(why("a: '{{resolve:ssm:/x:1}}'"), "The dynamic reference {{resolve:ssm:/x:1}} is not served by Virga");
  EXPECT_EQ(why("a: {Fn::Transform: {Name: AWS::Include}}"), "Transform AWS::Include is not served by Virga");
  EXPECT_EQ(why("a: {Fn::Transform: {Name: AWS::Include}, b: 1}"), "Transform AWS::Include is not served by Virga");
  EXPECT_EQ(why("a: !Foo x").substr(0, 62), "Template error: encountered unsupported function: Fn::Foo Supp");
}

TEST(Intrinsics, KeepsWhatWaits) {
  Resolver r = example();
  r.unknown = Resolver::Unknown::kKeep;
  EXPECT_EQ(resolved(r, "a: !Join ['', [!Ref Env, !Ref New]]\nb: !Sub '${Env}/${New.Arn}'"),
            R"({"a":{"Fn::Join":["",["prod",{"Ref":"New"}]]},"b":{"Fn::Sub":"prod/${New.Arn}"}})");
}

TEST(Intrinsics, ConditionsAndRules) {
  Resolver r = example();
  const Json t = parse_template(R"(
Conditions:
  Both: !And [!Condition Prod, !Not [!Condition Dev]]
  Prod: !Equals [!Ref Env, prod]
  Dev: !Equals [!Ref Env, dev]
Rules:
  OnlyKnown:
    RuleCondition: !Equals [!Ref Env, prod]
    Assertions: [{Assert: !Contains [[dev], !Ref Env], AssertDescription: "no prod here"}]
)");
  r.evaluate_conditions(t);
  EXPECT_EQ(r.conditions, (std::map<std::string, bool>{{"Both", true}, {"Prod", true}, {"Dev", false}}));
  EXPECT_EQ(resolved(r, "a: !If [Dev, x, !Ref AWS::NoValue]\nb: [!If [Prod, 1, 2], !If [Dev, 3, !Ref AWS::NoValue]]"),
            R"({"b":[1]})");
  EXPECT_EQ(refusal([&] { r.check_rules(t); }), "Template rule OnlyKnown failed: no prod here");
}

TEST(Parameters, BindAndCheck) {
  const Json t = parse_template(R"(
Parameters:
  Env: {Type: String, AllowedValues: [dev, prod], Default: dev}
  Size: {Type: Number, MinValue: 1, MaxValue: 9, Default: 3}
  Name: {Type: String, AllowedPattern: '[a-z]+', MinLength: 2, MaxLength: 4}
  Names: {Type: CommaDelimitedList, Default: 'a, b'}
)");
  const auto declared = declared_parameters(t);
  const auto bound = bind_parameters(declared, {{"Name", "abc"}});
  EXPECT_EQ(parameter_values(declared, bound).at("Names").dump(), R"(["a","b"])");
  const auto why = [&](std::map<std::string, std::string> given) {
    return refusal([&] { bind_parameters(declared, given); });
  };
  EXPECT_EQ(why({}), "Parameters: [Name] must have values");
  EXPECT_EQ(why({{"Name", "ab"}, {"Zzz", "1"}}), "Parameters: [Zzz] do not exist in the template");
  EXPECT_EQ(why({{"Name", "ab"}, {"Env", "x"}}), "Parameter 'Env' must be one of AllowedValues");
  EXPECT_EQ(why({{"Name", "A1"}}), "Parameter 'Name' must match pattern [a-z]+");
  EXPECT_EQ(why({{"Name", "a"}}), "Parameter 'Name' must contain at least 2 characters");
  EXPECT_EQ(why({{"Name", "ab"}, {"Size", "10"}}), "Parameter 'Size' must be a number not greater than 9");
}

TEST(Order, DependenciesFirstThenAsWritten) {
  const Json t =
      parse_template("Resources: {C: {Type: T, Properties: {X: !Ref A}}, B: {Type: T}, A: {Type: T, DependsOn: [B]}}");
  EXPECT_EQ(dependency_order({"C", "B", "A"}, resource_graph(section(t, "Resources"))),
            (std::vector<std::string>{"B", "A", "C"}));
}

TEST(Cidr, Divides) {
  EXPECT_EQ(cidr_blocks("192.168.0.0/24", 3, 5),
            (std::vector<std::string>{"192.168.0.0/27", "192.168.0.32/27", "192.168.0.64/27"}));
  EXPECT_FALSE(cidr_blocks("192.168.0.0/24", 9, 5));
}

}  // namespace
}  // namespace virga::cloudformation
