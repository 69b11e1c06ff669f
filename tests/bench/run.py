"""./bench: the promises of docs/SPEC.md, measured in one run, each as a ratio to its limit or to a peer."""

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

import call
import door
import dynamodb
import events
import idle
import invoke
import sources
import sqs
import start
import store
import topics

PARTS = {"start": start, "door": door, "store": store, "dynamodb": dynamodb, "sqs": sqs, "call": call, "events": events, "invoke": invoke, "topics": topics, "sources": sources, "idle": idle}


class Settings:
    def __init__(self, build, quick):
        self.build = pathlib.Path(build).resolve()
        self.quick = quick
        self.folder = tempfile.mkdtemp(prefix="bench-", dir=self.build)  # on the disk that the data would be on


class Table:
    """Rows as they come: `ratio` is the measured figure by its limit or its peer's."""

    def __init__(self):
        self.rows = []

    def most(self, promise, measured, limit, unit, detail=""):
        """A promise to stay at or under a limit."""
        ratio = measured / limit if limit else None
        self.add(promise, measured, unit, f"<= {limit:g} {unit}".strip(), ratio, measured <= limit, detail)

    def least(self, promise, measured, peer, share, unit, detail=""):
        """A promise to reach a share of what a peer does."""
        ratio = measured / peer if peer else 0
        self.add(promise, measured, unit, f">= {share:g} of {peer:,.0f}", ratio, ratio >= share, detail)

    def note(self, name, measured, unit, detail=""):
        """Not promised, but good to know."""
        self.add(name, measured, unit, None, None, None, detail)

    def add(self, promise, measured, unit, target, ratio, met, detail):
        self.rows.append({"promise": promise, "measured": round(measured, 3), "unit": unit, "target": target,
                          "ratio": None if ratio is None else round(ratio, 3), "met": met, "detail": detail})
        print(f"  {promise}: {measured:,.1f} {unit} {'' if met is None else 'pass' if met else 'MISS'}", file=sys.stderr)


def show(rows):
    def figure(row):
        value = row["measured"]
        return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

    def cells(row):
        return [row["promise"], f"{figure(row)} {row['unit']}", row["target"] or "",
                "" if row["ratio"] is None else f"{row['ratio']:.2f}",
                "" if row["met"] is None else "pass" if row["met"] else "MISS", row["detail"]]

    lines = [["promise", "measured", "target", "ratio", "", "how"], *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    for i, line in enumerate(lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)) + "  " + line[5])
        if i == 0:
            print("  ".join("-" * width for width in widths))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--build", default="build/release")
    options.add_argument("--output", choices=["table", "json"], default="table")
    options.add_argument("--only", default="", help="some of " + ", ".join(PARTS))
    options.add_argument("--quick", action="store_true", help="fewer rounds: is it broken, not how fast is it")
    chosen = options.parse_args()
    settings = Settings(chosen.build, chosen.quick)
    table = Table()
    began = time.monotonic()
    try:
        os.nice(-15)  # what else runs here disturbs less; peers get the same
    except PermissionError:
        pass
    try:
        for name, part in PARTS.items():
            if not chosen.only or name in chosen.only.split(","):
                print(f"{name}…", file=sys.stderr)
                part.measure(settings, table)
    finally:
        shutil.rmtree(settings.folder, ignore_errors=True)
    if chosen.output == "json":
        json.dump({"rows": table.rows, "seconds": round(time.monotonic() - began, 1)}, sys.stdout, indent=2)
        print()
    else:
        print()
        show(table.rows)
        missed = sum(row["met"] is False for row in table.rows)
        promised = sum(row["met"] is not None for row in table.rows)
        print(f"\n{promised - missed} of {promised} promises met, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
