"""Pilot use: a job that talks to an outside service has a short-lived token for it in a file while it runs.

The agent asks the managers (a key manager answers) with the lease that it holds, and asks again before the token ends.
The job finds the file by VC_PILOT_TOKEN_FILE; it lies outside of the work directory, so it is no output.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Final, Protocol

from client.copilot.checkpoint import JobRecord
from client.copilot.conversation import Conversation
from client.copilot.errors import JobFailed
from client.copilot.messages import GetPilotToken, NoPilotToken, PilotToken

log = logging.getLogger("agent")

#: waits for an answer, one after the other; then the job goes back
_WAITS_S: Final = (10.0, 20.0, 40.0, 60.0)
#: of a token's life, after which the next is asked for
_RENEW_AFTER: Final = 0.75
_SHORTEST_TURN_S: Final = 30.0
_LONGEST_TURN_S: Final = 86400.0


class TokenPlace(Protocol):
    """Where a job finds its token."""

    def keep_pilot_token(self, token: str) -> None:
        """Put a token there for the job's user alone, in place of the one before; empty: there is none any more."""


@contextlib.asynccontextmanager
async def pilot_token(talk: Conversation, manager: str, record: JobRecord, place: TokenPlace) -> AsyncIterator[None]:
    """Inside, the job's token is in its place, and fresh; a job that asks for none has none.

    Raises:
        JobFailed: no token is to be had.
    """
    if not record.job.pilot_service:
        yield
        return
    first = await _obtain(talk, manager, record)
    try:
        _put(record, place, first.token)
        keeper = asyncio.create_task(_keep_fresh(talk, manager, record, place, first))
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
    finally:
        with contextlib.suppress(OSError):
            place.keep_pilot_token("")


async def _obtain(talk: Conversation, manager: str, record: JobRecord) -> PilotToken:
    job_id, service = record.job.id, record.job.pilot_service
    try:
        for wait_s in _WAITS_S:
            question = GetPilotToken(service, job_id, record.lease_id)
            kinds = (PilotToken, NoPilotToken)
            answer = await talk.ask("pilot", manager, question, *kinds, timeout_s=wait_s, job_id=job_id)
            if answer is None:
                continue
            if isinstance(answer.command, PilotToken) and answer.command.token:
                return answer.command
            raise JobFailed(job_id, "pilot-token", f"{service}: {getattr(answer.command, 'reason', 'it is empty')}")
    finally:
        talk.settle("pilot")
    raise JobFailed(job_id, "pilot-token", f"{service}: nobody answers")


async def _keep_fresh(
    talk: Conversation, manager: str, record: JobRecord, place: TokenPlace, token: PilotToken
) -> None:
    while True:
        now = time.time()
        due_at = now + _RENEW_AFTER * (token.expires_at - now)
        await asyncio.sleep(_SHORTEST_TURN_S)
        while (left_s := due_at - time.time()) > 0:
            # A new session may mean that this computer was paused: how late it is, is looked at again.
            await talk.pause(min(_LONGEST_TURN_S, left_s))
        try:
            token = await _obtain(talk, manager, record)
            _put(record, place, token.token)
        except JobFailed as failed:
            # The job has its old token still, and may not need it any more.
            log.warning("no new token for job %s: %s", record.job.id, failed.said)


def _put(record: JobRecord, place: TokenPlace, token: str) -> None:
    try:
        place.keep_pilot_token(token)
    except OSError as failed:
        raise JobFailed(record.job.id, "disk-full", str(failed)) from failed
