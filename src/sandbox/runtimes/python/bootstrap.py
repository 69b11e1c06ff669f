"""Runs inside the sandbox of a Python function: takes frames from Virga on descriptor 3, calls the handler, answers.

A frame is a little-endian length, a type byte and a body; the length counts type and body.
It starts before its function is known, so everything that doesn't depend on one is done before the first frame.
"""
import _imp
import collections
import contextlib
import decimal
import importlib
import importlib.machinery
import importlib.util
import json
import linecache
import logging
import os
import select
import socket
import struct
import sys
import time
import traceback
import types

# To us.
INIT, INVOKE, MOUNTED, ENVIRONMENT, ROUSE, RESTORE = 1, 2, 3, 4, 5, 20
# From us.
READY, INIT_ERROR, RESPONSE, ERROR, OF, RESTORED, RESTORE_ERROR = 1, 2, 3, 4, 10, 20, 21
MOST_RESPONSE = 6291556

LOG_RECORD = b"\x1eVLR"  # then a little-endian length: a record of several lines, on the output pipe
BEGINNING = LOG_RECORD + bytes(4)  # what was written before it is the initialisation's
TASK = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
OWN_FILE = __file__
OWN_FOLDER = os.path.dirname(OWN_FILE)


def library(name):
    """A module of C++, built beside this file."""
    path = f"{OWN_FOLDER}/{name}.so"
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, path, loader=loader))
    loader.exec_module(module)
    return module


calls = library("calls")  # what each call passes through
Channel, parse = calls.Channel, calls.parse


class Fault(Exception):
    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = list(trace)


class CognitoIdentity:
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, data):
        self.cognito_identity_id = data.get("cognitoIdentityId")
        self.cognito_identity_pool_id = data.get("cognitoIdentityPoolId")

    def __repr__(self):
        return (f"CognitoIdentity([cognito_identity_id={self.cognito_identity_id},"
                f"cognito_identity_pool_id={self.cognito_identity_pool_id}])")


class Client:
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")

    def __init__(self, data):
        for name in self.__slots__:
            setattr(self, name, data.get(name))


class ClientContext:
    __slots__ = ("custom", "env", "client")

    def __init__(self, data):
        self.custom = data.get("custom")
        self.env = data.get("env")
        client = data.get("client")
        self.client = Client(client) if isinstance(client, dict) else None


class LambdaContext:
    of_function = {}  # what all have in common
    ready = 0  # when it was, by the monotonic clock

    @classmethod
    def describe_function(cls, environment):
        names = {"log_group_name": "LOG_GROUP_NAME", "log_stream_name": "LOG_STREAM_NAME", "function_name": "FUNCTION_NAME",
                 "memory_limit_in_mb": "FUNCTION_MEMORY_SIZE", "function_version": "FUNCTION_VERSION"}
        cls.of_function = {name: environment.get("AWS_LAMBDA_" + variable) for name, variable in names.items()}

    def __init__(self, header):
        vars(self).update(self.of_function)
        self.aws_request_id = header["id"]
        self.invoked_function_arn = header.get("arn")
        self.tenant_id = header.get("tenant")
        client = header.get("client")
        self.client_context = ClientContext(client) if isinstance(client, dict) else None
        self.identity = CognitoIdentity(header.get("cognito") or {})
        self._epoch_deadline_time_in_ms = header["deadline"]
        if "ahead" in header:  # it was sent when this process wasn't ready
            self._epoch_deadline_time_in_ms += max(self.ready - header["ahead"], 0)

    def get_remaining_time_in_millis(self):
        return max(int(self._epoch_deadline_time_in_ms - time.time() * 1000), 0)

    def log(self, message):
        write_record(str(message))

    def __repr__(self):
        names = ("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb",
                 "function_version", "invoked_function_arn", "client_context", "identity", "tenant_id")
        return "LambdaContext([" + ",".join(f"{n}={getattr(self, n)}" for n in names) + "])"


request_id = ""
tenant_id = None
shared = False  # other processes write to the same pipe


def write_record(text):
    """One log event, however many lines it has, in order with what was printed."""
    sys.stdout.flush()
    data = text.encode("utf-8", "backslashreplace")
    if shared and len(data) + 8 > select.PIPE_BUF:  # others' would come in between
        print(text.removesuffix("\n"), flush=True)
        return
    data = LOG_RECORD + struct.pack("<I", len(data)) + data
    while data:
        data = data[os.write(1, data):]


