"""A stack's life: created, changed, replaced, rolled back, deleted; its events in their true order."""

import json
import time

import pytest
from botocore.exceptions import ClientError
from stacks import outputs, physical, reasons, status, statuses

IAM = ["CAPABILITY_IAM"]
TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}


def group(**properties):
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties}


NO_GROUP = group(RetentionInDays=8)  # Logs takes 7 and 14 days, not 8


def template(resources, **sections):
    return json.dumps({"Resources": resources, **sections})


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_events_are_in_their_true_order(cfn, stack):
    body = template({"B": group(LogGroupName={"Fn::Sub": "${A}-b"}), "A": group(RetentionInDays=7)})
    cfn.create_stack(StackName=stack, TemplateBody=body)
    cfn.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    assert statuses(cfn, stack) == [
        (stack, "CREATE_IN_PROGRESS"), ("A", "CREATE_IN_PROGRESS"), ("A", "CREATE_IN_PROGRESS"), ("A", "CREATE_COMPLETE"),
        ("B", "CREATE_IN_PROGRESS"), ("B", "CREATE_IN_PROGRESS"), ("B", "CREATE_COMPLETE"), (stack, "CREATE_COMPLETE")]
    ids = physical(cfn, stack)
    assert ids["A"].startswith(stack + "-A-") and ids["B"] == ids["A"] + "-b"


def test_parameters_conditions_and_outputs(cfn, stack):
    body = """
Parameters:
  Stage: {Type: String, AllowedValues: [dev, prod]}
  Secret: {Type: String, NoEcho: true, Default: hidden}
Conditions: {Prod: !Equals [!Ref Stage, prod]}
Resources:
  Always: {Type: AWS::Logs::LogGroup, Properties: {RetentionInDays: !If [Prod, 30, 1]}}
  Audit: {Type: AWS::Logs::LogGroup, Condition: Prod}
Outputs:
  Group: {Value: !Ref Always, Description: the group}
  Audit: {Value: !GetAtt Audit.Arn, Condition: Prod}
"""
    cfn.create_stack(StackName=stack, TemplateBody=body, Parameters=[{"ParameterKey": "Stage", "ParameterValue": "dev"}])
    assert list(physical(cfn, stack)) == ["Always"] and list(outputs(cfn, stack)) == ["Group"]
    shown = {p["ParameterKey"]: p["ParameterValue"] for p in cfn.describe_stacks(StackName=stack)["Stacks"][0]["Parameters"]}
    assert shown == {"Stage": "dev", "Secret": "****"}
    cfn.update_stack(StackName=stack, UsePreviousTemplate=True, Parameters=[
        {"ParameterKey": "Stage", "ParameterValue": "prod"}, {"ParameterKey": "Secret", "UsePreviousValue": True}])
    assert status(cfn, stack) == "UPDATE_COMPLETE"
    assert sorted(physical(cfn, stack)) == ["Always", "Audit"] and outputs(cfn, stack)["Audit"].startswith("arn:aws:logs:")
    code, message = refusal(cfn.update_stack, StackName=stack, UsePreviousTemplate=True,
                            Parameters=[{"ParameterKey": "Stage", "ParameterValue": "test"}])
    assert code == "ValidationError" and message == "Parameter 'Stage' must be one of AllowedValues"


def test_unserved_types_are_named_before_anything_is_made(virga, cfn, stack):
    unserved = {"B": {"Type": "AWS::Nothing::Here"}, "C": {"Type": "AWS::Nothing::There", "Condition": "Never"}}
    body = template({"A": group(LogGroupName=stack), **unserved}, Conditions={"Never": {"Fn::Equals": ["a", "b"]}})
    expected = ("ValidationError", "Resource types not served by Virga: [AWS::Nothing::Here (B)]")
    assert refusal(cfn.create_stack, StackName=stack, TemplateBody=body) == expected
    assert refusal(cfn.create_change_set, StackName=stack, ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=body) == expected
    assert refusal(cfn.describe_stacks, StackName=stack)[0] == "ValidationError"


def test_a_failed_creation_leaves_nothing(virga, cfn, stack):
    body = template({"A": group(LogGroupName=stack), "B": {**NO_GROUP, "DependsOn": "A"}})
    cfn.create_stack(StackName=stack, TemplateBody=body)
    assert status(cfn, stack) == "ROLLBACK_COMPLETE"
    assert "Invalid retentionInDays value" in reasons(cfn, stack)["B"]
    assert virga.client("logs").describe_log_groups(logGroupNamePrefix=stack)["logGroups"] == []


