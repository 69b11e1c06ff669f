"""What tests ask of a stack."""


def statuses(cfn, stack):
    """(logical id, status) of all events, oldest first."""
    pages = cfn.get_paginator("describe_stack_events").paginate(StackName=stack)
    events = [(e["LogicalResourceId"], e["ResourceStatus"]) for page in pages for e in page["StackEvents"]]
    return events[::-1]


def reasons(cfn, stack):
    """The reasons of failures, by logical id."""
    events = cfn.describe_stack_events(StackName=stack)["StackEvents"]
    return {e["LogicalResourceId"]: e["ResourceStatusReason"] for e in events if e["ResourceStatus"].endswith("_FAILED")}


def status(cfn, stack):
    return cfn.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]


def outputs(cfn, stack):
    return {o["OutputKey"]: o["OutputValue"] for o in cfn.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])}


def physical(cfn, stack):
    """Physical ids by logical id."""
    pages = cfn.get_paginator("list_stack_resources").paginate(StackName=stack)
    return {r["LogicalResourceId"]: r.get("PhysicalResourceId") for p in pages for r in p["StackResourceSummaries"]}
