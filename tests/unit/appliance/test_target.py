"""Targets: what is written is read again, and nothing else is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.appliance.errors import BadManifest
from client.appliance.target import Patch, Target, piece_count

HASH = "ab" * 32
PLAIN: dict[str, Any] = {"name": "a/b.iso", "size_bytes": 10, "sha256": HASH}

hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
names = st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,8}", fullmatch=True), min_size=1, max_size=4).map(
    "/".join
)


@st.composite
def targets(draw: st.DrawFn, patched: bool = True) -> Target:
    piece = draw(st.integers(4096, 70000))
    size = draw(st.integers(1, 300_000))
    count = piece_count(size, piece)
    each = st.one_of(st.just([]), st.lists(hashes, min_size=count, max_size=count))
    pieces, prefixes = draw(each), draw(each)
    return Target(
        draw(names),
        size,
        prefixes[-1] if prefixes else draw(hashes),
        piece,
        tuple(pieces),
        tuple(draw(st.lists(st.sampled_from(["http://a/x", "https://b:8/y%20z?q=1&r=[2]"]), max_size=3))),
        tuple(Patch(HASH, draw(targets(False))) for _ in range(draw(st.integers(0, 2)))) if patched else (),
        tuple(prefixes),
    )


@given(targets())
def test_what_is_written_is_read_again(target: Target) -> None:
    assert Target.from_json(json.loads(json.dumps(target.to_json()))) == target


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../x"},
        {"name": "/etc/passwd"},
        {"name": "a//b"},
        {"name": "a\\b"},
        {"name": ".hidden"},
        {"name": "a" * 500},
        {"name": 3},
        {"size_bytes": 0},
        {"size_bytes": True},
        {"size_bytes": 1.5},
        {"size_bytes": 2**60},
        {"sha256": HASH.upper()},
        {"sha256": HASH[:-1]},
        {"sha256": HASH + "\n"},
        {"piece_bytes": 1},
        {"piece_bytes": 2**40},
        {"pieces": [HASH, HASH]},
        {"pieces": HASH},
        {"pieces": [1]},
        {"prefixes": [HASH, HASH]},
        {"prefixes": HASH},
        {"prefixes": ["cd" * 32]},
        {"urls": ["file:///etc/passwd"]},
        {"urls": ["ftp://a/b"]},
        {"urls": ["http://"]},
        {"urls": ["http://user:secret@a/b"]},
        {"urls": ["http://a/\r\nHost: b"]},
        {"urls": ["http://a:99999/"]},
        {"urls": ["http://[::1/"]},
        {"urls": ["http://a/" + "x" * 3000]},
        {"urls": ["http://a/"] * 33},
        {"patches": [{}]},
        {"patches": [{"from_sha256": HASH, "target": {**PLAIN, "patches": [{"from_sha256": HASH, "target": PLAIN}]}}]},
        {"patches": 1},
    ],
    ids=str,
)
def test_what_is_wrong_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadManifest):
        Target.from_json({**PLAIN, **wrong}, "there")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(list(PLAIN)), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([*PLAIN, "pieces", "prefixes", "urls", "patches", "piece_bytes"]), json_values))
def test_anything_is_a_target_or_refused(said: dict[str, Any]) -> None:
    try:
        Target.from_json({**PLAIN, **said})
    except BadManifest as refused:
        assert refused.where == "target"
