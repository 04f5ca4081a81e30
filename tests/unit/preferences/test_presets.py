"""Presets: what they set, what they leave, what they are told apart by."""

from pathlib import Path

import pytest

from client.preferences.layers import Said
from client.preferences.limits import limits_of, stricter
from client.preferences.presets import KEYS, NAMES, Computer, changes, kept, preset_of, presets
from client.preferences.spec import BY_KEY
from client.preferences.store import Preferences, load, save_all
from client.preferences.types import Limits
from client.preferences.values import check

COMPUTER = Computer(processors=8, memory_mib=16384)


@pytest.mark.parametrize("computer", [COMPUTER, Computer(), Computer(500, 10**9)])
@pytest.mark.parametrize("name", NAMES)
def test_every_value_fits_and_says_who_it_is(name: str, computer: Computer) -> None:
    preset = presets(computer)[name]
    assert {key: check(BY_KEY[key], value) for key, value in preset.values.items()} == dict.fromkeys(KEYS, "")
    assert preset_of(Preferences(preset.values), computer) == name
    assert preset.help.endswith(".")


def test_balanced_is_what_holds_by_itself() -> None:
    assert limits_of(Preferences(presets(COMPUTER)["balanced"].values)) == Limits()
    assert preset_of(Preferences({}), COMPUTER) == "balanced"
    assert preset_of(Preferences({"processor.percent": 26}), COMPUTER) == ""
    assert preset_of(Preferences({"when.week": "sat-sun"}), COMPUTER) == "balanced"


def test_each_allows_less_than_the_next() -> None:
    barely, balanced, all_mine = (limits_of(Preferences(one.values)) for one in presets(COMPUTER).values())
    assert stricter(barely, balanced) == barely
    assert stricter(balanced, all_mine) == balanced


def test_all_of_the_computer_is_all_of_it() -> None:
    values = presets(COMPUTER)["all-mine"].values
    assert (values["guest.cpus"], values["guest.memory_mib"]) == (8, 12288)


def test_a_preset_is_written_and_taken_back(tmp_path: Path) -> None:
    path, site = tmp_path / "preferences.toml", tmp_path / "none.toml"
    save_all(path, {"when.week": "sat-sun", "processor.percent": 7}, site=site)
    for name in (*NAMES, NAMES[0]):
        save_all(path, changes(presets(COMPUTER)[name], load(path, site=site)), site=site)
        assert preset_of(load(path, site=site), COMPUTER) == name
    save_all(path, changes(presets(COMPUTER)["balanced"], load(path, site=site)), site=site)
    assert load(path, site=site).values() == Preferences({"when.week": "sat-sun"}).values()


def test_what_the_site_says_is_respected() -> None:
    site = Said({"processor.percent": 10, "when.in_use": False, "guest.most_vms": 2}, locked=("processor.*",))
    preferences = Preferences({}, site=site, user=Said({"when.in_use": True}))
    preset = presets(COMPUTER)["balanced"]
    assert kept(preset, preferences) == ("processor.percent",)
    written = changes(preset, preferences)
    assert "processor.percent" not in written
    assert (written["when.in_use"], written["guest.most_vms"], written["memory.keep"]) == (True, 4, None)
    after = Preferences({}, site=site, user=Said({key: value for key, value in written.items() if value is not None}))
    assert preset_of(after, COMPUTER) == "balanced"
