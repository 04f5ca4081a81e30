"""Words of `main.py ctl` that become commands."""

import argparse
from datetime import UTC, datetime
from typing import Any

import pytest

from client.errors import BadInput
from client.service.ctl import arguments_of, build_parser, pause_of, taken_words

NOW = datetime(2026, 11, 20, 17, 30, 12, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes", "until", "expected"),
    [
        (None, None, {}),
        (15, None, {"until": "2026-11-20T17:45:12.000005+00:00"}),
        (None, "18:00", {"until": "2026-11-20T18:00:00+00:00"}),
        (None, "7:05", {"until": "2026-11-21T07:05:00+00:00"}),
        (None, "17:30", {"until": "2026-11-21T17:30:00+00:00"}),
        (None, "mains", {"end": "mains"}),
        (None, "log-off", {"end": "log-off"}),
    ],
)
def test_a_pause_has_an_end_or_none(minutes: float | None, until: str | None, expected: dict[str, Any]) -> None:
    assert pause_of(minutes, until, NOW) == expected


@pytest.mark.parametrize(
    ("minutes", "until"), [(15, "18:00"), (0, None), (-1, None), (1e9, None), (None, "25:00"), (None, ""), (None, "x")]
)
def test_what_is_no_end_is_refused(minutes: float | None, until: str | None) -> None:
    with pytest.raises(BadInput):
        pause_of(minutes, until, NOW)


@pytest.mark.parametrize("word", ["minutes", "until"])
def test_an_end_goes_with_a_pause_only(word: str) -> None:
    given = argparse.Namespace(command="start", minutes=None, until=None)
    setattr(given, word, 5)
    with pytest.raises(BadInput, match="pause only"):
        arguments_of(given)


@pytest.mark.parametrize(
    ("words", "said"), [(["finish"], "last one"), (["finish", "--undo"], "goes on"), (["status"], "")]
)
def test_what_was_taken_is_told(words: list[str], said: str) -> None:
    told = taken_words(build_parser().parse_args(words))
    assert said in told
    assert bool(told) is bool(said)
