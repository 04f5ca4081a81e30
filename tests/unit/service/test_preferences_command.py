"""`main.py preferences`, as typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import main as program
from client.errors import BadInput
from client.preferences.boinc_xml import find_boinc
from client.preferences.errors import PreferenceLocked
from client.preferences.page import markdown
from client.preferences.spec import BY_KEY, TABLE
from client.preferences.store import load
from client.service import completion_command, preferences_command
from client.service.preferences_command import main
from tests.helpers.client_core import write_project

TOP = Path(__file__).resolve().parents[3]
BOINC = TOP / "tests" / "data" / "boinc"
Typed = Callable[..., str]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "base" / "preferences.toml"


@pytest.fixture
def typed(file: Path, site: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types words, returns what is said."""

    def type_words(*words: str) -> str:
        assert main([*words, "--basedir", str(file.parent)], site=site) == 0
        return capsys.readouterr().out

    return type_words


def from_json(text: str) -> Any:
    return json.loads(text)


def test_the_list_has_all_with_who_said_them(typed: Typed, site: Path) -> None:
    site.write_text('locked = ["guest.cpus"]\n[guest]\ncpus = 3\n')
    typed("set", "when.week", "Sat - sun")
    said = typed()
    assert all(key in said for key in BY_KEY)
    assert "the preset balanced" in said
    lines = {line.split()[0]: line for line in said.splitlines() if line.startswith("  ")}
    assert lines["guest.cpus"].endswith("[site file, locked]")
    assert lines["when.week"].split("[") == [lines["when.week"].split("[")[0], "user file]"]
    assert "sat-sun" in lines["when.week"] and "[" not in lines["when.in_use"]
    few = typed("list", "--changed")
    assert "guest.cpus" in few and "when.week" in few and "when.in_use" not in few


def test_values_are_set_told_and_taken_back(typed: Typed, file: Path, site: Path) -> None:
    assert typed("set", "processor.percent", "10") == "processor.percent = 10 % (was 50 %)\n"
    assert typed("set", "processor.percent", "10") == "That is so already.\n"
    assert typed("set", "when.programs", "game, mpv") == "when.programs = game, mpv (was none)\n"
    assert typed("get", "when.programs") == "game,mpv\n"
    assert typed("reset", "processor.percent") == "processor.percent = 50 % (was 10 %)\n"
    typed("reset", "--all")
    assert load(file, site=site).names("when.programs") == ()


def test_projects_have_their_own(typed: Typed) -> None:
    assert typed("set", "when.in_use", "no", "--project", "LHC") == "when.in_use = no, for LHC\n"
    assert "For the project LHC alone" in typed()
    assert from_json(typed("--json"))["projects"] == {"LHC": {"when.in_use": False}}
    assert typed("reset", "when.in_use", "--project", "LHC") == "when.in_use = as for all, for LHC\n"


def test_json(typed: Typed) -> None:
    said = from_json(typed("set", "guest.cpus", "2", "--json"))
    assert said["written"] and said["preferences"]["guest.cpus"]["value"] == 2
    whole = from_json(typed("--json"))
    assert list(whole["preferences"]) == [spec.key for spec in TABLE]
    assert whole["preferences"]["guest.cpus"] | {"default": 1} == whole["preferences"]["guest.cpus"]
    assert from_json(typed("get", "guest.cpus", "--json"))["guest.cpus"]["layer"] == "user file"


def test_a_preset_is_told_then_written(typed: Typed, file: Path) -> None:
    told = typed("preset", "barely-there", "--dry-run")
    assert "when.in_use = no (was yes)" in told and "Nothing was written" in told and not file.exists()
    assert "when.in_use = no (was yes)" in typed("preset", "barely-there")
    assert "the preset barely-there" in typed()
    assert "That is so already." in typed("preset", "barely-there")
    typed("preset", "balanced")
    assert "the preset balanced" in typed()


