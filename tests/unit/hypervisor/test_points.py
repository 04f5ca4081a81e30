"""Named points as folders."""

from pathlib import Path

import pytest

from client.errors import BadInput
from client.hypervisor.points import Points, check_name


def take(points: Points, name: str, said: str = "") -> None:
    (points.begin() / "file").write_text(said or name)
    points.commit(name)


def test_the_oldest_first_and_one_per_name(tmp_path: Path) -> None:
    points = Points(tmp_path / "points")
    assert points.names() == () and points.find("b") is None
    for name in ("b", "a", "c", "b"):
        take(points, name, said=f"{name} {len(points.names())}")
    assert points.names() == ("a", "c", "b")
    found = points.find("b")
    assert found is not None and (found / "file").read_text() == "b 3"
    points.remove("c")
    points.remove("c")
    assert points.names() == ("a", "b")
    assert sorted(path.name for path in (tmp_path / "points").iterdir()) == ["000002-a", "000004-b"]


def test_what_was_not_committed_is_no_point(tmp_path: Path) -> None:
    points = Points(tmp_path)
    (points.begin() / "file").write_text("half")
    assert points.names() == ()
    assert not list(points.begin().iterdir()), "the next one begins empty"
    points.drop()
    points.drop()
    assert not list(tmp_path.iterdir())


def test_a_kill_between_replacing_and_removing(tmp_path: Path) -> None:
    points = Points(tmp_path)
    take(points, "a", "old")
    (tmp_path / "000002-a").mkdir()
    (tmp_path / "000002-a" / "file").write_text("new")
    (tmp_path / ".gone-000000-z").mkdir()
    found = points.find("a")
    assert points.names() == ("a",)
    assert found is not None and (found / "file").read_text() == "new"
    take(points, "a", "newest")
    assert [path.name for path in tmp_path.iterdir()] == ["000003-a"]


def test_foreign_things_are_no_points(tmp_path: Path) -> None:
    for name in ("1-a", "000001-", "000001-A", "notes", "000001_a"):
        (tmp_path / name).mkdir()
    points = Points(tmp_path)
    assert points.names() == ()
    take(points, "000001-a")
    assert points.names() == ("000001-a",)


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "../a", "a/b", "ä", "a" * 64, ".part", "a\n"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(BadInput):
        check_name(name)
