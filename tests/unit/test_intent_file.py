"""What the volunteer last asked for outlives the program."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.commands import PauseEnd
from client.intent_file import load_intent, save_intent
from client.paths import Paths
from client.reconcile import Intent


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path)
    made.make()
    return made


@pytest.mark.parametrize(
    "intent",
    [
        Intent(),
        Intent(working=True, finishing=True),
        Intent(working=True, paused=True, paused_until=datetime(2026, 11, 20, 18, tzinfo=UTC)),
        Intent(working=True, paused=True, pause_end=PauseEnd.MAINS, pause_login="boot 1"),
        Intent(off=True),
    ],
)
def test_it_is_read_as_it_was_written(paths: Paths, intent: Intent) -> None:
    save_intent(paths, intent)
    assert load_intent(paths) == intent


def test_a_file_of_an_older_client_is_read(paths: Paths) -> None:
    paths.intent.write_text('{"working": true, "paused": true, "paused_until": "", "finishing": false}')
    assert load_intent(paths) == Intent(working=True, paused=True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"working": true}', '{"paused_until": 3}', "\x00"])
def test_what_cannot_be_read_means_that_nothing_runs(paths: Paths, text: str) -> None:
    paths.intent.write_text(text)
    assert load_intent(paths) == Intent()


def test_an_unknown_end_of_a_pause_means_that_nothing_runs(paths: Paths) -> None:
    save_intent(paths, Intent(working=True, paused=True))
    paths.intent.write_text(paths.intent.read_text().replace('"pause_end": ""', '"pause_end": "full moon"'))
    assert load_intent(paths) == Intent()
