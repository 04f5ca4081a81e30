"""The files that a site writes for its children and for volunteers."""

import hashlib
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.copilot.managers.prosody import ProsodySettings, build_config
from client.errors import BadInput
from client.paths import write_atomic
from client.service import site_monitor, site_redis
from client.service.site_certificate import Certificates
from client.service.site_folder import SiteFolder
from client.service.site_https import file_service, https_address, job_keys, storage_keys
from client.service.site_legacy import ROOM, legacy_config
from client.service.site_plan import DOMAIN, LOOPBACK, MANAGER, SitePlan, build_toml

#: Folder of prosody's modules of ours.
MODULES: Final = Path(__file__).resolve().parents[2] / "resources" / "prosody"
PROSODY_CONFIG: Final = "prosody.cfg.lua"
#: Roles of which there may be several.
MANAGERS: Final = ("job-manager", "storage-manager")
#: The file server's access list for its root: nobody may do anything there, not even list it.
_ROOT_ACL: Final = "unix:nobody-at-all l\n"


@dataclass(frozen=True)
class SiteTerms:
    """What an operator may set.

    Attributes:
        lease_s: of agents that extend it.
        token_s: lifetime of a guest's account, in seconds.
        needs: section [needs] of the project file.
    """

    name: str = "Local site"
    text: str = "Proton-proton collisions, simulated with Pythia 8."
    publisher: str = "this computer"
    lease_s: int = 120
    silent_lease_s: int = 3600
    max_attempts: int = 5
    token_s: int = 86400
    time_limit_s: int = 3600
    output_limit_mib: int = 100
    memory_mib: int = 256
    cpus: int = 1
    network: bool = False


def chirp_address(plan: SitePlan) -> str:
    """`host:port` of the file server."""
    return f"{LOOPBACK}:{plan.ports.chirp}"


def child_names(role: str, plan: SitePlan) -> list[str]:
    """The children of one role: the role, role-2, role-3, ..."""
    return [role, *(f"{role}-{number}" for number in range(2, plan.shape.managers + 1))]


def write_children(folder: SiteFolder, plan: SitePlan, terms: SiteTerms, appliance: Path | None) -> None:
    """Write the configurations of all children.

    Raises:
        OSError: the disk fails.
    """
    certificates = Certificates(folder.tls)
    certificates.make(DOMAIN, LOOPBACK)
    _write_prosody(folder, plan, terms, certificates)
    site_redis.prepare(folder, plan)
    write_atomic(folder.chirp_root / ".__acl", _ROOT_ACL.encode(), 0o644)
    queue = {
        **site_redis.queue_place(folder, plan),
        "lease_s": terms.lease_s,
        "silent_lease_s": terms.silent_lease_s,
        "max_attempts": terms.max_attempts,
    }
    job = {"chirp": chirp_address(plan), **job_keys(folder, plan)}
    storage = {
        "chirp": chirp_address(plan),
        "chirp_root": folder.chirp_root,
        "folder": folder.storage,
        "packed_mib": terms.output_limit_mib,
        **storage_keys(folder, plan),
    }
    own: list[dict[str, dict[str, Any]]] = [{"job": job}, {"storage": storage}]
    for role, section in zip(MANAGERS, own, strict=True):
        for number, child in enumerate(child_names(role, plan), 1):
            xmpp = _xmpp(plan, certificates, f"{'jobs' if role == 'job-manager' else 'storage'}-{number}")
            process = {"log": folder.log(child), "ready_file": folder.ready(child)}
            sections = {
                "xmpp": xmpp,
                "queue": queue,
                "shares": dict(plan.shares),
                **section,
                "monitor": site_monitor.report_section(),
                "heartbeat": {"room": ROOM if plan.shape.legacy else None},
            }
            _write(folder.config(child), {**sections, "process": process})
    managers = _xmpp(plan, certificates, site_monitor.MONITOR)
    _write(folder.config(site_monitor.MONITOR), site_monitor.sections(folder, plan, managers, queue, terms.name))
    _write_key_manager(folder, plan, terms, appliance, certificates, queue)


