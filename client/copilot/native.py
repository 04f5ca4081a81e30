"""The agent on this computer, without a guest: for measurements, tests, and people who want it so.

    main.py agent SETTINGS [--jobs N] [--verbose]

SETTINGS is a JSON file with the parts `agent` and `job` of docs/context-medium.md, and:

    "root":      existing folder for the record of the job and the work directories
    "monitor":   JID of a monitor that takes what agents tell: how this computer does, once a minute
    "software":  folder of the project's software (SOFTWARE_DIR of the jobs); default /software. Where it is not, the
                 agent tells managers so, and they keep the jobs for others that want it
    "job_uid":   number of the user that jobs run as, for an agent that is root. It must be used for nothing else, since
                 all of its processes are killed after each job; the default is a number of no account

    "secure", "heartbeat":  manners of the original that some managers want, see client.copilot.manners

As root it confines jobs as a guest does; as anybody else they run as that user, in its network.

SIGTERM or SIGINT (Ctrl-C) once: the job in hand is finished and handed in, then the agent ends. Twice: the job gets
10 s to save itself and stays in `root`, where the next start takes it up; so it does after SIGKILL, without the 10 s.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from client.copilot.agent import Agent
from client.copilot.jdl import WITHOUT_SOFTWARE
from client.copilot.manners import Manners
from client.copilot.report import LogReport, Report
from client.copilot.start import build_agent, run_over, runner_settings
from client.copilot.transport import Incoming, XmppTransport, account_of
from client.errors import BadInput

log = logging.getLogger("agent")

#: Beyond all accounts; the agent's process id is added, so that two agents do not kill each other's jobs.
FIRST_UID: Final = 0x70000000
GRACE_S: Final = 10.0
_JID: Final = re.compile(r"[^@/\s]+@[^@/\s]+(/.+)?")
_SETTINGS: Final = """\
settings:
  {"root": "/var/lib/agent",                            an existing folder, of this agent alone
   "agent": {"jid": ..., "password": ..., "host": ..., "port": 5222, "ca_pem": ..., "job_manager": "jm@localhost",
             "https": "host:port"},                     https is of [transfer] in the project file; without it: Chirp
   "job": {"needs_network": false, "time_limit_s": 3600, "output_limit_mib": 100, "memory_limit_mib": 0},
   "software": "/software"}

As root it confines jobs as a guest does; as anybody else they run as that user. Ctrl+C once: it ends after the job in
hand. Twice: the job is kept for the next start. docs/operator-guide.md says how to get an account.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="main.py agent",
        description="A Co-Pilot agent on this computer.",
        epilog=_SETTINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("settings", type=Path, nargs="?", help="JSON file")
    original = "instead: configuration of the original Co-Pilot's agent, its file or the folder that it is in"
    parser.add_argument("--original-config", type=Path, metavar="FILE", help=original)
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="end after N jobs")
    parser.add_argument("--verbose", action="store_true", help="say what happens")
    return parser


def main(argv: list[str]) -> int:
    """Runs an agent until its number of jobs is done or a signal ends it.

    Raises:
        BadInput: the settings cannot be used.
    """
    given = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if given.verbose else logging.WARNING, format="%(name)s: %(message)s")
    settings = _settings(given)
    report = LogReport()
    asyncio.run(run(settings, report, max_jobs=given.jobs))
    print(f"{report.done_jobs} jobs done, {report.failed_jobs} failed, {report.accepted_jobs} accepted")
    return 0


def _settings(given: argparse.Namespace) -> Mapping[str, Any]:
    if (given.settings is None) == (given.original_config is None):
        raise BadInput("main.py agent", "it takes one configuration", "name a JSON file, or --original-config FILE")
    if given.settings is not None:
        return load_settings(given.settings)
    from client.copilot.original_config import AGENT, agent_settings, read_original

    settings, ignored = agent_settings(read_original(given.original_config, AGENT))
    for name in ignored:
        print(f"main.py agent: ignored: {name}", file=sys.stderr)
    # The original makes its folder itself.
    Path(settings["root"]).mkdir(parents=True, exist_ok=True)
    return settings


def load_settings(path: Path) -> Mapping[str, Any]:
    """The settings file, checked for what must be there.

    Raises:
        BadInput: it cannot be read or something is missing.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in ("jid", "password", "host", "port", "job_manager") if name not in settings["agent"]]
        root = Path(settings["root"])
        _check_values(settings, root)
    except KeyError as wrong:
        raise BadInput(str(path), f"it lacks {wrong.args[0]}", "see main.py agent --help") from wrong
    except (OSError, ValueError, TypeError, AttributeError) as wrong:
        raise BadInput(str(path), f"cannot be used: {wrong}", "see main.py agent --help") from wrong
    if missing:
        raise BadInput(str(path), f"agent lacks {', '.join(missing)}", "add them")
    if not root.is_dir():
        raise BadInput(str(path), f"root is no folder: {root}", "make it, or name another")
    found: Mapping[str, Any] = settings
    return found


def _check_values(settings: Mapping[str, Any], root: Path) -> None:
    """What is read only later fails here; raises ValueError, TypeError or AttributeError."""
    agent = settings["agent"]
    for name in {"jid", "job_manager"} & set(agent):
        if not _JID.fullmatch(str(agent[name])):
            raise ValueError(f"{name} is no account@domain")
    if not 0 < int(agent.get("port", 1)) < 2**16:
        raise ValueError("port is not from 1 to 65535")
    int(settings.get("job_uid", 0))
    runner_settings(settings.get("job", {}), root, Path(settings.get("software", "")), None)


async def run(settings: Mapping[str, Any], report: Report, *, max_jobs: int = 0) -> None:
    """Runs an agent with a report of the caller's; SIGTERM and SIGINT end it, see the module."""
    job_uid = int(settings.get("job_uid", FIRST_UID + os.getpid())) if os.geteuid() == 0 else None
    software = Path(settings.get("software", "/software"))
    runner = runner_settings(settings.get("job", {}), Path(settings["root"]), software, job_uid)
    agent: Agent

    manners = Manners.of(settings)

    async def on_info(incoming: Incoming) -> None:
        if not await manners.take(incoming, transport):
            await agent.on_info(incoming)

    transport = XmppTransport(account_of(settings["agent"]), on_info, resend=True, codec=manners.codec)
    manners.prepare(transport)
    # Jobs that need that software would fail here, one after the other.
    about = {} if await asyncio.to_thread(software.is_dir) else WITHOUT_SOFTWARE
    agent = build_agent(settings["agent"], runner, transport, report, durable=False, max_jobs=max_jobs, about=about)
    transport.on_state = agent.on_state
    loop = asyncio.get_running_loop()
    endings: set[asyncio.Task[None]] = set()

    def end() -> None:
        if agent.is_finishing:
            endings.add(asyncio.create_task(agent.suspend(GRACE_S)))
        else:
            agent.finish()
            if agent.job_id:
                log.warning("ends after job %s; a second signal keeps the job for the next start", agent.job_id)

    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
        # Only in the main thread; elsewhere the caller ends the agent.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
    await transport.connect(timeout_s=0)
    telling = _tell(settings.get("monitor"), transport)
    try:
        async with manners.kept(transport, lambda: agent.is_finishing):
            await run_over(transport, agent)
    finally:
        if telling is not None:
            telling.cancel()
        await transport.close()


def _tell(monitor: Any, transport: XmppTransport) -> "asyncio.Task[None] | None":
    if not monitor:
        return None
    from client.copilot.managers.monitor.values import tell_system

    return asyncio.create_task(tell_system(str(monitor), transport))
