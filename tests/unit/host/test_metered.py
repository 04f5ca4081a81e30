"""What systems say of the network's price."""

from pathlib import Path

import pytest

from client.host.metered import answer_of, is_metered


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("u 1\n", True),
        ("u 3\n", True),
        ("u 2\n", False),
        ("u 4\n", False),
        ("u 0\n", None),
        ("Fixed\n", True),
        ("Variable\n", True),
        ("Unrestricted\n", False),
        ("Unknown\n", None),
        ("", None),
    ],
)
def test_words_of_systems(said: str, answer: bool | None) -> None:
    assert answer_of(said) is answer


@pytest.mark.parametrize(
    ("script", "answer"), [("echo u 3", True), ("echo u 4", False), ("echo no bus >&2; exit 1", None), ("yes", None)]
)
async def test_the_system_is_asked(
    script: str, answer: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "busctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert await is_metered("linux") is answer


async def test_where_nobody_can_be_asked_it_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await is_metered("linux") is None
    assert await is_metered("darwin") is None