def test_disable_rollback_keeps_what_was_made(cfn, stack):
    body = template({"A": group(), "B": {**NO_GROUP, "DependsOn": "A"}})
    cfn.create_stack(StackName=stack, TemplateBody=body, DisableRollback=True)
    assert status(cfn, stack) == "CREATE_FAILED" and physical(cfn, stack)["A"]


def test_on_failure_delete(cfn, stack):
    cfn.create_stack(StackName=stack, TemplateBody=template({"B": NO_GROUP}), OnFailure="DELETE")
    assert refusal(cfn.describe_stacks, StackName=stack) == ("ValidationError", f"Stack with id {stack} does not exist")


def test_a_failed_update_goes_back(virga, cfn, stack):
    logs = virga.client("logs")
    cfn.create_stack(StackName=stack, TemplateBody=template({"A": group(LogGroupName=stack, RetentionInDays=7), "Old": group()}))
    before = physical(cfn, stack)
    cfn.update_stack(StackName=stack, TemplateBody=template({
        "A": group(LogGroupName=stack, RetentionInDays=30), "New": group(LogGroupName=stack + "-new"),
        "Bad": {**NO_GROUP, "DependsOn": ["A", "New"]}}))
    assert status(cfn, stack) == "UPDATE_ROLLBACK_COMPLETE"
    assert physical(cfn, stack) == before
    groups = {g["logGroupName"]: g.get("retentionInDays") for g in logs.describe_log_groups(logGroupNamePrefix=stack)["logGroups"]}
    assert groups == {stack: 7, before["Old"]: None}
    assert (stack, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS") in statuses(cfn, stack)


def test_replacement_and_what_refers_to_it(virga, cfn, stack):
    def body(table):
        key = [{"AttributeName": table, "KeyType": "HASH"}]
        return template({
            "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {
                "BillingMode": "PAY_PER_REQUEST", "KeySchema": key, "AttributeDefinitions": [{"AttributeName": table, "AttributeType": "S"}]}},
            "Policy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "dynamodb:*", "Resource": {"Fn::GetAtt": ["Table", "Arn"]}}]}}}},
            Outputs={"Arn": {"Value": {"Fn::GetAtt": ["Table", "Arn"]}}})
    cfn.create_stack(StackName=stack, TemplateBody=body("a"), Capabilities=IAM)
    first = physical(cfn, stack)
    cfn.update_stack(StackName=stack, TemplateBody=body("b"), Capabilities=IAM)
    cfn.get_waiter("stack_update_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    second = physical(cfn, stack)
    assert second["Table"] != first["Table"] and second["Policy"] == first["Policy"]
    assert outputs(cfn, stack)["Arn"].endswith(second["Table"])
    tables = virga.client("dynamodb").list_tables()["TableNames"]
    assert second["Table"] in tables and first["Table"] not in tables
    version = virga.client("iam").get_policy(PolicyArn=second["Policy"])["Policy"]["DefaultVersionId"]
    document = virga.client("iam").get_policy_version(PolicyArn=second["Policy"], VersionId=version)["PolicyVersion"]["Document"]
    assert document["Statement"][0]["Resource"].endswith(second["Table"])
    order = statuses(cfn, stack)
    assert order.index(("Policy", "UPDATE_COMPLETE")) < order.index(("Table", "DELETE_COMPLETE"))


def test_retained_resources_stay(virga, cfn, stack):
    kept = {**group(LogGroupName=stack + "-kept"), "DeletionPolicy": "Retain"}
    created = cfn.create_stack(StackName=stack, TemplateBody=template({"Kept": kept, "Gone": group(LogGroupName=stack + "-gone")}))
    cfn.delete_stack(StackName=stack)
    names = [g["logGroupName"] for g in virga.client("logs").describe_log_groups(logGroupNamePrefix=stack)["logGroups"]]
    assert names == [stack + "-kept"]
    assert ("Kept", "DELETE_SKIPPED") in statuses(cfn, created["StackId"])
    assert status(cfn, created["StackId"]) == "DELETE_COMPLETE"
    virga.client("logs").delete_log_group(logGroupName=stack + "-kept")


def test_a_bucket_with_objects_will_not_go(virga, cfn, stack):
    s3 = virga.client("s3")
    cfn.create_stack(StackName=stack, TemplateBody=template({"Bucket": {"Type": "AWS::S3::Bucket"}}))
    bucket = physical(cfn, stack)["Bucket"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    cfn.delete_stack(StackName=stack)
    assert status(cfn, stack) == "DELETE_FAILED" and "BucketNotEmpty" in reasons(cfn, stack)["Bucket"]
    s3.delete_object(Bucket=bucket, Key="k")
    cfn.delete_stack(StackName=stack)
    assert refusal(cfn.describe_stacks, StackName=stack)[0] == "ValidationError"


def test_exports_and_imports(cfn, stack, name):
    exported = stack + "-group"
    cfn.create_stack(StackName=stack, TemplateBody=template(
        {"A": group()}, Outputs={"A": {"Value": {"Ref": "A"}, "Export": {"Name": exported}}}))
    user = name + "-user"
    body = template({"B": group(LogGroupName={"Fn::Sub": ["${x}-user", {"x": {"Fn::ImportValue": exported}}]})})
    cfn.create_stack(StackName=user, TemplateBody=body)
    assert physical(cfn, user)["B"] == outputs(cfn, stack)["A"] + "-user"
    assert cfn.list_imports(ExportName=exported)["Imports"] == [user]
    assert exported in [e["Name"] for e in cfn.list_exports()["Exports"]]
    cfn.delete_stack(StackName=stack)
    assert status(cfn, stack) == "DELETE_FAILED"
    assert cfn.describe_stacks(StackName=stack)["Stacks"][0]["StackStatusReason"] == f"Export {exported} cannot be deleted as it is in use by {user}"
    cfn.delete_stack(StackName=user)
    assert refusal(cfn.create_stack, StackName=user, TemplateBody=template({"B": group(LogGroupName={"Fn::ImportValue": "nothing-at-all"})})) == (
        "ValidationError", "No export named nothing-at-all found.")


def test_capabilities_are_demanded(cfn, stack):
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}
    assert refusal(cfn.create_stack, StackName=stack, TemplateBody=template({"R": role})) == (
        "InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_IAM]")
    named = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST, "RoleName": stack}}
    assert "CAPABILITY_NAMED_IAM" in refusal(cfn.create_stack, StackName=stack, TemplateBody=template({"R": named}), Capabilities=IAM)[1]
    cfn.create_stack(StackName=stack, TemplateBody=template({"R": named}), Capabilities=["CAPABILITY_NAMED_IAM"])
    assert physical(cfn, stack)["R"] == stack


