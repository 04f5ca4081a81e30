"""The original's secure mode: what was captured of it, and both roles of ours against each other."""

from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from client.copilot.errors import NoKeyOf, NotDecoded, TicketRefused
from client.copilot.managers.ticket_desk import BURST, TicketDesk
from client.copilot.messages import GetTicket, StoreTicket, WantGetJob, parse_info
from client.copilot.security import (
    PublicKeys,
    check_ticket,
    load_private_key,
    load_public_key,
    make_ticket,
    new_session_key,
    seal,
    unseal,
    unwrap_key,
    wrap_key,
)
from client.copilot.security_codec import BURST_S, REFUSAL_PAUSE_S, TICKET, Consumer, Provider
from client.copilot.stanza import Kind, Received, build_ack, build_message, parse_message
from client.copilot.token_bucket import TokenBuckets
from client.errors import BadInput
from tests.unit.copilot.captured import DATA, elements

AGENT = "agent@localhost/e46d3bf1297b413e79728b27424e172e"
JM = "jm@localhost/alpha"
NOW = 1_800_000_000.0


@cache
def key(name: str = "jm") -> RSAPrivateKey:
    """A key pair of the original's size; one per name in a run."""
    return generate_private_key(65537, 1024)


def captured_key() -> bytes:
    jid, _, word = (DATA / "secure-session-key.txt").read_text().splitlines()[-1].partition(" ")
    assert jid == AGENT
    return bytes.fromhex(word.strip())


def sealed() -> list[ElementTree.Element]:
    """Captured stanzas with an encrypted map of or for that agent, as its connection saw them."""
    found = [one for one in elements("secure.txt") if one.find("body") is not None]
    return [one for one in found if AGENT in {one.get("to"), one.get("from")}]


def readable() -> list[tuple[ElementTree.Element, str]]:
    found = []
    for one in sealed():
        body = one.find("body")
        assert body is not None
        try:
            found.append((one, unseal(body.get("info", ""), captured_key()).decode()))
        except NotDecoded:
            continue
    return found


def test_the_captured_stanzas_can_be_read() -> None:
    commands = []
    for one, xml in readable():
        message = f"<message id='1' from='{one.get('from')}'><body>{xml}</body></message>"
        commands.append(parse_message(ElementTree.fromstring(message)).info.get("command"))
    assert {"getTicket", "storeTicket", "want_getJob", "have_getJob", "getJob", "runJob", "jobDone"} <= set(commands)


def test_a_captured_stanza_is_read_by_the_agents_codec() -> None:
    consumer = Consumer(keys_of({}))
    consumer._session_key = captured_key()
    infos = [consumer.parse(one).info for one in sealed() if one.get("to") == AGENT]
    run = next(info for info in infos if info.get("command") == "runJob")
    assert type(parse_info(run)).__name__ == "RunJob"
    store = parse_info(next(info for info in infos if info.get("command") == "storeTicket"))
    assert isinstance(store, StoreTicket)
    assert store.ticket.count("###") == 1


def test_what_we_seal_has_the_form_of_the_captured() -> None:
    body = sealed()[0].find("body")
    assert body is not None
    theirs, ours = body.get("info", ""), seal(b"<info command='x'/>", captured_key())
    assert theirs.startswith("_BASE64:VTJGc2RHVmtYM")
    assert ours.startswith("_BASE64:VTJGc2RHVmtYM")
    wrapped = wrap_key(captured_key(), key().public_key())
    assert len(wrapped.replace("\n", " ")) == len(body.get("session_key", "")) or "session_key" not in body.attrib
    assert unwrap_key(wrapped.replace("\n", " "), key()) == captured_key()


@given(st.binary(max_size=5000))
def test_what_is_sealed_comes_back(xml: bytes) -> None:
    session = new_session_key()
    assert unseal(seal(xml, session).replace("\n", " "), session) == xml


@given(st.text(max_size=300) | st.binary(max_size=100).map(lambda data: seal(data, b"x" * 32)))
def test_nothing_else_can_be_read(value: str) -> None:
    with pytest.raises(NotDecoded):
        unseal(value, b"y" * 32)
    with pytest.raises(NotDecoded):
        unwrap_key(value, key())


