"""Runs the benches; `--only WORD` picks those with that word in their name."""

import argparse
import importlib
import sys
from pathlib import Path

from tests.bench import harness


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
    rows = []
    for run in chosen.values():
        for row in run():
            print(harness.show(row), flush=True)
            rows.append(row)
            harness.write([row])
    print(harness.machine())
    print(f"{len(rows)} rows in {harness.RESULT.relative_to(harness.TOP)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
