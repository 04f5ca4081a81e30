"""What is refused is told to whoever asked, and nobody is told when they are gone."""

from typing import Any

import pytest

from client.errors import BadInput
from client.service.refusal import refusals_told


class Asker:
    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    async def send(self, said: dict[str, Any]) -> None:
        self.heard.append(said)


async def test_an_error_is_told_with_its_code_and_sentences() -> None:
    asker = Asker()
    async with refusals_told(asker.send):
        raise BadInput("name", "it is taken", "choose another")
    (said,) = asker.heard
    assert (said["ok"], said["error"]) == (False, BadInput.code)
    assert "it is taken" in said["text"] + said["doing"]


async def test_what_the_system_refuses_is_told_too() -> None:
    asker = Asker()
    async with refusals_told(asker.send):
        raise PermissionError(13, "Permission denied", "/x")
    assert [said["ok"] for said in asker.heard] == [False]


async def test_nobody_is_told_who_is_gone_nor_of_what_went_well() -> None:
    asker = Asker()
    with pytest.raises(BrokenPipeError):
        async with refusals_told(asker.send):
            raise BrokenPipeError
    async with refusals_told(asker.send):
        pass
    assert asker.heard == []
