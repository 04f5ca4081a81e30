"""Who said what: files, locks, the command line; and writing the user's file."""

import contextlib
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
from filelock import FileLock

from client import filenames
from client.errors import BadInput
from client.preferences import change
from client.preferences.errors import PreferenceLocked
from client.preferences.layers import Layer, Setting, read, site_file
from client.preferences.migrate import VERSION
from client.preferences.spec import BY_KEY
from client.preferences.store import changed, check_sets, load, reload, save, save_all, stamp
from client.preferences.values import parse_sets


@pytest.fixture
def user(tmp_path: Path) -> Path:
    return tmp_path / "base" / "preferences.toml"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site.toml"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_later_layer_wins_and_each_value_knows_its_own(user: Path, site: Path) -> None:
    write(site, "[guest]\ncpus = 4\nmemory_mib = 4096\nmost_vms = 2\n[when]\nin_use = false\n")
    write(user, "[guest]\ncpus = 3\nmemory_mib = 2048\n")
    preferences = load(user, ["guest.cpus=2"], site=site)
    assert preferences.setting("guest.cpus") == Setting(2, Layer.COMMAND_LINE)
    assert preferences.setting("guest.memory_mib") == Setting(2048, Layer.USER)
    assert preferences.setting("guest.most_vms") == Setting(2, Layer.SITE)
    assert preferences.setting("hypervisor.driver") == Setting("auto", Layer.DEFAULT)
    assert (preferences.number("guest.cpus"), preferences.flag("when.in_use")) == (2, False)
    assert preferences.text("hypervisor.driver") == "auto"


def test_kinds_of_values(user: Path, site: Path) -> None:
    write(user, '[when]\nprograms = ["Game.exe", " mpv "]\nweek = "18-8"\n')
    preferences = load(user, site=site)
    assert preferences.names("when.programs") == ("Game.exe", "mpv")
    assert preferences.text("when.week") == "18:00-08:00"
    assert preferences.week("when.week").has(0)


def test_what_the_site_locks_stays(user: Path, site: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(site, 'locked = ["network.*", "guest.cpus", "gest.*"]\n[network]\nup_kib_per_s = 100\n')
    write(user, "[network]\nup_kib_per_s = 0\n[guest]\ncpus = 8\n")
    preferences = load(user, site=site)
    assert preferences.setting("network.up_kib_per_s") == Setting(100, Layer.SITE, locked=True)
    assert preferences.setting("guest.cpus") == Setting(1, Layer.DEFAULT, locked=True)
    assert "names 'gest.*'" in caplog.text
    assert "guest.cpus in the user's file is not used: it is locked." in caplog.text
    for words in (["guest.cpus=2"], ["network.never=Home"]):
        with pytest.raises(PreferenceLocked, match=words[0].partition("=")[0]):
            load(user, words, site=site)
        with pytest.raises(PreferenceLocked):
            check_sets(words, site=site)
    with pytest.raises(PreferenceLocked):
        save(user, "guest.cpus", 2, site=site)
    save_all(user, {"guest.cpus": None}, site=site)
    assert "guest.cpus" not in read(user).values


def test_a_site_file_that_cannot_be_read_stops(user: Path, site: Path) -> None:
    write(site, "locked = = 3")
    with pytest.raises(BadInput, match="holds for all users"):
        load(user, site=site)
    assert site.exists()


def test_words_of_the_command_line() -> None:
    assert parse_sets(["guest.cpus=2", "network.only=a=b"]) == {"guest.cpus": 2, "network.only": ("a=b",)}
    with pytest.raises(BadInput, match=r"guest\.cpus=2"):
        parse_sets(["guest.cpus"])


@pytest.mark.parametrize("text", ["cpus = = 3", "a = " + "[" * 5000, "x" * 2_000_000])
def test_a_broken_file_is_set_aside_and_defaults_hold(user: Path, site: Path, text: str) -> None:
    write(user, text)
    assert load(user, site=site).number("guest.cpus") == 1
    assert user.with_suffix(".broken").exists() and not user.exists()


def test_values_of_a_file_that_do_not_fit_are_left_out(user: Path, site: Path) -> None:
    write(user, "top = 1\nversion = 'x'\n[guest]\ncpus = 'all'\nmemory_mib = 512\nfuture = 1\n[when]\nweek = 'noon'\n")
    preferences = load(user, site=site)
    assert (preferences.number("guest.cpus"), preferences.number("guest.memory_mib")) == (1, 512)
    told = " ".join(preferences.problems())
    assert all(word in told for word in ("top", "guest.cpus", "guest.future", "when.week")) and "version" not in told


def test_projects_have_their_own(user: Path, site: Path) -> None:
    write(site, '[project."LHC at home".when]\non_battery = false\n')
    write(user, '[project."LHC at home".when]\nin_use = false\n[project."LHC at home".disk]\nmost_mib = 1\n')
    preferences = load(user, site=site)
    assert preferences.projects() == ("LHC at home",)
    assert list(preferences.for_project("LHC at home")) == [{"when.on_battery": False}, {"when.in_use": False}]
    assert "holds for all or none" in " ".join(preferences.problems())


def test_an_old_file_means_the_same_and_is_kept_when_it_is_written(user: Path, site: Path) -> None:
    old = "# mine\n[appliances]\non_metered = 'fetch' # I pay\n[guest]\ncpus = 2\n"
    write(user, old)
    assert load(user, site=site).flag("network.on_metered")
    assert user.read_text() == old
    notes = save_all(user, {"guest.cpus": 3}, site=site)
    assert "network.on_metered" in notes[0]
    assert user.with_name(user.name + change.BACKUP_SUFFIX).read_text() == old
    said = tomllib.loads(user.read_text())
    assert said == {
        "version": VERSION,
        "appliances": {"on_metered": "fetch"},
        "guest": {"cpus": 3},
        "network": {"on_metered": True},
    }
    assert "# mine" in user.read_text() and "# I pay" in user.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "version = 2\n[appliances]\non_metered = 'fetch'\n",
        "[appliances]\non_metered = 'wait'\n",
        "appliances = 3",
        "network = 3\n[appliances]\non_metered = 'fetch'\n",
        "[network]\non_metered = false\n[appliances]\non_metered = 'fetch'\n",
    ],
)
def test_what_need_not_be_migrated(user: Path, site: Path, text: str) -> None:
    assert not load(write(user, text), site=site).flag("network.on_metered")


