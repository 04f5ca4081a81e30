"""How the instance's desks answer over the control socket what they refuse or could not do."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from client.errors import ClientError
from client.messages import code_of, sentence

#: sends one line of an answer
Send = Callable[[dict[str, Any]], Awaitable[None]]


@contextlib.asynccontextmanager
async def refusals_told(send: Send) -> AsyncIterator[None]:
    """Whatever fails within is told to whoever asked, and is over with that.

    Raises:
        ConnectionError: whoever asked is gone.
    """
    try:
        yield
    except (ClientError, OSError) as error:
        if isinstance(error, ConnectionError):
            raise
        said = sentence(error)
        await send({"ok": False, "error": code_of(error), "text": said.text, "doing": said.doing})
