"""A site's files over HTTPS: prosody serves input and takes outputs; what each part of the site has to know of that."""

import hashlib
import hmac
from typing import Any, Final

from client.copilot.managers.prosody import INPUT_PATH, FileService, upload_store
from client.service.site_folder import SiteFolder
from client.service.site_plan import DOMAIN, LOOPBACK, SitePlan

#: JID of the upload service.
UPLOAD: Final = f"upload.{DOMAIN}"
_MIB: Final = 1024 * 1024


def https_address(plan: SitePlan) -> str | None:
    """`host:port` of the HTTPS server; None: it has none."""
    return f"{LOOPBACK}:{plan.ports.https}" if plan.ports.https else None


def file_service(folder: SiteFolder, plan: SitePlan, limit_mib: int) -> FileService | None:
    """What prosody is to serve. limit_mib: of one output."""
    stated = https_address(plan)
    if stated is None:
        return None
    return FileService(
        address=UPLOAD,
        port=plan.ports.https,
        stated=stated,
        uploaders=(plan.job_manager,),
        limit_bytes=limit_mib * _MIB,
        # Tokens outlive a restart of prosody.
        secret=hmac.new(plan.site_secret.encode(), b"uploads", hashlib.sha256).hexdigest(),
        inputs=folder.inputs,
    )


def job_keys(folder: SiteFolder, plan: SitePlan) -> dict[str, Any]:
    """What a job manager needs in [job] to offer input."""
    stated = https_address(plan)
    if stated is None:
        return {}
    return {"https": f"https://{stated}{INPUT_PATH}", "inputs": folder.inputs, "chirp_root": folder.chirp_root}


def storage_keys(folder: SiteFolder, plan: SitePlan) -> dict[str, Any]:
    """What a storage manager needs in [storage] to offer places for outputs."""
    if https_address(plan) is None:
        return {}
    return {"upload": UPLOAD, "upload_store": upload_store(folder.run / "prosody", UPLOAD)}
