"""Part files: what is in them is taken as far as it is right, whatever happened to them."""

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.appliance.errors import ApplianceAltered
from client.appliance.pieces import PartFile, is_whole, piece_hashes
from client.appliance.target import Target

PIECE = 4096
CONTENT = random.Random(1).randbytes(5 * PIECE + 77)
PIECES = tuple(hashlib.sha256(CONTENT[start : start + PIECE]).hexdigest() for start in range(0, len(CONTENT), PIECE))
TARGET = Target("x", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), PIECE, PIECES)


def opened(path: Path, content: bytes | None = None) -> PartFile:
    if content is not None:
        path.write_bytes(content)
    part = PartFile(path, TARGET)
    part.resume(lambda position: None)
    return part


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_damage_costs_what_is_behind_it(tmp_path: Path, data: st.DataObject) -> None:
    kept = bytearray(CONTENT[: data.draw(st.integers(0, len(CONTENT)), "length")])
    damage = data.draw(st.one_of(st.none(), st.integers(0, max(0, len(kept) - 1))), "damage")
    if damage is not None and kept:
        kept[damage] ^= 1
    part = opened(tmp_path / "part", bytes(kept))
    # A last piece that is not whole yet cannot be checked yet.
    is_seen = (damage is not None and (damage // PIECE + 1) * PIECE <= len(kept)) or len(kept) == len(CONTENT)
    expected = damage // PIECE * PIECE if damage is not None and kept and is_seen else len(kept)
    assert part.position == expected
    part.close()


def test_it_grows_and_gets_its_name(tmp_path: Path) -> None:
    part = opened(tmp_path / "part")
    for start in range(0, len(CONTENT), 3000):
        part.write(CONTENT[start : start + 3000])
    part.finish(tmp_path / "whole")
    part.close()
    assert is_whole(tmp_path / "whole", TARGET)
    assert not (tmp_path / "part").exists()


def test_a_wrong_piece_is_cut_off_and_comes_again(tmp_path: Path) -> None:
    part = opened(tmp_path / "part", CONTENT[:PIECE])
    with pytest.raises(ApplianceAltered):
        part.write(CONTENT[PIECE : 2 * PIECE - 1] + b"?" + CONTENT[2 * PIECE : 3 * PIECE])
    assert part.position == PIECE == (tmp_path / "part").stat().st_size
    part.write(CONTENT[PIECE:])
    part.finish(tmp_path / "whole")
    part.close()
    assert is_whole(tmp_path / "whole", TARGET)


def test_an_unfinished_file_gets_no_name(tmp_path: Path) -> None:
    part = opened(tmp_path / "part", CONTENT[:-1])
    with pytest.raises(ApplianceAltered):
        part.finish(tmp_path / "whole")
    part.close()
    assert not (tmp_path / "whole").exists()


def test_hashes_for_those_who_publish(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(CONTENT)
    assert piece_hashes(tmp_path / "x", PIECE) == PIECES
    (tmp_path / "x").write_bytes(b"")
    assert piece_hashes(tmp_path / "x", PIECE) == ()
    assert not is_whole(tmp_path / "x", TARGET)
    assert not is_whole(tmp_path / "y", TARGET)
