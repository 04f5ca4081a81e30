"""`main.py storage-manager`: takes and judges outputs. Any number of instances may share one queue and one bare JID."""

import argparse
import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from client.copilot.managers.claims import ClaimNotes
from client.copilot.managers.config import Config, read_process_settings
from client.copilot.managers.failure import said_of
from client.copilot.managers.instance import claim_instance
from client.copilot.managers.judge import Judge, Verdict
from client.copilot.managers.process import ManagerProcess, read_arguments, role_parser, run_until_signal
from client.copilot.managers.shelf import Claim, Shelf
from client.copilot.managers.slot import UploadService
from client.copilot.managers.storage_desk import StorageDesk, Wish
from client.copilot.managers.sweep import sweep
from client.copilot.managers.unpack import Limits
from client.copilot.managers.upload import UploadStore
from client.copilot.queue.errors import QueueError
from client.copilot.queue.open import open_queue
from client.log import logger

log = logger("site")

#: Outputs that wait to be judged; what is beyond is forgotten, and its job returns to the queue with its lease.
MAX_CLAIMS: Final = 10_000
#: Questions to the upload service at a time; who comes on top of them is sent to Chirp.
MAX_WISHES: Final = 1000
SWEEP_INTERVAL_S: Final = 3600.0
#: After a disk or a queue that failed, what could not be judged is tried again so often.
AGAIN_S: Final = 30.0
_MIB: Final = 1024 * 1024
_Result = TypeVar("_Result")
#: word and purpose
_ROLE: Final = ("storage-manager", "Takes the output of Co-Pilot agents and checks it.")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    return role_parser(*_ROLE)


