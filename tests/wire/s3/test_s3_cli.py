import os


# The aws cli as people use it, with an upload large enough to go in parts.
def test_s3_commands(virga, name, tmp_path):
    virga.cli("s3", "mb", f"s3://{name}")
    big = os.urandom(20 << 20)
    (tmp_path / "big").write_bytes(big)
    (tmp_path / "dir/sub").mkdir(parents=True)
    for path in ("dir/one.txt", "dir/sub/two.txt"):
        (tmp_path / path).write_text(path)
    virga.cli("s3", "cp", str(tmp_path / "big"), f"s3://{name}/big")
    virga.cli("s3", "sync", str(tmp_path / "dir"), f"s3://{name}/dir")
    assert "PRE dir/" in virga.cli("s3", "ls", f"s3://{name}").stdout
    listed = virga.cli("s3", "ls", "--recursive", f"s3://{name}").stdout
    assert "dir/sub/two.txt" in listed and str(20 << 20) in listed
    virga.cli("s3", "cp", f"s3://{name}/big", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == big
    virga.cli("s3", "mv", f"s3://{name}/big", f"s3://{name}/moved")
    virga.cli("s3", "sync", f"s3://{name}/dir", str(tmp_path / "copy"))
    assert (tmp_path / "copy/sub/two.txt").read_text() == "dir/sub/two.txt"
    assert virga.cli("s3", "rb", f"s3://{name}", check=False).returncode != 0
    virga.cli("s3", "rm", "--recursive", f"s3://{name}")
    virga.cli("s3", "rb", f"s3://{name}")
    assert name not in virga.cli("s3", "ls").stdout
