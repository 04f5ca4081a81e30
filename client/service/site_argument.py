"""The site that a command is about: `--site FOLDER`, or the environment variable VOLUNTEER_CLOUD_SITE."""

import argparse
import os
from pathlib import Path
from typing import Any, Final

from client.errors import BadInput
from client.service.site_errors import NoSite
from client.service.site_folder import SiteFolder

VARIABLE: Final = "VOLUNTEER_CLOUD_SITE"


def add_site(parser: argparse.ArgumentParser, *names: str, **more: Any) -> None:
    """Give a parser the option.

    Args:
        names: others that it has as well.
        more: as add_argument takes it.
    """
    told = f"folder of the site (default: what the environment variable {VARIABLE} says)"
    parser.add_argument("--site", *names, dest="site", type=Path, metavar="FOLDER", help=told, **more)


def site_folder(given: argparse.Namespace, prog: str) -> SiteFolder:
    """The folder that was named; whether there is a site in it is not looked at.

    Raises:
        BadInput: none was.
    """
    said: Path | None = given.site or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if said is None:
        raise BadInput(prog, "no site was named", f"write --site FOLDER, or set {VARIABLE}")
    return SiteFolder(said.absolute())


def existing_site(given: argparse.Namespace, prog: str) -> SiteFolder:
    """The folder that was named, in which there is a site.

    Raises:
        BadInput: none was named.
        NoSite: there is none in it.
    """
    folder = site_folder(given, prog)
    if not folder.plan.exists():
        raise NoSite(str(folder.base))
    return folder
