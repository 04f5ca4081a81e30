"""Single manners of the original's managers and server, met by our agent; raw XML in, raw XML out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from client.copilot.agent import Agent
from client.copilot.fields import parse_map
from client.copilot.stanza import Kind, Received, encode_value
from tests.helpers.copilot import FakeRunner
from tests.helpers.fastloop import in_fast_time
from tests.unit.copilot.conformance.wire import Wire, agent_on_wire

AGENT: Final = "agent@localhost/r"
MANAGER: Final = "jm@localhost"
ALPHA: Final = "jm@localhost/alpha"
BETA: Final = "jm@localhost/beta"
JOB: Final = "<job id='j' chirpUrl='f:1' inputDir='j' inputFiles='###run.sh' command='run.sh'/>"
WANTED_AGAIN_S: Final = 5


class Talk:
    """What managers say to our agent; ids are counted."""

    def __init__(self, wire: Wire, agent: Agent) -> None:
        self.wire = wire
        self.agent = agent
        self._count = 0

    def say(self, inner: str, sender: str = ALPHA, more: str = "", message_id: str = "") -> str:
        self._count += 1
        message_id = message_id or f"m{self._count}"
        body = f"<body>{inner}</body>" if inner else ""
        self.wire.feed(f"<message id='{message_id}' from='{sender}' to='{AGENT}'{more}>{body}</message>")
        return message_id

    def ack(self, message: Received) -> None:
        self.wire.feed(f"<message ack='{message.message_id}' from='{ALPHA}' to='{AGENT}'/>")

    async def hear(self, command: str) -> Received:
        found = await self.wire.command(command)
        self.ack(found)
        return found

    async def give_job(self) -> Received:
        """From want_getJob to a running job; returns getJob."""
        await self.hear("want_getJob")
        self.say("<info command='have_getJob'/>")
        got = await self.hear("getJob")
        self.say(f"<info command='runJob' jmJobData='startedAt=1####k=a::::b####'>{JOB}</info>")
        return got


@asynccontextmanager
async def talking(folder: Path, runner: FakeRunner | None = None) -> AsyncIterator[Talk]:
    with pytest.MonkeyPatch.context() as patch:
        async with agent_on_wire(patch, folder, AGENT, MANAGER, runner) as (wire, agent):
            yield Talk(wire, agent)


@in_fast_time
async def test_every_value_is_coded_with_line_breaks_and_none_is_plain(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.wire.command("want_getJob")
        text = talk.wire.texts[0]
        body = text[text.index("<body>") : text.index("</body>")]
        assert body.count("='") == body.count("='_BASE64:")
        values = [piece.partition("'")[0] for piece in body.split("='_BASE64:")[1:]]
        assert all(line and len(line) <= 76 for value in values for line in value.removesuffix("\n").split("\n"))
        assert all(value.endswith("\n") for value in values)
        assert text.startswith("<message from='agent@localhost' to='jm@localhost' id='")
        assert "type=" not in text.partition(">")[0]


@in_fast_time
async def test_questions_go_to_the_bare_jid_and_the_talk_goes_on_with_who_answered(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert (await talk.hear("want_getJob")).recipient == MANAGER
        talk.say("<info command='have_getJob'/>", BETA)
        talk.say("<info command='have_getJob'/>", ALPHA)
        assert (await talk.hear("getJob")).recipient == BETA
        talk.say(f"<info command='runJob'>{JOB}</info>", BETA)
        assert (await talk.hear("want_getJobOutputDir")).recipient == MANAGER
        talk.say("<info command='have_getJobOutputDir'/>", ALPHA)
        assert (await talk.hear("getJobOutputDir")).recipient == ALPHA
        talk.say("<info command='storeJobOutputDir' jobID='j' outputChirpUrl='f:1'/>", ALPHA)
        assert (await talk.hear("jobDone")).recipient == ALPHA


@in_fast_time
async def test_acks_have_neither_id_nor_body_and_noack_has_none(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.hear("want_getJob")
        said = talk.say("<info command='nonsense'/>")
        ack = f"<message from='{AGENT}' to='{ALPHA}' ack='{said}'/>"
        await talk.wire.ack_of(said)
        assert talk.wire.texts[-1] == ack
        talk.say("<info command='nonsense'/>", more=" noack='1'")
        talk.say("words of a person")
        talk.say("")
        await talk.wire.settle()
        assert talk.wire.texts[-1] == ack


@in_fast_time
async def test_copies_are_confirmed_and_done_once(tmp_path: Path) -> None:
    """A core of the first generation confirms no copy, one of the second all; ours must live with both as a sender."""
    async with talking(tmp_path) as talk:
        await talk.hear("want_getJob")
        for _ in range(4):
            talk.say("<info command='have_getJob'/>", message_id="one")
        await talk.hear("getJob")
        assert [one.kind for one in talk.wire.sent] == [Kind.ACK] * 4


@in_fast_time
async def test_unconfirmed_messages_are_sent_again_with_the_same_id_and_undamaged(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.give_job()
        first = await talk.wire.command("want_getJobOutputDir")
        talk.say("<info command='have_getJobOutputDir'/>")
        await talk.hear("getJobOutputDir")
        talk.say("<info command='storeJobOutputDir' jobID='j' outputChirpUrl='f:1'/>")
        done = await talk.wire.command("jobDone")
        again = await talk.wire.command("jobDone")
        assert again == done
        talk.ack(done)
        assert first.message_id != done.message_id


@in_fast_time
async def test_want_get_job_comes_again_while_nobody_answers(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        first, second, third = [await talk.hear("want_getJob") for _ in range(3)]
        assert len({first.message_id, second.message_id, third.message_id}) == 3


@in_fast_time
async def test_a_bounced_question_goes_to_all_but_get_job_does_not(tmp_path: Path) -> None:
    error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    bounce = "<message type='error' id='{}' from='{}' to='{}'><body><info command='x'/></body>" + error + "</message>"
    async with talking(tmp_path) as talk:
        got = await talk.give_job()
        talk.wire.feed(bounce.format(got.message_id, ALPHA, AGENT))
        await talk.hear("want_getJobOutputDir")
        talk.say("<info command='have_getJobOutputDir'/>")
        asked = await talk.wire.command("getJobOutputDir")
        talk.wire.feed(bounce.format(asked.message_id, ALPHA, AGENT))
        assert (await talk.hear("getJobOutputDir")).recipient == MANAGER
        assert not [one for one in talk.wire.sent if one.info.get("command") == "getJob"]


@in_fast_time
async def test_sleep_while_it_asks_is_a_pause_and_no_reboot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    now = asyncio.get_running_loop().time
    async with talking(tmp_path) as talk:
        await talk.hear("want_getJob")
        said_at = now()
        said = talk.say("<info command='sleep'/>")
        await talk.wire.ack_of(said)
        await talk.hear("want_getJob")
        assert now() - said_at == pytest.approx(120, abs=1)


@in_fast_time
async def test_sleep_between_get_job_and_its_job_costs_no_job(tmp_path: Path) -> None:
    """The original answers a second want_getJob with sleep, and forgets the job that it then hands out."""
    runner = FakeRunner(tmp_path)
    async with talking(tmp_path, runner) as talk:
        await talk.hear("want_getJob")
        talk.say("<info command='have_getJob'/>")
        await talk.hear("getJob")
        talk.say("<info command='sleep'/>")
        talk.say(f"<info command='runJob' jmJobData='startedAt=1####'>{JOB}</info>")
        await talk.hear("want_getJobOutputDir")


@in_fast_time
async def test_a_job_that_comes_while_it_was_sent_away_is_done(tmp_path: Path) -> None:
    runner = FakeRunner(tmp_path)
    async with talking(tmp_path, runner) as talk:
        await talk.hear("want_getJob")
        await talk.wire.ack_of(talk.say("<info command='have_getJob'/>"))
        await talk.hear("getJob")
        await talk.hear("want_getJob")
        await talk.wire.ack_of(talk.say("<info command='sleep'/>"))
        await talk.wire.settle()
        talk.say(f"<info command='runJob' jmJobData='startedAt=1####'>{JOB}</info>")
        assert (await talk.hear("want_getJobOutputDir")).info["jobID"] == "j"


@in_fast_time
async def test_four_times_a_file_that_is_missing_and_the_agent_goes_on(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        for _ in range(4):
            await talk.hear("want_getJob")
            talk.say("<info command='have_getJob' requireFile='/no/such'/>")
        await talk.hear("want_getJob")
        # Two managers answer in one breath; the first asks too much.
        talk.say("<info command='have_getJob' requireFile='/no/such'/>", ALPHA)
        talk.say(f"<info command='have_getJob' requireFile='{tmp_path}'/>", BETA)
        assert (await talk.hear("getJob")).recipient == BETA


@in_fast_time
async def test_no_run_job_asks_anew_and_a_late_one_is_taken(tmp_path: Path) -> None:
    runner = FakeRunner(tmp_path)
    async with talking(tmp_path, runner) as talk:
        await talk.hear("want_getJob")
        talk.say("<info command='have_getJob'/>")
        await talk.hear("getJob")
        await talk.hear("want_getJob")
        talk.say(f"<info command='runJob'>{JOB}</info>")
        await talk.hear("want_getJobOutputDir")
        assert runner.executed == ["j"]


@in_fast_time
async def test_late_foreign_and_double_places_for_the_output_are_dropped(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.give_job()
        await talk.hear("want_getJobOutputDir")
        talk.say("<info command='storeJobOutputDir' jobID='j' outputChirpUrl='early:1'/>")
        talk.say("<info command='have_getJobOutputDir'/>")
        await talk.hear("getJobOutputDir")
        talk.say("<info command='storeJobOutputDir' jobID='other' outputChirpUrl='f:1'/>")
        for place in ("f:1", "f:1", "f:2"):
            talk.say(f"<info command='storeJobOutputDir' jobID='j' outputChirpUrl='{place}'/>")
        await talk.hear("jobDone")
        await talk.hear("want_getJob")
        talk.say("<info command='storeJobOutputDir' jobID='j' outputChirpUrl='f:1'/>")
        await talk.wire.settle()
        assert not [one for one in talk.wire.sent if one.info.get("command") == "jobDone"]


@in_fast_time
async def test_job_done_has_the_wait_status_and_the_managers_data_with_wall_time(tmp_path: Path) -> None:
    async with talking(tmp_path, FakeRunner(tmp_path, status=35072)) as talk:
        await talk.give_job()
        want = await talk.hear("want_getJobOutputDir")
        assert want.info["jmJobData"] == "startedAt=1####k=a::::b####"
        assert want.info["agentIP"] == "todo"
        talk.say("<info command='have_getJobOutputDir'/>")
        await talk.hear("getJobOutputDir")
        data = encode_value("changed=a=b####").replace("\n", " ")
        store = f"command='{encode_value('storeJobOutputDir')}' jobID='{encode_value('j')}'"
        talk.say(f"<info {store} outputChirpUrl='{encode_value('f:1')}' jmJobData='{data}'/>")
        done = await talk.hear("jobDone")
        assert (done.info["exitCode"], done.info["state"]) == ("35072", "ready")
        assert parse_map(str(done.info["jmJobData"])) == {"changed": "a=b", "wallTime": "0.50"}


@in_fast_time
async def test_redirects_keep_what_is_nested_and_are_followed(tmp_path: Path) -> None:
    """The AliEn manager refers to the one that has the place, with an `adapter` for it."""
    async with talking(tmp_path) as talk:
        await talk.give_job()
        await talk.hear("want_getJobOutputDir")
        talk.say("<info command='have_getJobOutputDir'/>")
        await talk.hear("getJobOutputDir")
        inner = "<info command='getJobOutputDir' jobID='j' agentHost='h'><adapter WORKDIR='/w'/></info>"
        talk.say(f"<info command='redirect' referral='se@localhost'>{inner}</info>")
        sent = await talk.hear("getJobOutputDir")
        assert (sent.recipient, sent.info["adapter"]) == ("se@localhost", {"WORKDIR": "/w"})
        talk.say("<info command='storeJobOutputDir' jobID='j' outputChirpUrl='f:1'/>", "se@localhost/s")
        assert (await talk.hear("jobDone")).recipient == "se@localhost/s"


@in_fast_time
async def test_an_agent_that_ends_refers_its_last_words_to_whom_it_is_told(tmp_path: Path) -> None:
    """The AliEn manager confirms jobDone, and then sends back all that was in it, `to` included."""
    async with talking(tmp_path) as talk:
        await talk.give_job()
        await talk.hear("want_getJobOutputDir")
        talk.agent.finish()
        talk.say("<info command='have_getJobOutputDir'/>")
        await talk.hear("getJobOutputDir")
        talk.say("<info command='storeJobOutputDir' jobID='j' outputChirpUrl='f:1'/>")
        done = await talk.hear("jobDone")
        await talk.wire.settle()
        inner = "".join(f" {name}='{encode_value(str(value))}'" for name, value in done.info.items())
        inner = f"<info{inner} to='{encode_value(ALPHA)}'/>"
        talk.say(f"<info command='redirect' referral='se@localhost'>{inner}</info>")
        sent = await talk.hear("jobDone")
        assert (sent.recipient, sent.info) == ("se@localhost", {**done.info, "to": ALPHA})


@in_fast_time
async def test_an_error_is_heard_and_survived_with_and_without_a_job(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.hear("want_getJob")
        talk.say("<info command='error' errorString='go away'/>")
        await talk.give_job()
        talk.say("<info command='error' errorString='go away'/>")
        talk.say("<info command='sleep'/>")
        await talk.hear("want_getJobOutputDir")


@in_fast_time
async def test_a_lost_connection_ends_no_question(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.give_job()
        talk.wire.drop()
        await talk.hear("want_getJobOutputDir")


@in_fast_time
async def test_strangers_are_confirmed_and_not_heard(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.hear("want_getJob")
        said = talk.say("<info command='have_getJob'/>", "mallory@localhost/r")
        await talk.wire.ack_of(said)
        await talk.hear("want_getJob")
        assert talk.wire.sent == [], "no getJob to a stranger"
