"""Words are completed in a real bash, by its own machinery: what Tab does, without the key."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.program import TOP

pytestmark = pytest.mark.integration
_TAB = """
source {script}
found=$(complete -p volunteer-cloud)
[[ $found =~ -F\\ ([^ ]+) ]] && function=${{BASH_REMATCH[1]}}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"$function" volunteer-cloud "${{@: -1}}" "${{@: -2:1}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion")
    done = subprocess.run(
        [sys.executable, "main.py", "completion", "bash"], cwd=TOP, capture_output=True, check=True, timeout=60
    )
    (folder / "volunteer-cloud").write_bytes(done.stdout)
    tab = folder / "tab"
    tab.write_text(_TAB.format(script=folder / "volunteer-cloud"))
    return tab


def tab(script: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    command = ["bash", "--norc", "--noprofile", str(script), "volunteer-cloud", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, cwd=script.parent)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["dr"], ["drain"]),
        (["jobs", "can"], ["cancel"]),
        (["jobs", ""], ["list", "show", "log", "cancel", "retry", "dead", "wait", "prune"]),
        (["jobs", "list", "--state", ""], ["waiting", "leased", "done", "dead"]),
        (["agents", "re"], ["revoke"]),
        (["site", "--queue", ""], ["sqlite", "redis"]),
        (["submit", "--requi"], ["--requirements"]),
        (["vm", "ex"], ["exec"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_tab_offers_what_fits(script: Path, words: list[str], offered: list[str]) -> None:
    assert tab(script, *words) == offered


def test_tab_offers_files_and_folders(script: Path) -> None:
    (script.parent / "cases.csv").touch()
    (script.parent / "casefolder").mkdir(exist_ok=True)
    assert "cases.csv" in tab(script, "submit", "--parameters", "cas")
    assert tab(script, "jobs", "--site", "cas") == ["casefolder"]
