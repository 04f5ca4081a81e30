"""Whom a site knows by their keys, and whom it has shut out, as functions for commands, tests and other programs.

A change is in force within seconds, without a restart: the key managers and the XMPP server read the list again.
"""

import sqlite3
from pathlib import Path

from client.copilot.managers.key_book import KeyBook, Owner
from client.copilot.managers.revoked import RevokedList
from client.errors import BadInput
from client.service.site_errors import NoSite
from client.service.site_folder import SiteFolder


def enrolled(site_folder: Path) -> list[Owner]:
    """All who enrolled, the newest first. Blocks.

    Raises:
        NoSite: there is no site in the folder.
        BadInput: the keys cannot be read.
    """
    registry = _existing(site_folder).registry
    try:
        return KeyBook(registry).owners() if registry.exists() else []
    except sqlite3.Error as error:
        raise BadInput(str(registry), f"it cannot be used ({error})", "check the file and its folder") from error


def revoke(site_folder: Path, who: str) -> bool:
    """Shut out an owner (all accounts, of now and later) or one guest's account. Returns whether that is new. Blocks.

    Raises:
        NoSite: there is no site in the folder.
        BadInput: `who` is neither.
        OSError: the disk fails; nothing has changed.
    """
    return RevokedList(_existing(site_folder).revoked).add(who)


def unrevoke(site_folder: Path, who: str) -> bool:
    """Let somebody in again. Returns whether they were shut out; raises as `revoke`. Blocks."""
    return RevokedList(_existing(site_folder).revoked).remove(who)


def revoked(site_folder: Path) -> dict[str, str]:
    """Who is shut out -> since when (ISO time, UTC). Blocks; raises as `enrolled`."""
    return RevokedList(_existing(site_folder).revoked).names()


def _existing(site_folder: Path) -> SiteFolder:
    folder = SiteFolder(site_folder.absolute())
    if not folder.plan.exists():
        raise NoSite(str(folder.base))
    return folder
