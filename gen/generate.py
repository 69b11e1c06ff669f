#!/usr/bin/env python3
"""Generates the C++ of one service: generate.py models/<service> <output folder> [parts]

Writes fwd.h, types.h, ops.h, errors.h, model.h, shapes.h and tables.cc, the latter in `parts` files where there are
more than one: tables.cc, tables_2.cc… A file whose text would stay the same is left
untouched, so that what includes it isn't compiled again.
"""

import os
import sys

import emit_ops
import emit_tables
import emit_types
import model


def generate(folder, parts=1):
    """File names and their texts."""
    service = model.load(folder)
    return {**emit_types.emit(service), **emit_ops.emit(service), **emit_tables.emit(service, parts)}


def write(path, text):
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main(arguments):
    if len(arguments) not in (2, 3):
        raise SystemExit(__doc__)
    folder, out = arguments[:2]
    try:
        files = generate(folder, int(arguments[2]) if len(arguments) == 3 else 1)
    except model.ModelError as error:
        raise SystemExit(f"generate: {error}")
    os.makedirs(out, exist_ok=True)
    for name, text in files.items():
        write(os.path.join(out, name), text)


if __name__ == "__main__":
    main(sys.argv[1:])
