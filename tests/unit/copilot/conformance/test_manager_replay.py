"""Our managers play against what the original agents said, stanza by stanza."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from client.copilot.managers.job_desk import JobDesk, JobSettings
from client.copilot.managers.shelf import Claim, Shelf
from client.copilot.managers.storage_desk import StorageDesk
from client.copilot.messages import JobDescription
from client.copilot.queue.queue import NewJob, Terms
from client.copilot.queue.sqlite import SqliteQueue
from client.copilot.stanza import Kind, build_message, encode_value, parse_message
from tests.helpers.fastloop import in_fast_time
from tests.unit.copilot.captured import elements
from tests.unit.copilot.conformance.replay import Step, meaning, play, same, shown_steps, steps
from tests.unit.copilot.conformance.wire import Wire, manager_on_wire

JOB: Final = "f5ee5739-63be-4cc9-a048-807438c91244"
FILES: Final = "127.0.0.1:19094"
#: ids of messages that ours answers otherwise than the original -> why
DIFFERENCES: Final = {
    "plain3": "a question about no job at all is not answered",
    "cc0f7b36-689c-48c1-a48b-d65e25addec5": "there is no such job: leaseLost, which the original drops, and no place",
}


class Managers:
    """Job and storage manager as one, as the original's is, with one job."""

    def __init__(self, folder: Path, cooldown_s: float = 0.0, require_file: str = "") -> None:
        chirp = folder / "chirp"
        chirp.mkdir()
        self.queue = SqliteQueue(folder / "queue.sqlite", Terms())
        self.claims: list[Claim] = []
        self.chirp = chirp
        self.desks = (
            JobDesk(self.queue, JobSettings(FILES, require_file, cooldown_s)),
            StorageDesk(self.queue, Shelf(chirp, folder / "storage", "s"), FILES, self.claims.append),
        )

    def submit(self, job_id: str = JOB, **more: str) -> None:
        job = JobDescription(job_id, "", job_id, ("hello.sh",), "hello.sh")
        self.queue.submit([NewJob(replace(job, **more))], 0)  # type: ignore[arg-type]


@asynccontextmanager
async def on_wire(managers: Managers) -> AsyncIterator[Wire]:
    with pytest.MonkeyPatch.context() as patch:
        async with manager_on_wire(patch, "jm@localhost/alpha", *managers.desks) as wire:
            yield wire
    managers.queue.close()


@in_fast_time
async def test_a_plain_job_with_the_originals_agent(tmp_path: Path) -> None:
    managers = Managers(tmp_path, cooldown_s=60)
    managers.submit()
    async with on_wire(managers) as wire:
        await play(wire, steps("plain-job.txt", 3), ours=True)
        assert wire.sent == []
    (claim,) = managers.claims
    assert (claim.job_id, claim.exit_code) == (JOB, 256)
    assert (managers.chirp / JOB / ".__acl").exists()


@in_fast_time
async def test_what_the_originals_manager_was_asked_and_ours_answers(tmp_path: Path) -> None:
    """Acks always as the original's; answers too but for what is listed, and but for copies, answered once."""
    managers = Managers(tmp_path, cooldown_s=60)
    for job_id in ("x", "zz"):
        managers.submit(job_id)
        managers.queue.hand_out("probe@localhost/probe", time.time(), extends=False)
        managers.queue.confirm(job_id, "probe@localhost/probe", time.time())
    script = list(shown_steps("manager-edge-cases.txt"))
    answered: list[str] = []
    async with on_wire(managers) as wire:
        for asked, answers in questions(script):
            asked.element.set("from", "probe@localhost/probe")
            wire.feed(asked.element)
            await wire.settle()
            message_id = asked.element.get("id", "")
            expected = [one.received for one in answers]
            if message_id in answered or message_id in DIFFERENCES:
                expected = [one for one in expected if one.kind is Kind.ACK]
                wire.sent = [one for one in wire.sent if one.info.get("command") != "leaseLost"]
            assert [one.kind for one in wire.sent] == [one.kind for one in expected], message_id
            for ours, theirs in zip(wire.sent, expected, strict=True):
                same(ours, theirs)
            wire.sent.clear()
            answered.append(message_id)
    assert len(answered) >= 18
    assert set(DIFFERENCES) <= set(answered)


def questions(script: list[Step]) -> list[tuple[Step, list[Step]]]:
    found: list[tuple[Step, list[Step]]] = []
    for step in script:
        if step.outgoing:
            found.append((step, []))
        else:
            found[-1][1].append(step)
    return found


