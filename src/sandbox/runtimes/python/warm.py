"""The function that bootstrap.py loads and calls before there is one."""
import logging

import warmed  # what a function's own imports need


def handler(event, context):
    context.get_remaining_time_in_millis()
    logging.getLogger().isEnabledFor(logging.DEBUG)
    return event
