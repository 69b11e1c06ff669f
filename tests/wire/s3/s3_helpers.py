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


def with_headers(client, operation, headers):
    """Sends `headers` with each call of `operation` inside a `with`, for options that older SDKs don't know."""
    import contextlib

    def add(request, **_):
        for name, value in headers.items():
            request.headers[name] = value

    @contextlib.contextmanager
    def adding():
        event = f"before-sign.s3.{operation}"
        client.meta.events.register(event, add)
        try:
            yield
        finally:
            client.meta.events.unregister(event, add)

    return adding()
