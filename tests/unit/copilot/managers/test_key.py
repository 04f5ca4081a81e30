"""The key manager's door: who gets an account, and that nothing else opens it."""

import contextlib
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from client.copilot.account import owner_of
from client.copilot.managers.key_account import guest_name, guest_password
from client.copilot.managers.key_book import KeyBook
from client.copilot.managers.key_door import ACCOUNTS_A_DAY, Door, DoorSettings, Refused, parse_vm_id
from client.copilot.managers.revoked import RevokedList
from client.key_request import CLOCKS_APART_S, ENROL, GUEST_TOKEN, Request, fresh_request, owner_id

NOW = 1_800_000_000.0
INVITATION = "i" * 64
VM = b'{"vm_id": "vm-1"}'


class Volunteer:
    """A computer with a key."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes_raw()
        self.owner = owner_id(self.public)

    def request(self, purpose: str, now: float = NOW, audience: str = "localhost") -> Request:
        return fresh_request(purpose, audience, self.public, now)

    def header(self, request: Request, body: bytes) -> str:
        return request.header(self.key.sign(request.signed(body)))

    def enrol(self, door: Door, secret: str = INVITATION) -> dict[str, Any]:
        request = self.request(ENROL)
        body = json.dumps({"invitation": request.invitation(secret)}).encode()
        return door.enrol(self.header(request, body), body)

    def token(self, door: Door, now: float = NOW) -> dict[str, Any]:
        return door.guest_token(self.header(self.request(GUEST_TOKEN, now), VM), VM)


class Place:
    """What the key managers of one project share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.revoked = RevokedList(folder / "revoked.txt")

    def door(self, *, bearer: bool = False) -> Door:
        settings = DoorSettings("localhost", "s" * 64, INVITATION, bearer=bearer)
        return Door(
            settings, KeyBook(self.folder / "keys.sqlite"), RevokedList(self.folder / "revoked.txt"), self.clock
        )

    def clock(self) -> float:
        return self.now


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def volunteer() -> Volunteer:
    return Volunteer()


def error_of(ask: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        ask()
    return refused.value.error


def test_an_account_tells_until_when_it_is_good_and_its_password_is_its_hmac() -> None:
    name = guest_name(1000.9, 86400)
    assert re.fullmatch(r"agent-87400-[0-9a-f]{16}", name)
    assert name != guest_name(1000.9, 86400)
    assert guest_password("secret", name) == hmac.new(b"secret", name.encode(), hashlib.sha256).hexdigest()


def test_secrets_are_not_in_logs() -> None:
    assert "hidden" not in repr(DoorSettings("localhost", "hidden", "hidden"))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"vm_id": 5}', b'{"vm_id": ""}', b'{"vm_id": "a\\nb"}', b"[" * 4000]
)
def test_hostile_bodies_are_refused(body: bytes) -> None:
    assert error_of(lambda: parse_vm_id(body)) == "body"


def test_who_enrolled_gets_accounts_that_name_the_owner(place: Place, volunteer: Volunteer) -> None:
    door = place.door()
    assert error_of(lambda: volunteer.token(door)) == "not-enrolled"
    assert volunteer.enrol(door) == {"owner": volunteer.owner}
    assert volunteer.enrol(door) == {"owner": volunteer.owner}
    given = volunteer.token(door)
    assert owner_of(given["jid"]) == volunteer.owner == hashlib.sha256(volunteer.public).hexdigest()[:16]
    assert given["password"] == guest_password("s" * 64, given["jid"].partition("@")[0])
    assert given["expires_at"] == NOW + 86400


def test_key_managers_share_what_they_know(place: Place, volunteer: Volunteer) -> None:
    volunteer.enrol(place.door())
    request = volunteer.request(GUEST_TOKEN)
    header = volunteer.header(request, VM)
    assert owner_of(place.door().guest_token(header, VM)["jid"]) == volunteer.owner
    assert error_of(lambda: place.door().guest_token(header, VM)) == "replayed"
    (known,) = KeyBook(place.folder / "keys.sqlite").owners()
    assert (known.owner, known.enrolled_at, known.asked_at, known.accounts) == (volunteer.owner, NOW, NOW, 1)


def test_only_the_project_file_enrols(place: Place, volunteer: Volunteer) -> None:
    door = place.door()
    assert error_of(lambda: volunteer.enrol(door, "wrong")) == "invitation"
    assert error_of(lambda: volunteer.token(door)) == "not-enrolled"
    request, other = volunteer.request(ENROL), Volunteer()
    # What one computer proved is of no use to another.
    stolen = json.dumps({"invitation": request.invitation(INVITATION)}).encode()
    theirs = other.header(other.request(ENROL), stolen)
    assert error_of(lambda: door.enrol(theirs, stolen)) == "invitation"


