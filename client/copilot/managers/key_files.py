"""What a key manager shows to everybody: the appliance and its signed catalogue; those who take them verify them."""

import asyncio
import json
import re
from pathlib import Path
from typing import Final

from aiohttp import web

from client.log import logger

log = logger("site")

_MANIFEST: Final = "manifest.json"
_MAX_MANIFEST_BYTES: Final = 1024 * 1024
#: what a signed catalogue shows, and nothing beside it
_CATALOGUE_PATH: Final = re.compile(r"(metadata|targets)(/[A-Za-z0-9][A-Za-z0-9._+-]{0,250}){1,5}")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


def add_files(application: web.Application, appliance: Path | None, catalogue: Path | None) -> None:
    """Serve GET /appliance/<file> and GET /catalogue/<path> out of these folders."""

    async def appliance_file(request: web.Request) -> web.FileResponse:
        path = await asyncio.to_thread(_appliance_path, appliance, request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound(text="there is no such file in the appliance")
        return web.FileResponse(path, headers={"Content-Type": "application/octet-stream"})

    async def catalogue_file(request: web.Request) -> web.FileResponse:
        path = await asyncio.to_thread(_catalogue_path, catalogue, request.match_info["path"])
        if path is None:
            raise web.HTTPNotFound(text="there is no such file in the catalogue")
        # All names but this one belong to one content for ever.
        age = "no-cache" if path.name == "timestamp.json" else "max-age=86400"
        return web.FileResponse(path, headers={"Content-Type": "application/octet-stream", "Cache-Control": age})

    application.router.add_get("/appliance/{name}", appliance_file)
    application.router.add_get("/catalogue/{path:.+}", catalogue_file)


def _appliance_path(folder: Path | None, name: str) -> Path | None:
    """The file of that name if the folder's manifest lists it. Blocks."""
    if folder is None or not _FILE_NAME.fullmatch(name):
        return None
    if name != _MANIFEST and name not in _listed(folder):
        return None
    path = folder / name
    return path if path.is_file() else None


def _catalogue_path(folder: Path | None, path: str) -> Path | None:
    """The file of a catalogue's public folder. Blocks."""
    if folder is None or not _CATALOGUE_PATH.fullmatch(path):
        return None
    found = folder / path
    return found if found.is_file() else None


def _listed(folder: Path) -> set[str]:
    """Names in the manifest, read anew each time since a new appliance may have been built."""
    try:
        with (folder / _MANIFEST).open("rb") as file:
            said = json.loads(file.read(_MAX_MANIFEST_BYTES))
        return set(said["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.error("the appliance's manifest cannot be read: %s", error)
        return set()
