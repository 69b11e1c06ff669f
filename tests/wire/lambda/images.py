"""Container images made of nothing but bytes: layers, and the two kinds of archive that hold them."""

import ctypes
import gzip
import hashlib
import io
import json
import pathlib
import subprocess
import tarfile
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLE = HERE.parents[2] / "examples/cpp-function"


def probe():
    """A static program that looks about where it runs; its bytes."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["c++", "-std=c++20", "-O1", "-static", "-I", str(EXAMPLE), "-o", folder + "/probe",
                        str(HERE / "image_probe.cc")], check=True)
        return pathlib.Path(folder, "probe").read_bytes()


def shell(name="sh"):
    """What an image needs to have the machine's /bin/sh, or another."""
    files = {"bin/" + name: pathlib.Path("/bin/" + name)}
    for line in subprocess.run(["ldd", "/bin/" + name], capture_output=True, text=True, check=True).stdout.splitlines():
        for word in line.split():
            if word.startswith("/"):
                files[word[1:]] = pathlib.Path(word)
    return [entry(name, path.read_bytes(), 0o755) for name, path in files.items()]


def entry(name, content=b"", mode=0o644, kind=tarfile.REGTYPE, link="", **more):
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname = mode, kind, link
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def folder(name, **more):
    return entry(name, mode=0o755, kind=tarfile.DIRTYPE, **more)


def symlink(name, to):
    return entry(name, kind=tarfile.SYMTYPE, link=to)


def hard_link(name, to):
    return entry(name, kind=tarfile.LNKTYPE, link=to)


def tar(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def configuration(layers, **settings):
    return json.dumps({"architecture": settings.pop("architecture", "amd64"), "os": "linux", "config": settings,
                       "rootfs": {"type": "layers", "diff_ids": [sha(layer) for layer in layers]}}).encode()


def zstd(data):
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(library.ZSTD_compressBound(ctypes.c_size_t(len(data))))
    size = library.ZSTD_compress(out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)), 3)
    return out.raw[:size]


def oci(layers, gzipped=True, others=(), media_type=None, pack=None, **settings):
    """An OCI layout as one archive. `others` are descriptors of other platforms' images in its index."""
    blobs, described = {}, []

    def put(data, kind, **more):
        blobs[sha(data)] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": sha(data), "size": len(data), **more}

    for layer in layers:
        packed = pack(layer) if pack else gzip.compress(layer, 1) if gzipped else layer
        described.append(put(packed, "layer.v1.tar" + ("+gzip" if gzipped else "")))
        if media_type:
            described[-1]["mediaType"] = media_type
    manifest = json.dumps({"schemaVersion": 2, "config": put(configuration(layers, **settings), "config.v1+json"),
                           "layers": described}).encode()
    chosen = put(manifest, "manifest.v1+json", platform={"os": "linux", "architecture": "amd64"})
    index = json.dumps({"schemaVersion": 2, "manifests": [*others, chosen]}).encode()
    return tar(entry("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'), folder("blobs"), folder("blobs/sha256"),
               *(entry("blobs/sha256/" + digest[7:], data) for digest, data in blobs.items()), entry("index.json", index))


def saved(layers, **settings):
    """What docker save of old writes: layers by other names, its manifest last."""
    config = configuration(layers, **settings)
    name = hashlib.sha256(config).hexdigest() + ".json"
    names = [f"{number:064x}/layer.tar" for number in range(len(layers))]
    manifest = json.dumps([{"Config": name, "RepoTags": ["app:latest"], "Layers": names}]).encode()
    return tar(entry(name, config), *(entry(at, layer) for at, layer in zip(names, layers)), entry("manifest.json", manifest))
