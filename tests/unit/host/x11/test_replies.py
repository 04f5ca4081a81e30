"""What X servers answer, read from bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.host.x11.display import padded
from client.host.x11.idle import counters_in
from client.host.x11.under_wayland import name_in, outputs_in
from client.host.x11.windows import class_in, number_in, numbers_in


def listed(*counters: tuple[int, bytes]) -> bytes:
    head = struct.pack("<BxHII20x", 1, 1, 0, len(counters))
    return head + b"".join(padded(struct.pack("<IiIH", number, 0, 4, len(name)) + name) for number, name in counters)


def test_counters_by_name() -> None:
    assert counters_in(listed((0x21, b"SERVERTIME"), (0x22, b"IDLETIME"), (0x23, b"DEVICEIDLETIME 2"))) == {
        "SERVERTIME": 0x21,
        "IDLETIME": 0x22,
        "DEVICEIDLETIME 2": 0x23,
    }
    assert counters_in(listed()) == {}


@given(st.binary(min_size=32, max_size=120))
def test_counters_of_a_broken_reply(data: bytes) -> None:
    assert all(isinstance(name, str) for name in counters_in(data))


def test_properties() -> None:
    assert numbers_in(struct.pack("<II", 7, 9) + b"x") == (7, 9)
    assert number_in(b"") == 0
    assert number_in(struct.pack("<I", 5)) == 5
    assert class_in(b"navigator\0Firefox-esr\0") == "firefox-esr"
    assert class_in(b"alone") == "alone"
    assert class_in(b"") == ""


def test_outputs_and_their_names() -> None:
    resources = struct.pack("<BxHIIIHHHH8xIIII", 1, 1, 4, 5, 6, 1, 2, 0, 0, 0x40, 0x41, 0x42, 0)
    assert outputs_in(resources) == (0x41, 0x42)
    head = struct.pack("<BBHIIIIIBBHHHHH", 1, 0, 1, 5, 0, 0x40, 300, 200, 0, 0, 1, 2, 1, 0, 9)
    assert name_in(head + struct.pack("<III", 0x40, 0x50, 0x51) + b"XWAYLAND0\0\0\0") == b"XWAYLAND0"
    with pytest.raises(struct.error):
        outputs_in(resources[:36])
