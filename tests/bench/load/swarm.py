"""The agents of the load generator, all in one process: `python -m tests.bench.load.swarm SETTINGS`.

SETTINGS is a JSON file: port, secret, expires_at, agents, first (number of the first account), tls, login_per_s,
ask_every_s (0: at once after a job and when answered late), ping_every_s (0: never), jobs (end after so many; 0: none),
limit_s (end at the latest), warm_s (what happens before is not counted), extensions. A job without output is handed in
and counts when the verdict is there; one with output counts when there is a place for it, since none is made. Lines of
JSON are printed: {"ready": N} when all are logged in, and at the end what was counted. Times are seconds.
"""

import asyncio
import base64
import contextlib
import gc
import json
import random
import ssl
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.load import stanzas

#: question -> the answer that ends the wait for it, and the next question
STEPS = {
    "have_getJob": ("want_getJob", "getJob"),
    "runJob": ("getJob", "want_getJobOutputDir"),
    "have_getJobOutputDir": ("want_getJobOutputDir", "getJobOutputDir"),
    "storeJobOutputDir": ("getJobOutputDir", ""),
    "jobVerdict": ("jobDone", ""),
}
PATIENCE_S = 15.0


class Swarm:
    """What all agents share: settings, counts, the end."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.waits: dict[str, list[float]] = defaultdict(list)
        self.ended = asyncio.Event()
        self.counted_from = float("inf")
        self.jobs = 0
        self.lost = 0

    def note(self, question: str, wait_s: float) -> None:
        if time.perf_counter() >= self.counted_from:
            self.waits[question].append(wait_s)

    def job_done(self) -> None:
        if time.perf_counter() >= self.counted_from:
            self.jobs += 1
        if 0 < self.settings["jobs"] <= self.jobs:
            self.ended.set()


class Agent(asyncio.Protocol):
    """One connection: logs in, asks, confirms."""

    def __init__(self, swarm: Swarm, number: int) -> None:
        self.swarm = swarm
        self.user, self.password = stanzas.account(swarm.settings["secret"], number, swarm.settings["expires_at"])
        self.jid = f"{self.user}@{stanzas.HOST}/load"
        self.ready = asyncio.get_running_loop().create_future()
        self.transport: Any = None
        self.rest = b""
        self.take: Callable[[bytes], None] = self.on_features
        self.asked: dict[str, float] = {}
        self.unconfirmed: dict[bytes, float] = {}
        self.job_id = ""
        self.has_output = True
        self.timer: asyncio.TimerHandle | None = None
        self.is_secure = False
        self.scram = stanzas.Scram(self.user, self.password)

    # -- login

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send(stanzas.OPEN)

    def connection_lost(self, error: Exception | None) -> None:
        self.swarm.lost += 1
        if not self.ready.done():
            self.ready.set_exception(error or ConnectionError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        self.rest += data
        self.take(data)

    def send(self, text: str) -> None:
        self.transport.write(text.encode())

    def on_features(self, _: bytes) -> None:
        if b"</stream:features>" not in self.rest:
            return
        self.rest = b""
        if self.swarm.settings["tls"] and not self.is_secure:
            self.take = self.on_proceed
            self.send(stanzas.STARTTLS)
        elif self.is_secure:
            self.take = self.on_challenge
            self.send(stanzas.SCRAM.format(self.scram.first()))
        else:
            self.take = self.on_success
            self.send(stanzas.PLAIN.format(stanzas.plain_word(self.user, self.password)))

    def on_proceed(self, _: bytes) -> None:
        if b"<proceed" in self.rest:
            self.rest = b""
            self.task = asyncio.create_task(self.secure())

    async def secure(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.is_secure = True
        self.take = self.on_features
        loop = asyncio.get_running_loop()
        self.transport = await loop.start_tls(self.transport, self, context, server_hostname=stanzas.HOST)
        self.send(stanzas.OPEN)

    def on_challenge(self, _: bytes) -> None:
        head, found, end = self.rest.partition(b"</challenge>")
        if found:
            self.rest = end
            self.take = self.on_success
            self.send(stanzas.RESPONSE.format(self.scram.final(head.rpartition(b">")[2])))

    def on_success(self, _: bytes) -> None:
        if b"<success" in self.rest:
            self.rest = b""
            self.take = self.on_second_features
            self.send(stanzas.OPEN)
        elif b"<failure" in self.rest:
            self.ready.set_exception(ConnectionError(self.rest.decode()))

    def on_second_features(self, _: bytes) -> None:
        if b"</stream:features>" in self.rest:
            self.rest = b""
            self.take = self.on_bound
            self.send(stanzas.BIND)

    def on_bound(self, _: bytes) -> None:
        if b"</bind></iq>" in self.rest:
            self.rest = b""
            self.take = self.on_stanzas
            self.send("<presence/>")
            self.ready.set_result(None)

    # -- work

    def begin(self) -> None:
        """Asks for the first job at a time of its own."""
        every_s = self.swarm.settings["ask_every_s"]
        self.later(random.uniform(0, every_s) if every_s else 0, self.want)
        ping_s = self.swarm.settings["ping_every_s"]
        if ping_s:
            asyncio.get_running_loop().call_later(random.uniform(0, ping_s), self.ping, ping_s)

    def ping(self, every_s: float) -> None:
        """A sign of life, as agents give one."""
        self.swarm.counts["pings"] += 1
        if not self.transport.is_closing():
            self.send(stanzas.PING)
            asyncio.get_running_loop().call_later(every_s, self.ping, every_s)

    def later(self, wait_s: float, what: Callable[[], None]) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(wait_s, what)

    def want(self) -> None:
        self.later(self.swarm.settings["ask_every_s"] or PATIENCE_S, self.want)
        self.ask(
            stanzas.MANAGERS,
            "want_getJob",
            jdl=stanzas.JDL,
            agentHost="load",
            extensions=self.swarm.settings["extensions"],
        )

    def ask(self, to: str, command: str, **values: str) -> None:
        message_id, text = stanzas.question(to, self.jid, command, **values)
        now = time.perf_counter()
        self.asked = {command: now}
        self.unconfirmed = {message_id.encode(): now}
        self.swarm.counts["sent"] += 1
        self.send(text)

    def on_stanzas(self, _: bytes) -> None:
        end = 0
        if b"<message" not in self.rest:
            # The answer to a ping, or the agent's own presence.
            self.rest = b"" if self.rest.endswith(b">") else self.rest
            return
        out: list[str] = []
        for found in stanzas.MESSAGE.finditer(self.rest):
            end = found.end()
            self.swarm.counts["received"] += 1
            about = dict(stanzas.ATTRIBUTE.findall(found[1]))
            if b"ack" in about:
                asked_at = self.unconfirmed.pop(about[b"ack"], None)
                if asked_at is not None:
                    self.swarm.note("confirmation", time.perf_counter() - asked_at)
            elif found[2] is not None and b"id" in about:
                out.append(stanzas.confirmation(self.jid, about[b"from"].decode(), about[b"id"].decode()))
                self.swarm.counts["sent"] += 1
                self.on_command(about[b"from"].decode(), found[2])
        self.rest = self.rest[end:]
        if out:
            self.send("".join(out))

    def on_command(self, sender: str, body: bytes) -> None:
        said = stanzas.COMMAND.search(body)
        command = base64.b64decode(said[1]).decode() if said else ""
        question, following = STEPS.get(command, ("", ""))
        if command == "have_getJob" and not self.asked and not self.job_id:
            # Told of work that turned up after the question was forgotten: as good as an answer.
            self.asked["want_getJob"] = time.perf_counter()
        asked_at = self.asked.pop(question, None)
        if asked_at is None:
            return
        if question != "want_getJob" or not self.swarm.settings["ask_every_s"]:
            self.swarm.note(question, time.perf_counter() - asked_at)
        if command == "runJob":
            found = stanzas.JOB_ID.search(body)
            self.job_id = base64.b64decode(found[1]).decode() if found else ""
            self.has_output = b" noOutput=" not in body
            self.ask(stanzas.MANAGERS, following, jobID=self.job_id, agentHost="load", agentIP="todo")
        elif not following:
            self.end_job()
        elif command == "have_getJob":
            self.later(PATIENCE_S, self.want)
            self.ask(sender, following, jdl=stanzas.JDL, agentHost="load", extensions=self.swarm.settings["extensions"])
        elif self.has_output:
            self.ask(sender, following, jobID=self.job_id, agentHost="load")
        else:
            self.ask(sender, "jobDone", jobID=self.job_id, agentHost="load", state="ready", exitCode="0")

    def end_job(self) -> None:
        self.job_id = ""
        self.swarm.job_done()
        self.want()


async def watch_own_delay(swarm: Swarm) -> None:
    """How late this process itself is: what it measures of others cannot be better."""
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + 0.02
        await asyncio.sleep(0.02)
        swarm.note("own delay", max(0.0, loop.time() - due_at))


async def run(settings: dict[str, Any]) -> None:
    swarm = Swarm(settings)
    agents: list[Agent] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(settings["agents"]):
        agent = Agent(swarm, settings["first"] + number)
        agents.append(agent)
        await loop.create_connection(lambda agent=agent: agent, "127.0.0.1", settings["port"])
        if len(agents) % 20 == 0:
            await asyncio.gather(*(one.ready for one in agents[-20:]))
            await asyncio.sleep(max(0.0, began + len(agents) / settings["login_per_s"] - loop.time()))
    await asyncio.gather(*(one.ready for one in agents))
    gc.freeze()
    print(json.dumps({"ready": len(agents), "login_s": loop.time() - began}), flush=True)
    for agent in agents:
        agent.begin()
    delay = asyncio.create_task(watch_own_delay(swarm))
    await asyncio.sleep(settings["warm_s"])
    swarm.counts.clear()
    swarm.counted_from = started = time.perf_counter()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(settings["limit_s"]):
            await swarm.ended.wait()
    seconds = time.perf_counter() - started
    said = {"jobs": swarm.jobs, "seconds": seconds, "lost": swarm.lost, "waits": swarm.waits, **swarm.counts}
    print(json.dumps(said), flush=True)
    delay.cancel()
    for agent in agents:
        agent.transport.abort()


def main() -> None:
    asyncio.run(run(json.loads(Path(sys.argv[1]).read_text())))


if __name__ == "__main__":
    main()
