"""Makes the blank medium of `client.appliance.blank`, in a worker process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client import __version__
from client.appliance.agent import build_agent
from client.appliance.context import blank_image
from client.appliance.medium import write_image
from client.appliance.worker_child import Face


def make_blank(order: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """The kind of work `context`. Order: path, where to write it. Result: offset_bytes, of the room for settings.

    Raises:
        DiskFull
    """
    image, offset = blank_image(build_agent(__version__))
    face.check()
    write_image(Path(order["path"]), image)
    return {"offset_bytes": offset}
