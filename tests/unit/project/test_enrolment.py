"""The client's way to a token, with the real key manager's door behind a web of a few lines."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from client import web
from client.copilot.account import owner_of
from client.copilot.managers.key_book import KeyBook
from client.copilot.managers.key_door import Door, DoorSettings, Refused
from client.copilot.managers.revoked import RevokedList
from client.project.definition import Project, parse_project
from client.project.enrolment import fetch_guest_token, project_id
from client.project.errors import EnrolmentRefused, ProjectUnreachable
from tests.unit.project.test_definition import GOOD

SEED = bytes(range(32))
SECRET = GOOD["enrolment"]["secret"]


@dataclass
class Reply:
    """As `client.web` gives it."""

    status: int
    content: bytes

    def read_at_most(self, limit_bytes: int) -> bytes:
        return self.content[:limit_bytes]


@dataclass
class Web:
    """Carries requests to a door; `asked` has the last words of the addresses, `sent` all that went out."""

    door: Door
    has_enrolment: bool = True
    status: int = 0
    asked: list[str] = field(default_factory=list)
    sent: bytes = b""

    @contextlib.contextmanager
    def request(self, url: str, *, body: bytes, headers: dict[str, str], **_: Any) -> Iterator[Reply]:
        word = url.rpartition("/")[2]
        self.asked.append(word)
        self.sent += body + repr(headers).encode()
        if self.status:
            yield Reply(self.status, b"no")
        elif word == "enrol" and not self.has_enrolment:
            yield Reply(404, b"404: Not Found")
        else:
            yield self._answer(word, headers["Authorization"], body)

    def _answer(self, word: str, header: str, body: bytes) -> Reply:
        try:
            said = self.door.enrol(header, body) if word == "enrol" else self.door.guest_token(header, body)
        except Refused as refused:
            status = 401 if refused.error == "unsigned" else 403
            return Reply(status, json.dumps({"error": refused.error, "text": "no", "now": self.door._now()}).encode())
        return Reply(200, json.dumps(said).encode())


@pytest.fixture
def project() -> Project:
    return parse_project(GOOD, "test")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    served = Web(door(tmp_path))
    monkeypatch.setattr(web, "request", served.request)
    return served


def door(folder: Path, *, ahead_s: float = 0.0, bearer: bool = False) -> Door:
    settings = DoorSettings("localhost", "s" * 64, SECRET, bearer=bearer)
    revoked = RevokedList(folder / "revoked.txt")
    return Door(settings, KeyBook(folder / "keys.sqlite"), revoked, lambda: time.time() + ahead_s)


def test_it_enrols_at_the_first_need_only(served: Web, project: Project) -> None:
    first, second = (fetch_guest_token(project, "vm-1", SEED) for _ in range(2))
    assert owner_of(first.jid) == owner_of(second.jid)
    assert served.asked == ["guest-token", "enrol", "guest-token", "guest-token"]


def test_neither_the_secret_nor_the_key_travels(served: Web, project: Project) -> None:
    fetch_guest_token(project, "vm-1", SEED)
    assert SECRET.encode() not in served.sent
    assert SEED.hex().encode() not in served.sent


def test_without_a_key_of_its_own_each_asker_is_another_owner(served: Web, project: Project) -> None:
    assert owner_of(fetch_guest_token(project, "a").jid) != owner_of(fetch_guest_token(project, "a").jid)


@pytest.mark.parametrize("ahead_s", [-86400.0, 86400.0])
def test_a_wrong_clock_is_no_hindrance(served: Web, project: Project, tmp_path: Path, ahead_s: float) -> None:
    served.door = door(tmp_path, ahead_s=ahead_s)
    assert fetch_guest_token(project, "vm-1", SEED).jid
    assert served.asked == ["guest-token", "guest-token", "enrol", "guest-token"]


def test_a_key_manager_of_before_there_were_keys_gets_the_secret(served: Web, project: Project, tmp_path: Path) -> None:
    served.door, served.has_enrolment = door(tmp_path, bearer=True), False
    # Such a one knows no keys, and says no to whatever is not the secret.
    served.door._book.knows = lambda owner, key: False  # type: ignore[method-assign]
    token = fetch_guest_token(project, "vm-1", SEED)
    assert token.jid.startswith("agent-") and owner_of(token.jid) == token.jid
    assert served.asked == ["guest-token", "enrol", "guest-token"]


def test_who_is_shut_out_is_told_and_does_not_enrol_again(served: Web, project: Project, tmp_path: Path) -> None:
    owner = owner_of(fetch_guest_token(project, "vm-1", SEED).jid)
    RevokedList(tmp_path / "revoked.txt").add(owner)
    served.asked.clear()
    with pytest.raises(EnrolmentRefused):
        fetch_guest_token(project, "vm-1", SEED)
    assert served.asked == ["guest-token"]


@pytest.mark.parametrize(
    ("status", "error"), [(500, ProjectUnreachable), (429, ProjectUnreachable), (403, EnrolmentRefused)]
)
def test_what_may_pass_is_tried_again_and_what_may_not_is_a_refusal(
    served: Web, project: Project, status: int, error: type[Exception]
) -> None:
    served.status = status
    with pytest.raises(error):
        fetch_guest_token(project, "vm-1", SEED)


def test_a_projects_key_outlives_new_project_files_and_is_no_other_projects(project: Project) -> None:
    changed: dict[str, Any] = {**GOOD, "enrolment": {"url": "https://other.example/x", "secret": "another"}}
    other: dict[str, Any] = {**GOOD, "xmpp": {**GOOD["xmpp"], "domain": "other.example"}}
    assert project_id(parse_project(changed, "test")) == project_id(project)
    assert project_id(parse_project(other, "test")) != project_id(project)
