"""Servers and folders that many of these tests want; a test file may have others of the same names."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.servers import Chirp, Xmpp, chirp_server, xmpp_server


@pytest.fixture
def xmpp() -> Iterator[Xmpp]:
    with xmpp_server("agent", "jm") as server:
        yield server


@pytest.fixture
def chirp() -> Iterator[Chirp]:
    with chirp_server() as server:
        yield server


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that jobs can enter, which run as another user."""
    with tempfile.TemporaryDirectory(prefix="vc-root-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)
