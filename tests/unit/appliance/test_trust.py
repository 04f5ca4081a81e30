"""A refresh's own parts without a server: orders, what was kept, words for errors."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuf.api import exceptions
from tuf.api.serialization import DeserializationError

from client.appliance.trust import Order
from client.appliance.trust_kept import FILE, Kept, KeptState, read_kept, write_kept
from client.appliance.trust_words import said_of
from client.errors import BadInput

ORDER = {
    "metadata_urls": ["https://a.b/metadata"],
    "target_urls": ["https://a.b/targets/"],
    "folder": "/somewhere",
    "root_sha256": "0" * 64,
}
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def test_an_order_is_read() -> None:
    order = Order.from_json(ORDER | {"contents": ["a/b"], "projects": ["demo"]})
    assert order.metadata_urls == ("https://a.b/metadata/",)
    assert (order.root, order.contents, order.projects) == (None, ("a/b",), frozenset({"demo"}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"metadata_urls": []},
        {"metadata_urls": ["http://a.b/"]},
        {"target_urls": "https://a.b/"},
        {"target_urls": [f"https://a.b/{number}/" for number in range(9)]},
        {"root_sha256": ""},
        {"folder": None},
        {"folder": ""},
        {"contents": "x"},
        {"projects": ["../x"]},
        {"projects": "demo"},
        {"whole_s": 0},
        {"stall_s": "1"},
        {"proxy": 5},
    ],
)
def test_an_order_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Order.from_json(ORDER | wrong)


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    state = KeptState(lists={"timestamp.json": b"{}"}, small={"0" * 64: b"\xff\x00"})
    write_kept(tmp_path, state)
    assert read_kept(tmp_path) == state
    with Kept(tmp_path, state, tmp_path / "roots") as kept:
        assert kept.download_bytes("kept/timestamp.json", 10) == b"{}"
        with pytest.raises(exceptions.DownloadHTTPError) as caught:
            kept.download_bytes("kept/2.root.json", 10)
        assert caught.value.status_code == 404
        (tmp_path / "roots").mkdir()
        (tmp_path / "roots" / "2.root.json").write_bytes(b"[]")
        assert kept.download_bytes("kept/2.root.json", 10) == b"[]"
    assert not kept.folder.exists()


@given(said=JSON | st.fixed_dictionaries({"fetched_at": JSON, "lists": JSON, "small": JSON}))
def test_a_damaged_file_is_as_good_as_none(said: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("kept")
    (folder / FILE).write_text(json.dumps(said))
    state = read_kept(folder)
    assert all(isinstance(one, bytes) for one in (*state.lists.values(), *state.small.values()))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (exceptions.BadVersionNumberError("x"), "older state"),
        (exceptions.EqualVersionNumberError("x"), "older state"),
        (exceptions.UnsignedMetadataError("x"), "signatures"),
        (exceptions.LengthOrHashMismatchError("x"), "other bytes"),
        (DeserializationError("x"), "cannot be read"),
        (exceptions.DownloadHTTPError("x", 503), "503"),
        (exceptions.DownloadLengthMismatchError("x"), "longer"),
        (exceptions.SlowRetrievalError("x"), "slow"),
        (exceptions.RepositoryError("its own words"), "its own words"),
        (exceptions.RepositoryError(), "RepositoryError"),
    ],
)
def test_errors_have_words(error: Exception, said: str) -> None:
    assert said in said_of(error)
