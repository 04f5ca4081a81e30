"""`main.py images` without an instance, on a store of its own."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from client.appliance.known import Known
from client.errors import BadInput, NotRunning
from client.preferences.store import load
from client.service import images_command
from client.service.images_command import main
from client.snapshot import ClientSnapshot, GuestFilesView
from tests.helpers.client_core import FILES, write_appliance


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_appliance(tmp_path / "appliances")
    return tmp_path


def run(base: Path, *words: str) -> int:
    return main([words[0], "--basedir", str(base), *words[1:]])


def test_it_lists_what_is_there(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(base, "list") == 0
    said = capsys.readouterr().out
    assert "tiny 1" in said
    assert "used never, checked never" in said
    assert "not all of it" not in said
    assert run(base, "list", "--json") == 0
    reply = json.loads(capsys.readouterr().out)
    assert reply["store"][0]["is_whole"]
    assert reply["bytes"] == reply["store"][0]["size_bytes"]


def test_it_tells_what_the_proxy_for_software_keeps_and_saves() -> None:
    view = GuestFilesView(
        kept_bytes=90_000_000, limit_bytes=4 << 30, given_bytes=400_000_000, fetched_bytes=100_000_000
    )
    said = ClientSnapshot(0, datetime.min, guest_files=view).to_json()
    reply = {"bytes": 0, "limit_bytes": 1, "store": [], "own": [], "held": None, "transfers": []}
    lines = images_command._listed({**reply, "guest_files": said["guest_files"]})
    assert lines[1:] == [
        "Software that virtual machines read (CVMFS): 90.0 MB of 4,295 MB are kept; of 400.0 MB that they had lately,"
        " 100.0 MB came over the network."
    ]
    assert len(images_command._listed(reply)) == 1


def test_it_removes(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(base, "remove", "tiny 1") == 0
    assert "are free again" in capsys.readouterr().out
    assert not list((base / "appliances" / "objects").rglob("vmlinux"))
    assert Known(base / "appliances" / "known").choices() == ()


def test_it_checks_and_takes_the_name_of_what_is_damaged(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(base, "check") == 0
    assert "All files are right." in capsys.readouterr().out
    (victim,) = (base / "appliances" / "objects").rglob("initrd.img")
    victim.chmod(0o600)
    victim.write_bytes(b"x" * len(FILES["initrd.img"][1]))
    assert run(base, "check") == 0
    assert "Damaged" in capsys.readouterr().out
    assert not victim.exists()
    assert run(base, "list") == 0
    assert "not all of it is here yet" in capsys.readouterr().out


def test_the_limit_is_kept_beside_what_the_user_wrote(base: Path) -> None:
    (base / "preferences.toml").write_text("# mine\n[guest]\ncpus = 2  # of 4\n")
    assert run(base, "limit", "100") == 0
    assert "# of 4" in (base / "preferences.toml").read_text()
    preferences = load(base / "preferences.toml")
    assert (preferences.number("appliances.cache_mib"), preferences.number("guest.cpus")) == (100, 2)
    assert run(base, "limit", "200") == 0
    assert load(base / "preferences.toml").number("appliances.cache_mib") == 200


@pytest.mark.parametrize("text", ["[broken", "appliances = 3\n"])
def test_a_file_that_cannot_be_changed_is_left_alone(base: Path, text: str) -> None:
    (base / "preferences.toml").write_text(text)
    with pytest.raises(BadInput):
        run(base, "limit", "100")
    assert (base / "preferences.toml").read_text() == text


def test_sizes_that_are_none_and_words_that_need_an_instance(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadInput):
        run(base, "limit", "1")
    with pytest.raises(NotRunning):
        run(base, "update")
    assert run(base, "hold") == 0
    assert json.loads((base / "appliances" / "store.json").read_text())["held"] is True
    capsys.readouterr()
    run(base, "list")
    assert "it goes on when you say so" in capsys.readouterr().out
    assert run(base, "go-on") == 0
    assert json.loads((base / "appliances" / "store.json").read_text())["held"] is False
