"""Contexts for machines of the original."""

import hashlib
import os
from pathlib import Path

import pytest

from client.copilot.managers.context_desk import MAX_TOLD, ContextDesk
from client.copilot.messages import ApplyContext, Command, GetContext, NoContext, Sleep, build_info, parse_info

WHO = "vm@localhost/1"
TEXT = "EC2_USER_DATA=aGVsbG8=###KEY=dmFsdWU="
KEY = hashlib.sha1(TEXT.encode()).hexdigest()


@pytest.fixture
def desk(tmp_path: Path) -> ContextDesk:
    (tmp_path / "c-1").write_text(TEXT + "\n")
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to(tmp_path / "c-1")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    return ContextDesk(tmp_path)


def ask(desk: ContextDesk, context_id: str, key: str) -> Command:
    (reply,) = desk.handle(WHO, GetContext(context_id, key), 0)
    assert reply.to == WHO
    return reply.command


def test_who_knows_the_key_gets_the_context(desk: ContextDesk) -> None:
    assert ask(desk, "c-1", KEY) == ApplyContext("c-1", TEXT)
    assert ask(desk, "c-1", KEY.upper()) == ApplyContext("c-1", TEXT)


@pytest.mark.parametrize("key", ["", "x", KEY[:-1], "\u00e9" * 40, hashlib.sha1(b"").hexdigest()])
@pytest.mark.parametrize("context_id", ["c-1", "none", "empty", "folder", "pipe"])
def test_nobody_else_does(desk: ContextDesk, context_id: str, key: str) -> None:
    assert ask(desk, context_id, key) == NoContext(context_id)


def test_neither_links_nor_large_files_are_given(desk: ContextDesk) -> None:
    assert ask(desk, "link", KEY) == NoContext("link")
    assert ask(desk, "big", hashlib.sha1(b"x" * 100_000).hexdigest()) == NoContext("big")


def test_others_and_the_log_are_left_in_peace(desk: ContextDesk, caplog: pytest.LogCaptureFixture) -> None:
    assert desk.handle(WHO, Sleep(), 0) == []
    assert desk.tick(0) == []
    for _ in range(MAX_TOLD + 5):
        ask(desk, "none", "")
    assert len(caplog.records) == MAX_TOLD


def test_the_words_are_the_originals() -> None:
    asked = {"command": "getContext", "contextID": "c", "contextKey": "k", "agentHost": "h", "agentIP": "1.2.3.4"}
    assert parse_info(asked) == GetContext("c", "k", "h", "1.2.3.4")
    assert build_info(ApplyContext("c", "x")) == {"command": "applyContext", "contextID": "c", "context": "x"}
    assert build_info(NoContext("c")) == {"command": "noContext", "contextID": "c"}
