"""The table of preferences and what becomes of files and words."""

from pathlib import Path

import pytest

from client.errors import BadInput
from client.preferences.spec import TABLE, PreferenceSpec
from client.preferences.store import check, load, parse


@pytest.mark.parametrize("spec", TABLE, ids=lambda spec: spec.key)
def test_every_preference_is_well_declared(spec: PreferenceSpec) -> None:
    assert check(spec, spec.default) == ""
    assert parse(spec.key, str(spec.default)) == spec.default
    assert spec.help.endswith(".")
    assert spec.key.count(".") == 1


def test_layers(tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    path.write_text("[guest]\ncpus = 3\nmemory_mib = 2048\n")
    preferences = load(path, ["guest.cpus=2"])
    assert (preferences.number("guest.cpus"), preferences.number("guest.memory_mib")) == (2, 2048)
    assert preferences.text("hypervisor.driver") == "auto"


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("guest.cpu=2", "did you mean guest.cpus"),
        ("guest.cpus=many", "whole number"),
        ("guest.cpus=0", "from 1 to 64"),
        ("network.internet=maybe", "true or false"),
        ("hypervisor.driver=vmware", "qemu"),
        ("guest.cpus", "--set guest.cpus=2"),
    ],
)
def test_words_that_do_not_fit(tmp_path: Path, word: str, remedy: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(tmp_path / "none.toml", [word])
    assert remedy in caught.value.remedy


def test_a_broken_file_is_set_aside_and_defaults_hold(tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    path.write_text("cpus = = 3")
    assert load(path).number("guest.cpus") == 1
    assert path.with_suffix(".broken").exists()


def test_values_of_a_file_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    path.write_text("top = 1\n[guest]\ncpus = 'all'\nmemory_mib = 512\nfuture = 1\n")
    preferences = load(path)
    assert (preferences.number("guest.cpus"), preferences.number("guest.memory_mib")) == (1, 512)
