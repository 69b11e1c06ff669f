"""What a function of a version with SnapStart wants done before its snapshot is taken and after it is restored.

The names are those of AWS's module for Python. Hooks before a snapshot run in the reverse of their order here, hooks
after a restore in it. Each `register_…` gives the function back, so that it serves as a decorator.
"""

_before_snapshot = []
_after_restore = []


def register_before_snapshot(func, *args, **kwargs):
    _before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    _after_restore.append((func, args, kwargs))
    return func


def get_before_snapshot():
    return _before_snapshot


def get_after_restore():
    return _after_restore
