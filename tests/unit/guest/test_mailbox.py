"""Messages both ways: in order, once, over a bad line, a held guest and killed clients."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.errors import BadInput
from client.guest import mailbox
from client.guest.errors import MailboxFull
from client.guest.mailbox import MOST_KEPT_IN, MOST_KEPT_OUT, Mailbox
from client.link import Message
from tests.helpers.errands import ErrandRig, errand_rig


async def program(rig: ErrandRig, socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    await rig.guest.errands.open(socket)
    return await asyncio.open_unix_connection(socket)


def write(writer: asyncio.StreamWriter, **said: object) -> None:
    writer.write(json.dumps(said).encode() + b"\n")


async def heard(reader: asyncio.StreamReader, count: int) -> list[str]:
    return [json.loads(await reader.readline())["text"] for _ in range(count)]


@pytest.mark.parametrize("loss", [0.0, 0.2])
async def test_both_ways_over_restarts_of_the_client(tmp_path: Path, loss: float) -> None:
    async with errand_rig(tmp_path / "e", loss=loss) as rig:
        reader, writer = await program(rig, tmp_path / "door")
        write(writer, listen=[])
        for number in range(60):
            rig.host.errands.mailbox.send("t", f"host {number}")
            write(writer, topic="t", text=f"guest {number}")
            if number % 20 == 10:
                await asyncio.sleep(0.02)
                await rig.restart_client()
        assert await heard(reader, 60) == [f"host {number}" for number in range(60)]
        box = rig.host.errands.mailbox
        while len(box.inbox()) < 60:
            await box.wait(len(box.inbox()))
        assert [one.text for one in box.inbox()] == [f"guest {number}" for number in range(60)]
        assert [one.number for one in box.inbox()] == list(range(1, 61))
        while box.unconfirmed:
            await asyncio.sleep(0.01)
        writer.close()


async def test_what_no_program_asks_for_waits_and_is_bounded(tmp_path: Path) -> None:
    async with errand_rig(tmp_path / "e") as rig:
        box = rig.host.errands.mailbox
        with pytest.raises(MailboxFull):
            for number in range(2 * MOST_KEPT_OUT):
                box.send("t", f"{number}")
                await asyncio.sleep(0.001)
        count = int(json.loads((tmp_path / "e" / "mail-out.json").read_text())["sent"])
        reader, writer = await program(rig, tmp_path / "door")
        write(writer, listen=["t"])
        assert await heard(reader, count) == [str(number) for number in range(count)]
        writer.close()


async def test_topics_go_to_who_listens_for_them(tmp_path: Path) -> None:
    async with errand_rig(tmp_path / "e") as rig:
        reader, writer = await program(rig, tmp_path / "door")
        for topic, text in (("a", "1"), ("b", "2"), ("a", "3")):
            rig.host.errands.mailbox.send(topic, text)
        write(writer, listen=["a"])
        assert await heard(reader, 2) == ["1", "3"]
        other_reader, other = await asyncio.open_unix_connection(tmp_path / "door")
        write(other, listen=["b"])
        assert await heard(other_reader, 1) == ["2"]
        for one in (writer, other):
            one.close()


@pytest.mark.parametrize(
    "line", [b"\n", b"[]\n", b'{"topic": 1}\n', b"\xff\n", b'{"listen": 5}\n', b"x" * 100_000 + b"\n"]
)
async def test_a_program_that_talks_nonsense_is_cut_off(tmp_path: Path, line: bytes) -> None:
    async with errand_rig(tmp_path / "e") as rig:
        reader, writer = await program(rig, tmp_path / "door")
        writer.write(line)
        assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "door")
        write(writer, topic="t", text="fit")
        assert (await rig.host.errands.mailbox.wait(0))[0].text == "fit"
        writer.close()


async def test_what_cannot_be_sent(tmp_path: Path) -> None:
    async with errand_rig(tmp_path / "e") as rig:
        for topic, text in (("t", "x" * 2001), ("t" * 65, "x"), ("t", "a\0b")):
            with pytest.raises(BadInput):
                rig.host.errands.mailbox.send(topic, text)


async def test_text_arrives_unchanged(tmp_path: Path) -> None:
    text = "two\nlines\t\x1b[31m \u202e 🙂" * 20
    async with errand_rig(tmp_path / "e") as rig:
        reader, writer = await program(rig, tmp_path / "door")
        rig.host.errands.mailbox.send("t", text)
        write(writer, listen=[])
        write(writer, topic="t", text=text)
        assert await heard(reader, 1) == [text]
        assert (await rig.host.errands.mailbox.wait(0))[0].text == text
        writer.close()


def box_in(folder: Path) -> tuple[Mailbox, list[int]]:
    confirmed: list[int] = []

    def say(kind: str, **fields: object) -> None:
        if kind == "message_taken":
            confirmed.append(int(fields["number"]))  # type: ignore[call-overload]

    box = Mailbox(say, folder)
    box.load()
    return box, confirmed


def letter(number: int) -> Message:
    return Message("message", {"number": number, "topic": "t", "text": f"{number}"})


async def test_a_guest_without_end_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = 60
    assert kept < MOST_KEPT_IN
    monkeypatch.setattr(mailbox, "MOST_KEPT_IN", kept)
    box, _ = box_in(tmp_path)
    box.met("boot")
    for number in range(1, 5 * kept):
        box.take(letter(number))
    assert len(box.inbox()) == kept
    assert len((tmp_path / "mail-in.jsonl").read_text().splitlines()) <= 2 * kept


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.integers(0, 8), st.sampled_from(["kill", "tear", "boot"])), max_size=30))
def test_whatever_comes_is_recorded_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, events: list[int | str]
) -> None:
    folder = tmp_path_factory.mktemp("mail")
    box, confirmed = box_in(folder)
    boots, taken = 0, 0
    expected: list[str] = []
    box.met("boot0")
    for event in events:
        if event == "boot":
            boots, taken = boots + 1, 0
            box.met(f"boot{boots}")
        elif isinstance(event, str):
            if event == "tear" and (folder / "mail-in.jsonl").exists():
                with (folder / "mail-in.jsonl").open("a") as file:
                    file.write('{"number": 99, "to')
            box, confirmed = box_in(folder)
            box.met(f"boot{boots}")
        else:
            box.take(letter(event))
            if event == taken + 1:
                taken = event
                expected.append(str(event))
        assert all(number <= taken for number in confirmed[-1:])
    assert [one.text for one in box.inbox()] == expected
