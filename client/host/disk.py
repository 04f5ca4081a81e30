"""Free space for the program's files."""

import shutil
from pathlib import Path

from client.host.part import Facts


def look(folder: Path | None) -> Facts:
    """Free space on the folder's volume.

    Raises:
        OSError: there is no such folder.
    """
    if folder is None:
        return {"free_disk_mib": None}
    return {"free_disk_mib": shutil.disk_usage(folder).free >> 20}
