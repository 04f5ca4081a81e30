"""The head of an answer: judged before a byte of the body is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.appliance.answer import MOST_WAIT_S, Ask, _next, judge
from client.appliance.errors import ApplianceTruncated, DownloadFailed
from client.appliance.fault import Fault

PART = Ask("http://a/x", 100, 1000, 1000, '"tag"')
WHOLE = Ask("http://a/x", 0, 1000, 1000, '"tag"')
GOOD = {"Content-Range": "bytes 100-999/1000", "Content-Length": "900"}


def fault(ask: Ask, status: int, headers: dict[str, str]) -> Fault:
    with pytest.raises(Fault) as caught:
        judge(ask, status, headers)
    return caught.value


def test_what_is_asked() -> None:
    assert PART.headers == {"Range": "bytes=100-999", "If-Range": '"tag"'}
    assert WHOLE.headers == {}
    assert Ask("u", 5, 9, 10, plain=True).headers == {}


def test_good_answers() -> None:
    assert judge(PART, 206, GOOD) == 0
    assert judge(PART, 206, {"Content-Range": "bytes 100-999/*"}) == 0
    assert judge(PART, 206, {"Content-Range": "bytes 100-500/1000"}) == 0
    assert judge(WHOLE, 200, {}) == 0
    # It ignores ranges: what is before them comes too.
    assert judge(PART, 200, {"ETag": '"tag"', "Content-Length": "1000"}) == 100


@pytest.mark.parametrize(
    "told",
    ["", "bytes 99-999/1000", "bytes 101-999/1000", "bytes 100-1000/1000", "bytes 100-99/1000", "bytes */1000", "x"],
)
def test_wrong_parts_make_a_mirror_without_ranges(told: str) -> None:
    assert fault(PART, 206, {"Content-Range": told}).without_ranges


def test_lengths_that_contradict() -> None:
    assert fault(PART, 206, GOOD | {"Content-Length": "899"}).without_ranges
    for status, headers in ((206, {"Content-Range": "bytes 100-999/1001"}), (200, {"Content-Length": "1001"})):
        assert isinstance(fault(PART, status, headers).refusal, ApplianceTruncated)


def test_a_changed_tag_is_noticed() -> None:
    assert fault(PART, 200, {"ETag": '"other"'}).without_tag
    assert fault(PART, 200, {}).without_tag


def test_statuses() -> None:
    assert isinstance(fault(PART, 404, {}).refusal, DownloadFailed)
    assert fault(PART, 503, {"Retry-After": "7"}).wait_s == 7
    assert fault(PART, 503, {"Retry-After": "99999999"}).wait_s == MOST_WAIT_S
    assert fault(PART, 503, {"Retry-After": "\u0661"}).wait_s == 0
    assert isinstance(fault(PART, 416, {"Content-Range": "bytes */50"}).refusal, ApplianceTruncated)
    assert isinstance(fault(WHOLE, 206, GOOD).refusal, DownloadFailed)


texts = st.one_of(
    st.text(max_size=40), st.from_regex(r"bytes -?\d{1,25}-\d{0,25}/(\d{1,25}|\*)"), st.integers().map(str)
)
names = st.sampled_from(["Content-Range", "Content-Length", "ETag", "Retry-After", "Location"])


@given(
    st.sampled_from([PART, WHOLE]),
    st.sampled_from([200, 206, 416, 503, 301, 0, 999]),
    st.dictionaries(names, texts, max_size=5),
)
def test_any_head_is_a_skip_or_a_fault(ask: Ask, status: int, headers: dict[str, str]) -> None:
    try:
        assert judge(ask, status, headers) in (0, ask.start)
    except Fault as found:
        assert 0 <= found.wait_s <= MOST_WAIT_S


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("http://a/b/c", "d", "http://a/b/d"),
        ("http://a/b/c", "//e/f", "http://e/f"),
        ("http://a/b", "https://a/b", "https://a/b"),
        ("https://a/b", "/c", "https://a/c"),
    ],
)
def test_where_redirects_lead(url: str, location: str, target: str) -> None:
    assert _next(url, location) == target


@pytest.mark.parametrize("location", ["", "http://b/", "file:///x", "https://u:p@b/", "https://a/ b"])
def test_where_redirects_do_not_lead(location: str) -> None:
    with pytest.raises(Fault) as caught:
        _next("https://a/b", location)
    assert isinstance(caught.value.refusal, DownloadFailed)


@given(st.text(max_size=60))
def test_any_redirect_is_an_address_or_a_fault(location: str) -> None:
    try:
        assert _next("https://a/b", location).startswith("https://")
    except Fault as found:
        assert found.refusal