def test_what_was_signed_for_something_else_is_refused(place: Place, volunteer: Volunteer) -> None:
    door = place.door()
    volunteer.enrol(door)
    for request, body in (
        (volunteer.request(GUEST_TOKEN, audience="other.example"), VM),
        (volunteer.request(ENROL), VM),
        (volunteer.request(GUEST_TOKEN), b'{"vm_id": "vm-2"}'),
    ):
        header = volunteer.header(request, VM)
        assert error_of(lambda header=header, body=body: door.guest_token(header, body)) == "forged"  # type: ignore[misc]
    thief = Volunteer()
    forged = volunteer.request(GUEST_TOKEN)
    assert error_of(lambda: door.guest_token(thief.header(forged, VM), VM)) == "forged"


@pytest.mark.parametrize("apart", [-CLOCKS_APART_S - 1, CLOCKS_APART_S + 1])
def test_old_and_early_requests_are_refused(place: Place, volunteer: Volunteer, apart: float) -> None:
    door = place.door()
    volunteer.enrol(door)
    assert error_of(lambda: volunteer.token(door, NOW + apart)) == "clock"
    assert volunteer.token(door, NOW + apart * 0.9)


def test_a_nonce_is_remembered_for_as_long_as_its_request_could_be_taken(place: Place) -> None:
    book = KeyBook(place.folder / "keys.sqlite")
    assert book.is_first_use("n", NOW, 600)
    assert not book.is_first_use("n", NOW + 599, 600)
    assert book.is_first_use("n", NOW + 601, 600)


def test_who_is_revoked_gets_nothing_until_let_in_again(place: Place, volunteer: Volunteer) -> None:
    door = place.door()
    volunteer.enrol(door)
    place.revoked.add(volunteer.owner)
    assert error_of(lambda: volunteer.token(door)) == "revoked"
    assert error_of(lambda: volunteer.enrol(door)) == "revoked"
    place.revoked.remove(volunteer.owner)
    assert volunteer.token(door)


def test_an_owner_has_so_many_accounts_a_day(place: Place, volunteer: Volunteer) -> None:
    door = place.door()
    volunteer.enrol(door)
    book = KeyBook(place.folder / "keys.sqlite")
    assert all(book.count_account(volunteer.owner, NOW, 3) for _ in range(3))
    assert not book.count_account(volunteer.owner, NOW, 3)
    assert book.count_account(volunteer.owner, NOW + 86400, 3)
    assert ACCOUNTS_A_DAY > 24


def test_the_secret_alone_is_enough_only_where_old_clients_are_served(place: Place) -> None:
    bearer = f"Bearer {INVITATION}"
    given = place.door(bearer=True).guest_token(bearer, VM)
    assert re.fullmatch(r"agent-\d+-[0-9a-f]{16}@localhost", given["jid"])
    assert error_of(lambda: place.door(bearer=True).guest_token("Bearer x", VM)) == "unsigned"
    assert error_of(lambda: place.door().guest_token(bearer, VM)) == "unsigned"


ANYTHING = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5) | st.dictionaries(
    st.sampled_from(["invitation", "vm_id", "x"]), st.text() | st.integers() | st.just("\ud800")
)
ANY_HEADER = st.text() | st.from_regex(r"Volunteer-Cloud-Key-1 \S+ \S+ \S+ \S+", fullmatch=True)


def test_whatever_is_signed_is_answered_or_refused(place: Place) -> None:
    door, known, stranger = place.door(), Volunteer(), Volunteer()
    known.enrol(door)

    @settings(deadline=None, max_examples=50)
    @given(ANYTHING, st.sampled_from([ENROL, GUEST_TOKEN]), st.booleans())
    def check(said: object, purpose: str, enrolled: bool) -> None:
        volunteer = known if enrolled else stranger
        body = json.dumps(said).encode()
        header = volunteer.header(volunteer.request(purpose), body)
        with contextlib.suppress(Refused):
            answer = (door.enrol if purpose == ENROL else door.guest_token)(header, body)
            assert enrolled and isinstance(said, dict) and answer["jid"]

    check()


def test_whatever_the_header_is_it_is_refused(place: Place) -> None:
    door = place.door(bearer=True)

    @settings(deadline=None, max_examples=50)
    @given(ANY_HEADER)
    def check(said: str) -> None:
        assert error_of(lambda: door.guest_token(said, VM)) in {"unsigned", "clock", "forged"}

    check()


async def test_a_refusal_is_told_as_data_and_logged_once(
    place: Place, volunteer: Volunteer, caplog: pytest.LogCaptureFixture
) -> None:
    door = place.door()
    for _ in range(3):
        header = volunteer.header(volunteer.request(GUEST_TOKEN), b"")
        request = make_mocked_request("POST", "/guest-token", headers={"Authorization": header})
        request._read_bytes = b""
        answer = await door._answer(request, door.guest_token)
        assert (answer.status, json.loads(str(answer.text))["now"]) == (400, NOW)
    assert [record.message for record in caplog.records if "refused" in record.message] == [
        "refused None: the body cannot be used"
    ]