class RecordHandler(logging.Handler):
    def emit(self, record):
        write_record(self.format(record))


class TextFormatter(logging.Formatter):
    converter = time.gmtime

    def __init__(self):
        super().__init__("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S")


def timestamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class JsonFormatter(logging.Formatter):
    standard = frozenset(vars(logging.makeLogRecord({}))) | {"aws_request_id", "tenant_id"}

    def format(self, record):
        level = logging.getLevelName(min(50, max(0, record.levelno)) // 10 * 10)
        out = {"timestamp": timestamp(record.created), "level": level, "message": record.getMessage(), "logger": record.name}
        if record.exc_info and record.exc_info[0]:
            kind, value, trace = record.exc_info
            out.update(stackTrace=traceback.format_tb(trace), errorType=kind.__name__, errorMessage=str(value))
        out["requestId"] = record.aws_request_id
        if record.exc_info:
            out["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        if record.tenant_id is not None:
            out["tenantId"] = record.tenant_id
        for name, value in vars(record).items():
            if name not in self.standard and value is not None:
                out.setdefault(name, value)
        return json.dumps(out, ensure_ascii=False) + "\n"


class RequestFilter(logging.Filter):
    def filter(self, record):
        record.aws_request_id = request_id
        record.tenant_id = tenant_id
        return True


LOG_HANDLER = RecordHandler()
LOG_HANDLER.setFormatter(TextFormatter())
LOG_HANDLER.addFilter(RequestFilter())
LEVELS = {"TRACE": logging.DEBUG, "DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING,
          "ERROR": logging.ERROR, "FATAL": logging.CRITICAL}


def logs_json(environment=os.environ):
    return environment.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def set_up_logging(environment):
    if logs_json(environment):
        LOG_HANDLER.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [LOG_HANDLER]
    level = environment.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    if level in LEVELS:
        root.setLevel(LEVELS[level])


def error_document(kind, message, trace):
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


def frames_of_import():
    """The frames between an import and those of the imported module, seen at a module that only fails."""
    class Loader(importlib.machinery.SourceFileLoader):
        def get_code(self, name):
            return compile("1 / 0", OWN_FILE, "exec")

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return importlib.machinery.ModuleSpec(name, Loader(name, OWN_FILE))

    finders = sys.meta_path[:]
    sys.meta_path[:] = [Finder]
    try:
        importlib.import_module("what only fails")
    except ZeroDivisionError as e:
        return [frame for frame in traceback.extract_tb(e.__traceback__) if frame.filename != OWN_FILE]
    finally:
        sys.meta_path[:] = finders


def describe(error):
    """The error document of an exception out of the function's code, without our own frames; but with those of an import,
    as AWS's runtime has them, also where the module wasn't imported."""
    if isinstance(error, Fault):
        return error_document(error.kind, error.message, error.trace)
    frames = traceback.extract_tb(error.__traceback__)
    first = 0
    while first < len(frames) and frames[first].filename == OWN_FILE:
        first += 1
    imports = frames_of_import() if first and frames[first - 1].name == "import_plain" else []
    # Without columns: AWS's runtime marks no part of a line.
    lines = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in imports + frames[first:]]
    return error_document(type(error).__name__, str(error), traceback.format_list(lines))


def log_error(document):
    if logs_json():
        write_record(json.dumps({"timestamp": timestamp(time.time()), "log_level": "ERROR", **document}, ensure_ascii=False))
        return
    lines = [f"[ERROR] {document['errorType']}: {document['errorMessage']}", "Traceback (most recent call last):"]
    for line in "".join(document["stackTrace"]).splitlines():
        text = line.lstrip(" ")
        lines.append("\xa0" * (len(line) - len(text)) + text)  # consoles keep those where they would drop spaces
    write_record("\n".join(lines))


def serialise_other(value):
    if isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def read_file(path):
    """In as few steps as it takes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        source = part = os.read(descriptor, 1 << 16)
        while part:
            part = os.read(descriptor, 1 << 16)
            source += part
    finally:
        os.close(descriptor)
    return source


def import_plain(name, folder):
    """The module `name` as importing it makes it, in half the time, where that is one source file in `folder`, which comes
    first in the path. None: it has to be imported."""
    if not name.isidentifier() or name in sys.modules or _imp.is_frozen(name):
        return None
    path = f"{folder}/{name}.py"
    try:
        for entry in os.listdir(folder):
            if entry in (name, "__pycache__") or entry.startswith(name + ".") and entry != name + ".py":
                return None
        source = read_file(path)
    except OSError:
        return None
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.machinery.ModuleSpec(name, loader, origin=path)
    spec.has_location = True
    spec.cached = f"{folder}/__pycache__/{name}.{sys.implementation.cache_tag}.pyc"
    module = types.ModuleType(name)
    module.__spec__, module.__loader__, module.__package__ = spec, loader, ""
    module.__file__, module.__cached__ = path, spec.cached
    code = compile(source, path, "exec", dont_inherit=True)
    sys.modules[name] = module
    spec._initializing = True  # what an import in a circle is told by
    try:
        exec(code, vars(module))
    except BaseException:
        sys.modules.pop(name, None)
        raise
    finally:
        spec._initializing = False
    return sys.modules.get(name, module)


def load(handler, folder):
    parts = handler.rsplit(".", 1)
    if len(parts) != 2:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)")
    module_name, function_name = parts
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    # The function's files are read-only: no attempt to keep what was compiled of them.
    keeps, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        module = import_plain(module_name, folder) or importlib.import_module(module_name.replace("/", "."))
    except ImportError as e:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {e}") from e
    except SyntaxError as e:
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {e}",
                    [f'  File "{e.filename}" Line {e.lineno}\n    {e.text}']) from e
    finally:
        sys.dont_write_bytecode = keeps
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'") from None


class EndpointFinder:
    """Older SDKs don't know AWS_ENDPOINT_URL. Without it a client would look for a host that isn't there."""

    def find_spec(self, name, path=None, target=None):
        if name != "botocore.session":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            import botocore
            version = tuple(int(n) for n in botocore.__version__.split(".")[:2])
            if version >= (1, 31):
                return
            create = module.Session.create_client

            def create_client(self, service_name, *args, **kwargs):
                if kwargs.get("endpoint_url") is None and len(args) < 5:
                    own = "AWS_ENDPOINT_URL_" + service_name.upper().replace("-", "_")
                    url = os.environ.get(own) or os.environ.get("AWS_ENDPOINT_URL")
                    if url:
                        kwargs["endpoint_url"] = url
                return create(self, service_name, *args, **kwargs)

            module.Session.create_client = create_client

        spec.loader.exec_module = exec_module
        return spec


def run_hooks(kind, registered, backwards):
    """What the function registered for before a snapshot or after a restore."""
    hooks = sys.modules.get("snapshot_restore_py")
    hooks = list(getattr(hooks, registered)()) if hooks else []
    try:
        for function, arguments, named in reversed(hooks) if backwards else hooks:
            function(*arguments, **named)
    except Exception as e:
        raise Fault(kind, f"{type(e).__name__}: {e}", describe(e)["stackTrace"]) from e


def restore(channel):
    try:
        run_hooks("Runtime.AfterRestoreError", "get_after_restore", False)
    except Exception as e:
        give_up(channel, RESTORE_ERROR, e)
    sys.stdout.flush()
    channel.send(RESTORED)


def give_up(channel, kind, error):
    document = describe(error)
    log_error(document)
    sys.stdout.flush()
    channel.send(kind, json.dumps(document).encode())
    os._exit(0)  # Virga ends the instance on this frame; nothing of it runs on


FINDERS = {}  # of modules in a folder; made ahead


def prepare(order, folder):
    """What needs nothing of the function but what it is. Says whether C is to look at the time zone."""
    environment = order["env"] or dict(os.environ)  # none: it was started with its own
    zone = os.environ._data.get(b"TZ")
    os.environ._data.clear()
    calls.set_environment(environment)
    version = order["runtime"].removeprefix("python")
    paths = [folder, f"/opt/python/lib/python{version}/site-packages", "/opt/python"]
    paths += [p for p in environment.get("PYTHONPATH", "").split(":") if p and p not in paths]
    sys.path[:] = paths + [p for p in sys.path if p not in paths] + [OWN_FOLDER + "/lib"]
    for path in paths:
        sys.path_importer_cache.pop(path, None)
    # No archive: the other hooks need not look.
    sys.path_importer_cache[folder] = FINDERS.get(folder) or sys.path_hooks[-1](folder)
    set_up_logging(environment)
    LambdaContext.describe_function(environment)
    if "AWS_ENDPOINT_URL" in environment or any(name.startswith("AWS_ENDPOINT_URL_") for name in environment):
        sys.meta_path.insert(0, EndpointFinder())
    return "TZ" in environment and environment["TZ"].encode() != zone


def initialise(channel, order, folder):
    another_zone = prepare(order, folder)
    if order.get("more"):
        calls.set_environment(parse(channel.await_frame(ENVIRONMENT)))
    calls.publish_environment()
    if another_zone:
        time.tzset()
    if channel.lacks(MOUNTED):
        rehearse_loading()
    channel.await_frame(MOUNTED)
    os.chdir(folder)
    try:
        handler = load(order["handler"], folder)
        if order.get("snapshot"):
            run_hooks("Runtime.BeforeSnapshotError", "get_before_snapshot", True)
    except Exception as e:
        give_up(channel, INIT_ERROR, e)
    sys.stdout.flush()
    if folder is TASK:
        try:
            os.write(1, BEGINNING)
        except OSError:
            pass  # the function has closed it
    LambdaContext.ready = int(time.monotonic() * 1000)
    channel.send(READY)
    return handler


decoder = json.JSONDecoder()
decode, scan = decoder.decode, decoder.scan_once
AROUND = {}  # what contains the value that is being encoded


def parts_of(escape):
    """What makes the parts of a value's text, which json.JSONEncoder.encode() makes anew for each value."""
    encoder = json.JSONEncoder(default=serialise_other, ensure_ascii=escape)
    text = json.encoder.encode_basestring_ascii if escape else json.encoder.encode_basestring
    try:
        return json.encoder.c_make_encoder(AROUND, encoder.default, text, None, ": ", ", ", False, False, True)
    except (AttributeError, TypeError):  # a Python that has it otherwise
        return lambda value, _: encoder.encode(value)


def failed(error):
    """The error document of a call that ended with this exception."""
    linecache.checkcache()
    document = describe(error)
    log_error(document)
    return json.dumps(document).encode()


def unreadable(error):
    return failed(Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}"))


def unanswerable(error):
    AROUND.clear()
    return failed(Fault("Runtime.MarshalError", f"Unable to marshal response: {error}"))


calls.set_up(globals(), os.environ._data)


def rehearse_loading():
    load("warmed.handler", OWN_FOLDER)
    del sys.modules["warmed"]


def rehearse_beginning(order):
    before = Before()
    prepare(parse(order), TASK)
    before.restore()


def rehearsal():
    """An order for a function of ours."""
    environment = {**os.environ, "AWS_ENDPOINT_URL": "", **{f"WARM_UP_{i}": "x" * 40 for i in range(20)}}
    return json.dumps({"handler": "warm.handler", "runtime": "python3", "env": environment, "more": True}).encode()


class Before:
    """What an initialisation changes, as it was."""

    def __init__(self):
        self.path, self.finders, self.environment = sys.path[:], sys.meta_path[:], dict(os.environ._data)

    def restore(self):
        os.environ._data.clear()
        os.environ._data.update(self.environment)
        calls.publish_environment()
        sys.path[:], sys.meta_path[:] = self.path, self.finders


def rouse(channel, order):
    """A function is on its way, and its beginning done for nothing meanwhile: it finds warm what it needs."""
    if channel.lacks(INIT):
        rehearse_beginning(order)


def warm_up():
    """A function of ours is initialised and called, so that a first call finds everything warm."""
    global request_id
    before, folder = Before(), os.getcwd()
    more = {"WARM_UP_MORE": "x" * 400}
    header = json.dumps({"id": "", "deadline": 0, "trace": "x" * 100}).encode()
    here, there = socket.socketpair()
    channel, other = Channel(here.detach()), Channel(there.detach())
    other.send(INIT, rehearsal())
    other.send(MOUNTED)
    other.send(ENVIRONMENT, json.dumps(more).encode())
    handler = initialise(channel, parse(channel.receive()[1]), OWN_FOLDER)
    other.send(INVOKE, struct.pack("<I", len(header)) + header + b'{"warm": [1, 2.5, null, "\\u00e9"]}')
    other.send(RESTORE)
    channel.serve(handler, parts_of(True))
    channel.close()
    other.close()
    traceback.format_list(traceback.extract_stack())
    request_id = ""
    os.chdir(folder)
    before.restore()
    del sys.modules["warm"], sys.modules["warmed"], sys.path_importer_cache[OWN_FOLDER]


def serve_forks():
    """The launcher's orders come on descriptor 3; every sandbox that it makes goes on from here, jailed.

    Nothing of a function is ever in this process. What every sandbox would draw from chance itself is drawn anew by
    the hooks that modules have for forks.
    """
    import ctypes
    import gc
    jail = ctypes.PyDLL(os.path.join(OWN_FOLDER, "jail.so"))
    before, after = ctypes.pythonapi.PyOS_BeforeFork, ctypes.pythonapi.PyOS_AfterFork_Child
    before.restype = after.restype = jail.virga_serve_forks.restype = None
    del sys.argv[1:], getattr(sys, "orig_argv", [])[-1:]
    for _ in range(10):
        warm_up()  # until the interpreter has made its code fast, which every sandbox then has
    gc.collect()
    gc.freeze()  # a collection would copy every page that is shared
    before()
    jail.virga_serve_forks(3, 4)
    after()


def main():
    sys.path[:] = [p for p in sys.path if p != OWN_FOLDER]
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    importlib.import_module("datetime")
    with contextlib.suppress(ImportError):
        FINDERS[TASK] = sys.path_hooks[-1](TASK)
    warm_up()
    if sys.argv[1:] == ["zygote"]:
        serve_forks()
        warm_up()  # here the pages that it writes become this process's own

    channel, sample = Channel(3), rehearsal()
    rehearse_beginning(sample)
    rehearse_loading()
    [bytes(size) for size in range(0, 480, 16) for _ in range(0, 4096, size + 32)]  # and a page for objects of each size
    while channel.peek() == ROUSE:
        channel.receive()
        rouse(channel, sample)
    order = parse(channel.await_frame(INIT))
    if order.get("concurrency", 1) > 1:
        channel.await_frame(MOUNTED)
        channel = share_out(channel, order["concurrency"])
        channel.keep(MOUNTED)
    serve(channel, order)


def share_out(channel, count):
    """Several invocations at a time, each in a process of its own, as AWS has it. Returns in those, with their channel;
    this one hands frames to and fro, and ends as the first of them ends."""
    global shared
    shared = True
    workers = {}
    for _ in range(count):
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            for other in workers.values():
                other.close()
            ours.close()
            channel.close()
            return Channel(theirs.detach())
        theirs.close()
        worker = Channel(ours.detach(), end_as_worker)
        workers[worker.fileno()] = worker
    poll = select.poll()
    for descriptor in (channel.fileno(), *workers):
        poll.register(descriptor, select.POLLIN)
    free, busy, waiting, ready = list(workers.values()), {}, collections.deque(), 0
    while True:
        for descriptor, _ in poll.poll():
            worker = workers.get(descriptor)
            source = worker or channel
            again = True
            while again:
                kind, body = source.receive()
                again = source.has_begun()
                if worker is None:
                    waiting.append((kind, body))
                elif kind == READY:
                    ready += 1
                    if ready == count:
                        channel.send(READY)
                elif kind == INIT_ERROR:
                    channel.send(INIT_ERROR, body)
                    time.sleep(60)  # Virga ends the instance on this frame
                else:
                    request = busy.pop(worker)
                    free.append(worker)
                    if kind == RESPONSE and len(body) > MOST_RESPONSE:
                        kind, body = ERROR, json.dumps({
                            "errorType": "Function.ResponseSizeTooLarge",
                            "errorMessage": f"Response payload size exceeded maximum allowed payload size ({MOST_RESPONSE} bytes).",
                        }).encode()
                    channel.send(OF, bytes((len(request),)) + request + bytes((kind,)) + body)
            while waiting and free:
                kind, body = waiting.popleft()
                worker = free.pop()
                busy[worker] = json.loads(body[4:4 + int.from_bytes(body[:4], "little")])["id"].encode()
                worker.send(kind, body)


def end_as_worker():
    """A worker's channel has ended: its process has, most likely."""
    for _ in range(100):
        process, status = os.waitpid(-1, os.WNOHANG)
        if process:
            if os.WIFSIGNALED(status):
                os.kill(os.getpid(), os.WTERMSIG(status))
            os._exit(os.waitstatus_to_exitcode(status))
        time.sleep(0.01)
    os._exit(1)


def serve(channel, order):
    handler = initialise(channel, order, TASK)
    # Since 3.12 AWS's runtime leaves other scripts than Latin unescaped.
    parts = parts_of(order["runtime"] in ("python3.8", "python3.9", "python3.10", "python3.11"))
    while True:
        kind, _ = channel.serve(handler, parts)
        if kind != RESTORE:
            os._exit(1)
        restore(channel)


if __name__ == "__main__":
    main()