def keys_of(keys: dict[str, RSAPrivateKey], folder: Path | None = None) -> PublicKeys:
    text = "".join(f"# somebody\n{jid}\n{pem(one)}\n" for jid, one in keys.items())
    found = object.__new__(PublicKeys)
    found._keys = {jid: one.public_key() for jid, one in keys.items()}
    if folder is not None:
        (folder / "keys").write_text(text)
        return PublicKeys(folder / "keys")
    return found


def pem(one: RSAPrivateKey) -> str:
    return one.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()


def test_the_file_of_public_keys(tmp_path: Path) -> None:
    keys = keys_of({"jm@localhost": key(), "km@localhost/1": key("km")}, tmp_path)
    for jid in ("jm@localhost", "jm@localhost/alpha"):
        found = keys.of(jid)
        assert found is not None
        assert found.public_numbers() == key().public_key().public_numbers()
    assert keys.of("km@localhost") is None
    (tmp_path / "empty").write_text("# nothing\n")
    (tmp_path / "bad").write_text("a@b\n-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n")
    for name in ("empty", "bad", "missing"):
        with pytest.raises(BadInput):
            PublicKeys(tmp_path / name)


def test_single_keys(tmp_path: Path) -> None:
    private = key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (tmp_path / "private").write_bytes(private)
    (tmp_path / "public").write_text(pem(key()))
    assert load_private_key(tmp_path / "private").private_numbers() == key().private_numbers()
    assert load_public_key(tmp_path / "public").public_numbers() == key().public_key().public_numbers()
    for load in (load_private_key, load_public_key):
        with pytest.raises(BadInput):
            load(tmp_path / "missing")
    with pytest.raises(BadInput):
        load_private_key(tmp_path / "public")
    with pytest.raises(BadInput):
        load_public_key(tmp_path / "private")


def test_tickets() -> None:
    ticket = make_ticket(AGENT, key("km"), NOW, 100)
    public = key("km").public_key()
    assert check_ticket(ticket, public, NOW + 100).holder == AGENT
    with pytest.raises(TicketRefused, match=r"expired .now is 1800000101 and the ticket is valid to 1800000100"):
        check_ticket(ticket, public, NOW + 101)
    with pytest.raises(TicketRefused, match="not yet valid"):
        check_ticket(ticket, public, NOW - 1)
    other = make_ticket("mallory@x", key("km"), NOW, 100)
    forged = ticket.partition("###")[0] + "###" + other.partition("###")[2]
    for bad in (forged, "", "No ticket", "###", make_ticket(AGENT, key("jm"), NOW, 100), ticket[5:]):
        with pytest.raises(TicketRefused, match="Failed to verify"):
            check_ticket(bad, public, NOW)


def test_the_ticket_desk(caplog: pytest.LogCaptureFixture) -> None:
    desk = TicketDesk(key("km"), 100, "blah")
    (reply,) = desk.handle(AGENT, GetTicket("blah"), NOW)
    assert reply.to == AGENT
    assert isinstance(reply.command, StoreTicket)
    assert check_ticket(reply.command.ticket, key("km").public_key(), NOW).holder == AGENT
    caplog.clear()
    for number in range(1000):
        assert desk.handle(f"agent@localhost/{number}", GetTicket("guess"), NOW) == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert desk.handle(AGENT, WantGetJob(), NOW) == []
    assert desk.tick(NOW) == []
    assert TicketDesk(key("km")).handle(AGENT, GetTicket("anything"), NOW)


class Pair:
    """An agent's and a manager's codec; stanzas go through a parser in between, as through a server."""

    def __init__(self, *, tickets: bool = False, only: bool = False) -> None:
        self.now = NOW
        self.agent = Consumer(keys_of({"jm@localhost": key()}))
        tickets_of = key("km").public_key() if tickets else None
        self.manager = Provider(key(), tickets_of, only=only, clock=lambda: self.now)

    def up(self, info: dict[str, str], message_id: str = "1") -> Received:
        return self.manager.parse(from_agent(self.agent.build(message_id, "agent@localhost", JM, info)))

    def down(self, text: str) -> Received:
        element = ElementTree.fromstring(text)
        element.set("from", JM)
        return self.agent.parse(element)