@in_fast_time
async def test_damaged_resent_stanzas_are_answered_as_whole_ones(tmp_path: Path) -> None:
    damaged = [one for one in elements("resend.txt") if "HASH(0x" in str(one.attrib)]
    assert len(damaged) >= 3
    managers = Managers(tmp_path)
    managers.submit()
    async with on_wire(managers) as wire:
        damaged[0].set("from", "agent2@localhost/r")
        wire.feed(damaged[0])
        await wire.ack_of(damaged[0].get("id", ""))
        have = await wire.command("have_getJob")
        assert have.recipient == "agent2@localhost/r"
        for copy in damaged[1:]:
            if copy.get("id") == damaged[0].get("id"):
                copy.set("from", "agent2@localhost/r")
                wire.feed(copy)
                await wire.ack_of(copy.get("id", ""))
        await wire.settle()
        assert wire.sent == []


@in_fast_time
async def test_up_to_four_copies_of_one_question_hand_out_one_job(tmp_path: Path) -> None:
    managers = Managers(tmp_path)
    managers.submit("a")
    managers.submit("b")
    async with on_wire(managers) as wire:
        ask = "<message id='{}' from='a@x/r' to='jm@localhost/alpha'><body><info command='getJob'/></body></message>"
        for _ in range(4):
            wire.feed(ask.format("one"))
        got = await wire.command("runJob")
        # The original's core lets copies reach the component under ids of their own, too: after a reconnection.
        wire.feed(ask.format("two"))
        again = await wire.command("runJob")
        await wire.settle()
        assert [one.kind for one in wire.sent] == [Kind.ACK] * 5
    assert got.info["job"] == again.info["job"]


@in_fast_time
async def test_copies_of_the_later_commands_change_nothing(tmp_path: Path) -> None:
    managers = Managers(tmp_path)
    managers.submit()
    script = steps("plain-job.txt", 3)
    async with on_wire(managers) as wire:
        await play(wire, script[:-2], ours=True)
        for step in script:
            if not step.outgoing and step.received.info.get("command") in {"getJobOutputDir", "jobDone"}:
                step.element.set("id", f"copy-{step.element.get('id')}")
                wire.feed(step.element)
        await wire.settle()
        said = [one.info.get("command") for one in wire.sent if one.kind is Kind.INFO]
        assert said.count("storeJobOutputDir") <= 1
    assert {claim.job_id for claim in managers.claims} == {JOB}


@in_fast_time
async def test_a_storage_manager_takes_them_out_of_order(tmp_path: Path) -> None:
    """getJobOutputDir before want_getJobOutputDir, as after a lost answer."""
    managers = Managers(tmp_path)
    managers.submit()
    managers.queue.hand_out("a@x/r", time.time(), extends=False)
    form = "<message id='{}' from='a@x/r' to='jm@localhost'><body><info command='{}' jobID='{}'/></body></message>"
    async with on_wire(managers) as wire:
        wire.feed(form.format(1, "getJobOutputDir", JOB))
        place = await wire.command("storeJobOutputDir")
        wire.feed(form.format(2, "want_getJobOutputDir", JOB))
        await wire.command("have_getJobOutputDir")
        assert meaning(place.info) == {
            "command": "storeJobOutputDir",
            "jobID": JOB,
            "outputDir": JOB,
            "outputChirpUrl": FILES,
        }


@in_fast_time
async def test_what_agents_were_referred_with_changes_no_answer(tmp_path: Path) -> None:
    """The AliEn manager has them bring an `adapter`, whose log is longer than a line, and `to` of what they sent it."""
    managers = Managers(tmp_path)
    managers.submit()
    managers.queue.hand_out("a@x/r", time.time(), extends=False)
    log = encode_value("line 1\nline 2 <&'>\n" * 400).replace("\n", " ")
    get = f"<info command='getJobOutputDir' jobID='{JOB}'><adapter WORKDIR='/w' JA_LOG_CONTENT='{log}'/></info>"
    done = f"<info command='jobDone' jobID='{JOB}' exitCode='256' state='ready' to='jm@localhost/beta'/>"
    form = "<message id='{}' from='a@x/r' to='jm@localhost/alpha'><body>{}</body></message>"
    async with on_wire(managers) as wire:
        wire.feed(form.format(1, get))
        assert (await wire.command("storeJobOutputDir")).recipient == "a@x/r"
        wire.feed(form.format(2, done))
        await wire.ack_of("1")
        await wire.ack_of("2")
        await wire.settle()
        assert managers.claims == [Claim(JOB, "a@x/r", 256, None)]


