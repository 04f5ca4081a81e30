"""A guest's next account: asked for while the one it has is still good, and told over the guest link.

The guest goes on with its job under the new name; to the project it is still the same owner. What stands on the
context medium is then too old: a guest that boots again by itself is told the newest account with its first word.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from client.errors import ClientError
from client.guest.channel import LinkChannel
from client.link import Message
from client.log import logger
from client.messages import code_of, sentence
from client.parts import Parts
from client.project.enrolment import GuestToken
from client.snapshot import VmState
from client.supervisor import back_off_s
from client.vm_record import VmRecord

log = logger("core")

#: of an account's life, after which the next one is asked for
RENEW_AFTER: Final = 0.75
#: what problems with it are about
_ABOUT: Final = "account"


class Renewal:
    """Of one VM's accounts. The record is its owner's; see the arguments."""

    def __init__(
        self,
        parts: Parts,
        vm_id: str,
        channel: LinkChannel,
        load: Callable[[], VmRecord],
        save: Callable[[VmRecord], None],
    ) -> None:
        """Args: load, save: what is known of the VM's account."""
        self._parts = parts
        self._vm_id = vm_id
        self._channel = channel
        self._load = load
        self._save = save
        self._token: GuestToken | None = None
        self._asking: asyncio.Task[None] | None = None
        self._wanted = False
        self._failures = 0
        self._not_before = float("-inf")

    def attend(self, state: VmState) -> None:
        """Ask for the next account if that is due; at each turn. Never waits."""
        busy = self._asking is not None and not self._asking.done()
        if busy or state is not VmState.RUNNING or not self._channel.connected:
            return
        if self._parts.clock.monotonic() >= self._not_before and self._is_due():
            self._asking = asyncio.create_task(self._renew())

    def guest_began(self) -> None:
        """The guest said its first word since it booted, so it has what stands on its medium."""
        if not self._load().medium_is_old:
            return
        if self._token is not None and self._token.expires_at > self._parts.clock.now():
            self._tell(self._token)
        else:
            self._wanted = True

    def heard(self, message: Message) -> None:
        """The guest said which account it goes on with."""
        log.info("%s goes on as %s", self._vm_id, str(message.fields.get("jid", "")).partition("@")[0])

    async def close(self) -> None:
        """End what is under way; idempotent."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _is_due(self) -> bool:
        due_at = renew_at(self._load())
        return due_at is not None and (self._wanted or self._parts.clock.now() >= due_at)

    async def _renew(self) -> None:
        parts = self._parts
        try:
            token = await parts.fetch_token(parts.project, self._vm_id)
            asked_at = parts.clock.now()
            fresh = replace(
                self._load(), token_expires_at=token.expires_at, token_asked_at=asked_at, medium_is_old=True
            )
            self._save(fresh)
        except (ClientError, OSError) as error:
            self._failures += 1
            self._not_before = parts.clock.monotonic() + back_off_s(self._failures)
            said = sentence(error)
            log.warning("No new account for %s: %s", self._vm_id, said.text)
            parts.board.raise_problem(code_of(error), _ABOUT, said.text, said.doing, said.severity)
            return
        self._failures, self._wanted, self._token = 0, False, token
        parts.board.settle(about=_ABOUT)
        self._tell(token)

    def _tell(self, token: GuestToken) -> None:
        self._channel.send(
            "account", jid=token.jid, password=token.password, expires_at=int(token.expires_at.timestamp())
        )


def renew_at(record: VmRecord) -> datetime | None:
    """When the next account is to be asked for (aware UTC); None: the guest could not take one."""
    if record.token_expires_at is None or record.token_asked_at is None:
        return None
    return record.token_asked_at + RENEW_AFTER * (record.token_expires_at - record.token_asked_at)