def main(argv: list[str]) -> int:
    """Serve until a signal ends it."""
    config = read_arguments(*_ROLE, argv)
    return run_until_signal(lambda stop: serve(config, stop), read_process_settings(config))


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Serve until `stop` is set.

    Raises:
        BadInput: the configuration cannot be used.
        InstanceRunning: there is one of that name already.
        QueueUnusable: the queue cannot be opened.
    """
    service = StorageService(config)
    try:
        await service.run(stop)
    finally:
        service.close()


class StorageService:
    """A storage manager: its desk, and the judging that goes on beside it, one output after the other.

    Attributes:
        process: other desks may be added to it.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._claims: asyncio.Queue[Claim] = asyncio.Queue(MAX_CLAIMS)
        self.process = ManagerProcess(config.account(), read_process_settings(config))
        instance, folder = config.text("xmpp", "resource"), config.file("storage", "folder")
        self._notes = ClaimNotes(folder, instance)
        #: those and what is being judged
        self._waiting: set[Claim] = set()
        #: of the loop's clock; None: nothing failed
        self._again_at: float | None = None
        self._not_taken: deque[Claim] = deque()
        self._lock = claim_instance(folder, instance)
        limits = _limits(config)
        store = config.maybe_file("storage", "upload_store")
        self._uploads = UploadStore(store) if store else None
        self._shelf = Shelf(config.file("storage", "chirp_root"), folder, instance, self._uploads)
        self._queue = open_queue(config)
        # The judge works in a thread and must not wait for, or disturb, a transaction of the desk.
        self._judge_queue = open_queue(config)
        self._judge = Judge(self._judge_queue, self._shelf, limits)
        self._service = _upload_service(config, self.process)
        self._wishes: set[asyncio.Task[None]] = set()
        self._desk = StorageDesk(
            self._queue,
            self._shelf,
            config.text("storage", "chirp"),
            self._note,
            self.process.reporter,
            limits.packed_bytes,
            self._wish if self._service else None,
        )
        self.process.add(self._desk)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; an output in hand is dealt with first."""
        duties = [asyncio.create_task(duty) for duty in (self.process.run(stop), self._judge_all(), self._sweep())]
        try:
            done, _ = await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
            for duty in done:
                duty.result()
        finally:
            for duty in duties:
                duty.cancel()
            await asyncio.gather(*duties, return_exceptions=True)

    def close(self) -> None:
        """Close the queues, and give the name back."""
        self._lock.close()
        self._queue.close()
        self._judge_queue.close()

    def _wish(self, wish: Wish) -> None:
        task = asyncio.create_task(self._find_place(wish))
        self._wishes.add(task)
        task.add_done_callback(self._wishes.discard)

    async def _find_place(self, wish: Wish) -> None:
        """Answer an agent that waits for a place; without the upload service it gets one over Chirp."""
        slot = None
        if self._service is not None and len(self._wishes) <= MAX_WISHES:
            slot = await self._service.slot(wish.size_bytes)
        await self.process.send(self._desk.place(wish, slot))

    def _note(self, claim: Claim) -> None:
        if claim in self._waiting:
            # Judged twice, an output that was refused would be missing the second time.
            return
        if len(self._waiting) >= MAX_CLAIMS:
            log.error("too many outputs wait; that of %s is left for later", claim.job_id)
            return
        self._notes.note(claim)
        self._claims.put_nowait(claim)
        self._waiting.add(claim)

    async def _judge_all(self) -> None:
        await self._judge_again()
        self._take_up_claims()
        while True:
            if self._again_at is not None and asyncio.get_running_loop().time() >= self._again_at:
                await self._judge_again()
            try:
                async with asyncio.timeout_at(self._again_at):
                    claim = await self._claims.get()
            except TimeoutError:
                continue
            await self._judge_one(claim)

    async def _judge_one(self, claim: Claim) -> None:
        try:
            verdict = await _to_its_end(partial(self._judge.judge, claim))
        except (OSError, QueueError) as error:
            if self._again_at is None:
                log.error(
                    "output of job %s not judged: %s; it and all others are kept, and tried again every %.0f s",
                    claim.job_id,
                    said_of(error),
                    AGAIN_S,
                )
            self._again_at = self._again_at or asyncio.get_running_loop().time() + AGAIN_S
            if not await _to_its_end(partial(self._is_held, claim)):
                self._not_taken.append(claim)
                return
        else:
            await self._announce(claim, verdict)
        self._waiting.discard(claim)
        self._notes.settle(claim)

    def _take_up_claims(self) -> None:
        """What an earlier run had not begun with."""
        try:
            for claim in list(self._notes.left()):
                job = self._queue.get(claim.job_id)
                if (job is not None and not job.new.output) or self._shelf.grants.holds(claim.job_id, claim.sender):
                    self._note(claim)
                else:
                    # Its output was taken, and is dealt with.
                    self._notes.settle(claim)
        except (OSError, QueueError) as error:
            log.error("what an earlier run had not begun with is left for the next start: %s", said_of(error))

    async def _judge_again(self) -> None:
        """Deal with what an earlier run left, or a full disk did not let us deal with."""
        was_failing, self._again_at = self._again_at is not None, None
        verdicts, is_clear = await _to_its_end(self._judge_left)
        for claim, verdict in verdicts:
            await self._announce(claim, verdict)
        if not is_clear:
            self._again_at = asyncio.get_running_loop().time() + AGAIN_S
        for _ in range(len(self._not_taken)):
            await self._judge_one(self._not_taken.popleft())
        if was_failing and self._again_at is None:
            log.info("outputs are judged again")

    def _judge_left(self) -> tuple[list[tuple[Claim, Verdict]], bool]:
        try:
            self._judge.take_up_results()
            return self._judge.judge_left(), self._shelf.is_clear()
        except OSError as error:
            log.error("what was left to be judged cannot be read: %s", said_of(error))
            return [], False

    def _is_held(self, claim: Claim) -> bool:
        try:
            return self._shelf.holds(claim)
        except OSError:
            # Judged once more, an output that was taken would count as none.
            return True

    async def _announce(self, claim: Claim, verdict: Verdict) -> None:
        self.process.reporter.judged(claim.job_id, claim.exit_code, accepted=verdict.accepted, reason=verdict.reason)
        try:
            replies = self._desk.announce(claim.sender, verdict)
        except QueueError as error:
            # It is only told once; what counts is that the queue has it.
            log.error("verdict on job %s not told: %s", claim.job_id, error)
        else:
            await self.process.send(replies)

    async def _sweep(self) -> None:
        while True:
            try:
                removed = await asyncio.to_thread(self._sweep_once)
            except (OSError, QueueError) as error:
                log.error("old uploads not removed: %s", error)
            else:
                if removed:
                    log.info("%d old uploads removed", removed)
            await asyncio.sleep(SWEEP_INTERVAL_S)

    def _sweep_once(self) -> int:
        # In a thread too, so with a queue of its own.
        with contextlib.closing(open_queue(self._config)) as queue:
            removed = sweep(queue, self._shelf)
        return removed + (self._uploads.sweep() if self._uploads else 0)


async def _to_its_end(work: Callable[[], _Result]) -> _Result:
    """Do it in a thread; when cancelled, only after its end: the queue must not be closed under it."""
    thread = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.gather(thread, return_exceptions=True)
        raise


def _upload_service(config: Config, process: ManagerProcess) -> UploadService | None:
    address = config.text("storage", "upload", "")
    return UploadService(process.ask, address) if address and config.maybe_file("storage", "upload_store") else None


def _limits(config: Config) -> Limits:
    usual = Limits()
    return Limits(
        packed_bytes=config.whole("storage", "packed_mib", usual.packed_bytes // _MIB) * _MIB,
        unpacked_bytes=config.whole("storage", "unpacked_mib", usual.unpacked_bytes // _MIB) * _MIB,
        members=config.whole("storage", "files", usual.members),
    )
