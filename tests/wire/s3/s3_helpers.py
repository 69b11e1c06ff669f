import botocore.exceptions


def code_of(call):
    """The error code that a call is refused with; fails when it succeeds."""
    try:
        call()
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    except botocore.exceptions.ParamValidationError:
        return "ParamValidation"
    raise AssertionError("the call was not refused")


def status_of(call):
    try:
        return call()["ResponseMetadata"]["HTTPStatusCode"]
    except botocore.exceptions.ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
