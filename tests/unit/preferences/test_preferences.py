"""The table of preferences and what becomes of words."""

from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import BadInput
from client.preferences.limits import limits_of
from client.preferences.spec import TABLE, Kind, PreferenceSpec, Stricter
from client.preferences.store import Preferences
from client.preferences.types import Limits
from client.preferences.values import check, parse, shown, told


@pytest.mark.parametrize("spec", TABLE, ids=lambda spec: spec.key)
def test_every_preference_is_well_declared(spec: PreferenceSpec) -> None:
    assert check(spec, spec.default) == ""
    assert parse(spec.key, shown(spec.default)) == spec.default
    assert spec.help.endswith(".") and spec.label and told(spec, spec.default)
    assert spec.key.count(".") == 1
    assert (spec.kind is Kind.WORD) == bool(spec.choices)
    assert (spec.kind is Kind.NUMBER) == (spec.maximum > spec.minimum)
    assert spec.zero == "" or spec.minimum == 0
    assert spec.stricter is not Stricter.LESS_BUT_0 or spec.zero
    assert not spec.per_project or (spec.field and spec.stricter)
    assert spec.boinc is None or bool(spec.boinc.default) == bool(spec.boinc.reason)


def test_keys_and_labels_are_said_once() -> None:
    assert len({spec.key for spec in TABLE}) == len(TABLE)
    assert len({(spec.group, spec.label) for spec in TABLE}) == len(TABLE)


def test_every_limit_has_its_preference_and_the_same_default() -> None:
    limits = Limits()
    leaves = {
        f"{part.name}.{field.name}" if is_dataclass(value) else part.name
        for part in fields(limits)
        for value in [getattr(limits, part.name)]
        for field in (fields(value) if is_dataclass(value) else [part])
    }
    assert leaves == {spec.field for spec in TABLE if spec.field}
    assert limits_of(Preferences({})) == limits


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("guest.cpus", " 2 ", 2),
        ("network.internet", "ON", True),
        ("network.internet", "no", False),
        ("hypervisor.driver", "qemu", "qemu"),
        ("when.programs", "Game.exe, mpv,mpv", ("Game.exe", "mpv")),
        ("network.only", '"Home, sweet", Office', ("Home, sweet", "Office")),
        ("network.only", "", ()),
        ("when.week", "Monday - fri 18-8, sat,sun", "mon-thu 18:00-08:00, fri 18:00-24:00, sat-sun"),
    ],
)
def test_words_that_fit(key: str, text: str, value: object) -> None:
    assert parse(key, text) == value


@pytest.mark.parametrize(
    ("key", "text", "remedy"),
    [
        ("guest.cpu", "2", "did you mean guest.cpus"),
        ("guest.cpus", "many", "whole number"),
        ("guest.cpus", "0", "from 1 to 64"),
        ("guest.cpus", "1" * 5000, "from 1 to 64"),
        ("guest.cpus", "²", "from 1 to 64"),
        ("network.internet", "maybe", "true or false"),
        ("hypervisor.driver", "vmware", "qemu"),
        ("network.only", '"a', "names"),
        ("network.only", "a,,b", "letters"),
        ("when.programs", "a\nb", "names"),
        ("when.programs", ",".join(str(n) for n in range(201)), "at most 200"),
        ("when.week", "noon", "'noon' is no day"),
    ],
)
def test_words_that_do_not_fit(key: str, text: str, remedy: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(key, text)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("value", [3, None, [1], "a", ["x"], True, 2.5, {}])
@pytest.mark.parametrize("spec", TABLE, ids=lambda spec: spec.key)
def test_a_value_of_another_kind_does_not_fit(spec: PreferenceSpec, value: object) -> None:
    kinds = {Kind.FLAG: bool, Kind.NUMBER: int, Kind.NAMES: list}
    if not isinstance(value, kinds.get(spec.kind, str)) or (isinstance(value, bool) and spec.kind is not Kind.FLAG):
        assert check(spec, value)


NAMES = st.lists(
    st.text(min_size=1, max_size=20).map(str.strip).filter(lambda name: name and name.isprintable()), unique=True
)


@given(NAMES)
def test_names_survive_being_written(names: list[str]) -> None:
    assert parse("network.only", shown(tuple(names))) == tuple(names)


@given(st.sampled_from(TABLE), st.text(max_size=40))
def test_any_text_is_a_value_that_can_be_written_or_is_refused(spec: PreferenceSpec, text: str) -> None:
    try:
        value = parse(spec.key, text)
    except BadInput as error:
        assert error.remedy
    else:
        assert check(spec, value) == ""
        assert parse(spec.key, shown(value)) == value


def test_values_are_told_with_what_they_mean() -> None:
    spec = {spec.key: spec for spec in TABLE}
    assert told(spec["network.down_kib_per_s"], 0) == "0 (no limit)"
    assert told(spec["disk.most_mib"], 20480) == "20,480 MiB"
    assert told(spec["when.in_use"], False) == "no"
    assert told(spec["network.only"], ()) == "none"