def test_a_file_of_a_newer_version_goes_on(user: Path, site: Path) -> None:
    write(user, "version = 99\n[guest]\ncpus = 2\n[moon]\nphase = 1\n")
    save(user, "guest.cpus", 3, site=site)
    assert tomllib.loads(user.read_text()) == {"version": 99, "guest": {"cpus": 3}, "moon": {"phase": 1}}


def test_writing_is_all_or_nothing(user: Path, site: Path) -> None:
    save_all(user, {"guest.cpus": 2, "network.only": ("a, b",), "when.week": "sat-sun"}, site=site)
    before = user.read_bytes()
    for values, project in [
        ({"guest.cpus": 3, "guest.memory_mib": 1}, ""),
        ({"when.in_use": False, "guest.cpus": 3}, "LHC"),
        ({"guest.cpu": 3}, ""),
    ]:
        with pytest.raises(BadInput):
            save_all(user, values, project=project, site=site)
    assert user.read_bytes() == before
    preferences = load(user, site=site)
    assert (preferences.number("guest.cpus"), preferences.names("network.only")) == (2, ("a, b",))
    assert user.stat().st_mode & 0o777 == 0o600


def test_one_project_is_written_and_taken_back(user: Path, site: Path) -> None:
    save_all(user, {"when.in_use": False, "processor.percent": 10}, project="LHC", site=site)
    save_all(user, {"when.in_use": None, "memory.keep": None}, project="LHC", site=site)
    assert list(load(user, site=site).for_project("LHC")) == [{"processor.percent": 10}]
    save_all(user, {"processor.percent": None}, project="LHC", site=site)
    assert user.read_text().strip() == f"version = {VERSION}"


def test_what_is_taken_back_leaves_comments(user: Path, site: Path) -> None:
    write(user, "version = 2\n[guest]\n# two are enough\ncpus = 2\n[when]\nin_use = false\n")
    save_all(user, {"guest.cpus": None, "when.in_use": None}, site=site)
    assert user.read_text() == "version = 2\n[guest]\n# two are enough\n"


@pytest.mark.parametrize("text", ["cpus = = 3", "guest = 3"])
def test_a_file_that_cannot_be_changed_stays(user: Path, site: Path, text: str) -> None:
    write(user, text)
    with pytest.raises(BadInput, match="correct the file"):
        save(user, "guest.cpus", 2, site=site)
    assert user.read_text() == text


def test_only_one_writes(user: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "_WAIT_S", 0)
    user.parent.mkdir()
    with FileLock(user.with_name(filenames.PREFERENCES_LOCK)), pytest.raises(BadInput, match="another program"):
        save(user, "guest.cpus", 2, site=site)


def test_nobody_writes_over_what_another_writes(user: Path, site: Path) -> None:
    wanted = {"guest.cpus": 2, "processor.percent": 7, "memory.percent": 9, "when.week": "sat", "when.in_use": False}
    with ThreadPoolExecutor(len(wanted)) as writers:
        list(writers.map(lambda item: save(user, *item, site=site), wanted.items()))
    assert read(user).values == wanted


def test_changes_are_seen_while_it_runs(user: Path, site: Path) -> None:
    before = load(user, ["guest.memory_mib=512"], site=site)
    seen = stamp(user, site=site)
    write(user, "[guest]\ncpus = 2\nmemory_mib = 4096\n[project.LHC.when]\nin_use = false\n")
    assert stamp(user, site=site) != seen
    after = reload(before, user, site=site)
    assert changed(before, after) == ("guest.cpus", "project.LHC")
    assert after.number("guest.memory_mib") == 512
    write(user, "half a line")
    assert reload(after, user, site=site) is after and user.exists()
    write(site, 'locked = ["guest.*"]')
    user.unlink()
    locked = reload(after, user, site=site)
    assert locked.number("guest.memory_mib") == BY_KEY["guest.memory_mib"].default
    write(site, "half a line")
    assert reload(locked, user, site=site) is locked


def test_the_sites_file_lies_where_no_variable_moves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_DIRS", "/tmp/mine")
    monkeypatch.setattr("sys.platform", "linux")
    assert site_file() == Path("/etc/volunteer-cloud/preferences.toml")
    monkeypatch.setattr("sys.platform", "darwin")
    assert site_file() == Path("/Library/Application Support/volunteer-cloud/preferences.toml")


def test_the_sites_file_on_windows_is_where_the_registry_says(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Folders(ModuleType):
        HKEY_LOCAL_MACHINE = 1

        @contextlib.contextmanager
        def OpenKey(self, root: int, name: str) -> Iterator[str]:
            assert root == self.HKEY_LOCAL_MACHINE
            yield name

        def QueryValueEx(self, key: str, name: str) -> tuple[str, int]:
            asked.append((key.rpartition("\\")[2], name))
            return "C:/ProgramData", 1

    monkeypatch.setitem(sys.modules, "winreg", Folders("winreg"))
    monkeypatch.setattr("sys.platform", "win32")
    assert site_file() == Path("C:/ProgramData/volunteer-cloud/preferences.toml")
    assert asked == [("Shell Folders", "Common AppData")]
