"""Custom runtimes: a bootstrap of the function's own, over the documented Runtime API."""

import json
import pathlib
import shutil
import subprocess

import pytest

CUSTOM = {"runtime": "provided.al2023", "handler": "main"}
API = "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"


def shell(answer):
    """A bootstrap in shell; `answer` is run for each event, in $EVENT, with the request in $ID."""
    return {"bootstrap": f"""#!/bin/bash
while true; do
  EVENT=$(curl -sS -D /tmp/head {API}/invocation/next)
  ID=$(grep -i lambda-runtime-aws-request-id /tmp/head | tr -d '[:space:]' | cut -d: -f2)
  {answer}
done
"""}


# The loop that AWS's tutorial for custom runtimes shows.
def test_shell(functions):
    name = functions.make(shell(f'curl -sS -o /dev/null {API}/invocation/$ID/response -d "{{\\"handler\\": \\"$_HANDLER\\", \\"event\\": $EVENT}}"'), **CUSTOM)
    assert functions.call(name, {"n": 1}) == {"handler": "main", "event": {"n": 1}}
    assert functions.call(name, [2]) == {"handler": "main", "event": [2]}


# An error the runtime posts is the function's error, as it was posted.
def test_reported_error(functions):
    document = '{\\"errorMessage\\": \\"no\\", \\"errorType\\": \\"Refused\\", \\"stackTrace\\": []}'
    name = functions.make(shell(f'curl -sS -o /dev/null {API}/invocation/$ID/error -H "Lambda-Runtime-Function-Error-Type: Refused" -d "{document}"'), **CUSTOM)
    assert functions.fail(name) == {"errorMessage": "no", "errorType": "Refused", "stackTrace": []}


# A failure to start is reported too, and ends the call.
def test_reported_start_error(functions):
    body = '{\\"errorMessage\\": \\"broken\\", \\"errorType\\": \\"Start.Broken\\"}'
    name = functions.make({"bootstrap": f'#!/bin/bash\ncurl -sS -o /dev/null {API}/init/error -d "{body}"\nexit 1\n'}, **CUSTOM)
    error = functions.fail(name)
    assert error["errorType"] == "Start.Broken" and error["errorMessage"] == "broken"


@pytest.mark.parametrize("files, kind", [
    ({"bootstrap": "#!/bin/bash\nexit 7\n"}, "Runtime.ExitError"),
    ({"other": "x"}, "Runtime.InvalidEntrypoint"),
    ({"bootstrap": "#!/no/such/interpreter\n"}, "Runtime.InvalidEntrypoint"),
])
def test_bootstrap_that_does_not_run(functions, files, kind):
    assert functions.fail(functions.make(files, **CUSTOM))["errorType"] == kind


SOURCE = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

// Sends one request and reads the whole answer; gives the body.
static char answer[1 << 16];
static char* exchange(const char* request) {
  char host[64];
  snprintf(host, sizeof host, "%s", getenv("AWS_LAMBDA_RUNTIME_API"));
  char* colon = strchr(host, ':');
  *colon = 0;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
  inet_pton(AF_INET, host, &to.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr*)&to, sizeof to)) exit(9);
  if (write(fd, request, strlen(request)) < 0) exit(9);
  size_t have = 0;
  char* body = NULL;
  size_t length = 0;
  while (!body || have < (size_t)(body - answer) + length) {
    ssize_t n = read(fd, answer + have, sizeof answer - have - 1);
    if (n <= 0) break;
    answer[have += n] = 0;
    if (!body && (body = strstr(answer, "\r\n\r\n"))) {
      body += 4;
      char* field = strcasestr(answer, "content-length:");
      length = field ? (size_t)atol(field + 15) : 0;
    }
  }
  close(fd);
  return body;
}

int main(void) {
  for (;;) {
    char* event = exchange("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
    if (!event) return 8;
    char id[128] = "", request[1 << 16];
    sscanf(strcasestr(answer, "lambda-runtime-aws-request-id:") + 30, " %127[^\r]", id);
    char body[256];
    int size = snprintf(body, sizeof body, "{\"bytes\": %zu}", strlen(event));
    snprintf(request, sizeof request,
             "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", id, size, body);
    exchange(request);
  }
}
"""


# What a Go or Rust function is: one static program, with nothing of the host needed.
def test_static_program(functions, tmp_path):
    compiler = shutil.which("clang-19") or shutil.which("cc")
    source = tmp_path / "main.c"
    source.write_text("#define _GNU_SOURCE\n" + SOURCE)
    subprocess.run([compiler, "-static", "-O1", "-o", tmp_path / "bootstrap", source], check=True)
    name = functions.make({"bootstrap": pathlib.Path(tmp_path / "bootstrap").read_bytes()}, **CUSTOM)
    assert functions.call(name, {"n": 1}) == {"bytes": len(json.dumps({"n": 1}))}
    assert functions.call(name, "x" * 1000) == {"bytes": 1002}
