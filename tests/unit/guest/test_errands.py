"""Whatever a guest says of errands, it does no harm: nothing raises, nothing grows without end, no file turns up."""

import asyncio
import base64
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.guest.commands import Order
from client.guest.errands import Errands
from client.link import KINDS, LinkEnd, Message
from tests.helpers.clock import FakeClock

GUEST_KINDS = sorted(kind for kind in KINDS if kind.startswith(("exec", "file", "message")))
NUMBERS = st.sampled_from([-1, 0, 1, 5, 8192, 10**15, 1e15, 0.5])
FIELDS = {
    "stream": st.sampled_from(["stdout", "stderr", "other", "../x"]),
    "data": st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode()),
    "cause": st.sampled_from(["", "busy", "guest-restarted", "forgotten", "killed", "\x1b"]),
    "text": st.text(max_size=10),
    "topic": st.text(max_size=5),
    "sha256": st.just("0" * 64),
    "again": st.booleans(),
    "end": st.booleans(),
} | dict.fromkeys(
    ("offset", "stdin", "stdout", "stderr", "exit_code", "signal", "size_bytes", "mode", "number", "cpu_s"), NUMBERS
)
SAID = st.tuples(
    st.sampled_from(GUEST_KINDS), st.integers(0, 4), st.fixed_dictionaries({}, optional=FIELDS), st.sampled_from("aab")
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SAID, max_size=40))
def test_no_word_of_a_guest_does_harm(tmp_path_factory: pytest.TempPathFactory, words: list[tuple]) -> None:  # type: ignore[type-arg]
    asyncio.run(_say_all(tmp_path_factory.mktemp("errands"), words))


async def _say_all(folder: Path, words: list[tuple]) -> None:  # type: ignore[type-arg]
    (folder / "local").write_bytes(b"x" * 20_000)
    wire = LinkEnd("host")
    errands = Errands(folder / "errands", lambda kind, **fields: wire.send(kind, **fields), FakeClock())
    errands.load()
    commands = [errands.commands.run(Order(("ls",), has_input=bool(number))) for number in range(2)]
    commands[1].let_go()
    moves = [
        asyncio.create_task(errands.files.put(folder / "local", "/there")),
        asyncio.create_task(errands.files.get("/there", folder / "back")),
    ]
    while len(errands.files._talks) < 2:
        await asyncio.sleep(0.001)
    names = [command.exec_id for command in commands] + [*errands.files._talks, "../../etc/passwd"]
    for kind, who, fields, boot in words:
        said = {**fields, "exec_id": names[who], "transfer_id": names[who]}
        for message in LinkEnd("here").receive(LinkEnd("there").send(kind, **said)):
            errands.take(Message(message.kind, message.fields), boot)
        await asyncio.sleep(0)
    for task in moves:
        task.cancel()
    await asyncio.gather(*moves, return_exceptions=True)
    await errands.close()
    places = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
    assert places <= {"local", "back", "errands"}
    assert list(folder.rglob("*.part")) == []
    assert wire.unacknowledged <= 512
