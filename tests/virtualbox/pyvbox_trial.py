"""Runs beside VirtualBox's own Python interface, in its Python: what the session helper does to a VM that runs.

    inside /usr/bin/python3 -m tests.virtualbox.pyvbox_trial UUID as-it-is | corrected

It prints one JSON object. `corrected` gives pyvbox the state numbers of the installed SDK first, which the program
itself never does: it shows that the numbers are what is wrong.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable
from typing import Any

from client.hypervisor.virtualbox.session import SessionHelper, disagreements, load

ROUNDS = 21


def load_corrected() -> tuple[Any, Any]:
    """As `load`, with pyvbox's table of machine states made anew from the SDK's."""
    pyvbox, constants = load()
    numbers = constants.VirtualBoxReflectionInfo(False).all_values("MachineState")
    states = pyvbox.library.MachineState
    states._enums = [(name, number, "") for name, number in numbers.items()]
    names = {number: name for name, number in numbers.items() if not name.startswith(("First", "Last"))}
    states._lookup_label, states._lookup_doc = names, dict.fromkeys(names, "")
    return pyvbox, constants


async def timed(deed: Awaitable[bool]) -> float:
    """Milliseconds of a verb that is done; it fails the trial if it is not."""
    begun = time.perf_counter()
    assert await deed
    return (time.perf_counter() - begun) * 1000


async def as_it_is(uuid: str) -> dict[str, Any]:
    pyvbox, constants = load()
    helper = SessionHelper()
    said = {
        "reads": str(pyvbox.VirtualBox().find_machine(uuid).state),
        "wrong": disagreements(pyvbox.library, constants),
        "serves": await helper.start(),
        "why_off": helper.why_off,
        "paused": await helper.pause(uuid),
    }
    helper.close()
    return said


async def corrected(uuid: str) -> dict[str, Any]:
    helper = SessionHelper(load_corrected)
    assert await helper.start(), helper.why_off
    pauses, resumes, percents = [], [], []
    for _ in range(ROUNDS):
        pauses.append(await timed(helper.pause(uuid)))
        resumes.append(await timed(helper.resume(uuid)))
    again = await helper.resume(uuid)
    refused = helper.why_off
    save_ms = await timed(helper.save(uuid, percents.append))
    said = {"pause_ms": pauses, "resume_ms": resumes, "save_ms": save_ms, "percents": percents}
    helper.close()
    return {**said, "resumed_twice": again, "off_by_that": refused}


if __name__ == "__main__":
    way = {"as-it-is": as_it_is, "corrected": corrected}[sys.argv[2]]
    print(json.dumps(asyncio.run(way(sys.argv[1]))))
