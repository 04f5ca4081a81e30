from pathlib import Path

import pytest

from client.copilot.managers.config import Config
from client.copilot.queue.queue import Terms
from client.errors import BadInput


def terms(folder: Path, text: str) -> Terms:
    path = folder / "config.toml"
    path.write_text(text)
    return Config(path).terms()


def test_a_configuration_of_before_has_the_usual_terms(tmp_path: Path) -> None:
    assert terms(tmp_path, "[queue]\nlease_s = 60\n") == Terms(lease_s=60)


def test_shares_and_copies_are_the_operators(tmp_path: Path) -> None:
    found = terms(tmp_path, '[queue]\nmax_copies = 5\n[shares]\natlas = 2\n"cms of Geneva" = 0.5\n')
    assert (found.max_copies, found.shares) == (5, {"atlas": 2.0, "cms of Geneva": 0.5})


@pytest.mark.parametrize("wrong", ["atlas = 0", "atlas = -1", 'atlas = "much"', "atlas = nan"])
def test_a_share_is_a_number_above_0(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(BadInput, match="atlas"):
        terms(tmp_path, f"[shares]\n{wrong}\n")
