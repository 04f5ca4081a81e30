import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.copilot.managers.compare import COMPARERS, NOT_COMPARED, digest_files, find_agreement, same_json
from client.copilot.managers.errors import OutputRefused
from tests.unit.copilot.managers.archives import summary

Output = Callable[..., Path]


@pytest.fixture
def output(tmp_path: Path) -> Output:
    def make(name: str, **files: bytes) -> Path:
        folder = tmp_path / name
        for path, content in ({"stdout": b"", "result.json": b"{}"} | files).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        return folder

    return make


def agree(compare: str, one: Path, other: Path, expected: dict[str, Any] | None = None) -> bool:
    first = find_agreement(compare, expected or {}, one, {}, "first")
    return find_agreement(compare, expected or {}, other, {first: one}, "second") == first


def test_equal_bytes_agree_whatever_the_agents_own_files_say(output: Output) -> None:
    told = dict.fromkeys(NOT_COMPARED, b"of this computer")
    assert agree("", output("a", **{"deep/data": b"x"}), output("b", **{"deep/data": b"x"}, **told))


@pytest.mark.parametrize(
    "other",
    [
        {"data": b"y"},
        {"data2": b"x"},
        {"data": b"x", "more": b""},
        {"data": b"x", "deep/stderr": b"x"},
        {"stdout": b"x"},
    ],
)
def test_any_other_difference_counts(output: Output, other: dict[str, bytes]) -> None:
    assert not agree("", output("a", data=b"x"), output("b", **other))


def test_what_is_in_which_file_counts(output: Output) -> None:
    one, other = output("a", x=b"1", y=b"2"), output("b", x=b"2", y=b"1")
    assert digest_files(one) != digest_files(other)


def test_standard_output_can_be_left_out(output: Output) -> None:
    one, other = output("a", stdout=b"12:00"), output("b", stdout=b"13:00")
    assert (agree("files", one, other), agree("", one, other)) == (True, False)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"x": 1.0}, {"x": 1.0 + 1e-12}, True),
        ({"x": 1.0}, {"x": 1.001}, False),
        ({"x": 1}, {"x": 1.0}, True),
        ({"x": 1}, {"x": True}, False),
        ({"x": [1, {"y": 2}]}, {"x": [1, {"y": 2}]}, True),
        ({"x": [1, 2]}, {"x": [1]}, False),
        ({"x": None}, {}, False),
        ({"x": "1"}, {"x": 1}, False),
        ({"x": 10**400}, {"x": 10**400}, True),
        ({"x": 10**400}, {"x": 1.5}, False),
        ({"x": 0}, {"x": 1e-12}, False),
        ({"x": 1, "duration_s": 5}, {"x": 1, "duration_s": 9}, True),
    ],
)
def test_json_agrees_within_a_tolerance(output: Output, one: Any, other: Any, same: bool) -> None:
    folders = [output(name, **{"result.json": json.dumps(said).encode()}) for name, said in (("a", one), ("b", other))]
    assert agree("json", *folders, {"compare": {"ignore": ["duration_s"]}}) is same


def test_tolerances_and_the_file_are_the_submitters(output: Output) -> None:
    folders = [output(name, **{"sum.json": b'{"x": %d}' % value}) for name, value in (("a", 100), ("b", 101))]
    assert not agree("json", *folders, {"compare": {"file": "sum.json"}})
    assert agree("json", *folders, {"compare": {"file": "sum.json", "relative_tolerance": 0.02}})
    assert agree("json", *folders, {"compare": {"file": "sum.json", "absolute_tolerance": 1}})


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b'{"x": NaN}', b'{"x": 1' + b"0" * 5000 + b"}"])
def test_what_is_no_json_object_is_refused_before_it_is_compared(output: Output, content: bytes) -> None:
    with pytest.raises(OutputRefused):
        find_agreement("json", {}, output("a", **{"result.json": content}), {}, "own")


def test_histograms_are_what_counts_of_pythia8(output: Output) -> None:
    one, other = summary(duration_s=1.0), summary(duration_s=2.0, histograms_sha256="forged")
    different = summary(events=4)
    folders = [
        output(name, **{"summary.json": json.dumps(s).encode()})
        for name, s in zip("abc", (one, other, different), strict=True)
    ]
    assert agree("pythia8", folders[0], folders[1])
    assert not agree("pythia8", folders[0], folders[2])
    with pytest.raises(OutputRefused):
        find_agreement("pythia8", {}, output("d"), {}, "own")


def test_an_unknown_comparison_is_refused(output: Output) -> None:
    with pytest.raises(OutputRefused, match="no comparison exotic"):
        find_agreement("exotic", {}, output("a"), {}, "own")


def test_every_comparison_has_one_way(output: Output) -> None:
    assert all((comparer.digest is None) != (comparer.same is None) for comparer in COMPARERS.values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from("abc"), JSON), st.dictionaries(st.sampled_from("abc"), JSON))
def test_json_agrees_with_itself_and_both_ways_alike(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, Any], other: dict[str, Any]
) -> None:
    folders = [tmp_path_factory.mktemp("output") for _ in range(2)]
    for folder, said in zip(folders, (one, other), strict=True):
        (folder / "result.json").write_text(json.dumps(said))
    assert same_json(folders[0], folders[0], {})
    assert same_json(folders[0], folders[1], {}) == same_json(folders[1], folders[0], {})
