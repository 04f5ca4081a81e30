import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.copilot.managers.errors import OutputRefused
from client.copilot.managers.validate import check_output, check_pythia8
from tests.unit.copilot.managers.archives import summary

EXPECTED = {"events": 3, "seed": 7}
REFERENCE = {key: summary()[key] for key in ("histograms_sha256", "sigma_mb", "sigma_error_mb")}


def check(folder: Path, said: Any, expected: Any = EXPECTED) -> None:
    (folder / "summary.json").write_text(said if isinstance(said, str) else json.dumps(said), encoding="utf-8")
    check_pythia8(folder, expected)


def test_an_honest_result_passes_with_and_without_a_reference(tmp_path: Path) -> None:
    check(tmp_path, summary())
    check(tmp_path, summary(), EXPECTED | {"reference": REFERENCE})


@pytest.mark.parametrize(
    "wrong",
    [
        summary(events=4),
        summary(seed=8),
        summary(events=True),
        summary(histograms_sha256="0" * 64),
        summary(histograms_sha256=None),
        summary(sigma_mb=10),
        summary(sigma_mb="56"),
        summary(sigma_mb=-1),
        summary(sigma_error_mb=None),
        summary(histograms={"eta": []}),
        summary(histograms=[]),
        summary(histograms={"charged_multiplicity": [1.5], "eta": [], "pt": []}),
        summary(histograms={"charged_multiplicity": [True], "eta": [], "pt": []}),
        summary(histograms={"charged_multiplicity": [-1, 4], "eta": [], "pt": []}),
        summary(histograms={"charged_multiplicity": [0] * 20_000, "eta": [], "pt": []}),
        {**summary(), "events": 4},
        [],
        "{",
        "[" * 100_000,
        '{"events": NaN}',
        '{"events": 1' + "0" * 5000 + "}",
        " " * 2_000_000,
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(OutputRefused):
        check(tmp_path, wrong)


def test_sums_are_checked_even_if_the_hash_is_right(tmp_path: Path) -> None:
    with pytest.raises(OutputRefused, match="multiplicities"):
        check(tmp_path, summary(events=2) | {"events": 3})


@pytest.mark.parametrize(
    "reference",
    [{"histograms_sha256": "0" * 64}, {"sigma_mb": 58.0}, {"sigma_mb": 57.5, "sigma_error_mb": 0.01}],
)
def test_another_result_than_the_reference_is_refused(tmp_path: Path, reference: dict[str, Any]) -> None:
    with pytest.raises(OutputRefused):
        check(tmp_path, summary(), EXPECTED | {"reference": REFERENCE | reference})


def test_a_claimed_error_as_large_as_the_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputRefused):
        check(tmp_path, summary(sigma_mb=1.0, sigma_error_mb=1000.0), EXPECTED | {"reference": REFERENCE})


def test_what_the_output_says_is_repeated_without_orders_to_a_terminal(tmp_path: Path) -> None:
    with pytest.raises(OutputRefused, match=r"histograms is \?\[2J, not"):
        check(tmp_path, summary() | {"histograms_sha256": "\x1b[2J"})


@pytest.mark.parametrize(("status", "said"), [(768, "exit code 3"), (9, "signal 9"), (32512, "exit code 127")])
def test_a_job_that_failed_is_refused_with_its_cause(tmp_path: Path, status: int, said: str) -> None:
    with pytest.raises(OutputRefused, match=said):
        check_output("", {}, status, tmp_path)


def test_a_job_without_validator_needs_nothing_but_exit_code_0(tmp_path: Path) -> None:
    check_output("", {}, 0, tmp_path)
    with pytest.raises(OutputRefused, match=r"no summary\.json"):
        check_output("pythia8", EXPECTED, 0, tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(summary())), inner, max_size=6),
    max_leaves=12,
)


@settings(deadline=None)  # It writes to the disk.
@given(st.dictionaries(st.sampled_from([*sorted(summary()), "eta", "pt", "charged_multiplicity"]), JSON))
def test_any_json_is_refused_not_stumbled_over(tmp_path_factory: pytest.TempPathFactory, said: dict[str, Any]) -> None:
    with pytest.raises(OutputRefused):
        check(tmp_path_factory.mktemp("output"), summary() | {"events": 99} | said, EXPECTED | {"events": 98})
