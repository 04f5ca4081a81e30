"""Section [secure] of a manager's configuration, and a manager that speaks it."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from client.copilot.managers.config import Config, ProcessSettings
from client.copilot.managers.process import ManagerProcess
from client.copilot.managers.secure import SecureSettings, read_secure
from client.copilot.messages import Info
from client.copilot.security import PublicKeys
from client.copilot.security_codec import Consumer
from client.copilot.stanza import Kind
from client.errors import BadInput
from tests.helpers.fastloop import in_fast_time
from tests.unit.copilot.conformance.wire import Wire, account_of, put_on_wire, running

AGENT = "agent@localhost/r"


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 1024)


@pytest.fixture
def folder(tmp_path: Path, key: RSAPrivateKey) -> Path:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    (tmp_path / "key.pem").write_bytes(private)
    (tmp_path / "key.pub").write_bytes(public)
    (tmp_path / "keys").write_bytes(b"jm@localhost\n" + public)
    return tmp_path


def config(folder: Path, text: str) -> Config:
    (folder / "manager.toml").write_text(text)
    return Config(folder / "manager.toml")


def test_the_section(folder: Path) -> None:
    assert read_secure(config(folder, "")) is None
    text = '[secure]\nkey = "key.pem"\ntickets_of = "key.pub"\ngives_tickets = true\nvalidity_s = 60\nonly = true\n'
    found = read_secure(config(folder, text))
    assert found == SecureSettings(folder / "key.pem", folder / "key.pub", True, "", 60, True)
    assert found.ticket_desk().validity_s == 60
    assert found.provider()
    with pytest.raises(BadInput):
        SecureSettings(folder / "missing").provider()


@in_fast_time
async def test_a_manager_gives_tickets_and_refuses_who_has_none(folder: Path) -> None:
    secure = SecureSettings(folder / "key.pem", folder / "key.pub", gives_tickets=True)
    agent = Consumer(PublicKeys(folder / "keys"))
    with pytest.MonkeyPatch.context() as patch:
        wire = Wire("jm@localhost/alpha")
        put_on_wire(patch, wire)
        process = ManagerProcess(account_of(wire), ProcessSettings(None, None, secure=secure))
        async with running(process, wire):
            wire.feed(sent(agent, "1", {"command": "want_getJob"}))
            await wire.next(Kind.NOTHING)
            assert read(agent, wire)["command"] == "error"
            wire.feed(sent(agent, "2", {"command": "getTicket", "credential": "blah"}))
            await wire.ack_of("2")
            await wire.next(Kind.NOTHING)
            agent.ticket = str(read(agent, wire)["ticket"])
            wire.feed(sent(agent, "3", {"command": "want_getJob"}))
            await wire.ack_of("3")
            wire.feed(f"<message ack='x' from='{AGENT}' to='jm@localhost/alpha'/>")
            await wire.settle()
            assert wire.sent == []


def sent(agent: Consumer, message_id: str, info: dict[str, str]) -> ElementTree.Element:
    element = ElementTree.fromstring(agent.build(message_id, "agent@localhost", "jm@localhost", info))
    element.set("from", AGENT)
    return element


def read(agent: Consumer, wire: Wire) -> Info:
    """What the manager said last, as the agent reads it."""
    element = ElementTree.fromstring(wire.texts[-1])
    element.set("from", "jm@localhost/alpha")
    return agent.parse(element).info
