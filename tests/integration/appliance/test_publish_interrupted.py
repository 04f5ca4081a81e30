"""`publish` is killed at every step that it takes on the disk; readers see the old state or the new one, whole."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

from client.appliance.publish import renewal
from client.appliance.trust_lists import Lists
from client.appliance.trust_read import Files, read_lists
from tests.helpers.catalogue import Shop, versions

pytestmark = pytest.mark.integration
#: what changes a folder, as Python's audit hooks name it
_STEPS = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.chmod"}
DONE, KILLED = 0, 7
BASE = "https://catalogue.example/"


class Folder(FetcherInterface):
    """Reads a published folder as a web server would show it."""

    def __init__(self, public: Path) -> None:
        self._public = public

    def download_bytes(self, url: str, max_length: int) -> bytes:
        try:
            return (self._public / url.removeprefix(BASE)).read_bytes()
        except FileNotFoundError as error:
            raise DownloadHTTPError(url, 404) from error

    def _fetch(self, url: str) -> object:  # type: ignore[override]
        return iter((self.download_bytes(url, 0),))


def shown(shop: Shop, trust: Path) -> list[str]:
    """What a client of that moment shows; every file that it would fetch is there."""
    trust.mkdir(exist_ok=True)
    fetcher = Folder(shop.folder.public)
    anchor = (shop.folder.metadata / "1.root.json").read_bytes()
    lists = Lists(trust, f"{BASE}metadata/", fetcher, anchor, shop.now)
    lists.refresh()
    found = read_lists(lists, Files((f"{BASE}targets/",), fetcher, {}), shop.now)
    for project in found.projects:
        assert not project.problem
        for one in project.appliances:
            for file in (one.manifest, *one.files.values()):
                path = shop.folder.public / file.urls[0].removeprefix(BASE)
                assert path.stat().st_size == file.size_bytes
    return versions(found)


def run_and_kill(work: Callable[[], object], after: int) -> int:
    """Do something in a process that dies without a word before its n-th step."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in _STEPS:
            count += 1
            if count > after:
                os._exit(KILLED)

    sys.addaudithook(hook)
    try:
        work()
        os._exit(DONE)
    finally:
        os._exit(99)


WORK: dict[str, Callable[[Shop], object]] = {
    "add": lambda shop: shop.add(version="1.1", content=b"image two"),
    "new project": lambda shop: shop.add("other", "thick", "3", b"other"),
    "renew all": lambda shop: renewal.renew(shop.catalogue, everything=True),
    "rotate timestamp": lambda shop: renewal.rotate(shop.catalogue, "timestamp"),
    "rotate snapshot": lambda shop: renewal.rotate(shop.catalogue, "snapshot"),
    "rotate targets": lambda shop: renewal.rotate(shop.catalogue, "targets"),
    "rotate root": lambda shop: renewal.rotate(shop.catalogue, "root"),
    "withdraw": lambda shop: "second" in shop.catalogue.repository.projects and shop.catalogue.withdraw("second"),
}


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.mark.parametrize("name", WORK)
def test_killed_anywhere_the_old_state_or_the_new_one_is_shown(tmp_path: Path, name: str) -> None:
    shop = Shop(tmp_path / "at")
    shop.add()
    shop.add("second", "small", "1", b"small")
    old = shown(shop, tmp_path / "trust")
    seen, steps, done = [], 0, KILLED
    while done == KILLED:
        done = run_and_kill(lambda: WORK[name](shop), steps)
        assert done in (KILLED, DONE), f"after {steps} steps"
        # A client that was there before, and one that comes now.
        seen.append(shown(shop, tmp_path / "trust"))
        assert shown(shop, tmp_path / f"new-{steps}") == seen[-1]
        steps += 1
    assert steps > 3
    new = shown(shop, tmp_path / "trust")
    changes = [state for state, before in zip(seen, [old, *seen], strict=False) if state != before]
    assert changes == ([new] if new != old else []), "there was a state between"
    # What was interrupted hinders nothing that follows.
    shop.add(version="9.9", content=b"last")
    assert "demo/thin 9.9" in shown(shop, tmp_path / "trust")