def from_agent(text: str) -> ElementTree.Element:
    element = ElementTree.fromstring(text)
    element.set("from", AGENT)
    return element


def test_both_roles_understand_each_other() -> None:
    pair = Pair()
    asked = pair.up({"command": "want_getJob", "jdl": "[\n]\n"})
    assert (asked.kind, asked.info, asked.sender) == (Kind.INFO, {"command": "want_getJob", "jdl": "[\n]\n"}, AGENT)
    text = pair.manager.build("2", "jm@localhost", AGENT, {"command": "runJob", "job": {"id": "j"}})
    assert "runJob" not in text
    assert pair.down(text).info == {"command": "runJob", "job": {"id": "j"}}


def test_stanzas_have_the_originals_form() -> None:
    text = Pair().agent.build("1", "agent@localhost", JM, {"command": "x"})
    body = ElementTree.fromstring(text).find("body")
    assert body is not None
    assert set(body.attrib) == {"session_key", "info"}
    assert list(body) == []


def test_tickets_are_asked_for_added_and_kept_from_the_desks() -> None:
    pair = Pair(tickets=True)
    assert pair.up({"command": "getTicket", "credential": "blah"}).kind is Kind.INFO
    pair.agent.ticket = make_ticket(AGENT, key("km"), NOW, 100)
    assert pair.up({"command": "getJob"}).info == {"command": "getJob"}
    assert TICKET not in pair.up({"command": "getTicket"}).info


@pytest.mark.parametrize(
    ("ticket", "said"),
    [
        ("", "Failed to verify ticket signature"),
        ("No ticket", "Failed to verify ticket signature"),
        (make_ticket(AGENT, key("km"), NOW - 200, 100), "The ticket has expired"),
        (make_ticket(AGENT, key("km"), NOW + 200, 100), "The ticket is not yet valid"),
        (make_ticket("mallory@localhost/1", key("km"), NOW, 100), "The ticket is of another account"),
    ],
)
def test_a_bad_ticket_is_told_encrypted(ticket: str, said: str) -> None:
    pair = Pair(tickets=True)
    pair.agent.ticket = ticket
    refused = pair.up({"command": "getJob"})
    assert refused.kind is Kind.NOTHING
    heard = pair.down(refused.answer)
    assert heard.info["command"] == "error"
    assert str(heard.info["errorString"]).startswith(said)
    assert heard.noack


def test_a_ticket_is_taken_of_its_account_and_replayed_by_another_refused() -> None:
    pair = Pair(tickets=True)
    pair.agent.ticket = make_ticket(AGENT, key("km"), NOW, 100)
    text = pair.agent.build("1", "agent@localhost", JM, {"command": "getJob"})
    assert pair.manager.parse(from_agent(text)).kind is Kind.INFO
    again, other = ElementTree.fromstring(text), ElementTree.fromstring(text)
    again.set("from", "agent@localhost/rebooted")
    other.set("from", "mallory@localhost/1")
    assert pair.manager.parse(again).kind is Kind.INFO
    refused = pair.manager.parse(other)
    assert (refused.kind, refused.info) == (Kind.NOTHING, {})
    assert refused.answer


def test_what_cannot_be_decrypted_is_told_in_clear_and_nobody_answers_that() -> None:
    pair = Pair()
    pair.agent = Consumer(keys_of({"jm@localhost": key("another")}))
    refused = pair.up({"command": "getJob"})
    assert refused.kind is Kind.NOTHING
    plain = parse_message(ElementTree.fromstring(refused.answer))
    assert plain.info == {"command": "security_error", "errorString": "Could not decrypt the session key"}
    assert plain.noack
    heard = pair.down(refused.answer)
    assert (heard.kind, heard.answer) == (Kind.NOTHING, "")
    answered = pair.manager.parse(from_agent(refused.answer))
    assert answered.answer == ""


def test_refusals_are_said_once_in_a_while_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    pair = Pair(tickets=True)
    assert pair.up({"command": "getJob"}, "1").answer
    assert not pair.up({"command": "getJob"}, "2").answer
    pair.now += REFUSAL_PAUSE_S
    assert pair.up({"command": "getJob"}, "3").answer
    assert len(caplog.records) == 1
    for age in (300, 200):
        pair.now += REFUSAL_PAUSE_S
        pair.agent.ticket = make_ticket(AGENT, key("km"), NOW - age, 100)
        assert "expired" in str(pair.down(pair.up({"command": "getJob"}, str(age)).answer).info["errorString"])
    assert len(caplog.records) == 2


