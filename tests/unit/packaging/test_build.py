import json
from collections.abc import Callable
from pathlib import Path

import pytest

from packaging.appliance import build, manifest
from packaging.appliance.failure import BuildFailed, run
from packaging.appliance.recipe import Recipe, input_hash, read_recipe
from packaging.appliance.root import prune


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], None]], list[Path]]:
    """Put something else in place of the long part of a build; returns the list of folders that it was asked for."""

    def put(fill: Callable[[Path], None]) -> list[Path]:
        asked: list[Path] = []

        def fake(recipe: Recipe, output: Path, cache: Path, work: Path, inputs: str) -> None:
            asked.append(output)
            fill(output)

        monkeypatch.setattr(build, "build", fake)
        return asked

    return put


def fill_well(folder: Path) -> None:
    for name in (manifest.ISO, manifest.KERNEL, manifest.INITRD, manifest.ROOT, manifest.SCRATCH):
        (folder / name).write_bytes(name.encode())
    (folder / manifest.software_file("pythia8")).write_bytes(b"software")
    manifest.write_manifest(read_recipe(), folder, input_hash(), "6.1")
    manifest.write_sources(folder, [], "bookworm", {})


def test_second_build_does_nothing(
    tmp_path: Path, faked: Callable[..., list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = faked(fill_well)
    output = tmp_path / "appliance"
    assert build.main(["--output", str(output)]) == 0
    assert build.main(["--output", str(output)]) == 0
    assert len(asked) == 1
    assert "up to date" in capsys.readouterr().out


@pytest.mark.parametrize("name", [manifest.ISO, manifest.SOURCES, manifest.MANIFEST])
def test_an_incomplete_output_is_built_anew(tmp_path: Path, faked: Callable[..., list[Path]], name: str) -> None:
    asked = faked(fill_well)
    output = tmp_path / "appliance"
    build.main(["--output", str(output)])
    (output / name).unlink()
    assert build.main(["--output", str(output)]) == 0
    assert len(asked) == 2
    assert (output / name).exists()


def test_failure_leaves_the_old_output_and_nothing_else(
    tmp_path: Path, faked: Callable[..., list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    faked(fill_well)
    output = tmp_path / "appliance"
    build.main(["--output", str(output)])

    def fail(folder: Path) -> None:
        (folder / manifest.ISO).write_bytes(b"half")
        raise BuildFailed("the mirror does not answer")

    faked(fail)
    assert build.main(["--output", str(output), "--force"]) == 1
    assert "not built: the mirror does not answer" in capsys.readouterr().err
    assert (output / manifest.ISO).read_bytes() == manifest.ISO.encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".appliance.lock", "appliance"]


def test_manifest_says_what_is_there(tmp_path: Path) -> None:
    fill_well(tmp_path)
    said = json.loads((tmp_path / manifest.MANIFEST).read_text())
    assert said["files"][manifest.KERNEL]["role"] == "kernel"
    assert said["files"][manifest.KERNEL]["size_bytes"] == len(manifest.KERNEL)
    named = {name for form in said["formats"] for name in form["files"]}
    assert named == set(said["files"])


def test_missing_tool_is_named() -> None:
    with pytest.raises(BuildFailed, match="no-such-tool-here is not installed"):
        run(["no-such-tool-here"])


def test_failed_tool_is_quoted() -> None:
    with pytest.raises(BuildFailed, match="exit code 3: words"):
        run(["sh", "-c", "echo words >&2; exit 3"])


def test_prune_takes_folders_whole_and_spares_link_targets(tmp_path: Path) -> None:
    (tmp_path / "usr/share/doc").mkdir(parents=True)
    (tmp_path / "usr/share/doc/x").write_text("")
    (tmp_path / "usr/keep").mkdir()
    (tmp_path / "usr/keep/y").write_text("")
    (tmp_path / "usr/link").symlink_to("keep")
    prune(tmp_path, ["usr/share/*", "usr/link"])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "usr",
        "usr/keep",
        "usr/keep/y",
        "usr/share",
    ]
