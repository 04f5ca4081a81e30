"""One part of the sensors, kept alive: what it cannot tell is not known, said once, and tried again later."""

import asyncio
import struct
from typing import Final

from client.clock import Clock
from client.host.board import Board
from client.host.part import Part
from client.log import logger

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
#: All that a part may fail with: sockets, what is not there, messages that are not as they should be.
FAILURES: Final = (OSError, EOFError, ValueError, LookupError, TypeError, struct.error)


async def keep(part: Part, board: Board, clock: Clock) -> None:
    """Run the part until cancelled."""
    wait_s, said = FIRST_WAIT_S, ""
    while True:
        began = clock.monotonic()
        try:
            await part.run(board.teller(part.name))
            wait_s, why = LONGEST_WAIT_S, ""
        except FAILURES as error:
            why = f"{type(error).__name__}: {error}"
        board.forget(part.name)
        if clock.monotonic() - began > LONGEST_WAIT_S and why:
            wait_s, said = FIRST_WAIT_S, ""
        if why and why != said:
            logger("core").info("the sensor %s does not answer, and is tried again: %s", part.name, why)
            said = why
        await asyncio.sleep(wait_s)
        wait_s = min(LONGEST_WAIT_S, 2 * wait_s)
