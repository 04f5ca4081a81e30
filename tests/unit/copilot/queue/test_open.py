from contextlib import closing
from pathlib import Path

import pytest

from client.copilot.managers.config import Config
from client.copilot.queue.errors import RedisUnusable
from client.copilot.queue.open import open_queue
from client.copilot.queue.queue import JobQueue
from client.copilot.queue.redis import RedisQueue
from client.copilot.queue.redis_original import FedRedisQueue
from client.copilot.queue.redis_place import RedisPlace, parse_place
from client.copilot.queue.sqlite import SqliteQueue
from client.errors import BadInput
from client.messages import sentence


def opened(folder: Path, section: str) -> JobQueue:
    path = folder / "manager.toml"
    path.write_text(f"[queue]\n{section}\n")
    return open_queue(Config(path))


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ('path = "queue.sqlite"', SqliteQueue),
        ('url = "redis://localhost"', RedisQueue),
        ('url = "unix:///nowhere/redis.sock"\noriginal = true', FedRedisQueue),
    ],
)
def test_a_configuration_names_its_queue(tmp_path: Path, section: str, kind: type[JobQueue]) -> None:
    with closing(opened(tmp_path, section)) as queue:
        assert type(queue) is kind


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("", "path is missing"),
        ('path = "q"\nurl = "redis://localhost"', "has both path and url"),
        ('path = "q"\noriginal = true', "original needs url"),
        ('url = "http://:secret@localhost"', "url must be redis://"),
        ('url = "redis://:secret@"', "url names no host"),
        ('url = "redis://:secret@h:99999"', "url is not a URL"),
        ('url = "redis://:secret@h/first"', "url names a database that is no number"),
        ('url = "redis://h?passwort=secret"', "url knows no options but"),
        ('url = "unix://:secret@host/path"', "url names no absolute path"),
        ('url = "unix:?password=secret"', "url names no absolute path"),
    ],
)
def test_a_section_that_cannot_be_used_says_why_and_tells_no_password(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(BadInput) as raised:
        opened(tmp_path, section)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_url_is_read() -> None:
    place = RedisPlace("db.example", 7000, db=3, username="me", password="p@ss", tls=True, ca="/ca.pem")
    assert parse_place("rediss://me:p%40ss@db.example:7000/3?ca=/ca.pem") == place
    assert parse_place("redis://[::1]").name == "redis://[::1]:6379/0"
    assert parse_place("unix:///run/r.sock?db=2&password=p").name == "unix:///run/r.sock?db=2"


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    place = parse_place("redis://me:secret@127.0.0.1:1/0")
    assert "secret" not in repr(place) + place.name
    with closing(RedisQueue(place)) as queue, pytest.raises(RedisUnusable) as raised:
        queue.counts()
    assert "secret" not in str(raised.value) + str(raised.value.__cause__)
    assert "redis://127.0.0.1:1/0" in sentence(raised.value).text
