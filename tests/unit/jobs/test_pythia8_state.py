"""The parts of the physics job that need no generator."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

SOURCE = Path(__file__).resolve().parents[3] / "resources/jobs/pythia8/simulate.py"
GENERATOR = SimpleNamespace(
    infoPython=lambda: SimpleNamespace(nTried=lambda: 12, sigmaGen=lambda: 2.0, sigmaErr=lambda: 0.5)
)


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simulate", SOURCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


simulate = load()


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved(events: int = 3) -> dict[str, Any]:
    state = simulate.State("fits")
    for multiplicity in range(events):
        state.histograms.fill("charged_multiplicity", multiplicity)
    state.done = events
    state.save(state.totals(GENERATOR, 1.5))
    return dict(json.loads(simulate.CHECKPOINT.read_text()))


def test_checkpoint_round_trip() -> None:
    saved(3)
    state = simulate.State("fits")
    state.load(10)
    assert state.done == 3
    state.done = 5
    totals = state.totals(GENERATOR, 1.0)
    assert totals == {"events": 5, "tries": 24, "sigma_sum": 48.0, "error_sum": 72.0, "elapsed_s": 2.5}


@pytest.mark.parametrize(
    "change",
    [
        {"fits": "another"},
        {"totals": {}},
        {"totals": None},
        {"histograms": {}},
        {"histograms": {name: [0] for name in simulate.AXES}},
    ],
)
def test_checkpoint_of_another_job_or_broken(change: dict[str, Any]) -> None:
    simulate.CHECKPOINT.write_text(json.dumps({**saved(), **change}))
    state = simulate.State("fits")
    state.load(10)
    assert state.done == 0
    assert sum(state.histograms.counts["charged_multiplicity"]) == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"fits": "fits"}'])
def test_checkpoint_cut_off(text: str) -> None:
    simulate.CHECKPOINT.write_text(text)
    state = simulate.State("fits")
    state.load(10)
    assert state.done == 0


def test_checkpoint_beyond_what_is_asked() -> None:
    saved(5)
    state = simulate.State("fits")
    state.load(4)
    assert state.done == 0


@given(st.sampled_from(sorted(simulate.AXES)), st.floats(allow_nan=False, allow_infinity=False))
def test_every_value_has_one_bin(name: str, value: float) -> None:
    histograms = simulate.Histograms()
    histograms.fill(name, value)
    low, high, bins = simulate.AXES[name]
    counts = histograms.counts[name]
    assert len(counts) == bins + 2
    assert sum(counts) == 1
    assert counts[0] == (value < low)
    assert counts[-1] == (value >= high)


@given(st.integers(1, simulate.MAX_SEED), st.integers(0, simulate.MAX_EVENTS), st.integers(0, 9))
def test_seeds_are_ones_that_pythia_takes(seed: int, event: int, attempt: int) -> None:
    assert 1 <= simulate.event_seed(seed, event, attempt) <= simulate.MAX_SEED


def test_seeds_differ() -> None:
    seeds = {simulate.event_seed(1, event, 0) for event in range(1000)}
    assert len(seeds) == 1000


@given(st.text(max_size=15))
def test_numbers(word: str) -> None:
    try:
        number = simulate.whole_number(word, "SEED")
    except simulate.BadInput as refused:
        assert "SEED" in str(refused)
    else:
        assert str(number) == word.lstrip("0")
