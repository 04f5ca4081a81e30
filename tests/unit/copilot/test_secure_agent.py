"""A native agent's ticket, and the manners that its settings ask for."""

import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from client.copilot import native
from client.copilot.manners import Manners
from client.copilot.secure_agent import NO_TICKET, SecureAgent
from client.copilot.security import make_ticket
from client.errors import BadInput
from tests.helpers.copilot import FakeIncoming
from tests.helpers.fastloop import in_fast_time

KM = "km@localhost"
JM = "jm@localhost"
DAY_S = 86400


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 1024)


@pytest.fixture
def keys(tmp_path: Path, key: RSAPrivateKey) -> str:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
    (tmp_path / "keys").write_text(f"{JM}\n{pem}{KM}\n{pem}")
    return str(tmp_path / "keys")


class FakeMessenger:
    """Answers getTicket with what is in `tickets`, one after the other."""

    def __init__(self) -> None:
        self.tickets: list[str] = []
        self.asked: list[Any] = []
        self.agent: SecureAgent | None = None
        self.connected = True

    async def send(self, to: str, info: Any, *, noack: bool = False) -> str:
        self.asked.append((to, info))
        if self.tickets:
            assert self.agent is not None
            assert self.agent.take(FakeIncoming(f"{KM}/1", {"command": "storeTicket", "ticket": self.tickets.pop(0)}))
        return "id"

    def forget(self, message_id: str) -> None:
        """Nothing was kept."""

    async def drained(self) -> None:
        """Nothing waits."""

    def reset(self) -> None:
        """There is no session."""


@in_fast_time
async def test_a_ticket_is_asked_for_until_a_good_one_comes(keys: str, key: RSAPrivateKey) -> None:
    messenger = FakeMessenger()
    agent = SecureAgent({"keys": keys, "key_manager": KM}, JM)
    messenger.agent = agent
    good = make_ticket("agent@x/r", key, time.time(), DAY_S)
    messenger.tickets = ["forged", make_ticket("a", key, time.time() - 2 * DAY_S, DAY_S), good]
    manners = Manners(agent)
    async with manners.kept(messenger, lambda: False):
        assert agent.codec.ticket == good
    assert messenger.asked[0] == (KM, {"command": "getTicket", "credential": "blah"})
    assert len(messenger.asked) == 3


@in_fast_time
async def test_an_agent_that_is_to_end_waits_for_no_ticket(keys: str) -> None:
    agent = SecureAgent({"keys": keys, "key_manager": KM}, JM)
    async with Manners(agent).kept(FakeMessenger(), lambda: True):
        assert agent.codec.ticket == ""


def test_tickets_of_others_and_without_a_key_manager(keys: str, key: RSAPrivateKey) -> None:
    agent = SecureAgent({"keys": keys, "key_manager": KM}, JM)
    ticket = make_ticket("a", key, 0, 2**33)
    assert agent.take(FakeIncoming("mallory@x/1", {"command": "storeTicket", "ticket": ticket}))
    assert agent.take(FakeIncoming(f"{KM}/1", {"command": "storeTicket", "ticket": {"a": "b"}}))
    assert agent.codec.ticket == ""
    assert not agent.take(FakeIncoming(f"{KM}/1", {"command": "sleep"}))
    free = SecureAgent({"keys": keys}, JM)
    assert free.codec.ticket == NO_TICKET
    assert not free.take(FakeIncoming(f"{KM}/1", {"command": "storeTicket", "ticket": ticket}))


@pytest.mark.parametrize(("manager", "key_manager"), [("other@x", KM), (JM, "other@x")])
def test_keys_of_all_managers_are_needed(keys: str, manager: str, key_manager: str) -> None:
    with pytest.raises(BadInput, match="no key of other@x"):
        SecureAgent({"keys": keys, "key_manager": key_manager}, manager)


def test_manners_are_off_by_default(keys: str) -> None:
    settings: dict[str, Any] = {"agent": {"job_manager": JM}}
    assert Manners.of(settings) == Manners()
    assert Manners.of(settings).codec is None
    asked = Manners.of(settings | {"secure": {"keys": keys}, "heartbeat": {"room": "r@c"}})
    assert asked.codec is not None
    assert asked.heartbeat is not None
    assert asked.heartbeat.room == "r@c"


async def test_heartbeats_and_tickets_are_kept_from_the_agent(keys: str) -> None:
    settings: dict[str, Any] = {"agent": {"job_manager": JM}, "secure": {"keys": keys, "key_manager": KM}}
    manners = Manners.of(settings | {"heartbeat": {"room": "r@c"}})
    messenger = FakeMessenger()
    assert await manners.take(FakeIncoming("r@c/probe", {"command": "Heartbeat:ping"}), messenger)
    assert await manners.take(FakeIncoming(f"{JM}/jobs-1", {"command": "Heartbeat:ping"}), messenger)
    assert await manners.take(FakeIncoming("mallory@x/1", {"command": "Heartbeat:ping"}), messenger)
    assert messenger.asked == [("r@c/probe", {"command": "pong"}), (f"{JM}/jobs-1", {"command": "pong"})]
    assert await manners.take(FakeIncoming("mallory@x/1", {"command": "storeTicket", "ticket": "x"}), messenger)
    assert not await manners.take(FakeIncoming(f"{JM}/jobs-1", {"command": "runJob"}), messenger)


@pytest.mark.parametrize("words", [[], ["a.json", "--original-config", "b"]])
def test_a_native_agent_takes_one_configuration(words: list[str]) -> None:
    with pytest.raises(BadInput, match="it takes one configuration"):
        native.main(words)
