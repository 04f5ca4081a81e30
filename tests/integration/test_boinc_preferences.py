"""What BOINC's own client understands of its files is what is imported."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from client.host.computer import total_memory_mib
from client.preferences.boinc_import import import_boinc
from client.preferences.boinc_xml import find_boinc, read_boinc
from client.preferences.spec import Value

BOINC = shutil.which("boinc")
DATA = Path(__file__).resolve().parents[1] / "data" / "boinc"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(BOINC is None, reason="BOINC's client is not installed (Debian: boinc-client)"),
]
#: what it says last of preferences
END = "to change preferences"


def told_by_boinc(folder: Path) -> str:
    """What BOINC's client says of the preferences in a folder."""
    command = [str(BOINC), "--dir", str(folder), "--no_gui_rpc", "--no_gpus"]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder)
    assert client.stdout is not None
    try:
        lines = []
        for line in client.stdout:
            lines.append(line)
            if END in line:
                return "".join(lines)
        raise AssertionError("".join(lines))
    finally:
        client.kill()
        client.communicate()


def imported(folder: Path) -> dict[str, Value]:
    taken, _ = import_boinc([read_boinc(path) for path in find_boinc([str(folder)])])
    return {one.key: one.value for one in taken}


def number(pattern: str, said: str) -> float:
    found = re.search(pattern, said)
    assert found is not None, said
    return float(found[1])


def test_numbers_and_programs(tmp_path: Path) -> None:
    for path in DATA.iterdir():
        shutil.copy(path, tmp_path)
    said, values = told_by_boinc(tmp_path), imported(tmp_path)
    memory = number(r"when active: ([0-9.]+) MB", said) / total_memory_mib() * 100
    assert isinstance(values["memory.percent"], int) and 0 <= memory - values["memory.percent"] < 1
    assert number(r"disk usage: ([0-9.]+) GB", said) * 1024 == values["disk.most_mib"]
    assert number(r"CPU load exceeds ([0-9]+)%", said) == values["when.most_others_percent"]
    assert values["network.up_kib_per_s"] == number(r"upload rate: ([0-9]+)", said) / 1024
    assert "don't compute while active" in said and values["when.in_use"] is False
    assert "don't compute while Game.exe is running" in said and values["when.programs"] == ("game", "blender")


@pytest.mark.parametrize(("tag", "computes"), [("", False), ("<run_if_user_active/>", True)])
def test_a_yes_or_no_that_is_not_there(tmp_path: Path, tag: str, computes: bool) -> None:
    text = f"<global_preferences>\n<mod_time>1</mod_time>\n{tag}\n</global_preferences>\n"
    (tmp_path / "global_prefs.xml").write_text(text)
    (tmp_path / "global_prefs_override.xml").write_text("<global_preferences>\n</global_preferences>\n")
    said = told_by_boinc(tmp_path)
    assert ("don't compute while active" not in said) == computes == imported(tmp_path)["when.in_use"]
