"""What every program here uses: make attempts, say of each what came of it.

A handler answers {name: "refused: why"} or {name: "ESCAPED: what"}; the test accepts nothing but refusals.
"""
import ctypes
import errno
import os

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def attempt(results, name, f):
    try:
        value = f()
    except OSError as e:
        results[name] = "refused: " + errno.errorcode.get(e.errno, str(e.errno))
    except Exception as e:  # noqa: BLE001
        results[name] = f"refused: {type(e).__name__}: {e}"
    else:
        results[name] = f"ESCAPED: {value!r}"


def syscall(number, *arguments):
    """The call, raising OSError as Python's own do."""
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *converted)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def expect(condition, what):
    """For attempts whose failure is a value, not an error: escapes unless the condition holds."""
    if condition:
        raise RuntimeError("contained")
    return what
