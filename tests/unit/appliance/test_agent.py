import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from client.appliance.agent import build_agent, needed_modules

TOP = Path(__file__).resolve().parents[3]


def package(top: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return top


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return package(
        tmp_path / "top",
        {
            "app/__init__.py": "",
            "app/inner/__init__.py": "NAME = 'inner'",
            "app/inner/entry.py": "import app.shared\nfrom app import late\ndef main(argv): print(argv, late.word())",
            "app/shared.py": "import json",
            "app/late.py": "def word():\n    from app.inner.hidden import WORD\n    return WORD",
            "app/inner/hidden.py": "WORD = 'found'",
            "app/inner/unused.py": "raise SystemExit(3)",
        },
    )


def names(archive: bytes) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(archive)).namelist())


def test_imports_are_followed_into_functions(top: Path) -> None:
    found = needed_modules(top, "app.inner.entry")
    assert found == {"app", "app.inner", "app.inner.entry", "app.inner.hidden", "app.late", "app.shared"}


def test_it_runs(top: Path, tmp_path: Path) -> None:
    (tmp_path / "agent.pyz").write_bytes(build_agent("1", top, "app.inner.entry"))
    command = [sys.executable, "-I", str(tmp_path / "agent.pyz"), "/context"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.strip() == "['/context'] found"


def test_same_bytes_each_time_and_in_another_process(top: Path) -> None:
    here = build_agent("1", top, "app.inner.entry")
    assert build_agent("1", top, "app.inner.entry") == here
    script = (
        "import sys; from pathlib import Path; from client.appliance.agent import build_agent;"
        "sys.stdout.buffer.write(build_agent('1', Path(sys.argv[1]), 'app.inner.entry'))"
    )
    command = [sys.executable, "-c", script, str(top)]
    assert subprocess.run(command, capture_output=True, check=True, cwd=TOP, timeout=20).stdout == here
    assert build_agent("2", top, "app.inner.entry") != here


def test_the_real_agent_holds_no_part_of_the_host_or_the_managers() -> None:
    held = names(build_agent("1"))
    assert {"__main__.py", "client/copilot/guest.py", "client/link.py"} <= held
    for part in ("managers", "queue", "hypervisor", "appliance", "service"):
        assert not [name for name in held if f"/{part}/" in name]


def test_no_such_entry(top: Path) -> None:
    with pytest.raises(FileNotFoundError):
        build_agent("1", top, "app.absent")
