"""Running tools, saying what is being done, and failing with a sentence."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

#: No tool of the build needs longer.
TOOL_LIMIT_S = 900


class BuildFailed(Exception):
    """The appliance cannot be built; its text is a sentence for the person who asked for it."""


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    """Run a tool and return what it printed.

    Raises:
        BuildFailed: it is not installed, failed, or did not end.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=TOOL_LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as missing:
        raise BuildFailed(f"the program {words[0]} is not installed (see packaging/linux/packages.txt)") from missing
    except subprocess.TimeoutExpired as slow:
        raise BuildFailed(f"{words[0]} did not end within {TOOL_LIMIT_S} s") from slow
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-8:]
        raise BuildFailed(f"{words[0]} failed with exit code {done.returncode}: " + " | ".join(said))
    return done.stdout.decode(errors="replace")


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print one line about a step of the build: what, and how long it took."""
    started = time.monotonic()
    yield
    print(f"appliance: {time.monotonic() - started:6.1f} s  {what}", flush=True)
