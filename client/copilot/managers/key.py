"""The key manager: gives guests their short-lived accounts; serves the appliance and its catalogue.

No account is stored: the user name says until when it is good and whose it is, and the password is the name's HMAC
under the site's secret, which only this process and the XMPP server know. Any number of key managers may share one
registry and one list of the revoked.

TOML of `--config`:
[key]      host, port, domain, site_secret, enrolment_secret, lifetime_s, registry (SQLite file), revoked (text file),
           bearer (whether the secret alone is enough; the default without [tls]),
           appliance, catalogue (folders; may be missing)
[tls]      port, certificate, private_key (files). With it, what is secret goes over this port; `[key] port` then
           serves the appliance and its catalogue only (and old clients, with `bearer`)
[key]      pilots (file: tokens of outside services, `client.copilot.managers.pilot`); with [xmpp] and [queue], as for
           other managers, since agents ask for them over XMPP
[process]  log
"""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from client.copilot.managers.config import Config, read_process_settings
from client.copilot.managers.key_book import KeyBook
from client.copilot.managers.key_door import LIFETIME_S, MAX_BODY_BYTES, Door, DoorSettings
from client.copilot.managers.key_files import add_files
from client.copilot.managers.pilot import PilotDesk, RunCommand, read_sources
from client.copilot.managers.process import ManagerProcess
from client.copilot.managers.revoked import RevokedList
from client.copilot.queue.open import open_queue
from client.errors import BadInput
from client.log import logger

log = logger("site")

_REGISTRY: Final = "keys.sqlite"
_REVOKED: Final = "revoked.txt"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class KeySettings:
    """Where a key manager listens and what it shows.

    Attributes:
        port: of plain HTTP.
        tls_port: of HTTPS; 0: there is none.
        certificate, private_key: PEM files; of use with tls_port only.
        appliance: folder, or None.
        catalogue: the public folder of a signed catalogue, or None.
    """

    host: str
    port: int
    tls_port: int = 0
    certificate: Path = Path()
    private_key: Path = Path()
    appliance: Path | None = None
    catalogue: Path | None = None


async def serve(config: Config, stop: asyncio.Event, run: RunCommand) -> None:
    """Serve until `stop` is set.

    Args:
        run: how an operator's command is run.

    Raises:
        BadInput: the configuration cannot be used.
        OSError: a port is taken, or the registry cannot be opened.
    """
    settings = _settings(config)
    door = await asyncio.to_thread(_door, config, has_tls=settings.tls_port > 0)
    runners = [web.AppRunner(each, access_log=None, shutdown_timeout=2.0) for each in _applications(settings, door)]
    try:
        for runner, port, context in zip(runners, _ports(settings), (None, _context(settings)), strict=False):
            await runner.setup()
            await web.TCPSite(runner, settings.host, port, ssl_context=context).start()
        await _talk(config, stop, run)
    finally:
        for runner in runners:
            await runner.cleanup()


async def _talk(config: Config, stop: asyncio.Event, run: RunCommand) -> None:
    """Answer agents over XMPP, if there is anything to give, until `stop` is set."""
    pilots = config.maybe_file("key", "pilots")
    if pilots is None:
        await stop.wait()
        return
    talk = ManagerProcess(config.account(), read_process_settings(config))
    with contextlib.closing(open_queue(config)) as queue:
        desk = PilotDesk(queue, RevokedList(_places(config)[1]), read_sources(Config(pilots)), run, talk.send)
        talk.add(desk)
        try:
            await talk.run(stop)
        finally:
            await desk.close()


def _applications(settings: KeySettings, door: Door) -> list[web.Application]:
    """Of the plain port, and of the one with TLS if there is one."""
    applications = [web.Application(client_max_size=MAX_BODY_BYTES) for _ in _ports(settings)]
    for application in applications:
        add_files(application, settings.appliance, settings.catalogue)
    door.add_to(applications[-1])
    if settings.tls_port and door.knows_secret_only:
        door.add_old_way_to(applications[0])
    return applications


def _ports(settings: KeySettings) -> list[int]:
    return [settings.port, settings.tls_port] if settings.tls_port else [settings.port]


def _context(settings: KeySettings) -> ssl.SSLContext | None:
    """Raises BadInput: the certificate cannot be used."""
    if not settings.tls_port:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.certificate, settings.private_key)
    except (OSError, ssl.SSLError) as error:
        what = f"the certificate or its key cannot be used ({error})"
        raise BadInput(str(settings.certificate), what, "correct [tls] in the configuration file") from error
    return context


def _settings(config: Config) -> KeySettings:
    tls_port = config.whole("tls", "port", 0)
    settings = KeySettings(
        host=config.text("key", "host", "127.0.0.1"),
        port=config.whole("key", "port"),
        tls_port=tls_port,
        certificate=config.file("tls", "certificate") if tls_port else Path(),
        private_key=config.file("tls", "private_key") if tls_port else Path(),
        appliance=config.maybe_file("key", "appliance"),
        catalogue=config.maybe_file("key", "catalogue"),
    )
    if not tls_port and settings.host not in _LOOPBACK:
        log.warning("accounts are given in clear on %s: add [tls], or serve a proxy with TLS only", settings.host)
    return settings


def _door(config: Config, *, has_tls: bool) -> Door:
    """Blocks."""
    settings = DoorSettings(
        domain=config.text("key", "domain"),
        site_secret=config.text("key", "site_secret"),
        enrolment_secret=config.text("key", "enrolment_secret"),
        lifetime_s=config.whole("key", "lifetime_s", LIFETIME_S),
        bearer=config.flag("key", "bearer", not has_tls),
    )
    registry, revoked = _places(config)
    return Door(settings, KeyBook(registry), RevokedList(revoked))


def _places(config: Config) -> tuple[Path, Path]:
    """Of the registry and of the list of the revoked."""
    registry = config.maybe_file("key", "registry") or config.path.absolute().parent / _REGISTRY
    return registry, config.maybe_file("key", "revoked") or registry.with_name(_REVOKED)