def test_what_would_leave_nothing_is_said(file: Path, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set", "when.week", "never", "--basedir", str(file.parent)], site=site) == 0
    said = capsys.readouterr()
    assert said.out == "when.week = never (was always)\n"
    assert said.err == "Nothing ever runs: when.week is never.\n"


def test_what_is_locked_is_said(typed: Typed, site: Path, file: Path) -> None:
    site.write_text('locked = ["when.*"]\n')
    with pytest.raises(PreferenceLocked):
        typed("set", "when.in_use", "no")
    said = typed("preset", "barely-there")
    assert "when.in_use is locked on this computer, and stays yes." in said
    assert "processor.percent_idle = 33 %" in said
    said = typed("import-boinc", str(BOINC / "global_prefs_override.xml"))
    assert "run_on_batteries is not taken: when.on_battery is locked" in said
    assert not load(file, site=site).flag("when.on_battery")


def test_boincs_are_taken_over(typed: Typed, file: Path, site: Path) -> None:
    override = str(BOINC / "global_prefs_override.xml")
    assert "Nothing was written" in typed("import-boinc", override, "--dry-run")
    assert not file.exists()
    said = typed("import-boinc", override)
    assert "idle_time_to_run = 2.500000: when.idle_after_min = 3 min" in said
    assert "work_buf_min_days is not taken: " in said
    typed("set", "when.programs", "mpv")
    said = from_json(typed("import-boinc", str(BOINC / "cc_config.xml"), "--json"))
    assert said["written"] and said["left"][0]["tag"] == "exclusive_gpu_app"
    preferences = load(file, site=site)
    assert preferences.names("when.programs") == ("mpv", "game", "blender")
    assert preferences.number("processor.percent") == 66


def test_the_files_of_a_boinc_that_is_here_are_found(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preferences_command, "find_boinc", lambda: find_boinc([str(tmp_path / "none"), str(BOINC)]))
    said = from_json(typed("import-boinc", "--json"))
    assert said["files"] == [str(BOINC / name) for name in ("global_prefs_override.xml", "cc_config.xml")]
    assert {"processor.percent", "when.programs"} <= {one["key"] for one in said["taken"]}
    monkeypatch.setattr(preferences_command, "find_boinc", lambda: find_boinc([str(tmp_path / "none")]))
    with pytest.raises(BadInput, match="usual places"):
        typed("import-boinc")


def test_a_file_of_which_nothing_is_taken(typed: Typed, tmp_path: Path, file: Path) -> None:
    empty = tmp_path / "empty.xml"
    empty.write_text("<global_preferences/>")
    assert typed("import-boinc", str(empty)) == f"From {empty}:\nNothing of it could be taken.\n"
    assert not file.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["get", "guest.cpu"], "did you mean guest.cpus?"),
        (["set", "guest.cpus", "many"], "whole number from 1 to 64"),
        (["set", "guest.cpus"], "--help"),
        (["set", "guest.cpus", "2", "--project", "LHC"], "leave out --project"),
        (["reset"], "say --all"),
        (["reset", "guest.cpus", "--all"], "say --all"),
        (["reset", "guest.cpu"], "did you mean guest.cpus?"),
        (["preset", "balance"], "did you mean balanced?"),
        (["import-boinc", "/nonexistent.xml"], "global_prefs_override.xml"),
        (["frob"], "choose one of list, get"),
    ],
)
def test_words_that_do_not_fit(typed: Typed, words: list[str], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        typed(*words)
    assert said in caught.value.remedy


def test_the_base_folder_may_stand_before_the_word(file: Path, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--basedir", str(file.parent), "set", "guest.cpus", "2"], site=site) == 0
    assert load(file, site=site).number("guest.cpus") == 2
    assert capsys.readouterr().out == "guest.cpus = 2 (was 1)\n"


def test_an_old_file_says_what_was_changed(typed: Typed, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.parent.mkdir()
    file.write_text("[appliances]\non_metered = 'fetch'\n")
    main(["set", "guest.cpus", "2", "--basedir", str(file.parent)], site=file.parent / "none")
    assert "network.on_metered is true now" in capsys.readouterr().err


def test_the_page_is_as_the_table(typed: Typed) -> None:
    page = (TOP / "docs" / "preferences.md").read_text(encoding="utf-8")
    assert page == markdown(), "run: main.py preferences --markdown > docs/preferences.md"
    assert typed("--markdown") == page


@pytest.mark.parametrize("shell", completion_command.SHELLS)
def test_shells_complete_keys(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    roles = {"preferences": program.ROLES["preferences"]}
    assert completion_command.main([shell], program._face_options(), roles) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("import-boinc", "when.idle_after_min", "barely-there"))


def test_who_mistypes_a_projects_name_is_told(file: Path, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.parent.mkdir()
    write_project(file.parent / "project.toml", "0" * 64)
    for name, is_told in (("Tset", True), ("Test", False)):
        main(["set", "when.in_use", "no", "--project", name, "--basedir", str(file.parent)], site=site)
        assert ("called 'Test'" in capsys.readouterr().err) is is_told