def write_project(
    folder: SiteFolder,
    plan: SitePlan,
    terms: SiteTerms,
    appliance: Path | None,
    published: Mapping[str, dict[str, str]] | None = None,
) -> None:
    """Write the project file for volunteers' clients.

    Args:
        published: sections that name the appliance in a catalogue; none: it is named by its manifest's address.

    Raises:
        OSError: the disk fails, or the appliance has no manifest.
    """
    key = f"http://{LOOPBACK}:{plan.ports.key}"
    ca_pem = Certificates(folder.tls).authority.read_text(encoding="ascii")
    sections: dict[str, dict[str, Any]] = {
        "project": {"name": terms.name, "text": terms.text, "publisher": terms.publisher},
        "xmpp": {
            "host": LOOPBACK,
            "port": plan.ports.xmpp,
            "domain": DOMAIN,
            "job_manager": plan.job_manager,
            "ca_pem": ca_pem,
        },
        "transfer": {"chirp": chirp_address(plan), "https": https_address(plan)},
        "enrolment": {
            "url": f"https://{LOOPBACK}:{plan.ports.keys}/guest-token",
            "secret": plan.enrolment_secret,
            "ca_pem": ca_pem,
        },
        "needs": {
            "network": terms.network,
            "memory_mib": terms.memory_mib,
            "cpus": terms.cpus,
            "time_limit_s": terms.time_limit_s,
            "output_limit_mib": terms.output_limit_mib,
        },
    }
    if appliance is not None:
        try:
            digest = hashlib.sha256((appliance / filenames.MANIFEST).read_bytes()).hexdigest()
        except OSError as error:
            raise BadInput(str(appliance), "there is no appliance in it", "build one: make appliance") from error
        sections["appliance"] = {"url": f"{key}/appliance/{filenames.MANIFEST}", "sha256": digest}
        if published:
            # One version is built many times; what was built last is what is to run.
            sections |= {**published, "appliance": {**published["appliance"], "sha256": digest}}
    _write(folder.project, sections)


def chirp_command(folder: SiteFolder, plan: SitePlan) -> list[str]:
    """The command line of the file server.

    Source: chirp_server(1) of cctools 7; it tells the catalogue servers of its makers about itself unless given
    another address, and refuses to be root without a user to become.
    """
    command = ["chirp_server", "-r", f"file://{folder.chirp_root}", "-y", str(folder.run), "-I", LOOPBACK]
    command += ["-p", str(plan.ports.chirp), "-a", "address", "-u", LOOPBACK, "-U", "365d", "-F", "200M"]
    command += ["-M", "200", "-s", "120s", "-t", "60s", "-E"]
    if os.geteuid() == 0:
        command += ["-i", pwd.getpwuid(folder.chirp_root.stat().st_uid).pw_name]
    return command


def _write_prosody(folder: SiteFolder, plan: SitePlan, terms: SiteTerms, certificates: Certificates) -> None:
    own = folder.run / "prosody"
    (own / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = ProsodySettings(
        folder=own,
        modules=MODULES,
        domain=DOMAIN,
        host=LOOPBACK,
        port=plan.ports.xmpp,
        certificate=certificates.server,
        key=certificates.server_key,
        log=folder.log("prosody"),
        site_secret=plan.site_secret,
        accounts={MANAGER: plan.manager_password, **site_monitor.accounts(plan)},
        hidden=tuple(site_monitor.accounts(plan)),
        as_root=os.geteuid() == 0,
        revoked=folder.revoked,
        files=file_service(folder, plan, terms.output_limit_mib),
    )
    legacy = legacy_config(folder, plan, certificates.server, certificates.server_key)
    write_atomic(folder.run / PROSODY_CONFIG, (build_config(settings) + legacy).encode())


def _xmpp(plan: SitePlan, certificates: Certificates, resource: str) -> dict[str, Any]:
    return {
        "jid": plan.job_manager,
        "password": plan.manager_password,
        "host": LOOPBACK,
        "port": plan.ports.xmpp,
        "resource": resource,
        "ca_file": certificates.authority,
    }


def _write_key_manager(
    folder: SiteFolder,
    plan: SitePlan,
    terms: SiteTerms,
    appliance: Path | None,
    certificates: Certificates,
    queue: dict[str, Any],
) -> None:
    key = {
        "host": LOOPBACK,
        "port": plan.ports.key,
        "domain": DOMAIN,
        "site_secret": plan.site_secret,
        "enrolment_secret": plan.enrolment_secret,
        "lifetime_s": terms.token_s,
        "appliance": appliance.absolute() if appliance else None,
        "catalogue": folder.catalogue / "public",
        "registry": folder.registry,
        "revoked": folder.revoked,
        "bearer": plan.shape.old_clients,
    }
    tls = {"port": plan.ports.keys, "certificate": certificates.server, "private_key": certificates.server_key}
    process = {"log": folder.log("key-manager")}
    talk: dict[str, dict[str, Any]] = {}
    if folder.pilots.exists():
        key["pilots"] = folder.pilots
        talk = {"xmpp": _xmpp(plan, certificates, "keys-1"), "queue": queue}
    _write(folder.config("key-manager"), {"key": key, "tls": tls, **talk, "process": process})


def _write(path: Path, sections: dict[str, dict[str, Any]]) -> None:
    write_atomic(path, build_toml(sections).encode())
