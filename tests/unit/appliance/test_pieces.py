"""Part files: what is in them is taken as far as it is right, whatever happened to them."""

import hashlib
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.appliance.errors import ApplianceAltered
from client.appliance.pieces import PartFile, is_whole
from client.appliance.target import Target

PIECE = 4096
CONTENT = random.Random(1).randbytes(5 * PIECE + 77)
PIECES = tuple(hashlib.sha256(CONTENT[start : start + PIECE]).hexdigest() for start in range(0, len(CONTENT), PIECE))
ENDS = (*range(PIECE, len(CONTENT), PIECE), len(CONTENT))
PREFIXES = tuple(hashlib.sha256(CONTENT[:end]).hexdigest() for end in ENDS)
TARGET = Target("x", len(CONTENT), PREFIXES[-1], PIECE, PIECES, prefixes=PREFIXES)
#: with both, with one of them, with the hash of the whole alone
WITHOUT_PREFIXES = replace(TARGET, prefixes=())
ALONE = replace(WITHOUT_PREFIXES, pieces=())
KNOWN = (TARGET, replace(TARGET, pieces=()), WITHOUT_PREFIXES)


def opened(path: Path, content: bytes | None = None, target: Target = TARGET) -> PartFile:
    if content is not None:
        path.write_bytes(content)
    part = PartFile(path, target)
    part.resume(lambda position: None)
    return part


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_damage_costs_what_is_behind_it(tmp_path: Path, data: st.DataObject) -> None:
    kept = bytearray(CONTENT[: data.draw(st.integers(0, len(CONTENT)), "length")])
    damage = data.draw(st.one_of(st.none(), st.integers(0, max(0, len(kept) - 1))), "damage")
    if damage is not None and kept:
        kept[damage] ^= 1
    part = opened(tmp_path / "part", bytes(kept), data.draw(st.sampled_from(KNOWN), "known"))
    # A last piece that is not whole yet cannot be checked yet.
    is_seen = (damage is not None and (damage // PIECE + 1) * PIECE <= len(kept)) or len(kept) == len(CONTENT)
    expected = damage // PIECE * PIECE if damage is not None and kept and is_seen else len(kept)
    assert part.position == expected
    part.close()


@pytest.mark.parametrize("known", (*KNOWN, ALONE))
def test_it_grows_and_gets_its_name(tmp_path: Path, known: Target) -> None:
    part = opened(tmp_path / "part", target=known)
    for start in range(0, len(CONTENT), 3000):
        part.write(CONTENT[start : start + 3000])
    part.finish(tmp_path / "whole")
    part.close()
    assert is_whole(tmp_path / "whole", TARGET)
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize("known", KNOWN)
def test_a_wrong_piece_is_cut_off_and_comes_again(tmp_path: Path, known: Target) -> None:
    part = opened(tmp_path / "part", CONTENT[:PIECE], known)
    with pytest.raises(ApplianceAltered):
        part.write(CONTENT[PIECE : 2 * PIECE - 1] + b"?" + CONTENT[2 * PIECE : 3 * PIECE])
    assert part.position == PIECE == (tmp_path / "part").stat().st_size
    part.write(CONTENT[PIECE:])
    part.finish(tmp_path / "whole")
    part.close()
    assert is_whole(tmp_path / "whole", TARGET)


@pytest.mark.parametrize("known", KNOWN)
def test_right_pieces_of_another_file_make_no_file(tmp_path: Path, known: Target) -> None:
    """Files are kept under the hash of the whole: who signs pieces must not put other bytes there."""
    part = opened(tmp_path / "part", CONTENT, replace(known, sha256="ab" * 32))
    with pytest.raises(ApplianceAltered):
        part.finish(tmp_path / "whole")
    part.close()
    assert not (tmp_path / "whole").exists()


def test_large_parts_are_hashed_in_their_order(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(3 * 2**20 + 5)
    size = 2**20 + 4096
    ends = (*range(size, len(content), size), len(content))
    prefixes = tuple(hashlib.sha256(content[:end]).hexdigest() for end in ends)
    pieces = tuple(hashlib.sha256(content[start : start + size]).hexdigest() for start in range(0, len(content), size))
    for known in (pieces, prefixes), (pieces, ()), ((), prefixes), ((), ()):
        target = Target("x", len(content), prefixes[-1], size, known[0], prefixes=known[1])
        part = opened(tmp_path / "part", content[:100_000], target)
        for start in range(part.position, len(content), 40_000):
            part.write(content[start : start + 40_000])
        part.finish(tmp_path / "whole")
        part.close()
        assert is_whole(tmp_path / "whole", target)


def test_an_unfinished_file_gets_no_name(tmp_path: Path) -> None:
    part = opened(tmp_path / "part", CONTENT[:-1])
    with pytest.raises(ApplianceAltered):
        part.finish(tmp_path / "whole")
    part.close()
    assert not (tmp_path / "whole").exists()


def test_what_is_not_there_or_empty_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    assert not is_whole(tmp_path / "x", TARGET)
    assert not is_whole(tmp_path / "y", TARGET)
