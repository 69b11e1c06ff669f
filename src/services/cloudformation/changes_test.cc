// Preparing templates and planning updates.
#include <gtest/gtest.h>

#include "base/error.h"
#include "services/cloudformation/changes.h"
#include "services/cloudformation/template.h"

namespace virga::cloudformation {
namespace {

PseudoParameters here() { return {"000000000000", "us-east-1", "aws", "arn:stack", "demo", {}}; }

constexpr std::string_view kBefore = R"(
Parameters: {Size: {Type: Number, Default: 1}}
Conditions: {Never: !Equals [a, b]}
Resources:
  Role: {Type: T::Role, Properties: {Name: r, Text: !Ref Size}}
  Table: {Type: T::Table, Properties: {Key: id, Size: !Ref Size}}
  Function: {Type: T::Function, Properties: {Role: !GetAtt Role.Arn, Table: !Ref Table}}
  Gone: {Type: T::Thing, DeletionPolicy: Retain}
  Hidden: {Type: T::Thing, Condition: Never}
Outputs:
  Table: {Value: !Ref Table, Export: {Name: !Sub '${AWS::StackName}-table'}}
)";

Recreation rule(std::string_view, std::string_view property) {
  return property == "Key" ? Recreation::kAlways : Recreation::kNever;
}

TEST(Prepare, LiveResourcesInOrder) {
  Prepared p;
  prepare(p, kBefore, {}, here(), nullptr);
  std::vector<std::string> names;
  for (const LiveResource& r : p.resources) names.push_back(r.name);
  EXPECT_EQ(names, (std::vector<std::string>{"Role", "Table", "Function", "Gone"}));
  EXPECT_EQ(p.resources[2].properties.dump(), R"({"Role":{"Fn::GetAtt":["Role","Arn"]},"Table":{"Ref":"Table"}})");
  EXPECT_EQ(live_outputs(p, p.resolver).dump(),
            R"({"Table":{"Value":{"Ref":"Table"},"Export":{"Name":"demo-table"}}})");
}

TEST(Prepare, ReferenceToWhatIsNotMade) {
  Prepared p;
  try {
    prepare(p,
            "Conditions: {Off: !Equals [a, b]}\nResources: {A: {Type: T, Condition: 'Off'}, B: {Type: T, Properties: "
            "{X: !Ref A}}}",
            {}, here(), nullptr);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message,
              "Template format error: Unresolved resource dependencies [A] in the Resources block of the template");
  }
}

TEST(Prepare, Capabilities) {
  const auto needs = [](std::string_view t) { return needed_capabilities(parse_template(t)); };
  EXPECT_TRUE(needs("Resources: {A: {Type: AWS::S3::Bucket}}").empty());
  EXPECT_EQ(needs("Resources: {A: {Type: AWS::IAM::Role}}"), std::vector<std::string>{"CAPABILITY_IAM"});
  EXPECT_EQ(needs("Resources: {A: {Type: AWS::IAM::Role, Properties: {RoleName: x}}}"),
            std::vector<std::string>{"CAPABILITY_NAMED_IAM"});
}

TEST(Changes, AddModifyRemove) {
  Prepared before, after;
  prepare(before, kBefore, {}, here(), nullptr);
  prepare(after, R"(
Resources:
  Role: {Type: T::Role, Properties: {Name: r, Text: 1}}
  Table: {Type: T::Table, Properties: {Key: other, Size: 1}}
  Function: {Type: T::Function, Properties: {Role: !GetAtt Role.Arn, Table: !Ref Table}}
  New: {Type: T::Thing}
)",
          {}, here(), nullptr);
  const Json changes = plan_changes(before.resources, after.resources, {{"Table", "tbl"}}, rule);
  std::vector<std::string> said;
  for (const Json& c : changes.as_array()) {
    const Json& r = *c.find("ResourceChange");
    said.push_back(r.string_or("Action") + " " + r.string_or("LogicalResourceId") + " " + r.string_or("Replacement"));
  }
  // 1 as a parameter's text and 1 as the template's number are one value to whoever reads them, but the text differs.
  EXPECT_EQ(said, (std::vector<std::string>{"Modify Role False", "Modify Table True", "Modify Function False",
                                            "Add New ", "Remove Gone "}));
  EXPECT_EQ(changes.as_array()[1].find("ResourceChange")->string_or("PhysicalResourceId"), "tbl");
  const Json& dynamic = changes.as_array()[2].find("ResourceChange")->find("Details")->as_array()[0];
  EXPECT_EQ(dynamic.string_or("Evaluation") + dynamic.string_or("ChangeSource") + dynamic.string_or("CausingEntity"),
            "DynamicResourceAttributeRole.Arn");
  EXPECT_EQ(changes.as_array()[4].find("ResourceChange")->string_or("PolicyAction"), "Retain");
  EXPECT_TRUE(plan_changes(before.resources, before.resources, {}, rule).as_array().empty());
}

}  // namespace
}  // namespace virga::cloudformation
