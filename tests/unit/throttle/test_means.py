"""What is written and said to systems that limit processes, without any of them."""

import os
from pathlib import Path

import pytest

from client.process import Identity
from client.throttle import cgroup
from client.throttle.cgroup import Tree, find_tree, leftovers
from client.throttle.means import Budget, Kept, differ
from client.throttle.means_cap import CapMeans
from client.throttle.means_systemd import build_limit, build_scope, build_slice, group_of
from client.throttle.means_windows import rate_of
from client.throttle.priority import chosen

V1 = """\
25 24 0:22 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
31 25 0:27 / /sys/fs/cgroup/cpuset rw,nosuid - cgroup cgroup rw,cpuset
32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
V2 = "32 25 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def test_the_tree_is_found() -> None:
    own = "2:cpu,cpuacct:/\n0::/\n"
    assert find_tree(V1, own, has_systemd=True) == Tree(Path("/sys/fs/cgroup/cpu,cpuacct"), 1)
    assert find_tree(V2, "0::/\n", has_systemd=False) == Tree(Path("/sys/fs/cgroup"), 2)
    # Under systemd nobody else makes groups of version 2.
    assert find_tree(V2, "0::/user.slice\n", has_systemd=True) is None
    assert find_tree("", "", has_systemd=False) is None


def test_groups_are_made_below_our_own(tmp_path: Path) -> None:
    (tmp_path / "batch" / "job7").mkdir(parents=True)
    mounts = f"30 25 0:26 / {tmp_path} rw - cgroup cgroup rw,cpu\n"
    assert find_tree(mounts, "2:cpu:/batch/job7\n", False) == Tree(tmp_path / "batch" / "job7", 1)
    # A container sees another path than there is.
    assert find_tree(mounts, "2:cpu:/docker/0815\n", False) == Tree(tmp_path, 1)


@pytest.mark.parametrize(
    ("percent", "period", "quota"),
    [(30, 10000, 3000), (150, 10000, 15000), (10, 10000, 1000), (2.5, 40000, 1000), (0.05, 1000000, 1000)],
)
def test_a_quota_is_no_shorter_than_the_kernel_takes(percent: float, period: int, quota: int) -> None:
    first, second = Tree(Path(), 1).quota(percent), Tree(Path(), 2).quota(percent)
    assert first == {"cpu.cfs_period_us": f"{period}", "cpu.cfs_quota_us": f"{quota}"}
    assert second == {"cpu.max": f"{quota} {period}"}


def test_no_limit() -> None:
    assert Tree(Path(), 1).quota(None)["cpu.cfs_quota_us"] == "-1"
    assert Tree(Path(), 2).quota(None)["cpu.max"] == "max 10000"
    assert Tree(Path(), 1).lift(Path("/g")) == (("/g/cpu.cfs_quota_us", "-1"),)
    assert Tree(Path(), 2).lift(Path("/g")) == (("/g/cpu.max", "max 10000"),)


def test_an_older_kernel_gets_the_least_weight(tmp_path: Path) -> None:
    (tmp_path / "cpu.shares").write_text("1024")
    Tree(tmp_path, 1).be_idle(tmp_path)
    assert (tmp_path / "cpu.shares").read_text().startswith("2")


def test_only_empty_leftovers_of_ours_are_removed(tmp_path: Path) -> None:
    gone, full = tmp_path / f"{cgroup.PREFIX}999999991", tmp_path / f"{cgroup.PREFIX}999999992"
    ours, living = tmp_path / f"{cgroup.PREFIX}{os.getpid()}", tmp_path / f"{cgroup.PREFIX}{os.getppid()}"
    stranger, named = tmp_path / "user.slice", tmp_path / f"{cgroup.PREFIX}else"
    for group in (gone / "vm-a", full / "vm-b", ours, living, stranger, named):
        group.mkdir(parents=True)
    (full / "vm-b" / "process").touch()
    for group in leftovers(tmp_path, os.getpid()):
        cgroup.remove(group)
    assert {group.name for group in tmp_path.iterdir()} == {one.name for one in (full, ours, living, stranger, named)}


def test_what_systemd_is_told() -> None:
    assert build_slice("v.slice") == ("StartTransientUnit", "ssa(sv)a(sa(sv))", "v.slice", "replace", "0", "0")
    assert " ".join(build_scope("v.scope", "v.slice", (7, 8))) == (
        "StartTransientUnit ssa(sv)a(sa(sv)) v.scope replace 2 PIDs au 2 7 8 Slice s v.slice 0"
    )
    assert " ".join(build_limit("v.slice", 30.0, 0)) == (
        "SetUnitProperties sba(sv) v.slice true 3 CPUQuotaPerSecUSec t 300000 CPUQuotaPeriodUSec t 10000 CPUWeight t 0"
    )
    assert build_limit("v.slice", None, 1)[7] == "18446744073709551615"
    assert group_of(1000, "v.slice") == Path("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/v.slice")


async def test_a_cap_is_set_only_when_it_changes_and_taken_away_at_the_end() -> None:
    asked: list[tuple[str, float | None]] = []

    async def set_cap(vm_id: str, percent: float | None) -> None:
        asked.append((vm_id, percent))

    means = CapMeans(set_cap)
    who = (Identity(1, "x"),)
    assert await means.is_offered()
    assert await means.keep(Budget(60.0, {"a": who, "b": who})) == Kept()
    await means.keep(Budget(60.5, {"a": who, "b": who}))
    assert asked == [("a", 30.0), ("b", 30.0)]
    await means.keep(Budget(60.0, {"a": who}))
    await means.release()
    assert asked[2:] == [("b", None), ("a", 60.0), ("a", None)]
    assert not await CapMeans(None).is_offered()


def test_limits_differ() -> None:
    assert differ(None, 5.0, 1.0)
    assert differ(5.0, 6.0, 1.0)
    assert not differ(5.0, 5.9, 1.0)
    assert not differ(None, None, 1.0)


def test_a_rate_of_all_processors() -> None:
    assert rate_of(50.0, 8) == 625
    assert rate_of(0.0001, 8) == 1
    assert rate_of(900.0, 8) == 10_000


def test_the_last_processors_are_chosen() -> None:
    assert chosen({0, 1, 2, 5}, 2) == {2, 5}
    assert chosen({0, 1}, 0) == {1}
    assert chosen({0, 1}, 9) == {0, 1}
