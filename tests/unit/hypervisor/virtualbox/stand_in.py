"""A program that looks like VBoxManage and does as it was told."""

import json
import sys
from pathlib import Path

#: A program of its own. It sleeps for as long as it is told, as one that takes time does, and looks into a file for
#: another that runs beside it, since the two share nothing else.
_SCRIPT = """#!{python}
import json, pathlib, subprocess, sys, time
here = pathlib.Path({folder!r})
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
number = len((here / "calls").read_text().splitlines())
answers = json.loads((here / "answers").read_text())
answer = answers[min(number, len(answers)) - 1]
(here / "running").open("a").write("+")
sys.stderr.write(answer.get("stderr", ""))
sys.stdout.write(answer.get("stdout", ""))
for _ in range(answer.get("megabytes", 0)):
    sys.stdout.write("x" * 1000000)
sys.stdout.flush()
if answer.get("child"):
    subprocess.Popen(["sleep", "60"])
if answer.get("seconds"):
    time.sleep(answer["seconds"])
end = time.monotonic() + 20
while answer.get("beside") and (here / "running").read_text().count("+") < 2 and time.monotonic() < end:
    time.sleep(0.01)
(here / "running").open("a").write("-")
sys.exit(answer.get("exit", 0))
"""


class StandIn:
    """Answers in turn; the last answer is given for good.

    An answer: stdout, stderr, exit, megabytes (of nonsense), seconds (to wait), child (that holds the pipes open),
    beside (wait until another call runs too).
    """

    def __init__(self, folder: Path, *answers: dict[str, object]) -> None:
        self.folder = folder
        (folder / "answers").write_text(json.dumps(answers))
        self.path = folder / "VBoxManage"
        self.path.write_text(_SCRIPT.format(python=sys.executable, folder=str(folder)))
        self.path.chmod(0o755)

    @property
    def program(self) -> tuple[str, ...]:
        return (str(self.path),)

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    @property
    def running(self) -> str:
        """A plus when one begins, a minus when it ends by itself."""
        return (self.folder / "running").read_text()