def test_refusals(cfn, stack):
    body = template({"A": group()})
    assert refusal(cfn.describe_stacks, StackName=stack) == ("ValidationError", f"Stack with id {stack} does not exist")
    assert refusal(cfn.update_stack, StackName=stack, TemplateBody=body) == ("ValidationError", f"Stack [{stack}] does not exist")
    first = cfn.create_stack(StackName=stack, TemplateBody=body, ClientRequestToken="t1")
    assert cfn.create_stack(StackName=stack, TemplateBody=body, ClientRequestToken="t1")["StackId"] == first["StackId"]
    assert refusal(cfn.create_stack, StackName=stack, TemplateBody=body) == ("AlreadyExistsException", f"Stack [{stack}] already exists")
    assert refusal(cfn.update_stack, StackName=stack, TemplateBody=body) == ("ValidationError", "No updates are to be performed.")
    assert refusal(cfn.create_stack, StackName="9bad", TemplateBody=body)[0] == "ValidationError"
    cfn.delete_stack(StackName=stack + "-never-was")


def test_termination_protection(cfn, stack):
    cfn.create_stack(StackName=stack, TemplateBody=template({"A": group()}), EnableTerminationProtection=True)
    assert refusal(cfn.delete_stack, StackName=stack) == (
        "ValidationError", f"Stack [{stack}] cannot be deleted while TerminationProtection is enabled")
    cfn.update_termination_protection(StackName=stack, EnableTerminationProtection=False)


def test_a_stacks_tags_reach_its_resources(virga, cfn, stack):
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST, "Tags": [{"Key": "own", "Value": "1"}]}}
    cfn.create_stack(StackName=stack, TemplateBody=template({"R": role}), Capabilities=IAM, Tags=[{"Key": "team", "Value": "blue"}])
    tags = virga.client("iam").list_role_tags(RoleName=physical(cfn, stack)["R"])["Tags"]
    assert {t["Key"]: t["Value"] for t in tags} == {"own": "1", "team": "blue"}


