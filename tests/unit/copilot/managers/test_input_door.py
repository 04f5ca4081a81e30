"""Input shown by HTTPS: the submitter's own files, once, and nothing else."""

import os
import uuid
from pathlib import Path

import pytest

from client.copilot.managers.input_door import InputDoor

BASE = "https://127.0.0.1:5281/input"


@pytest.fixture
def chirp(tmp_path: Path) -> Path:
    for name in ("chirp", "inputs"):
        (tmp_path / name).mkdir()
    return tmp_path / "chirp"


def door(chirp: Path) -> InputDoor:
    return InputDoor(chirp, chirp.parent / "inputs", f"{BASE}/")


def put(chirp: Path, name: str) -> Path:
    folder = chirp / name
    (folder / "sub").mkdir(parents=True)
    (folder / ".__acl").write_text("address:* rl\n")
    (folder / "run.sh").write_text("run")
    (folder / "sub" / "data").write_text("data")
    (folder / "link").symlink_to("/etc/passwd")
    return folder


def test_input_is_shown_once_and_without_what_is_not_input(chirp: Path) -> None:
    name = f"in-{uuid.uuid4()}"
    folder = put(chirp, name)
    for _ in range(2):
        assert door(chirp).url(f"/{name}/") == f"{BASE}/{name}"
    shown = chirp.parent / "inputs"
    assert sorted(str(path.relative_to(shown / name)) for path in (shown / name).rglob("*")) == [
        "run.sh",
        "sub",
        "sub/data",
    ]
    assert (shown / name / "run.sh").samefile(folder / "run.sh")
    assert [path.name for path in shown.iterdir()] == [name]


@pytest.mark.parametrize(
    "name", ["", "job-1", "in-1", "..", f"in-{uuid.UUID(int=1)}", "in-../../etc", str(uuid.uuid4())]
)
def test_names_that_could_be_guessed_are_not_shown(chirp: Path, name: str) -> None:
    if name and "/" not in name and name != "..":
        put(chirp, name)
    assert door(chirp).url(name) == ""
    assert list((chirp.parent / "inputs").iterdir()) == []


def test_input_that_cannot_be_shown_is_told_of_once(chirp: Path, caplog: pytest.LogCaptureFixture) -> None:
    shown, name = door(chirp), f"in-{uuid.uuid4()}"
    assert [shown.url(name) for _ in range(3)] == [""] * 3
    assert len(caplog.records) == 1


def test_input_that_is_not_there_is_not_shown_and_what_is_gone_no_more(chirp: Path) -> None:
    name = f"in-{uuid.uuid4()}"
    assert door(chirp).url(name) == ""
    folder = put(chirp, name)
    assert door(chirp).url(name)
    assert door(chirp).prune() == 0
    folder.rename(chirp / "gone")
    assert door(chirp).prune() == 1
    assert list((chirp.parent / "inputs").iterdir()) == []


def test_what_another_manager_is_just_making_stays_and_what_one_left_half_made_goes(chirp: Path) -> None:
    part = chirp.parent / "inputs" / ".part-0123"
    shown = door(chirp)
    part.mkdir()
    assert (shown.prune(), part.exists()) == (0, True)
    os.utime(part, (0, 0))
    assert (shown.prune(), part.exists()) == (1, False)
