"""Puts an agent together from plain settings: the same in a guest and natively."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from client.clock import SystemClock
from client.copilot.agent import Agent, AgentSettings
from client.copilot.conversation import Messenger
from client.copilot.execute import LocalRunner, RunnerSettings
from client.copilot.jdl import own_host_name
from client.copilot.report import Report
from client.copilot.storage.chirp import ChirpTransfer
from client.copilot.storage.https import HttpsTransfer

if TYPE_CHECKING:
    from client.copilot.transport import XmppTransport


def runner_settings(
    job: Mapping[str, Any], root: Path, software_dir: Path, job_uid: int | None, cvmfs: Mapping[str, Any] | None = None
) -> RunnerSettings:
    """How jobs are run, from the `job` and `cvmfs` parts of the settings."""
    return RunnerSettings(
        root=root,
        job_uid=job_uid,
        network=bool(job.get("needs_network", False)),
        time_limit_s=float(job.get("time_limit_s", 3600)),
        output_limit_bytes=int(job.get("output_limit_mib", 100)) * 1024 * 1024,
        memory_limit_mib=int(job.get("memory_limit_mib", 0)),
        software_dir=software_dir,
        cvmfs_proxy=str((cvmfs or {}).get("proxy", "")),
    )


def build_agent(
    agent: Mapping[str, Any],
    runner: RunnerSettings,
    transport: Messenger,
    report: Report,
    *,
    durable: bool,
    max_jobs: int = 0,
    about: Mapping[str, str | int] = MappingProxyType({}),
) -> Agent:
    """An agent whose record and work directories are below the runner's root, which exists."""
    settings = AgentSettings(
        job_manager=str(agent["job_manager"]),
        state_dir=runner.root,
        agent_host=own_host_name(),
        durable=durable,
        max_jobs=max_jobs,
        about=about,
    )
    reach = dict(agent.get("transfer", {}))
    https = str(agent.get("https", ""))
    web = HttpsTransfer(https, str(agent.get("ca_pem", "")), reach) if https else None
    return Agent(settings, transport, ChirpTransfer(reach), LocalRunner(runner), report, SystemClock(), web)


async def run_over(transport: "XmppTransport", agent: Agent) -> None:
    """Runs the agent to its end; raises what ends the transport, should that ever happen first."""
    transport.on_bounce = agent.on_bounce
    work = asyncio.create_task(agent.run())
    carrier = asyncio.create_task(transport.wait_closed())
    try:
        await asyncio.wait([work, carrier], return_when=asyncio.FIRST_COMPLETED)
        (work if work.done() else carrier).result()
    finally:
        for task in (work, carrier):
            task.cancel()
        await asyncio.gather(work, carrier, return_exceptions=True)
