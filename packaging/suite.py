"""Runs the integration and end-to-end tests in three parts, two at once; in CI what fails is tried once more, alone.

Virtual machines take a processor. Tests without any have the other meanwhile; those whose subject is time come after
both, by themselves. Why CI tries twice, and what that may hide: docs/decisions/0012-ci-tries-twice.md
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
#: what each part's failures are, and what was said beside
KEPT = TOP / "build" / "pytest"
MACHINES = (
    "tests/end2end",
    "tests/integration/hypervisor",
    "tests/integration/test_appliance.py",
    "tests/integration/appliance/test_context_in_a_vm.py",
)
PARTS = {
    "machines": MACHINES,
    "beside": ("tests/integration", *(f"--ignore={place}" for place in MACHINES), "-m", "not alone"),
    "alone": ("tests/integration", *(f"--ignore={place}" for place in MACHINES), "-m", "alone"),
}
#: what pytest ends with: all is well, tests failed, there was none of those that were asked for
GOOD, FAILED, NONE = 0, 1, 5
AGAIN = ("--last-failed", "--last-failed-no-failures", "none")


def start(name: str, arguments: Sequence[str], to: int | None = None) -> "subprocess.Popen[bytes]":
    """Begin a part."""
    words = ("-o", f"cache_dir={KEPT / name}", "--durations=10", *PARTS[name], *arguments)
    return subprocess.Popen([sys.executable, "-m", "pytest", *words], cwd=TOP, stdout=to, stderr=to)


def run_all(arguments: Sequence[str]) -> dict[str, int]:
    """Run all parts; returns what each ended with."""
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    said = KEPT / "beside.log"
    ended = {}
    with said.open("wb") as log, start("beside", arguments, log.fileno()) as beside:
        try:
            ended["machines"] = run("machines", arguments)
            ended["beside"] = beside.wait()
        finally:
            beside.terminate()
    print(said.read_text(errors="replace"), flush=True)
    ended["alone"] = run("alone", arguments)
    return ended


def run(name: str, arguments: Sequence[str]) -> int:
    """Run a part to its end."""
    with start(name, arguments) as part:
        return part.wait()


def failed(name: str) -> list[str]:
    """The tests of a part that failed."""
    return list(json.loads((KEPT / name / "v" / "cache" / "lastfailed").read_text()))


def try_again(
    ended: dict[str, int],
    failed: Callable[[str], list[str]] = failed,
    run: Callable[[str, Sequence[str]], int] = run,
) -> int:
    """Run what failed once more, each part by itself; returns what the whole ends with."""
    names = [name for name, code in ended.items() if code == FAILED]
    print("failed once, tried again:", *(test for name in names for test in failed(name)), flush=True)
    return max(run(name, AGAIN) for name in names)


def verdict(ended: dict[str, int], arguments: Sequence[str]) -> int:
    """What the whole ends with, if nothing is tried again: what is worse than failed tests stands above them."""
    fine = {GOOD, NONE} if arguments else {GOOD}
    return max((code if code >= 0 else FAILED + 1 for code in ended.values() if code not in fine), default=GOOD)


def main() -> int:
    """Run the suite; the exit code is pytest's."""
    arguments = sys.argv[1:]
    ended = run_all(arguments)
    code = verdict(ended, arguments)
    return try_again(ended) if code == FAILED and os.environ.get("CI") else code


if __name__ == "__main__":
    sys.exit(main())