def test_a_stack_acts_with_its_callers_permissions(virga, cfn, stack):
    """What the caller may not do, CloudFormation may not do for them."""
    iam = virga.client("iam")
    iam.create_user(UserName=stack)
    iam.put_user_policy(UserName=stack, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "cloudformation:*", "Resource": "*"}]}))
    key = iam.create_access_key(UserName=stack)["AccessKey"]
    theirs = virga.client("cloudformation", key["AccessKeyId"], key["SecretAccessKey"])
    theirs.create_stack(StackName=stack, TemplateBody=template({"A": group()}))
    assert status(cfn, stack) == "ROLLBACK_COMPLETE"
    assert "is not authorized to perform: logs:CreateLogGroup" in reasons(cfn, stack)["A"]
    iam.delete_access_key(UserName=stack, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=stack, PolicyName="p")
    iam.delete_user(UserName=stack)


def test_a_stack_acts_as_its_role(virga, cfn, stack):
    iam = virga.client("iam")
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "cloudformation.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName=stack, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=stack, PolicyName="p", PolicyDocument=json.dumps(allow))
    cfn.create_stack(StackName=stack, RoleARN=role, TemplateBody=template({"A": group()}))
    assert status(cfn, stack) == "CREATE_COMPLETE"
    cfn.update_stack(StackName=stack, TemplateBody=template({"A": group(), "B": {"Type": "AWS::S3::Bucket"}}))
    assert status(cfn, stack) == "UPDATE_ROLLBACK_COMPLETE" and "AccessDenied" in reasons(cfn, stack)["B"]
    cfn.delete_stack(StackName=stack)
    iam.delete_role_policy(RoleName=stack, PolicyName="p")
    iam.delete_role(RoleName=stack)
    assert refusal(cfn.create_stack, StackName=stack, RoleARN=role, TemplateBody=template({"A": group()})) == (
        "ValidationError", f"Role {role} is invalid or cannot be assumed")


def test_an_operation_goes_on_after_a_kill(own_virga):
    """Killed amid a creation and started again, the stack completes, and each resource is there once."""
    resources = {f"G{i:02}": {**group(RetentionInDays=7), **({"DependsOn": f"G{i - 1:02}"} if i else {})} for i in range(60)}
    own_virga.client("cloudformation")
    import threading
    cfn = own_virga.client("cloudformation")

    def create():
        try:
            cfn.create_stack(StackName="many", TemplateBody=template(resources))
        except Exception:
            pass  # the server is killed under it

    thread = threading.Thread(target=create)
    thread.start()
    time.sleep(0.08)
    own_virga.kill()
    thread.join()
    own_virga.start()
    cfn = own_virga.client("cloudformation")
    try:
        cfn.describe_stacks(StackName="many")
    except ClientError:
        cfn.create_stack(StackName="many", TemplateBody=template(resources))  # killed before it was acknowledged
    cfn.get_waiter("stack_create_complete").wait(StackName="many", WaiterConfig={"Delay": 1})
    groups = [g["logGroupName"] for p in own_virga.client("logs").get_paginator("describe_log_groups").paginate() for g in p["logGroups"]]
    assert sorted(groups) == sorted(physical(cfn, "many").values()) and len(groups) == 60


def test_events_hide_what_may_not_be_echoed(cfn, stack):
    template = {"Parameters": {"Secret": {"Type": "String", "NoEcho": True}},
                "Resources": {"G": {"Type": "AWS::Logs::LogGroup", "Properties": {
                    "LogGroupName": stack, "Tags": [{"Key": "k", "Value": {"Fn::Sub": "x-${Secret}"}}]}}}}
    cfn.create_stack(StackName=stack, TemplateBody=json.dumps(template),
                     Parameters=[{"ParameterKey": "Secret", "ParameterValue": "hunter2"}])
    assert status(cfn, stack) == "CREATE_COMPLETE"
    events = cfn.describe_stack_events(StackName=stack)["StackEvents"]
    shown = [e["ResourceProperties"] for e in events if e.get("ResourceProperties")]
    assert shown and all("hunter2" not in text for text in shown) and any("x-****" in text for text in shown)
