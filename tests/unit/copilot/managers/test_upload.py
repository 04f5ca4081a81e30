"""Places for uploads: what the service answers, who was given what, and the service's files."""

import os
import stat
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest

from client.copilot.errors import AskFailed, TransportDown
from client.copilot.managers.slot import NAMESPACE, Slot, UploadService, read_slot
from client.copilot.managers.upload import KEPT_S, SPENT_S, Grants, UploadStore

URL = "https://127.0.0.1:5281/upload/0123abcd/output.tgz"


def answer(url: str = URL, header: str = '<header name="Authorization">Bearer a.b</header>') -> Element:
    return fromstring(
        f'<iq type="result"><slot xmlns="{NAMESPACE}"><get url="{url}"/><put url="{url}">{header}</put></slot></iq>'
    )


async def test_a_place_is_asked_for_with_its_size() -> None:
    asked: list[tuple[str, Element]] = []

    async def ask(to: str, request: Element, timeout_s: float) -> Element:
        asked.append((to, request))
        return answer()

    slot = await UploadService(ask, "upload.localhost").slot(77)
    assert slot == Slot("0123abcd", URL, (("Authorization", "Bearer a.b"),))
    [(to, request)] = asked
    assert (to, request.tag) == ("upload.localhost", f"{{{NAMESPACE}}}request")
    assert request.attrib == {"filename": "output.tgz", "size": "77"}


@pytest.mark.parametrize("error", [AskFailed("upload", "refused"), TransportDown("jm")])
async def test_a_service_that_is_away_gives_no_place(error: Exception) -> None:
    async def ask(to: str, request: Element, timeout_s: float) -> Element:
        raise error

    assert await UploadService(ask, "upload.localhost").slot(77) is None


@pytest.mark.parametrize(
    "said",
    [
        fromstring("<iq/>"),
        answer(url="http://127.0.0.1/upload/0123abcd/output.tgz"),
        answer(url="https://127.0.0.1/output.tgz"),
        answer(url="https://127.0.0.1/upload/../output.tgz"),
        answer(url="https://127.0.0.1/upload/a%2Fb/output.tgz"),
        answer(header='<header name="Host">h</header>'),
        answer(header='<header name="Cookie">a&#10;Host: h</header>'),
    ],
)
def test_a_place_that_cannot_be_used_is_none(said: Element) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_slot(said)


def test_the_last_grant_of_an_account_counts(tmp_path: Path) -> None:
    grants = Grants(tmp_path / "grants")
    assert (grants.slot_id("one", "a@x/1"), grants.over_chirp("one"), grants.job_ids()) == ("", False, [])
    grants.note("one", "a@x/1", "first")
    grants.note("one", "a@x/2", "second")
    grants.note("one", "b@x/1")
    assert (grants.slot_id("one", "a@x/3"), grants.slot_id("one", "b@x/1"), grants.slot_id("one", "c@x/1")) == (
        "second",
        "",
        "",
    )
    assert (grants.over_chirp("one"), grants.job_ids()) == (True, ["one"])
    grants.end("one", "b@x/1")
    assert not grants.over_chirp("one")
    grants.end("one", "a@x/1")
    grants.end("one", "a@x/1")
    assert grants.job_ids() == []


def test_what_was_uploaded_is_taken_once_and_its_place_stays_taken(tmp_path: Path) -> None:
    folder, target = tmp_path / "uploads", tmp_path / "target"
    store = UploadStore(folder)
    assert not store.take("ab-c_d1", target)
    folder.mkdir()
    (folder / "ab%2dc%5fd1.bin").write_bytes(b"output")
    assert store.take("ab-c_d1", target)
    assert target.read_bytes() == b"output"
    assert not store.take("ab-c_d1", target)
    assert (folder / "ab%2dc%5fd1.bin").stat().st_size == 0
    store.discard("gone1234")
    assert not store.take("gone1234", target)
    assert stat.S_ISREG((folder / "gone1234.bin").stat().st_mode)


def test_uploads_that_nobody_came_for_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    store = UploadStore(folder)
    assert store.sweep() == 0
    folder.mkdir()
    now = 1e9
    for name, size, age_s in (
        ("old", 1, KEPT_S + 1),
        ("new", 1, KEPT_S - 1),
        ("spent", 0, SPENT_S + 1),
        ("taken", 0, SPENT_S - 1),
    ):
        (folder / f"{name}.bin").write_bytes(b"x" * size)
        os.utime(folder / f"{name}.bin", (now - age_s, now - age_s))
    assert store.sweep(now) == 2
    assert sorted(path.stem for path in folder.iterdir()) == ["new", "taken"]
