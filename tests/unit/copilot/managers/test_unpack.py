import contextlib
import errno
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.copilot.managers.errors import OutputRefused
from client.copilot.managers.unpack import Limits, Unpacked, unpack
from tests.unit.copilot.managers.archives import gz, header, pack, pack_member

LIMITS = Limits(packed_bytes=1_000_000, unpacked_bytes=100_000, members=20)
FORMS = (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)


def run(packed: bytes, target: Path) -> Unpacked:
    return unpack(io.BytesIO(packed), target, LIMITS)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", FORMS)
def test_an_honest_archive_is_unpacked(tmp_path: Path, form: int) -> None:
    files = {"./stdout": b"hello", "./sub/summary.json": b"{}", "./empty": b"", "full": b"x" * 1024}
    unpacked = run(pack(files, form), tmp_path)
    assert everything_in(tmp_path) == {name.removeprefix("./"): content for name, content in files.items()}
    assert unpacked == Unpacked(4, 1031, ())


@pytest.mark.parametrize("form", FORMS[:2])
def test_long_names_and_names_beyond_ascii_are_understood(tmp_path: Path, form: int) -> None:
    name = "/".join(["a" * 90, "b" * 90, "ü" * 40])
    run(pack({name: b"x"}, form), tmp_path)
    assert (tmp_path / name).read_bytes() == b"x"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_left_out(tmp_path: Path, kind: bytes) -> None:
    unpacked = run(pack_member("thing", kind, "/etc/passwd"), tmp_path)
    assert unpacked.skipped == ("thing",)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/etc/out", "a//b", "a/./../b", "..", "a\nb", "\x01", "a/" * 40 + "b", "x" * 256]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(OutputRefused):
        run(pack({name: b"x"}), target)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_file_under_a_file_and_a_file_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputRefused):
        run(gz(header("a", 0) + header("a/b", 0) + bytes(1024)), tmp_path)
    with pytest.raises(OutputRefused):
        run(gz(header("c", 0) + header("c", 0) + bytes(1024)), tmp_path)


HONEST = pack({"./stdout": b"hello" * 1000, "./other": b"x"})


@pytest.mark.parametrize("length", [0, 1, 10, len(HONEST) // 2, len(HONEST) - 8, len(HONEST) - 1])
def test_half_an_upload_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(OutputRefused):
        run(HONEST[:length], tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        header("huge", 8**11 - 1),
        header("bomb", 90_000) + bytes(90_112) + header("more", 90_000) + bytes(90_112),
        header("x", 8**10, b"x"),
        header("x", 8**10, b"L"),
        b"".join(header("x", 0, b"L") for _ in range(10)) + header("a", 0),
        b"".join(header(f"file{number}", 0) for number in range(30)) + bytes(1024),
        b"".join(header("d", 0, b"5") for number in range(30)) + bytes(1024),
        header("a", 0)[:-1] + b"!",
        b"not a tar archive at all".ljust(2048, b"."),
        header("p", 12, b"x") + b"99 path=abc\n".ljust(512, b"\0") + header("a", 0),
        header("p", 22, b"x") + b"22 GNU.sparse.major=1\n".ljust(512, b"\0") + header("a", 0),
        header("s", 512, b"S") + bytes(512),
        bytes(511),
    ],
)
def test_what_only_an_attacker_makes_is_refused(tmp_path: Path, content: bytes) -> None:
    if content[:1] == b"s":
        assert run(gz(content + bytes(1024)), tmp_path).skipped == ("s",)
        return
    with pytest.raises(OutputRefused):
        run(gz(content), tmp_path)


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    bomb = gz(header("a", 80_000) + bytes(80_384) + bytes(50_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(OutputRefused):
        run(bomb, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= LIMITS.unpacked_bytes


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=600), st.integers(0, 1500), st.booleans())
def test_any_damage_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, packed: bool
) -> None:
    target = tmp_path_factory.mktemp("target")
    plain = header("stdout", 700) + b"a" * 700 + bytes(324) + header("d", 0, b"5") + bytes(1024)
    damaged = plain[:at] + noise + plain[at + len(noise) :]
    with contextlib.suppress(OutputRefused):
        run(gz(damaged) if packed else gz(plain)[:at] + noise, target)
    assert all(not path.is_symlink() for path in target.rglob("*"))
    assert sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) <= LIMITS.unpacked_bytes


@pytest.mark.parametrize(("number", "error"), [(errno.ENAMETOOLONG, OutputRefused), (errno.ENOSPC, OSError)])
def test_a_name_that_the_file_system_refuses_is_the_archives_fault_and_a_full_disk_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr("client.copilot.managers.unpack.os.open", refuse)
    with pytest.raises(error) as raised:
        unpack(io.BytesIO(HONEST), tmp_path, LIMITS)
    assert type(raised.value) is error
