"""Long tasks, kept alive: a failure is logged, shown as a problem, and the task starts again after a back-off."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from client.errors import ClientError
from client.log import logger

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0


def back_off_s(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4, ... up to 60."""
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** max(0, min(failures, 10) - 1)))


async def supervise(
    name: str, task: Callable[[], Awaitable[None]], on_failure: Callable[[str, BaseException], None]
) -> None:
    """Run `task` until it returns by itself or is cancelled; start it again when it fails.

    Args:
        name: for the log.
        on_failure: told the name and the error, to show a problem.
    """
    failures = 0
    while True:
        try:
            await task()
            return
        except ClientError as error:
            failures += 1
            logger("core").warning("%s: %s", name, error)
            on_failure(name, error)
        except Exception as error:
            failures += 1
            logger("core").exception("%s failed", name)
            on_failure(name, error)
        await asyncio.sleep(back_off_s(failures))


async def attempt(name: str, task: Callable[[], Awaitable[None]]) -> Exception | None:
    """Run `task` once; returns what it failed with, so that the caller can show it and try again later.

    Args:
        name: for the log, when the failure is none that this program raises on purpose.
    """
    try:
        await task()
    except (ClientError, OSError) as error:
        return error
    except Exception as error:
        logger("core").exception("%s failed", name)
        return error
    return None