def test_acks_and_bounces_pass_in_clear_and_get_no_answer() -> None:
    pair = Pair(tickets=True, only=True)
    ack = build_ack("7", "agent@localhost", JM)
    for codec in (pair.agent, pair.manager):
        found = codec.parse(ElementTree.fromstring(ack))
        assert (found.kind, found.message_id, found.answer) == (Kind.ACK, "7", "")
        bounce = (
            f"<message id='7' type='error' from='{JM}'><body info='x' session_key='y'/><error><gone/></error></message>"
        )
        assert codec.parse(ElementTree.fromstring(bounce)).kind is Kind.BOUNCE


def test_plain_messages_are_taken_unless_nothing_but_encrypted_ones_is_wanted() -> None:
    plain = from_agent(build_message("1", "agent@localhost", JM, {"command": "want_getJob"}))
    open_minded, strict = Pair().manager, Pair(only=True).manager
    assert open_minded.parse(plain).info == {"command": "want_getJob"}
    assert parse_message(ElementTree.fromstring(open_minded.build("2", "jm@localhost", AGENT, {"command": "x"}))).info
    found = strict.parse(plain)
    assert (found.kind, found.info, found.answer) == (Kind.NOTHING, {}, "")
    with pytest.raises(NoKeyOf):
        strict.build("2", "jm@localhost", AGENT, {"command": "x"})


def test_an_agent_takes_nothing_plain_and_asks_nobody_without_a_key() -> None:
    pair = Pair()
    assert pair.down(build_message("1", JM, AGENT, {"command": "sleep"})).kind is Kind.NOTHING
    with pytest.raises(NoKeyOf):
        pair.agent.build("1", "agent@localhost", "mallory@localhost", {"command": "x"})


@pytest.mark.parametrize("xml", [b"", b"<info", b"<!DOCTYPE a [<!ENTITY b 'c'>]><info a='&b;'/>", b"<?x?><info/>"])
def test_what_is_no_element_is_not_decoded(xml: bytes) -> None:
    pair = Pair()
    session = new_session_key()
    body = {"session_key": wrap_key(session, key().public_key()), "info": seal(xml, session)}
    found = pair.manager.parse(from_agent(build_message("1", "agent@localhost", JM, {}, body=body)))
    assert found.kind is Kind.NOTHING
    assert "security_error" in str(parse_message(ElementTree.fromstring(found.answer)).info)


def test_an_account_has_so_many_messages_decrypted_and_the_rest_is_dropped_with_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unwrapped: list[str] = []

    def count(value: str, private: RSAPrivateKey) -> bytes:
        unwrapped.append(value)
        return unwrap_key(value, private)

    monkeypatch.setattr("client.copilot.security_codec.unwrap_key", count)
    pair = Pair()
    pair.manager._buckets = TokenBuckets(2, 2 * BURST_S, lambda: 0.0)
    most = 2 * BURST_S
    text = pair.agent.build("1", "agent@localhost", JM, {"command": "want_getJob"})
    for number in range(3 * most):
        element = from_agent(text)
        element.set("from", f"{AGENT.partition('/')[0]}/{number}")
        received = pair.manager.parse(element)
        assert (received.kind, received.answer) == (Kind.INFO if number < most else Kind.NOTHING, "")
    assert len(unwrapped) == most
    assert [record.args for record in caplog.records] == [(AGENT.partition("/")[0],)]
    other = ElementTree.fromstring(text)
    other.set("from", "other@localhost/1")
    assert pair.manager.parse(other).kind is Kind.INFO


def test_tickets_are_not_given_without_end(caplog: pytest.LogCaptureFixture) -> None:
    desk = TicketDesk(key("km"), _buckets=TokenBuckets(1, BURST, lambda: 0.0))
    given = [bool(desk.handle(f"a@x/{number}", GetTicket("w"), NOW)) for number in range(2 * BURST)]
    assert given == [True] * BURST + [False] * BURST
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
    assert desk.handle("b@x/1", GetTicket("w"), NOW)
