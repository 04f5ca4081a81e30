"""Files of a job: its input from the project's file server, its output to the one that a storage manager names.

Both go over HTTPS where the agent has a way to the project's HTTPS server and the managers offer it, else over Chirp;
also when HTTPS fails again and again.
"""

import asyncio
import errno
import itertools
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from client.copilot import report as states
from client.copilot.checkpoint import JobRecord
from client.copilot.conversation import Answer, Conversation
from client.copilot.errors import FileTooBig, JobFailed, TransferFailed
from client.copilot.handed import slot_of
from client.copilot.messages import (
    GetJobOutputDir,
    HaveGetJobOutputDir,
    JobDescription,
    JobDone,
    StoreJobOutputDir,
    WantGetJobOutputDir,
)
from client.copilot.runner import JobRunner
from client.copilot.storage.files import FileTransfer, WebTransfer
from client.copilot.timers import Timers, doubling

log = logging.getLogger("agent")

#: Trials to move a file by HTTPS; those that follow go by Chirp.
HTTPS_TRIALS: Final = 3
#: An output is tried to be handed in for as long as its job has run, at most for so long.
LONGEST_TRIALS_S: Final = 86400.0


class Handover:
    """Fetches input and hands in output.

    Args:
        manager: bare JID of all managers.
        web: the way to the project's HTTPS server; None: there is none.
    """

    def __init__(
        self,
        talk: Conversation,
        manager: str,
        agent_host: str,
        files: FileTransfer,
        runner: JobRunner,
        timers: Timers,
        web: WebTransfer | None = None,
    ) -> None:
        self._talk = talk
        self._manager = manager
        self._agent_host = agent_host
        self._files = files
        self._web = web
        self._runner = runner
        self._timers = timers

    async def fetch(self, record: JobRecord) -> None:
        """Fills a fresh work directory with the input files.

        Raises:
            JobFailed: `input` or `disk-full`.
        """
        job = record.job
        try:
            folder = await self._runner.prepare(job.id)
            left = self._runner.input_limit_bytes
            for name in job.input_files:
                local = folder / name
                local.parent.mkdir(parents=True, exist_ok=True)
                left -= await self._fetch_one(job, name, local, left)
        except (TransferFailed, FileTooBig) as failed:
            raise JobFailed(job.id, "input", str(failed)) from failed
        except OSError as failed:
            raise JobFailed(job.id, _cause(failed, "input"), str(failed)) from failed

    async def hand_in(
        self, record: JobRecord, enter: Callable[[str], Awaitable[None]], still_ours: Callable[[], Awaitable[object]]
    ) -> None:
        """Packs and uploads the output, if the job is to have any, and says so to the storage manager.

        Args:
            enter: told which state begins.
            still_ours: awaited before each step that only the holder of the job may take.

        A file server that is down for a while costs no job that has run for longer.

        Raises:
            JobFailed: `upload`, or what packing raises.
        """
        if record.job.no_output:
            await enter(states.WANTING_OUTPUT_PLACE)
            have = await self._find_manager(record)
            await still_ours()
            await self._say_done(record, have)
            return
        archive = await self._runner.pack(record)
        size = _size(record.job.id, archive)
        waits = doubling(self._timers.transfer_first_s, self._timers.place_last_s)
        now = asyncio.get_running_loop().time
        ends_at = now() + min(LONGEST_TRIALS_S, record.elapsed_s)
        for trial in itertools.count(1):
            await enter(states.WANTING_OUTPUT_PLACE)
            place = await self._find_place(record, size if self._web else None, by_chirp=trial > HTTPS_TRIALS)
            await still_ours()
            await enter(states.PUTTING_OUTPUT)
            try:
                await self._put(record, place, archive, size)
            except TransferFailed as failed:
                log.warning("output of %s not taken: %s", record.job.id, failed)
                if trial >= self._timers.transfer_trials and (failed.permanent or now() > ends_at):
                    raise JobFailed(record.job.id, "upload", str(failed)) from failed
            else:
                await still_ours()
                await self._say_done(record, place)
                return
            await asyncio.sleep(next(waits))

    async def _fetch_one(self, job: JobDescription, name: str, local: Path, limit_bytes: int) -> int:
        """By HTTPS if that is offered, and by Chirp if that is not or does not lead to the end."""
        web, url = self._web, job.input_url
        if web is not None and url:
            try:
                trials = HTTPS_TRIALS if job.chirp_url else self._timers.transfer_trials
                return await self._trials(trials, partial(web.get, url, name, local, limit_bytes=limit_bytes))
            except TransferFailed as failed:
                if not job.chirp_url:
                    raise
                log.warning("input over Chirp instead: %s", failed)
        path = f"/{job.input_dir.strip('/')}/{name}"
        get = partial(self._files.get, job.chirp_url, path, local, limit_bytes=limit_bytes)
        return await self._trials(self._timers.transfer_trials, get)

    async def _trials(self, number: int, get: Callable[[], Awaitable[int]]) -> int:
        waits = doubling(self._timers.transfer_first_s, self._timers.place_last_s)
        for trial in range(1, number + 1):
            try:
                return await get()
            except TransferFailed as failed:
                if failed.permanent or trial == number:
                    raise
                log.warning("input not had yet: %s", failed)
            await asyncio.sleep(next(waits))
        raise AssertionError("the last trial returns or raises")

    async def _find_place(self, record: JobRecord, size: int | None, *, by_chirp: bool) -> Answer:
        """Asks until a storage manager names a place.

        Args:
            size: of the archive, if it may go by HTTPS.
            by_chirp: a place over Chirp is asked for first, then one of either kind in turn: it may have no Chirp.
        """
        job_id = record.job.id
        tell = itertools.cycle([None, size] if by_chirp else [size])
        for wait_s in self._talk.waits(self._timers.place_first_s, self._timers.place_last_s):
            have = await self._ask_for_manager(record, wait_s)
            if have is None:
                continue
            get = GetJobOutputDir(job_id, self._agent_host, record.job_data, next(tell))
            limit_s = self._timers.store_answer_s
            place = await self._talk.ask("place", have.sender, get, StoreJobOutputDir, timeout_s=limit_s, job_id=job_id)
            if place is None:
                continue
            if place.command.chirp_url or place.command.put_url:
                return place
            # It answers at once that it has none: asked at once, it would be asked without end.
            await self._talk.pause(wait_s)
        raise AssertionError("the waits have no end")

    async def _find_manager(self, record: JobRecord) -> Answer:
        """Asks until a storage manager answers."""
        for wait_s in self._talk.waits(self._timers.place_first_s, self._timers.place_last_s):
            have = await self._ask_for_manager(record, wait_s)
            if have is not None:
                return have
        raise AssertionError("the waits have no end")

    async def _ask_for_manager(self, record: JobRecord, wait_s: float) -> Answer | None:
        want = WantGetJobOutputDir(record.job.id, self._agent_host, record.job_data)
        return await self._talk.ask(
            "place", self._manager, want, HaveGetJobOutputDir, timeout_s=wait_s, one_session=True
        )

    async def _put(self, record: JobRecord, place: Answer, archive: Path, size: int) -> None:
        job_id, said = record.job.id, place.command
        if said.job_data:
            record.job_data = dict(said.job_data)
        if said.put_limit is not None and size > said.put_limit:
            raise JobFailed(job_id, "output-limit", f"{size} bytes; the project takes {said.put_limit}")
        try:
            if self._web is not None and said.put_url:
                await self._web.put(said.put_url, said.put_headers, archive)
            else:
                await self._files.put(said.chirp_url, f"/{job_id}/{job_id}.tgz", archive)
        except OSError as failed:
            raise JobFailed(job_id, "upload", str(failed)) from failed

    async def _say_done(self, record: JobRecord, place: Answer) -> None:
        job_id = record.job.id
        data = {**record.job_data, "wallTime": f"{record.cpu_s:.2f}"}
        done = JobDone(
            job_id,
            self._agent_host,
            exit_code=record.exit_status or 0,
            validate_exit_code=record.validate_status,
            job_data=data,
        )
        await self._talk.post(slot_of(job_id), place.sender, done)


def _size(job_id: str, archive: Path) -> int:
    try:
        return archive.stat().st_size
    except OSError as failed:
        raise JobFailed(job_id, "upload", str(failed)) from failed


def _cause(failed: OSError, otherwise: str) -> str:
    return "disk-full" if failed.errno in {errno.ENOSPC, errno.EDQUOT} else otherwise
