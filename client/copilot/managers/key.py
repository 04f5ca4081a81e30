"""`main.py key-manager`: gives guests their short-lived accounts; serves the appliance and its catalogue.

No account is stored: the user name says until when it is good, and the password is the name's HMAC under the site's
secret, which only this process and the XMPP server know.

TOML of `--config`:
[key]      host, port, domain, site_secret, enrolment_secret, lifetime_s,
           appliance, catalogue (folders; may be missing)
[process]  log
"""

import asyncio
import hashlib
import hmac
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web

from client.copilot.managers.config import Config, read_process_settings
from client.copilot.managers.process import read_arguments, run_until_signal
from client.log import logger

log = logger("site")

#: User names begin with this; the XMPP server's module knows it too.
PREFIX: Final = "agent"
LIFETIME_S: Final = 86400
_MANIFEST: Final = "manifest.json"
_MAX_BODY_BYTES: Final = 4096
_MAX_MANIFEST_BYTES: Final = 1024 * 1024
_VM_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
#: what a signed catalogue shows, and nothing beside it
_CATALOGUE_PATH: Final = re.compile(r"(metadata|targets)(/[A-Za-z0-9][A-Za-z0-9._+-]{0,250}){1,5}")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True)
class KeySettings:
    """Settings of a key manager.

    Attributes:
        lifetime_s: of a guest's account, in seconds.
        appliance: folder, or None.
        catalogue: the public folder of a signed catalogue, or None.
    """

    domain: str
    site_secret: str = field(repr=False)
    enrolment_secret: str = field(repr=False)
    lifetime_s: int = LIFETIME_S
    appliance: Path | None = None
    catalogue: Path | None = None


def guest_name(now: float, lifetime_s: int) -> str:
    """A fresh user name that is good until `now + lifetime_s` (epoch seconds)."""
    return f"{PREFIX}-{int(now) + lifetime_s}-{secrets.token_hex(8)}"


def guest_password(site_secret: str, name: str) -> str:
    """The password that belongs to a user name."""
    return hmac.new(site_secret.encode(), name.encode(), hashlib.sha256).hexdigest()


def build_application(settings: KeySettings) -> web.Application:
    """The HTTP service: POST /guest-token, GET /appliance/<file>, GET /catalogue/<path>."""

    async def guest_token(request: web.Request) -> web.Response:
        expected = f"Bearer {settings.enrolment_secret}".encode()
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode("utf-8", "replace"), expected):
            log.warning("a request for a token without the enrolment secret")
            raise web.HTTPUnauthorized(text="the enrolment secret is not right")
        vm_id = parse_vm_id(await request.read())
        now = time.time()
        name = guest_name(now, settings.lifetime_s)
        log.info("account %s for VM %s", name, vm_id)
        answer = {
            "jid": f"{name}@{settings.domain}",
            "password": guest_password(settings.site_secret, name),
            "expires_at": int(now) + settings.lifetime_s,
        }
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def appliance_file(request: web.Request) -> web.FileResponse:
        path = await asyncio.to_thread(_appliance_path, settings.appliance, request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound(text="there is no such file in the appliance")
        return web.FileResponse(path, headers={"Content-Type": "application/octet-stream"})

    async def catalogue_file(request: web.Request) -> web.FileResponse:
        path = await asyncio.to_thread(_catalogue_path, settings.catalogue, request.match_info["path"])
        if path is None:
            raise web.HTTPNotFound(text="there is no such file in the catalogue")
        # All names but this one belong to one content for ever.
        age = "no-cache" if path.name == "timestamp.json" else "max-age=86400"
        return web.FileResponse(path, headers={"Content-Type": "application/octet-stream", "Cache-Control": age})

    application = web.Application(client_max_size=_MAX_BODY_BYTES)
    application.router.add_post("/guest-token", guest_token)
    application.router.add_get("/appliance/{name}", appliance_file)
    application.router.add_get("/catalogue/{path:.+}", catalogue_file)
    return application


def parse_vm_id(body: bytes) -> str:
    """The VM that a token is for.

    Raises:
        HTTPBadRequest: the body does not say.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(text="the body is not JSON") from error
    vm_id = said.get("vm_id") if isinstance(said, dict) else None
    if not isinstance(vm_id, str) or not _VM_ID.fullmatch(vm_id):
        raise web.HTTPBadRequest(text="vm_id is missing or unusable")
    return vm_id


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


def main(argv: list[str]) -> int:
    """Serve until a signal ends it."""
    config = read_arguments("key-manager", "Gives guests short-lived accounts; serves the appliance.", argv)
    return run_until_signal(lambda stop: serve(config, stop), read_process_settings(config))


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Serve until `stop` is set.

    Raises:
        BadInput: the configuration cannot be used.
        OSError: the port is taken.
    """
    settings = KeySettings(
        domain=config.text("key", "domain"),
        site_secret=config.text("key", "site_secret"),
        enrolment_secret=config.text("key", "enrolment_secret"),
        lifetime_s=config.whole("key", "lifetime_s", LIFETIME_S),
        appliance=config.maybe_file("key", "appliance"),
        catalogue=config.maybe_file("key", "catalogue"),
    )
    runner = web.AppRunner(build_application(settings), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.text("key", "host", "127.0.0.1"), config.whole("key", "port")).start()
        await stop.wait()
    finally:
        await runner.cleanup()
