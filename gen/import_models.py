#!/usr/bin/env python3
"""Imports AWS service models into models/: import_models.py <botocore data folder> [service…]

Reads data/<service>/<newest version>/service-2.json(.gz) and writes models/<service>/model.json without prose, one
operation or shape a line, so that a newer model is reviewed as a readable difference. Without names, every service
that models/ already holds is imported again.
"""

import gzip
import json
import os
import sys

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models")

METADATA_KEYS = ("apiVersion", "endpointPrefix", "jsonVersion", "protocol", "protocols", "serviceFullName", "serviceId",
                 "signingName", "targetPrefix", "xmlNamespace", "awsQueryCompatible")
OPERATION_KEYS = ("http", "input", "output", "errors", "authtype", "httpChecksum", "httpChecksumRequired", "deprecated")
REFERENCE_KEYS = ("shape", "location", "locationName", "queryName", "flattened", "xmlNamespace", "xmlAttribute",
                  "streaming", "idempotencyToken", "jsonvalue", "timestampFormat", "eventpayload", "eventheader",
                  "resultWrapper")
SHAPE_KEYS = ("type", "members", "required", "member", "key", "value", "enum", "min", "max", "pattern", "sensitive",
              "payload", "streaming", "flattened", "locationName", "xmlNamespace", "timestampFormat", "error",
              "exception", "fault", "event", "eventstream", "union", "document", "sparse")


def pick(source, keys):
    return {key: source[key] for key in keys if key in source}


def reference(source):
    return pick(source, REFERENCE_KEYS)


def operation(source):
    result = pick(source, OPERATION_KEYS)
    for key in ("input", "output"):
        if key in result:
            result[key] = reference(result[key])
    if "errors" in result:
        result["errors"] = [error["shape"] for error in result["errors"]]
    if result.get("authtype") not in (None, "none"):
        del result["authtype"]
    return result


def shape(source):
    result = pick(source, SHAPE_KEYS)
    if "members" in result:
        result["members"] = {name: reference(member) for name, member in result["members"].items()}
    for key in ("member", "key", "value"):
        if key in result:
            result[key] = reference(result[key])
    return result


def slim(model, origin):
    metadata = pick(model["metadata"], METADATA_KEYS)
    metadata["source"] = origin
    return {
        "metadata": metadata,
        "operations": {name: operation(value) for name, value in sorted(model["operations"].items())},
        "shapes": {name: shape(value) for name, value in sorted(model["shapes"].items())},
    }


def render(model):
    """One line for each operation and shape; members keep the model's order, which the C++ structs follow."""
    def compact(value):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    lines = ["{", '"metadata":' + json.dumps(model["metadata"], indent=1, sort_keys=True, ensure_ascii=False) + ","]
    for section in ("operations", "shapes"):
        entries = [f"{compact(name)}:{compact(value)}" for name, value in model[section].items()]
        lines.append(f'"{section}":{{')
        lines.append(",\n".join(entries))
        lines.append("}," if section == "operations" else "}")
    lines.append("}")
    return "\n".join(lines) + "\n"


def newest(folder):
    versions = [name for name in os.listdir(folder) if model_file(os.path.join(folder, name))]
    if not versions:
        raise SystemExit(f"import_models: no service-2.json below {folder}")
    return os.path.join(folder, max(versions))


def model_file(folder):
    for name in ("service-2.json.gz", "service-2.json"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return path
    return None


def read(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def package_version(data):
    """The version of the package the data folder lies in, from botocore/__init__.py."""
    with open(os.path.join(data, "..", "__init__.py"), encoding="utf-8") as file:
        for line in file:
            if line.startswith("__version__"):
                return line.split("=")[1].strip().strip("'\"")
    raise SystemExit("import_models: the folder is not inside a botocore package, so its version is unknown")


def main(arguments):
    if not arguments:
        raise SystemExit(__doc__)
    data, services = arguments[0], arguments[1:]
    if not services:
        services = sorted(name for name in os.listdir(MODELS) if os.path.isdir(os.path.join(MODELS, name)))
    version = package_version(data)
    for service in services:
        path = model_file(newest(os.path.join(data, service)))
        model = slim(read(path), f"botocore {version}, {os.path.relpath(path, data)}")
        target = os.path.join(MODELS, service, "model.json")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(render(model))
        print(f"{service}: {len(model['operations'])} operations, {os.path.getsize(target) // 1024} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
