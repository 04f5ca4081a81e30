import json
from pathlib import Path

import pytest

from client.errors import BadInput, ToolMissing
from client.service import site_command
from client.service.site_command import main
from client.service.site_errors import SiteNotRunning
from client.service.site_files import SiteTerms, child_names, write_children
from client.service.site_folder import SiteFolder
from client.service.site_plan import Ports, SitePlan, SiteShape, save_plan
from client.service.site_told import advice, status_lines
from tests.helpers.sites import make_site

PLAN = SitePlan(Ports(5201, 5202, 5203), "s" * 64, "e" * 64, "m" * 64, SiteShape(managers=2))


def test_each_of_several_managers_has_a_name_and_a_resource(tmp_path: Path) -> None:
    folder = SiteFolder(tmp_path / "site")
    folder.make()
    write_children(folder, PLAN, SiteTerms(), None)
    assert child_names("job-manager", PLAN) == ["job-manager", "job-manager-2"]
    for number in (1, 2):
        name = child_names("storage-manager", PLAN)[number - 1]
        content = folder.config(name).read_text()
        assert f'resource = "storage-{number}"' in content
        assert f"{name}.ready" in content


@pytest.mark.parametrize(
    "words", [["--managers", "0"], ["--managers", "17"], ["--queue", "mysql"], ["--managers", "x"]]
)
def test_a_wrong_wish_is_refused_before_there_is_a_folder(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(BadInput):
        main(["up", "--folder", str(tmp_path / "site"), *words])
    assert list(tmp_path.iterdir()) == []


def test_a_word_of_its_own_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_site(tmp_path / "site")
    assert main(["legacy", "list", "--site", str(folder.base)]) == 0
    assert capsys.readouterr().out == ""
    with pytest.raises(BadInput, match="first word"):
        main(["--site", str(folder.base), "legacy"])


def test_a_missing_program_is_named_before_there_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing) as missing:
        main(["up", "--folder", str(tmp_path / "site")])
    assert "prosody" in missing.value.tool
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder_for_a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda tool: tool)
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="not a folder"):
        main(["up", "--folder", str(tmp_path / "file")])


def test_the_appliance_of_the_last_time_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_site(tmp_path / "site")
    monkeypatch.setattr(site_command, "_BUILT", tmp_path / "built")
    assert site_command._appliance(folder, None) is None
    for name in ("built", "named"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    assert site_command._appliance(folder, None) == tmp_path / "built"
    save_plan(folder.plan, SitePlan(Ports(), "s", "e", "m", SiteShape(appliance=str(tmp_path / "named"))))
    assert site_command._appliance(folder, None) == tmp_path / "named"
    assert site_command._appliance(folder, tmp_path / "built") == tmp_path / "built"
    with pytest.raises(BadInput, match="no appliance in it"):
        site_command._appliance(folder, tmp_path)


def test_a_site_that_wants_no_guests_takes_no_appliance_until_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_command, "_BUILT", tmp_path)
    (tmp_path / "manifest.json").touch()
    folder = make_site(tmp_path / "site")
    assert site_command._appliance(folder, None, none=True) is None
    parse = site_command.build_parser().parse_args
    without = site_command._wishes(parse(["up", "--no-appliance"]))
    save_plan(folder.plan, SitePlan(Ports(), "s", "e", "m", SiteShape(**without)))
    assert site_command._appliance(folder, None) is None
    assert site_command._appliance(folder, tmp_path) == tmp_path
    assert site_command._wishes(parse(["up", "--appliance", "x"])) == {"guests": True}
    assert site_command._wishes(parse(["up"])) == {}


def test_who_can_work_for_a_site_is_told(tmp_path: Path) -> None:
    folder, appliance = make_site(tmp_path / "site"), tmp_path / "appliance"
    appliance.mkdir()
    manifest = appliance / "manifest.json"
    manifest.touch()

    def told(shape: SiteShape, found: Path | None) -> str:
        return "\n".join(advice(folder, SitePlan(Ports(), "s", "e", "m", shape), found))

    assert f"attach {folder.project}" in told(SiteShape(appliance=str(appliance)), appliance)
    assert f"{appliance} is gone" in told(SiteShape(appliance=str(appliance)), None)
    assert "There is no appliance" in told(SiteShape(), None)
    assert "attach" not in told(SiteShape(guests=False), None)
    # The demonstration is for guests.
    assert "--events" in told(SiteShape(), appliance)
    assert "--events" not in told(SiteShape(guests=False), None)
    assert "only those without a guest" in told(SiteShape(guests=False), None)


def test_status_names_the_project_file_only_where_volunteers_can_use_it(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.touch()
    facts = {"exists": True, "running": True, "ready": True, "parts": [], "project_file": "/p.toml", "monitor": "-"}
    shape = {"guests": True, "appliance": str(tmp_path)}
    assert "Project file for volunteers: /p.toml" in status_lines(facts | shape)
    assert not any("/p.toml" in line for line in status_lines(facts | shape | {"guests": False}))
    manifest.unlink()
    assert not any("/p.toml" in line for line in status_lines(facts | shape))


def test_a_site_that_is_not_up_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--folder", str(tmp_path / "none")]) == 1
    assert "There is no site" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    folder = make_site(tmp_path / "site")
    assert main(["status", "--site", str(folder.base), "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert (facts["running"], facts["ready"], facts["jobs"]["waiting"]) == (False, False, 0)
    assert main(["status", "--site", str(folder.base)]) == 1
    assert "does not run" in capsys.readouterr().out
    with pytest.raises(SiteNotRunning):
        main(["down", "--site", str(folder.base)])
