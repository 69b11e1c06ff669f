"""The function that bootstrap.py loads and calls before there is one."""


def handler(event, context):
    context.get_remaining_time_in_millis()
    return event
