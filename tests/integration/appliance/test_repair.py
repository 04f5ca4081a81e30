"""Mending by pieces, from servers that make it dear."""

import hashlib
import io
from pathlib import Path

import pytest

from client.appliance.store_work import files
from client.appliance.worker_child import Face
from tests.helpers import hostile_http as http
from tests.helpers.hostile_http import serving
from tests.integration.appliance.kit import CONTENT, PIECE, SIZE, target_of

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("play", "most"), [(None, 5 * PIECE), (http.without_ranges, 3 * SIZE)])
def test_mending_never_costs_much_more_than_the_file(play: http.Play | None, most: int, tmp_path: Path) -> None:
    aside, to = tmp_path / "x.damaged", tmp_path / "x"
    damaged = bytearray(CONTENT)
    for index in range(5, 10):
        damaged[index * PIECE] ^= 0xFF
    aside.write_bytes(damaged)
    with serving(CONTENT, always=play) as server:
        target = target_of(CONTENT, [server.url])
        one = {"target": target.to_json(), "to": str(to), "part": str(tmp_path / "x.part"), "aside": str(aside)}
        files({"files": [one], "pause_s": 0.001}, Face(io.StringIO()))
    assert hashlib.sha256(to.read_bytes()).hexdigest() == target.sha256
    assert not aside.exists()
    # The server counts what is in the air, too, when an answer is broken off.
    assert server.sent <= most
