"""A guest of the fake driver that boots at once and does errands for real, on this computer."""

import os
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Any

from client.copilot.guest_commands import Ways
from client.copilot.guest_errands import Errands
from client.link import LinkEnd


async def play_errands(reader: StreamReader, writer: StreamWriter) -> None:
    end = LinkEnd(os.urandom(4).hex())

    def say(kind: str, **fields: Any) -> None:
        writer.write(end.send(kind, **fields))

    errands = Errands(say, Ways(users=False, network=True, software=Path("/usr")), end.boot_id)
    writer.write(end.hello(version="errands", peer="guest"))
    say("boot", step="xmpp", uptime_s=1.0)
    say("heartbeat", uptime_s=1.0, xmpp=True, interval_s=5)
    try:
        while data := await reader.read(65536):
            for message in end.receive(data):
                if message.kind == "shutdown":
                    say("bye", reason="told to")
                    return
                errands.take(message)
            writer.write(end.replies())
    finally:
        await errands.close(5)
