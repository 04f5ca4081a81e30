"""Is this X server one that runs under Wayland? It sees only the input to X programs."""

import struct
from typing import Final

from client.host.x11.display import Display

#: Source: randrproto.txt
_GET_OUTPUT_INFO, _GET_RESOURCES = 9, 25
_NAME: Final = b"XWAYLAND"


async def is_under_wayland(display: Display) -> bool:
    """Newer ones have an extension of that name, all name their outputs so.

    Raises:
        OSError: it does not answer.
    """
    if await display.extension("XWAYLAND"):
        return True
    randr = await display.extension("RANDR")
    if randr is None:
        return False
    resources = await display.ask(randr.opcode, _GET_RESOURCES, struct.pack("<I", display.root))
    for output in outputs_in(resources)[:1]:
        info = await display.ask(randr.opcode, _GET_OUTPUT_INFO, struct.pack("<II", output, 0))
        return name_in(info).startswith(_NAME)
    return False


def outputs_in(reply: bytes) -> tuple[int, ...]:
    """The numbers of the outputs that a server lists.

    Raises:
        struct.error: the reply is cut off.
    """
    controllers, outputs = struct.unpack_from("<HH", reply, 16)
    return struct.unpack_from(f"<{outputs}I", reply, 32 + 4 * controllers)


def name_in(reply: bytes) -> bytes:
    """The name of an output.

    Raises:
        struct.error: the reply is cut off.
    """
    controllers, modes, _preferred, clones, length = struct.unpack_from("<HHHHH", reply, 26)
    begin = 36 + 4 * (controllers + modes + clones)
    return reply[begin : begin + length]
