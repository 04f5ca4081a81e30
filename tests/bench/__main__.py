"""Runs the benches; `--only WORD` picks those with that word in their name."""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

from client.errors import ClientError
from tests.bench import harness

#: what a bench that cannot measure raises; the others go on
FAILURES = (AssertionError, OSError, TimeoutError, subprocess.SubprocessError, ClientError)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", default="", help="a word of the bench's name")
    given = parser.parse_args()
    for module in sorted(Path(__file__).parent.glob("rows_*.py")):
        importlib.import_module(f"tests.bench.{module.stem}")
    chosen = {words: run for words, run in harness.REGISTRY.items() if given.only in words}
    if not chosen:
        print(f"no bench has {given.only!r} in its name; there are:", *harness.REGISTRY, sep="\n  ")
        return 2
    print(harness.machine())
    rows: list[harness.Row] = []
    failed = []
    for words, run in chosen.items():
        try:
            for row in run():
                print(harness.show(row), flush=True)
                rows.append(row)
                harness.write([row])
        except FAILURES as error:
            failed.append(words)
            print(f"{words}: could not be measured: {type(error).__name__}: {error}", flush=True)
    print(harness.machine())
    goals = [row.met for row in rows if row.met is not None]
    print(f"{len(rows)} rows in {harness.RESULT.relative_to(harness.TOP)}, {sum(goals)} of {len(goals)} goals met")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
