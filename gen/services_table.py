#!/usr/bin/env python3
"""The table of what is served, as Markdown: services_table.py [README to write it into]

With a file, the text between its two marker lines is replaced:
  <!-- services:begin --> and <!-- services:end -->
"""

import os
import sys

import model

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models")
BEGIN, END = "<!-- services:begin -->", "<!-- services:end -->"


def rows(models):
    """(name, folder, served, known) of each service with a serves.txt, by name."""
    result = []
    for folder in os.listdir(models):
        serves = os.path.join(models, folder, "serves.txt")
        if os.path.exists(serves):
            raw, _ = model.read(os.path.join(models, folder))
            name = raw["metadata"]["serviceFullName"]
            result.append((name, folder, len(model.read_serves(serves)), len(raw["operations"])))
    return sorted(result, key=lambda row: (row[0].removeprefix("Amazon ").removeprefix("AWS "), row[1]))


def table(models):
    found = rows(models)
    lines = ["| Service | Operations served |", "|---|---|"]
    lines += [f"| {name} (`{folder}`) | {served} of {known} |" for name, folder, served, known in found]
    lines.append(f"| **{len(found)} services** | **{sum(row[2] for row in found)} of {sum(row[3] for row in found)}** |")
    return "\n".join(lines) + "\n"


def replaced(text, body):
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"services_table: the file lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{body}{END}{after}"


def main(arguments):
    body = table(MODELS)
    if not arguments:
        print(body, end="")
        return
    with open(arguments[0], encoding="utf-8") as file:
        text = file.read()
    with open(arguments[0], "w", encoding="utf-8") as file:
        file.write(replaced(text, body))


if __name__ == "__main__":
    main(sys.argv[1:])
