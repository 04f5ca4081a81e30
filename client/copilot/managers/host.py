"""What agents say of their computers, read once for all that say the same."""

import functools
import sys
from types import MappingProxyType
from typing import Final

from client.copilot.jdl import parse_jdl
from client.copilot.messages import PILOT
from client.copilot.queue.queue import PILOT_ATTRIBUTE, Host

#: Of a description, its attributes and a value so much is read; an honest one has 20 attributes in 600 characters.
#: It is kept for every agent that waits, so it must not cost more than 10 KB.
MAX_CHARS: Final = 4000
MAX_ATTRIBUTES: Final = 40
MAX_VALUE_CHARS: Final = 100
#: Descriptions that are kept although nobody may need them.
_KEPT: Final = 1024


def read_host(jdl: str, extensions: frozenset[str] = frozenset()) -> Host:
    """The attributes of a computer; agents with the same description share one.

    Args:
        extensions: what the agent announced; `pilot` among them becomes the attribute Pilot, whatever the text says.
    """
    return _read(jdl[:MAX_CHARS], PILOT in extensions)


@functools.lru_cache(_KEPT)
def _read(jdl: str, pilot: bool) -> Host:
    found = list(parse_jdl(jdl).items())[:MAX_ATTRIBUTES]
    host = {sys.intern(name): value[:MAX_VALUE_CHARS] for name, value in found if name != PILOT_ATTRIBUTE}
    return MappingProxyType(host | ({PILOT_ATTRIBUTE: "yes"} if pilot else {}))
