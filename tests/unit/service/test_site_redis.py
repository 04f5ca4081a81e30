import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from client.copilot.managers.config import Config
from client.copilot.queue.redis_place import RedisPlace, parse_place
from client.errors import BadInput, ToolMissing
from client.service import site_redis
from client.service.site_errors import SiteNotRunning
from client.service.site_files import SiteTerms, write_children
from client.service.site_folder import SiteFolder
from client.service.site_parts import child_specs
from client.service.site_plan import Ports, SitePlan, SiteShape
from client.service.site_queue import open_site_queue

SQLITE = SitePlan(Ports(5201, 5202, 5203, keys=5204), "s" * 64, "e" * 64, "m" * 64)
REDIS = replace(SQLITE, shape=SiteShape(queue="redis"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteFolder:
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}")
    # Wherever tests keep their files, it is not too deep for a socket.
    monkeypatch.setattr(site_redis, "_LONGEST_SOCKET", len(bytes(tmp_path)) + 60)
    folder = SiteFolder(tmp_path / "a site")
    folder.make()
    return folder


def test_managers_find_the_sites_redis(folder: SiteFolder) -> None:
    write_children(folder, REDIS, SiteTerms(), None)
    url = Config(folder.config("job-manager")).text("queue", "url")
    assert parse_place(url) == RedisPlace(socket=str(folder.redis_socket))
    with pytest.raises(SiteNotRunning):
        open_site_queue(folder)


def test_only_a_site_that_wants_redis_has_one(folder: SiteFolder) -> None:
    assert next(spec.name for spec in child_specs(folder, REDIS)) == "redis"
    assert "redis" not in [spec.name for spec in child_specs(folder, SQLITE)]
    site_redis.prepare(folder, SQLITE)
    assert not folder.redis.exists()


def test_the_server_is_the_sites_alone_and_loses_nothing(folder: SiteFolder) -> None:
    site_redis.prepare(folder, REDIS)
    said = folder.redis_config.read_text().splitlines()
    assert {"port 0", "unixsocketperm 600", "appendonly yes", "appendfsync always"} <= set(said)
    assert f'dir "{folder.redis}"' in said
    assert folder.redis.stat().st_mode & 0o777 == 0o700


def test_what_is_missing_is_said(folder: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = SiteFolder(folder.base / ("x" * 100))
    with pytest.raises(BadInput, match="too long"):
        site_redis.prepare(deep, REDIS)
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(ToolMissing):
        site_redis.prepare(folder, REDIS)


def test_jobs_that_are_left_behind_are_told_of(folder: SiteFolder) -> None:
    assert list(site_redis.other_queue(folder, REDIS)) == []
    folder.queue.touch()
    said = list(site_redis.other_queue(folder, REDIS))
    assert "queue.sqlite stay there" in said[0]
    assert "--queue sqlite" in said[0]
    folder.redis.mkdir()
    assert "--queue redis" in next(iter(site_redis.other_queue(folder, SQLITE)))
