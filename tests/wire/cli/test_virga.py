"""The `virga` command: what people and scripts see of it."""

import json
import os
import socket
import subprocess
import threading

import pytest

from support import BINARY, eventually, start_virga

COMMANDS = ["up", "down", "status", "deploy", "delete", "invoke", "logs", "outbox", "services", "runtimes", "doctor", "env", "version", "completion"]


def run(*words, server=None, check=True, stdin=None, **env):
    environment = server.environment() if server else {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    environment.update(env)
    done = subprocess.run([BINARY, *words], env=environment, input=stdin, capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, done
    return done


def complaint(*words, status=1, **options):
    """What the command says when it fails: one line on standard error, and nothing else."""
    done = run(*words, check=False, **options)
    assert done.returncode == status and done.stdout == "", done
    assert done.stderr.startswith("virga: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


# Every command explains itself, and the overview has them all.
def test_help():
    overview = run("help").stdout
    assert run().stdout == overview == run("--help").stdout
    for command in COMMANDS:
        assert f"\n  {command} " in overview
        text = run(command, "--help").stdout
        assert f"Usage: virga {command}" in text and "Examples:" in text and run("help", command).stdout == text


def test_version():
    text = run("version").stdout
    assert text.startswith("virga ") and run("--version").stdout == text
    assert json.loads(run("version", "--output", "json").stdout)["version"] == text.split()[1]


# Mistakes in what was typed: status 2 and a sentence that helps.
@pytest.mark.parametrize("words, text", [
    (["fly"], "no command 'fly'"),
    (["up", "--prot", "1"], "has no option --prot"),
    (["up", "--port"], "--port needs a value"),
    (["up", "--port", "many"], "--port takes a whole number"),
    (["up", "--port", "70000"], "--port takes a whole number"),
    (["up", "--iam", "off"], "--iam is enforce or audit"),
    (["up", "--log", "loud"], "--log is debug"),
    (["invoke"], "which function?"),
    (["logs", "x", "--since", "yesterday"], "--since takes a time"),
    (["status", "--output", "yaml"], "--output is text or json"),
    (["status", "--endpoint", "nonsense"], "is not an http or https address"),
    (["completion", "fish"], "bash and zsh"),
    (["status", "please"], "takes no argument"),
])
def test_mistakes(words, text):
    assert text in complaint(*words, status=2)


# Nobody there: said with what to do about it.
def test_nothing_runs():
    for command in (["status"], ["down"], ["invoke", "x"], ["logs", "x"]):
        assert "is Virga running? virga up starts it" in complaint(*command, "--endpoint", "http://127.0.0.1:9")


# Somebody else there.
def test_something_else_runs():
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer():
            connection, _ = server.accept()
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()
        threading.Thread(target=answer).start()
        assert "is no Virga" in complaint("status", "--endpoint", f"http://127.0.0.1:{server.getsockname()[1]}")


def test_status(virga):
    text = run("status", server=virga).stdout
    assert virga.url in text and str(virga.process.pid) in text and "lambda" in text
    status = json.loads(run("status", "--output", "json", server=virga).stdout)
    assert status["status"] == "ready" and status["pid"] == virga.process.pid and "sts" in status["services"]


# The table of what is served comes from the models; it needs no running Virga.
def test_services():
    everything = json.loads(run("services", "--output", "json").stdout)
    assert "Invoke" in everything["lambda"]["served"] and "Invoke" not in everything["lambda"]["not_served"]
    assert "lambda: " in run("services").stdout
    assert "\n  Invoke\n" in run("services", "lambda").stdout
    assert "no service 'quantum'" in complaint("services", "quantum")


# A folder that isn't there, or has no template, or one that nobody can read.
def test_deploy_mistakes(virga, tmp_path, name):
    assert "is no folder" in complaint("deploy", str(tmp_path / "none"), server=virga)
    assert "no template.yaml" in complaint("deploy", str(tmp_path), server=virga)
    for text in ("Resources: [", "Resources: {Q: !Nonsense x}", "- a"):
        (tmp_path / "template.yaml").write_text(text)
        done = run("deploy", str(tmp_path), "--stack", name, server=virga, check=False)
        assert done.returncode == 1 and done.stderr.startswith("virga: ") and done.stderr.count("\n") == 1, done


def test_deploy_and_delete(virga, tmp_path, name):
    (tmp_path / "template.yaml").write_text("Resources: {Q: {Type: AWS::SQS::Queue}}\nOutputs: {Url: {Value: !Ref Q}}\n")
    made = json.loads(run("deploy", str(tmp_path), "--stack", name, "--output", "json", server=virga).stdout)
    assert made["status"] == "CREATE_COMPLETE" and name in made["outputs"]["Url"]
    again = json.loads(run("deploy", str(tmp_path), "--stack", name, "--output", "json", server=virga).stdout)
    assert again == {**made, "status": "UNCHANGED"}
    gone = json.loads(run("delete", name, "--output", "json", server=virga).stdout)
    assert gone == {"stack": name, "status": "DELETE_COMPLETE"}
    assert "does not exist" in complaint("delete", name, server=virga)


INCLUDING = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api: {Type: AWS::Serverless::HttpApi, Properties: {DefinitionBody: {"Fn::Transform": {Name: AWS::Include, Parameters: {Location: ./api.yaml}}}}}
  F: {Type: AWS::Serverless::Function, Properties: {Runtime: python3.12, Handler: index.handler, InlineCode: "def handler(e, c): return e['routeKey']"}}
Outputs: {Api: {Value: !Ref Api}}
"""
INCLUDED = """
openapi: 3.0.1
paths:
  /included:
    get: {x-amazon-apigateway-integration: {type: aws_proxy, uri: {Fn::GetAtt: [F, Arn]}, payloadFormatVersion: "2.0"}}
"""


# AWS::Include of a file beside the template; of one in S3, and of none, deploy says so.
def test_deploy_includes_files(virga, tmp_path, name):
    deploy = lambda **options: run("deploy", str(tmp_path), "--stack", name, "--output", "json", server=virga, **options)
    (tmp_path / "template.yaml").write_text(INCLUDING)
    assert f"can't read {tmp_path}/./api.yaml" in deploy(check=False).stderr
    (tmp_path / "api.yaml").write_text(INCLUDED)
    made = json.loads(deploy().stdout)
    routes = virga.client("apigatewayv2").get_routes(ApiId=made["outputs"]["Api"])["Items"]
    assert [r["RouteKey"] for r in routes] == ["GET /included"]
    (tmp_path / "template.yaml").write_text(INCLUDING.replace("./api.yaml", "s3://bucket/api.yaml"))
    assert "Transform AWS::Include is not served by Virga" in deploy(check=False).stderr
    run("delete", name, server=virga)


# No resource fails here: the stack alone knows why it goes back.
def test_deploy_says_why_outputs_fail(virga, tmp_path, name):
    (tmp_path / "template.yaml").write_text("Resources: {Q: {Type: AWS::SQS::Queue}}\nOutputs: {X: {Value: !GetAtt Q.Nothing}}\n")
    done = run("deploy", str(tmp_path), "--stack", name, server=virga, check=False)
    assert done.returncode == 1 and "ended as ROLLBACK_COMPLETE" in done.stderr
    assert "resource Q does not support attribute type Nothing" in done.stderr
    run("delete", name, server=virga)


# What `eval "$(virga env)"` does to a shell.
def test_env(virga):
    environment = {"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": virga.url, "AWS_SESSION_TOKEN": "of another cloud"}
    for given in (f'"$({BINARY} env)"', f"$({BINARY} env)"):
        script = f'eval {given}; echo "$AWS_ENDPOINT_URL $AWS_ACCESS_KEY_ID $AWS_REGION $(type -t aws)$AWS_SESSION_TOKEN"; {BINARY} status >/dev/null && echo found'
        done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
        assert done.stdout == f"{virga.url} test us-east-1 function\nfound\n", done
    settings = json.loads(run("env", "--output", "json", "--region", "eu-west-1", server=virga).stdout)
    assert settings["AWS_ENDPOINT_URL"] == virga.url and settings["AWS_REGION"] == "eu-west-1"


# In a plain chroot the kernel refuses pivot_root, and no function runs.
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_doctor_in_a_chroot(tmp_path):
    script = "\n".join([
        "set -e", f"cd {tmp_path}", "mkdir usr proc tmp etc dev",
        "for name in bin lib lib64; do if [ -L /$name ]; then cp -P /$name $name; elif [ -d /$name ]; then mkdir $name; "
        "mount --rbind /$name $name; fi; done",
        "mount --rbind /usr usr", "mount -t proc proc proc", f"touch virga; mount --bind {BINARY} virga",
        "exec chroot . /virga doctor --data /tmp --output json"])
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert not checks["sandbox"]["holds"] and "no mount point" in checks["sandbox"]["how"], done.stderr


def test_doctor(tmp_path):
    checks = json.loads(run("doctor", "--data", str(tmp_path), "--output", "json").stdout)
    names = {check["name"] for check in checks}
    assert {"memory limit", "durable writes"} <= names and any(name.startswith("runtime python") for name in names)
    assert all(check["how"] for check in checks)
    assert "  ok   " in run("doctor", "--data", str(tmp_path)).stdout
    run("doctor", "--data", str(tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []  # it looks and leaves nothing


# The script is one that the shell takes, and it completes.
def test_completion():
    for shell in ("bash", "zsh"):
        assert "complete -F _virga virga" in run("completion", shell).stdout
    script = run("completion", "bash").stdout + "COMP_WORDS=(virga inv); COMP_CWORD=1; _virga; echo ${COMPREPLY[@]}\n" \
        "COMP_WORDS=(virga invoke --pay); COMP_CWORD=2; _virga; echo ${COMPREPLY[@]}\n"
    assert subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout == "invoke\n--payload\n"


def test_invoke(virga, functions):
    name = functions.make("def handler(event, context):\n    print('a line')\n    if event.get('fail'): raise ValueError('no')\n    return {'got': event}")
    assert json.loads(run("invoke", name, server=virga).stdout) == {"got": {}}
    assert json.loads(run("invoke", name, "--payload", '{"n": 1}', server=virga).stdout) == {"got": {"n": 1}}
    assert json.loads(run("invoke", name, "--payload", "-", server=virga, stdin='{"m": 2}').stdout) == {"got": {"m": 2}}
    assert "a line" in run("invoke", name, "--log", server=virga).stderr
    failed = run("invoke", name, "--payload", '{"fail": true}', server=virga, check=False)
    assert failed.returncode == 1 and json.loads(failed.stdout)["errorType"] == "ValueError" and "the function failed" in failed.stderr
    whole = json.loads(run("invoke", name, "--output", "json", server=virga).stdout)
    assert whole["status"] == 200 and json.loads(whole["payload"]) == {"got": {}} and "a line" in whole["log"]
    assert "ResourceNotFoundException" in complaint("invoke", "no-such-function", server=virga)


def test_logs(virga, functions):
    name = functions.make("def handler(event, context):\n    print('ERROR one')\n    print('fine')")
    functions.call(name)
    text = eventually(lambda: (lambda t: t if "REPORT" in t else None)(run("logs", name, server=virga, check=False).stdout))
    assert [line.split(" ", 1)[1].split()[0] for line in text.splitlines()] == ["INIT_START", "START", "ERROR", "fine", "END", "REPORT"]
    filtered = run("logs", "/aws/lambda/" + name, "--filter", "ERROR", "--since", "1h", "--output", "json", server=virga).stdout
    assert [json.loads(line)["message"] for line in filtered.splitlines()] == ["ERROR one"]
    assert "no log of" in complaint("logs", "no-such-function", server=virga)


# Following begins before the first call and goes on as lines arrive.
def test_logs_follow(virga, functions):
    name = functions.make("def handler(event, context): print('round', event['n'])")
    process = subprocess.Popen([BINARY, "logs", name, "--follow"], env=virga.environment(), stdout=subprocess.PIPE, text=True)
    try:
        for n in range(2):
            functions.call(name, {"n": n})
            while f"round {n}" not in process.stdout.readline():
                assert process.poll() is None
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


# What keeps Virga from starting is said in one line, with the way out.
def test_port_in_use(virga, tmp_path):
    message = complaint("up", "--data", str(tmp_path), "--port", virga.port)
    assert f":{virga.port}" in message and "another port with --port" in message


def test_data_folder_in_use(virga):
    message = complaint("up", "--port", "0", "--data", os.path.join(virga.data, "data"))
    assert "in use by another Virga" in message and str(virga.process.pid) in message and "--data" in message


def test_data_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    assert "can't be made" in complaint("up", "--port", "0", "--data", str(tmp_path / "file" / "below"))


# The well-known key is for this machine alone.
def test_development_key_is_for_loopback(tmp_path):
    message = complaint("up", "--port", "0", "--host", "0.0.0.0", "--data", str(tmp_path))
    assert "VIRGA_ROOT_ACCESS_KEY_ID" in message and "test/test" in message


# With a root key of one's own every address is fine, and test/test opens nothing.
def test_own_root_key(tmp_path, monkeypatch):
    monkeypatch.setenv("VIRGA_ROOT_ACCESS_KEY_ID", "AKIAOWNROOTKEY000000")
    monkeypatch.setenv("VIRGA_ROOT_SECRET_ACCESS_KEY", "a-secret-of-ones-own")
    server = start_virga(["--host", "0.0.0.0"])
    server.url = f"http://127.0.0.1:{server.port}"
    try:
        own = server.client("sts", access_key="AKIAOWNROOTKEY000000", secret_key="a-secret-of-ones-own")
        assert own.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
        with pytest.raises(Exception, match="InvalidClientTokenId"):
            server.client("sts").get_caller_identity()
    finally:
        assert server.stop() == 0


# In the background: ready when the command returns, ended when `down` returns; a second start says why not.
def test_detach_and_down(tmp_path):
    done = run("up", "--detach", "--port", "0", "--data", str(tmp_path), "--output", "json")
    ready = json.loads(done.stdout)
    try:
        assert json.loads(run("status", "--endpoint", ready["endpoint"], "--output", "json").stdout)["pid"] == ready["pid"]
        again = run("up", "--detach", "--port", "0", "--data", str(tmp_path), check=False)
        assert again.returncode == 1 and "in use by another Virga" in again.stdout + again.stderr
    finally:
        stopped = run("down", "--endpoint", ready["endpoint"], "--output", "json")
        assert json.loads(stopped.stdout) == {"stopped": ready["pid"]}
    with pytest.raises(ProcessLookupError):
        os.kill(ready["pid"], 0)


# TLS needs both files, and says so; with both, it is spoken.
def test_tls(tmp_path):
    assert "both --tls-certificate and --tls-key" in complaint("up", "--port", "0", "--data", str(tmp_path), "--tls-key", "x")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = start_virga(["--tls-key", str(key), "--tls-certificate", str(certificate)])
    try:
        assert server.url.startswith("https://")
        for version in ("--http1.1", "--http2"):
            done = subprocess.run(["curl", "-sS", version, "--cacert", certificate, "-w", " %{http_version}", server.url + "/_virga/health"],
                                  capture_output=True, text=True)
            assert '"ready"' in done.stdout and done.stdout.endswith(" 2" if version == "--http2" else " 1.1"), done
    finally:
        assert server.stop() == 0
