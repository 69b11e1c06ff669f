"""Runtimes beside Python and Node.js, as far as this machine has their programs, and what functions reach."""

import base64
import json
import pathlib
import shutil
import socket
import subprocess
import threading

import pytest

SOURCE = pathlib.Path(__file__).parents[3] / "src/sandbox/runtimes/java/source"


def java_classes(folder, source):
    """The files of a compiled example.App."""
    (folder / "App.java").write_text("package example;\nimport com.amazonaws.services.lambda.runtime.*;\nimport java.util.*;\n" + source)
    subprocess.run(["javac", "-d", ".", "-cp", str(SOURCE), "-implicit:none", "-proc:none", "App.java"], cwd=folder, check=True)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.class")}


@pytest.mark.skipif(not shutil.which("ruby"), reason="this machine has no Ruby")
def test_ruby(functions):
    name = functions.make({"app.rb": "def handler(event:, context:)\n  { n: event['n'] + 1, f: context.function_name }\nend\n"},
                          runtime="ruby3.3", handler="app.handler")
    assert functions.call(name, {"n": 1}) == {"n": 2, "f": name}


@pytest.mark.skipif(not shutil.which("javac"), reason="this machine has no JDK")
def test_java(functions, tmp_path):
    classes = java_classes(tmp_path, """
        public class App implements RequestHandler<Map<String, Integer>, Map<String, Object>> {
          public Map<String, Object> handleRequest(Map<String, Integer> in, Context context) {
            return Map.of("n", in.get("n") + 1, "f", context.getFunctionName());
          }
        }""")
    name = functions.make(classes, runtime="java17", handler="example.App", MemorySize=256, Timeout=20)
    assert functions.call(name, {"n": 1}) == {"n": 2, "f": name}


# What is handled may be told by a class that the function's extends.
@pytest.mark.skipif(not shutil.which("javac"), reason="this machine has no JDK")
@pytest.mark.parametrize("handler", ["example.App", "example.App::handleRequest"])
def test_java_handler_that_is_inherited(functions, tmp_path, handler):
    classes = java_classes(tmp_path, """
        public class App extends Middle<App.Order> {
          public static class Order { public String name; public void setName(String n) { name = n; } }
          public static class Receipt { public String getText() { return "sold"; } public int getCount() { return 2; } }
          Receipt sell(Order order) { if (!order.name.equals("tea")) throw new RuntimeException(order.name); return new Receipt(); }
        }
        abstract class Middle<T> extends Base<T, App.Receipt> { }
        abstract class Base<I, O> implements RequestHandler<I, O> {
          public O handleRequest(I in, Context context) { return sell(in); }
          abstract O sell(I in);
        }""")
    name = functions.make(classes, runtime="java17", handler=handler, MemorySize=256, Timeout=20)
    assert functions.call(name, {"name": "tea"}) == {"text": "sold", "count": 2}


# A wrapper runs before the runtime and changes what that sees: its environment among it.
@pytest.mark.parametrize("runtime, file, code", [
    ("python3.11", "app.py", "import os\ndef handler(event, context): return [os.environ[n] for n in ('OWN', 'CHANGED', 'AWS_LAMBDA_FUNCTION_NAME')]"),
    ("nodejs20.x", "app.js", "exports.handler = async () => ['OWN', 'CHANGED', 'AWS_LAMBDA_FUNCTION_NAME'].map((n) => process.env[n]);"),
    ("ruby3.3", "app.rb", "def handler(event:, context:) = %w[OWN CHANGED AWS_LAMBDA_FUNCTION_NAME].map { ENV[_1] }"),
], ids=["python", "node", "ruby"])
def test_wrapper(functions, runtime, file, code):
    if runtime.startswith("ruby") and not shutil.which("ruby"):
        pytest.skip("this machine has no Ruby")
    check_wrapper(functions, runtime, {file: code}, "app.handler")


@pytest.mark.skipif(not shutil.which("javac"), reason="this machine has no JDK")
def test_wrapper_of_java(functions, tmp_path):
    check_wrapper(functions, "java17", java_classes(tmp_path, """
        public class App {
          public List<String> handle(Map<String, String> in) {
            List<String> seen = new ArrayList<>();
            for (String name : List.of("OWN", "CHANGED", "AWS_LAMBDA_FUNCTION_NAME")) seen.add(System.getenv(name));
            return seen;
          }
        }"""), "example.App::handle", MemorySize=256, Timeout=20)


