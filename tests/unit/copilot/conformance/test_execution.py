"""The wrapper and its packages as the original's, run by a real shell."""

import subprocess
from pathlib import Path

import pytest

from client.copilot.checkpoint import JobRecord
from client.copilot.execute import build_wrapper, package_names
from client.copilot.messages import JobDescription

ALIENV = """#!/bin/sh
test "$1" = print || exit 1
echo "FROM='$2'; export FROM"
"""


def run(folder: Path, *, tools: Path | None = None, **more: str) -> "subprocess.CompletedProcess[str]":
    job = JobDescription("j", command="run.sh", **more)  # type: ignore[arg-type]
    (folder / "_wrapper_.sh").write_text(build_wrapper(JobRecord(job, "m"), folder))
    path = f"{tools}:/usr/bin:/bin" if tools else "/usr/bin:/bin"
    command = ["/bin/sh", "-c", f"cd {folder} && . ./_wrapper_.sh"]
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "work"
    found.mkdir()
    (found / "run.sh").write_text('#!/bin/sh\necho "$FROM|$A|$1|$2"\nexit 3\n')
    return found


def test_packages_are_set_up_by_what_alienv_prints(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    alienv = tmp_path / "tools" / "alienv"
    alienv.write_text(ALIENV)
    alienv.chmod(0o755)
    done = run(folder, tools=tmp_path / "tools", packages="VO_ALICE@AliRoot::v4-16-Rev-01")
    assert (done.stdout, done.returncode) == ("AliRoot/v4-16-Rev-01|||\n", 3)


def test_without_alienv_the_job_runs_and_its_error_output_tells(folder: Path) -> None:
    done = run(folder, packages="ROOT::v5")
    assert (done.stdout, done.returncode) == ("|||\n", 3)
    assert "ROOT/v5" in done.stderr


def test_environment_and_arguments_are_shell_text(folder: Path) -> None:
    done = run(folder, environment="export A='x y'\nB=2", arguments="'a b' $B")
    assert done.stdout == "|x y|a b|2\n"


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("VO_ALICE@AliRoot::v4-16 ROOT::v5", ["AliRoot/v4-16", "ROOT/v5"]),
        ("a::b::c", ["a/b::c"]),
        ("VO@SUB@ROOT::v6", ["ROOT/v6"]),
        ("plain", ["plain"]),
        ("", []),
        ("$(reboot) a;b `c` -x", []),
    ],
)
def test_names_of_packages(written: str, asked: list[str]) -> None:
    assert package_names(written) == asked
