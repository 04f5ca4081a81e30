"""Runs a target in a process of its own, which libFuzzer ends."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

_TOP: Final = Path(__file__).resolve().parents[2]
_DONE: Final = re.compile(r"Done (\d+) runs")


def fuzz(target: str, *limits: str) -> int:
    """Fuzz a target within limits of libFuzzer's; returns how many cases there were. A defect is shown and asserted."""
    words = [sys.executable, "-m", "tests.fuzz", target, *limits]
    ended = subprocess.run(words, cwd=_TOP, capture_output=True, text=True, errors="replace", timeout=3600)
    said = ended.stderr[-6000:]
    done = _DONE.search(said)
    assert ended.returncode == 0, said
    assert done, said
    print(f"{target}: {done[1]} cases")
    return int(done[1])
