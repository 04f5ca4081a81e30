"""Servers in memory: what they answer is put there by the test, and they stop where they are told to."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from multidict import CIMultiDict

from client.appliance.cvmfs.rules import Wanted
from client.appliance.cvmfs.upstream import Away


@dataclass
class Answer:
    """An answer. length: as it announces; error: how its body ends, if not well."""

    status: int = 200
    pieces: tuple[bytes, ...] = ()
    length: int | None = None
    error: str = ""
    said: dict[str, str] = field(default_factory=dict)

    @property
    def content_length(self) -> int | None:
        return self.length

    @property
    def headers(self) -> CIMultiDict[str]:
        return CIMultiDict(self.said)


class FakeUpstream:
    """Answers in turn; the last one again and again. None: the server is away. gate: closed, it holds bodies back."""

    def __init__(self, *answers: Answer | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    @asynccontextmanager
    async def open(
        self, wanted: Wanted, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> AsyncIterator[Answer]:
        self.asked.append((wanted.path, dict(headers or {})))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(0)
        if answer is None:
            raise Away("nobody is there")
        yield answer

    async def body(self, answer: Answer) -> AsyncIterator[bytes]:
        for piece in answer.pieces:
            yield piece
            await self.gate.wait()
        if answer.error:
            raise Away(answer.error)
