"""Change sets, and the aws cli's deploy, which is made of them."""

import json

import pytest
from botocore.exceptions import ClientError
from stacks import outputs, physical, status

GROUP = {"Type": "AWS::Logs::LogGroup", "Properties": {}}


def template(resources, **sections):
    return json.dumps({"Resources": resources, **sections})


def group(**properties):
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties}


def changes(cfn, stack, change_set):
    pages = cfn.get_paginator("describe_change_set").paginate(StackName=stack, ChangeSetName=change_set)
    all_changes = [c["ResourceChange"] for page in pages for c in page["Changes"]]
    return [(c["Action"], c["LogicalResourceId"], c.get("Replacement")) for c in all_changes]


def test_create_review_execute(cfn, stack):
    made = cfn.create_change_set(StackName=stack, ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=template({"A": GROUP, "B": GROUP}))
    cfn.get_waiter("change_set_create_complete").wait(ChangeSetName=made["Id"], WaiterConfig={"Delay": 1})
    assert status(cfn, stack) == "REVIEW_IN_PROGRESS"
    assert changes(cfn, stack, "first") == [("Add", "A", None), ("Add", "B", None)]
    cfn.execute_change_set(ChangeSetName=made["Id"])
    cfn.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    assert cfn.describe_change_set(ChangeSetName=made["Id"])["ExecutionStatus"] == "EXECUTE_COMPLETE"
    assert cfn.describe_stacks(StackName=stack)["Stacks"][0]["ChangeSetId"] == made["Id"]
    with pytest.raises(ClientError) as caught:
        cfn.execute_change_set(ChangeSetName=made["Id"])
    assert caught.value.response["Error"]["Code"] == "InvalidChangeSetStatus"


def test_what_an_update_would_do(cfn, stack):
    before = {"A": group(RetentionInDays=7), "B": group(LogGroupName=stack + "-b"), "C": group(LogGroupName={"Fn::Sub": "${B}-c"}), "D": GROUP}
    after = {"A": group(RetentionInDays=14), "B": group(LogGroupName=stack + "-other"), "C": before["C"], "E": GROUP}
    cfn.create_stack(StackName=stack, TemplateBody=template(before))
    made = cfn.create_change_set(StackName=stack, ChangeSetName="second", TemplateBody=template(after))
    assert changes(cfn, stack, "second") == [
        ("Modify", "A", "False"), ("Modify", "B", "True"), ("Modify", "C", "Conditional"), ("Add", "E", None), ("Remove", "D", None)]
    described = cfn.describe_change_set(ChangeSetName=made["Id"])
    detail = described["Changes"][0]["ResourceChange"]["Details"][0]
    assert detail["Target"] == {"Attribute": "Properties", "Name": "RetentionInDays", "RequiresRecreation": "Never"}
    assert physical(cfn, stack)["D"], "nothing happens before it is executed"
    cfn.execute_change_set(ChangeSetName="second", StackName=stack)
    assert status(cfn, stack) == "UPDATE_COMPLETE"
    assert physical(cfn, stack)["C"] == stack + "-other-c"


def test_no_changes(cfn, stack):
    cfn.create_stack(StackName=stack, TemplateBody=template({"A": GROUP}))
    made = cfn.create_change_set(StackName=stack, ChangeSetName="same", TemplateBody=template({"A": GROUP}))
    described = cfn.describe_change_set(ChangeSetName=made["Id"])
    assert (described["Status"], described["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert described["StatusReason"].startswith("The submitted information didn't contain changes.")
    assert [s["ChangeSetName"] for s in cfn.list_change_sets(StackName=stack)["Summaries"]] == ["same"]
    cfn.delete_change_set(ChangeSetName=made["Id"])
    with pytest.raises(ClientError) as caught:
        cfn.describe_change_set(StackName=stack, ChangeSetName="same")
    assert caught.value.response["Error"]["Code"] == "ChangeSetNotFound"


def test_only_an_output_changes(cfn, stack):
    cfn.create_stack(StackName=stack, TemplateBody=template({"A": GROUP}))
    cfn.update_stack(StackName=stack, TemplateBody=template({"A": GROUP}, Outputs={"A": {"Value": {"Ref": "A"}}}))
    assert outputs(cfn, stack)["A"] == physical(cfn, stack)["A"]


def test_cli_deploys_twice(virga, cfn, stack, tmp_path):
    file = tmp_path / "template.yaml"
    file.write_text("Parameters: {Days: {Type: Number, Default: 7}}\n"
                    "Resources: {A: {Type: AWS::Logs::LogGroup, Properties: {RetentionInDays: !Ref Days}}}\n")
    deploy = ["cloudformation", "deploy", "--template-file", str(file), "--stack-name", stack]
    assert "Successfully created/updated stack" in virga.cli(*deploy).stdout
    assert "No changes to deploy" in virga.cli(*deploy, "--no-fail-on-empty-changeset").stdout
    virga.cli(*deploy, "--parameter-overrides", "Days=14")
    assert status(cfn, stack) == "UPDATE_COMPLETE"


def test_template_from_s3(virga, cfn, stack):
    s3 = virga.client("s3")
    bucket = stack + "-templates"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/t.json", Body=template({"A": GROUP}).encode())
    cfn.create_stack(StackName=stack, TemplateURL=f"{virga.url}/{bucket}/a/t.json")
    assert list(physical(cfn, stack)) == ["A"]
    assert cfn.get_template(StackName=stack)["TemplateBody"] == {"Resources": {"A": GROUP}}
    summary = cfn.get_template_summary(TemplateURL=f"https://{bucket}.s3.us-east-1.amazonaws.com/a/t.json")
    assert summary["ResourceTypes"] == ["AWS::Logs::LogGroup"]
    with pytest.raises(ClientError) as caught:
        cfn.validate_template(TemplateURL=f"{virga.url}/{bucket}/missing.json")
    assert "S3 error" in caught.value.response["Error"]["Message"]
    s3.delete_object(Bucket=bucket, Key="a/t.json")
    s3.delete_bucket(Bucket=bucket)


def test_a_template_too_large_for_a_request(cfn, stack):
    with pytest.raises(ClientError) as caught:
        cfn.create_stack(StackName=stack, TemplateBody=template({"A": {**GROUP, "Metadata": {"x": "y" * 52_000}}}))
    assert "less than or equal to 51200" in caught.value.response["Error"]["Message"]