@in_fast_time
async def test_output_goes_where_the_originals_submitter_put_the_input(tmp_path: Path) -> None:
    """Its copilot-job-submit makes the folder of the job's name, for reading; the manager adds the right to write."""
    managers = Managers(tmp_path)
    managers.submit()
    managers.queue.hand_out("a@x/r", time.time(), extends=False)
    folder = managers.chirp / JOB
    folder.mkdir()
    (folder / ".__acl").write_text("address:* rl\nhostname:* rl\n")
    (folder / "hello.sh").write_text("input")
    get = f"<body><info command='getJobOutputDir' jobID='{JOB}'/></body>"
    async with on_wire(managers) as wire:
        wire.feed(f"<message id='1' from='a@x/r' to='jm@localhost'>{get}</message>")
        await wire.command("storeJobOutputDir")
        rights = [line.split() for line in (folder / ".__acl").read_text().splitlines()]
        assert {"r", "w", "l"} <= {letter for subject, said in rights if subject == "address:*" for letter in said}
        assert (folder / "hello.sh").read_text() == "input"


@in_fast_time
async def test_an_original_agent_gets_nothing_of_ours(tmp_path: Path) -> None:
    managers = Managers(tmp_path)
    managers.submit(title="for people", time_limit_s="60")
    async with on_wire(managers) as wire:
        wire.feed("<message id='1' from='a@x/r' to='jm@localhost'><body><info command='getJob'/></body></message>")
        run = await wire.command("runJob")
        assert set(run.info) == {"command", "jmJobData", "job"}
        assert set(run.info["job"]) == {
            *("id", "chirpUrl", "inputDir", "inputFiles"),
            *("command", "arguments", "environment", "packages"),
        }
        assert run.info["job"]["inputFiles"] == "###hello.sh"  # type: ignore[index,call-overload]


@in_fast_time
async def test_require_file_is_told(tmp_path: Path) -> None:
    managers = Managers(tmp_path, require_file="/cvmfs/x")
    managers.submit()
    async with on_wire(managers) as wire:
        wire.feed("<message id='1' from='a@x/r' to='jm@localhost'><body><info command='want_getJob'/></body></message>")
        assert (await wire.command("have_getJob")).info["requireFile"] == "/cvmfs/x"


@in_fast_time
async def test_send_back_store_job_and_commands_of_plugins_are_only_confirmed(tmp_path: Path) -> None:
    """The original gives `send_back` back, which lets any peer have it say anything; ours does not."""
    managers = Managers(tmp_path)
    form = "<message id='{}' from='a@x/r' to='jm@localhost'><body><info {}</body></message>"
    async with on_wire(managers) as wire:
        for number, said in enumerate(
            ("command='storeJob'/>", "command='Foo:bar'/>", "command='x'><send_back session_key='k'/></info>")
        ):
            wire.feed(form.format(number, said))
            await wire.ack_of(str(number))
        wire.feed(form.format("w", "command='want_getJobOutputDir' jobID='q'><send_back a='b'/></info>"))
        await wire.settle()
        assert not any("send_back" in text for text in wire.texts)


@in_fast_time
async def test_questions_through_a_room_and_without_ack(tmp_path: Path) -> None:
    managers = Managers(tmp_path)
    managers.submit()
    form = "<message {} to='jm@localhost/alpha'><body><info command='want_getJob'/></body><x xmlns='u'/></message>"
    async with on_wire(managers) as wire:
        wire.feed(form.format("id='1' type='groupchat' from='room@conference.localhost/nick'"))
        assert (await wire.ack_of("1")).recipient == "room@conference.localhost/nick"
        assert (await wire.command("have_getJob")).recipient == "room@conference.localhost/nick"
        wire.feed(form.format("id='2' noack='1' from='a@localhost/r'"))
        await wire.command("have_getJob")
        wire.feed(form.format("id='3' type='error' from='a@localhost/r'"))
        wire.feed(form.format("from='a@localhost/r'"))
        await wire.settle()
        assert wire.sent == []


def test_no_element_of_ours_mixes_coded_and_plain_values() -> None:
    """Our messages of every capture, as written: the original's decoder spoils what follows a coded value."""
    for name in ("plain-job.txt", "validation-redirect-error.txt", "monitor.txt"):
        for element in elements(name):
            found = parse_message(element)
            if found.kind is Kind.INFO:
                text = build_message("i", "a@b", "c@d", found.info)
                body = text[text.index("<body>") : text.index("</body>")]
                assert body.count("='") == body.count("='_BASE64:")
