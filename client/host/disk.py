"""Free space for the program's files."""

import shutil
from pathlib import Path

from client.host.part import Facts


def look(folder: Path | None) -> Facts:
    """Free space on the folder's volume; of one that is still to be made, on that of the nearest that is there.

    Raises:
        OSError: the system does not say.
    """
    if folder is None:
        return {"free_disk_mib": None}
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    return {"free_disk_mib": shutil.disk_usage(there).free >> 20}