def check_wrapper(functions, runtime, files, handler, **options):
    wrapper = "#!/bin/sh\nexport OWN=new CHANGED=$CHANGED-more\nexec \"$@\"\n"
    name = functions.make({**files, "wrap": wrapper}, runtime=runtime, handler=handler, **options,
                          Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap", "CHANGED": "given"}})
    assert functions.call(name) == ["new", "given-more", name]


# As recorded of AWS, whose runtimes of one's own know of no wrapper.
@pytest.mark.parametrize("runtime, file", [("python3.12", "index.py"), ("nodejs20.x", "index.js")])
def test_wrapper_that_does_not_run(functions, runtime, file):
    for wrapper, text, status in (("/opt/nothing", "does not exist", 127), ("/var/task", "is not an executable", 126)):
        name = functions.make({file: ""}, runtime=runtime, Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": wrapper}})
        answer = functions.client.invoke(FunctionName=name, LogType="Tail")
        error, tail = json.loads(answer["Payload"].read()), base64.b64decode(answer["LogResult"]).decode()
        assert error["errorType"] == "Runtime.ExitError" and error["errorMessage"].endswith(f"Error: Runtime exited with error: exit status {status}")
        assert tail.startswith(f"{wrapper}: {text}\nINIT_REPORT ") and tail.count(text) == 2


def test_no_wrapper_of_ones_own(functions):
    name = functions.make({"bootstrap": "#!/bin/sh\necho mine\nexit 3\n"}, runtime="provided.al2023",
                          Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/nothing"}})
    assert functions.fail(name)["errorMessage"].endswith("exit status 3")


# As recorded of AWS: what is there, and what is not without being asked for.
def test_environment_of_a_runtime(functions):
    for runtime, file, code in (("python3.11", "app.py", "import os\ndef handler(event, context): return dict(os.environ)"),
                                ("nodejs20.x", "app.js", "exports.handler = async () => process.env;")):
        name = functions.make({file: code}, runtime=runtime, handler="app.handler")
        seen = functions.call(name)
        assert (seen["PWD"], seen["SHLVL"], seen["LAMBDA_TASK_ROOT"]) == ("/var/task", "0", "/var/task")
        assert "AWS_LAMBDA_LOG_FORMAT" not in seen and seen["AWS_XRAY_CONTEXT_MISSING"] == "LOG_ERROR" and seen["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{runtime}"


# The first invocation is sent while the function initialises, whose time is not the invocation's.
@pytest.mark.parametrize("runtime, file, code", [
    ("python3.12", "app.py", "import time\ntime.sleep(2)\ndef handler(event, context): return context.get_remaining_time_in_millis()"),
    ("nodejs20.x", "app.js", "const until = Date.now() + 2000; while (Date.now() < until) {}\n"
                             "exports.handler = async (event, context) => context.getRemainingTimeInMillis();"),
    ("ruby3.3", "app.rb", "sleep 2\ndef handler(event:, context:) = context.get_remaining_time_in_millis"),
], ids=["python", "node", "ruby"])
def test_time_left_after_a_slow_start(functions, runtime, file, code):
    if runtime.startswith("ruby") and not shutil.which("ruby"):
        pytest.skip("this machine has no Ruby")
    name = functions.make({file: code}, runtime=runtime, handler="app.handler", Timeout=30)
    assert 28_500 < functions.call(name) <= 30_000


def own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.200", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return s.getsockname()[0]


REACH = """
import socket
def handler(event, context):
    try:
        with socket.create_connection((event["host"], event["port"]), timeout=5) as s:
            return s.recv(100).decode()
    except OSError as e:
        return type(e).__name__
"""


# A function reaches servers outside its sandbox unless it is cut off, and never Virga's own port from there.
def test_network(functions, virga):
    host = own_address()
    with socket.create_server((host, 0)) as server:
        event = {"host": host, "port": server.getsockname()[1]}
        open_function = functions.make(REACH)
        closed = functions.make(REACH, Environment={"Variables": {"VIRGA_NETWORK": "virga"}})
        def serve():
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"hello from outside")

        thread = threading.Thread(target=serve)
        thread.start()
        assert functions.call(open_function, event) == "hello from outside"
        thread.join()
        assert functions.call(closed, event) == "OSError"
    assert functions.call(open_function, {"host": "127.0.0.1", "port": event["port"]}) == "ConnectionRefusedError"
