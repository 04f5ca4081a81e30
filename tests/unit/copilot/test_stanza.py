"""Value coding and message elements."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.copilot.stanza import (
    MAX_DEPTH,
    Kind,
    build_ack,
    build_message,
    decode_value,
    encode_value,
    parse_message,
)

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
INFOS = st.recursive(
    st.dictionaries(NAMES, st.text(max_size=200), max_size=5),
    lambda inner: st.dictionaries(NAMES, st.one_of(st.text(max_size=20), inner), max_size=4),
    max_leaves=3,
)


def parsed(text: str) -> object:
    return parse_message(ElementTree.fromstring(text))


def depth(info: object) -> int:
    return 1 + max((depth(value) for value in info.values()), default=0) if isinstance(info, dict) else 0


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert decode_value(encode_value(text)) == text
    assert decode_value(encode_value(text).replace("\n", " ")) == text


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert decode_value(encode_value(text)).encode("utf-8", "surrogateescape") == data


@given(st.text())
def test_decoding_never_fails(text: str) -> None:
    decode_value(text)
    decode_value("_BASE64" + text)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("_BASE64:dm0=\n", "vm"),
        ("_BASE64:dm0= ", "vm"),
        ("_BASE64dm0=", "vm"),
        ("_BASE64: d m\t0 =", "vm"),
        ("_BASE64:", ""),
        ("_BASE64:d", ""),
        ("vm", "vm"),
        ("__BASE64:dm0=", "__BASE64:dm0="),
        ("", ""),
    ],
)
def test_values(written: str, meant: str) -> None:
    assert decode_value(written) == meant


def test_lines_are_76_long_and_each_is_ended() -> None:
    lines = encode_value("x" * 100).removeprefix("_BASE64:").split("\n")
    assert [len(line) for line in lines] == [76, 60, 0]


@given(
    INFOS.filter(lambda info: 1 <= depth(info) <= MAX_DEPTH),
    st.text(st.characters(exclude_categories=["C"]), min_size=1),
)
def test_messages_come_back(info: dict[str, object], message_id: str) -> None:
    found = parse_message(ElementTree.fromstring(build_message(message_id, "a@b", "c@d/'<&", info)))  # type: ignore[arg-type]
    assert (found.kind, found.info, found.recipient, found.noack) == (Kind.INFO, info, "c@d/'<&", False)
    assert found.message_id == message_id


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not a name"):
        build_message("i", "a", "b", {"x='1' y": "z"})


def test_an_ack_has_neither_id_nor_body() -> None:
    element = ElementTree.fromstring(build_ack("'7'", "a@b", "c@d"))
    assert element.attrib == {"ack": "'7'", "from": "a@b", "to": "c@d"}
    assert len(element) == 0
    assert parse_message(element).kind is Kind.ACK


@pytest.mark.parametrize(
    "text",
    [
        "<message/>",
        "<message id='1'/>",
        "<message id='1'><body>hello</body></message>",
        "<message><body><info command='x'/></body></message>",
        "<message id='1'><body><other/></body></message>",
    ],
)
def test_what_is_nothing_to_us(text: str) -> None:
    assert parse_message(ElementTree.fromstring(text)).kind is Kind.NOTHING


def test_a_bounce_is_no_command() -> None:
    error = "<error><text/><service-unavailable/></error>"
    text = f"<message id='1' type='error'><body><info command='x'/></body>{error}</message>"
    found = parse_message(ElementTree.fromstring(text))
    assert (found.kind, found.message_id, found.condition) == (Kind.BOUNCE, "1", "service-unavailable")


def test_namespaces_and_what_servers_add_do_not_matter() -> None:
    text = (
        "<message xmlns='jabber:client' xml:lang='en' id='1' from='a@b/c'>"
        "<body><info command='x' xml:lang='en'/></body><delay xmlns='urn:xmpp:delay'/></message>"
    )
    assert parse_message(ElementTree.fromstring(text)).info == {"command": "x"}


def test_children_win_over_stray_attributes_and_stray_references_vanish() -> None:
    info = "<info command='runJob' job='HASH(0x2f)' x='HASH(0x3)'><job id='a'/></info>"
    text = f"<message id='1'><body info='HASH(0x1)'>{info}</body></message>"
    assert parse_message(ElementTree.fromstring(text)).info == {"command": "runJob", "job": {"id": "a"}}


def test_children_whose_names_could_not_be_written_again_are_left_out() -> None:
    text = (
        "<message id='1' from='a@b/c'><body><info command='redirect'><été a='b'/><info a='c'/></info></body></message>"
    )
    assert parse_message(ElementTree.fromstring(text)).info == {"command": "redirect", "info": {"a": "c"}}


def test_nesting_is_bounded() -> None:
    deep = "<a>" * 100 + "</a>" * 100
    found = parse_message(
        ElementTree.fromstring(f"<message id='1'><body><info command='x'>{deep}</info></body></message>")
    )
    assert depth(found.info) == MAX_DEPTH


@pytest.mark.parametrize("kind", ["chat", "headline", "groupchat", "normal"])
def test_types_of_messages_do_not_matter(kind: str) -> None:
    text = f"<message id='1' type='{kind}' noack='1'><body><info command='x'/></body></message>"
    found = parse_message(ElementTree.fromstring(text))
    assert (found.kind, found.noack) == (Kind.INFO, True)
