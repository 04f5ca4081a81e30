"""The kind of work `refresh`: brings a catalogue up to date and returns what it holds. Nothing unverified gets out.

Lists and small files come into memory only and are checked there by The Update Framework's client; what is written to
the folder is what passed. Every address is asked: a single one could hide that there is something newer. If none can be
used, the last state that was whole is, as long as its signatures are good. The folder:

  seen/            the newest list of each kind that was ever proven, so that no server can lead back behind it
  kept.json        the last whole state, with its small files
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from tuf.api.exceptions import DownloadError, DownloadLengthMismatchError, ExpiredMetadataError, RepositoryError
from tuf.ngclient import FetcherInterface

from client.appliance.catalog import Catalog
from client.appliance.catalog_facts import is_folder_url, is_id
from client.appliance.errors import (
    ApplianceError,
    CatalogExpired,
    CatalogRefused,
    CatalogRootWrong,
    CatalogUnreachable,
    ClockWrong,
)
from client.appliance.trust_kept import Kept, KeptState, read_kept, write_kept
from client.appliance.trust_lists import CONFIG, ROOT_HISTORY, Lists
from client.appliance.trust_read import Files, read_lists
from client.appliance.trust_web import Limits, Web
from client.appliance.trust_words import said_of
from client.appliance.worker_child import Face
from client.appliance.worker_words import error_to
from client.errors import BadInput
from client.log import logger

#: a clock that is off by less is none of this program's business
CLOCK_TOLERANCE: Final = timedelta(days=1)
MAX_ADDRESSES: Final = 8
MAX_CONTENTS: Final = 64
_LOCK_WAIT_S: Final = 10.0
#: when one address has proven good already, the others get less time
_SECOND_S: Final = 10.0

#: of errors: which one to tell when every address fails
_GRAVITY: Final = {ClockWrong.code: 4, CatalogRootWrong.code: 3, CatalogRefused.code: 2, CatalogExpired.code: 1}
_FIRST_ROOT: Final = "1.root.json"

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Order:
    """What to refresh.

    Attributes:
        metadata_urls, target_urls: folders, each with its slash at the end.
        folder: the catalogue's own, kept between refreshes.
        root, root_sha256: the root that is trusted to begin with: a file, or the SHA-256 of the first one.
        contents: small files to be returned, by target name.
        projects: ids of those whose appliances are wanted, to spare the lists of the others; None: all.
        proxy: None: that of the environment or the system; empty: none; else its address.
    """

    metadata_urls: tuple[str, ...]
    target_urls: tuple[str, ...]
    folder: Path
    root: Path | None = None
    root_sha256: str = ""
    contents: tuple[str, ...] = ()
    projects: frozenset[str] | None = None
    proxy: str | None = None
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Order":
        """Read the order that came to the worker.

        Raises:
            BadInput: it cannot be used.
        """
        root, sha256, proxy = said.get("root"), said.get("root_sha256") or "", said.get("proxy")
        texts = (said.get("folder"), sha256, proxy or "", root or "")
        if not all(isinstance(one, str) for one in texts) or not texts[0] or not (root or sha256):
            raise BadInput("the order", "folder, root or proxy is not text", "write paths, a digest, an address")
        usual = Limits()
        limits = [said.get(name, getattr(usual, name)) for name in ("stall_s", "whole_s")]
        if not all(isinstance(one, int | float) and 0 < one < 3600 for one in limits):
            raise BadInput("the order", "a time is not possible", "write seconds")
        contents = said.get("contents", [])
        if not isinstance(contents, list) or len(contents) > MAX_CONTENTS:
            raise BadInput("the order", f"contents is no list of at most {MAX_CONTENTS}", "write names of targets")
        projects = said.get("projects")
        if projects is not None and not (isinstance(projects, list) and all(map(is_id, projects))):
            raise BadInput("the order", "projects is no list of ids", "write ids, or leave it out")
        return cls(
            _urls(said, "metadata_urls"),
            _urls(said, "target_urls"),
            Path(said["folder"]),
            Path(root) if root else None,
            sha256.lower(),
            tuple(map(str, contents)),
            None if projects is None else frozenset(projects),
            proxy,
            Limits(*limits),
        )


def refresh(said: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """The kind of work `refresh`. Order: the fields of `Order` as JSON.

    Returns:
        A `Catalog` as JSON.

    Raises:
        CatalogUnreachable, CatalogRefused, CatalogExpired: and what was kept cannot be used either.
        CatalogRootWrong: the beginning of trust is another one than was named.
        ClockWrong: expiry cannot be judged.
        Stopped
    """
    order = Order.from_json(said)
    order.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(order.folder / "lock", timeout=_LOCK_WAIT_S):
            return Refresh(order, face).run().to_json()
    except Timeout as busy:
        where = order.metadata_urls[0]
        raise CatalogUnreachable(where, "another process asks for it at this moment") from busy


class Refresh:
    """One refresh of one catalogue."""

    def __init__(self, order: Order, face: Face, clock: Clock = lambda: datetime.now(UTC)) -> None:
        self._order = order
        self._face = face
        self._now = clock()
        self._seen = order.folder / "seen"
        self._errors: list[ApplianceError] = []

    def run(self) -> Catalog:
        """See `refresh`."""
        self._seen.mkdir(exist_ok=True, mode=0o700)
        self._clear()
        kept = read_kept(self._order.folder)
        found: Catalog | None = None
        for url in self._order.metadata_urls:
            self._face.check()
            self._face.progress(step="catalogue", url=url)
            found = self._from(url, kept, has_one=found is not None) or found
        if found is None:
            found = self._from_kept(kept)
        return found

    def _clear(self) -> None:
        """Remove what a refresh that was killed left half-written; nobody else is at work here."""
        for folder in (self._order.folder, self._seen):
            for path in folder.glob(".*"):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def _from(self, url: str, kept: KeptState, *, has_one: bool) -> Catalog | None:
        """What one address has; None, and an error more, if that cannot be used."""
        usual = self._order.limits
        limits = Limits(usual.stall_s, min(usual.whole_s, _SECOND_S)) if has_one else usual
        web = Web(self._face, self._order.proxy, limits)
        lists: Lists | None = None
        try:
            lists = Lists(self._seen, url, web, self._anchor(url, web, kept), self._now)
            lists.refresh()
            self._check_clock(lists)
            files = Files(self._order.target_urls, web, dict(kept.small))
            found = read_lists(lists, files, self._now, self._order.contents, self._order.projects)
            state = KeptState(self._now, lists.contents(kept.lists), files.known)
            write_kept(self._order.folder, state)
            return found
        except ExpiredMetadataError:
            self._fail(self._expired(url, lists, web))
        except (RepositoryError, DownloadLengthMismatchError) as error:
            self._fail(CatalogRefused(url, said_of(error)))
        except DownloadError as error:
            self._fail(CatalogUnreachable(url, said_of(error)))
        except ApplianceError as error:
            self._fail(error)
        finally:
            web.close()
        return None

    def _from_kept(self, kept: KeptState) -> Catalog:
        """The last whole state, if it is good still.

        Raises:
            ApplianceError: the gravest of what was met.
        """
        problem = max(self._errors, key=lambda one: _GRAVITY.get(one.code, 0))
        if not kept.lists:
            raise problem
        try:
            with Kept(self._order.folder, kept, self._seen / ROOT_HISTORY) as source:
                lists = Lists(source.folder, "kept/", source, self._anchor("", source, kept), self._now)
                lists.refresh()
                self._check_clock(lists)
                files = Files(self._order.target_urls, None, dict(kept.small))
                found = read_lists(lists, files, self._now, self._order.contents, self._order.projects)
        except (RepositoryError, DownloadError, CatalogRefused, CatalogRootWrong) as error:
            logger("appliance").info("The catalogue that was kept cannot be used: %s", said_of(error))
            raise problem from error
        return replace(found, fetched_at=kept.fetched_at, is_fresh=False, problem=error_to(problem))

    def _anchor(self, url: str, source: FetcherInterface, kept: KeptState) -> bytes:
        """The root that is trusted to begin with.

        Raises:
            BadInput: the file cannot be read.
            CatalogRootWrong: it is not the one that was named.
            DownloadError
        """
        if self._order.root is not None:
            try:
                return self._order.root.read_bytes()
            except OSError as error:
                what = error.strerror or "it cannot be read"
                raise BadInput(str(self._order.root), what, "install this program again") from error
        known = (self._seen / ROOT_HISTORY / _FIRST_ROOT, kept.lists.get(_FIRST_ROOT, b""))
        for content in (known[0].read_bytes() if known[0].is_file() else b"", known[1]):
            if hashlib.sha256(content).hexdigest() == self._order.root_sha256:
                return content
        content = source.download_bytes(url + _FIRST_ROOT, CONFIG.root_max_length)
        found = hashlib.sha256(content).hexdigest()
        if found != self._order.root_sha256:
            raise CatalogRootWrong(url, f"its first root has the SHA-256 {found[:16]}..., and not the one named")
        return content

    def _check_clock(self, lists: Lists) -> None:
        """Refuse to judge expiry by a clock that is before what was signed.

        Raises:
            ClockWrong
        """
        try:
            signed_at = datetime.fromisoformat(str(lists.signed_at))
        except ValueError:
            return  # another program's catalogue does not say
        if signed_at.tzinfo and signed_at > self._now + CLOCK_TOLERANCE:
            raise ClockWrong(_told(self._now), _told(signed_at))

    def _expired(self, url: str, lists: Lists | None, web: Web) -> ApplianceError:
        part, when = lists.expired(web.contents) if lists else ("root", None)
        if web.date is not None and abs(web.date - self._now) > CLOCK_TOLERANCE:
            return ClockWrong(_told(self._now), _told(web.date))
        return CatalogExpired(url, part, _told(when) if when else "a time that is over")

    def _fail(self, error: ApplianceError) -> None:
        logger("appliance").warning("A catalogue's address cannot be used: %s", error)
        self._errors.append(error)


def _urls(said: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = said.get(key)
    if not isinstance(found, list) or not 0 < len(found) <= MAX_ADDRESSES or not all(map(is_folder_url, found)):
        raise BadInput("the order", f"{key} is no list of addresses (https, or http on this computer)", "write some")
    return tuple(one if one.endswith("/") else f"{one}/" for one in found)


def _told(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
