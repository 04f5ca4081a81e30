import shutil
from pathlib import Path

import pytest

from packaging.appliance import wheels
from packaging.appliance.failure import BuildFailed
from packaging.appliance.recipe import RECIPE, input_hash, read_recipe


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RECIPE, tmp_path / "recipe"))


def test_the_recipe_is_whole() -> None:
    recipe = read_recipe()
    assert "busybox-static" in recipe.lines("root/packages.txt")
    assert set(recipe.modules) == {"always", "iso"}
    for name in recipe.table["software"]:
        assert recipe.lines(f"software/{name}.keep.txt")
        (pin,) = map(wheels.parse_pin, recipe.lines(f"software/{name}.wheels.txt"))
        assert pin.version == recipe.table["software"][name]["version"]


def test_stated_versions_are_those_of_the_wheels() -> None:
    recipe = read_recipe()
    pins = {pin.name: pin.version for pin in map(wheels.parse_pin, recipe.lines("root/wheels.txt"))}
    stated = recipe.file("root/files/usr/lib/python3/dist-packages/slixmpp/version.py").read_text()
    assert f'__version__ = "{pins["slixmpp"]}"' in stated


def test_both_ways_to_boot_have_the_same_kernel_options() -> None:
    recipe = read_recipe()
    direct = set(recipe.table["direct"]["command_line"].split())
    iso = set(recipe.file("boot/isolinux.cfg").read_text().split("APPEND")[1].split())
    own = ("vc.", "console=")
    assert {word for word in direct - iso if not word.startswith(own)} == set()
    # What else the ISO has only shortens the boot where a processor is interpreted.
    more = {word.partition("=")[0] for word in iso - direct if not word.startswith(own)}
    assert more <= {"tsc", "initcall_blacklist"}


def test_every_input_counts(copy: Path, tmp_path: Path) -> None:
    builder = tmp_path / "builder"
    builder.mkdir()
    seen = {input_hash(copy, builder)}
    (copy / "boot/init").write_text("#!/bin/sh\n")
    seen.add(input_hash(copy, builder))
    (copy / "boot/more").write_text("")
    seen.add(input_hash(copy, builder))
    (builder / "build.py").write_text("")
    seen.add(input_hash(copy, builder))
    assert len(seen) == 4


def test_broken_recipe(copy: Path) -> None:
    (copy / "appliance.toml").write_text('name = "x"')
    with pytest.raises(BuildFailed, match="cannot be used"):
        read_recipe(copy)


@pytest.mark.parametrize("line", ["x", "x==1", "x>=1 --hash=sha256:" + "0" * 64, "x==1 --hash=sha256:00"])
def test_only_exact_pins(line: str) -> None:
    with pytest.raises(BuildFailed, match="not a pinned wheel"):
        wheels.parse_pin(line)
