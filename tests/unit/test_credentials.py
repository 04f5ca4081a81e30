"""Where the keys of this computer are kept, with a keyring, without one, and with one that fails."""

import json
import stat
from pathlib import Path
from threading import Event

import pytest
from keyring.errors import KeyringLocked

from client.credentials import SEED_BYTES, Credentials, KeyringSilent

PROJECT = "0123456789abcdef"


class FakeKeyring:
    """Keeps in memory; locked: fails as one that nobody opens."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        self._open()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._open()
        self.kept[service, username] = password

    def _open(self) -> None:
        if self.locked:
            raise KeyringLocked("nobody opened it")


def test_a_key_is_made_once_and_lies_in_the_keyring_only(tmp_path: Path) -> None:
    ring = FakeKeyring()
    made = Credentials(tmp_path / "keys", lambda: ring).key_of(PROJECT)
    assert (len(made.seed), made.in_file, made.fresh) == (SEED_BYTES, False, True)
    again = Credentials(tmp_path / "keys", lambda: ring).key_of(PROJECT)
    assert (again.seed, again.fresh) == (made.seed, False)
    assert list(ring.kept.values()) == [made.seed.hex()]
    for path in (tmp_path / "keys").iterdir():
        assert made.seed.hex() not in path.read_text()


def test_each_project_has_its_own(tmp_path: Path) -> None:
    ring = FakeKeyring()
    keys = Credentials(tmp_path / "keys", lambda: ring)
    assert keys.key_of(PROJECT).seed != keys.key_of(PROJECT[::-1]).seed


def test_without_a_keyring_it_is_a_private_file_and_stays_one(tmp_path: Path) -> None:
    made = Credentials(tmp_path / "keys", lambda: None).key_of(PROJECT)
    assert made.in_file and made.fresh
    (path,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    later = FakeKeyring()
    again = Credentials(tmp_path / "keys", lambda: later).key_of(PROJECT)
    assert (again.seed, again.in_file, again.fresh, later.kept) == (made.seed, True, False, {})


def test_a_keyring_that_nobody_opens_is_like_none_when_a_key_is_made(tmp_path: Path) -> None:
    ring = FakeKeyring()
    ring.locked = True
    assert Credentials(tmp_path / "keys", lambda: ring).key_of(PROJECT).in_file


def test_a_keyring_that_waits_for_a_person_is_like_none_when_a_key_is_made(tmp_path: Path) -> None:
    somebody_came = Event()

    class Asking(FakeKeyring):
        def _open(self) -> None:
            somebody_came.wait(60)

    try:
        assert Credentials(tmp_path / "keys", Asking, patience_s=0.01).key_of(PROJECT).in_file
    finally:
        somebody_came.set()


@pytest.mark.parametrize("locked", [True, False])
def test_a_keyring_that_holds_the_key_and_is_silent_does_not_make_another_computer_of_us(
    tmp_path: Path, locked: bool
) -> None:
    ring = FakeKeyring()
    made = Credentials(tmp_path / "keys", lambda: ring).key_of(PROJECT)
    ring.locked = True
    with pytest.raises(KeyringSilent):
        Credentials(tmp_path / "keys", lambda: ring if locked else None).key_of(PROJECT)
    ring.locked = False
    assert Credentials(tmp_path / "keys", lambda: ring).key_of(PROJECT).seed == made.seed


@pytest.mark.parametrize("said", ["", "[]", '{"place": "file", "seed": "xyz"}', '{"place": "moon"}'])
def test_a_damaged_file_is_replaced(tmp_path: Path, said: str) -> None:
    (tmp_path / "keys").mkdir()
    path = tmp_path / "keys" / f"{PROJECT}.json"
    path.write_text(said)
    made = Credentials(tmp_path / "keys", lambda: None).key_of(PROJECT)
    assert json.loads(path.read_text()) == {"place": "file", "seed": made.seed.hex()}


def test_a_keyring_that_lost_the_key_gets_a_new_one(tmp_path: Path) -> None:
    ring = FakeKeyring()
    made = Credentials(tmp_path / "keys", lambda: ring).key_of(PROJECT)
    ring.kept.clear()
    again = Credentials(tmp_path / "keys", lambda: ring).key_of(PROJECT)
    assert again.fresh and again.seed != made.seed


def test_keys_are_not_shown(tmp_path: Path) -> None:
    made = Credentials(tmp_path, lambda: None).key_of(PROJECT)
    assert made.seed.hex() not in repr(made) and repr(made.seed) not in repr(made)
