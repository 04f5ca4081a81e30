"""Words are completed in real shells, by their own machinery, with what the program writes and tells to do."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.helpers.program import TOP

pytestmark = pytest.mark.integration
SHELLS: Final = ("bash", "zsh", "fish")
#: a shell, its own folder and a line up to the cursor -> what it offers
Tab = Callable[[str], list[str]]
#: What Tab does, without the key.
_BASH = """
source {folder}/script
{command}
found=$(complete -p volunteer-cloud)
[[ $found =~ -F\\ ([^ ]+) ]] && function=${{BASH_REMATCH[1]}}
read -ra COMP_WORDS <<< "$1"
[[ $1 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
"$function" volunteer-cloud "${{COMP_WORDS[-1]}}" "${{COMP_WORDS[-2]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
#: Only its line editor completes, so a zsh at a terminal of its own gets the key, and tells what it would show.
_ZSH = """
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner 'source {folder}/setup'
zpty -n -w inner "$1"$'\\t'
while zpty -r inner line; do :; done
sort -u {folder}/offered
"""
_ZSH_SETUP = """
PROMPT=
{command}
fpath=({folder} $fpath)
autoload -Uz compinit && compinit -D -u
comppostfuncs=(exit)
compadd() {{
    if [[ ${{@[1,(i)(-|--)]}} != *-(O|A|D)\\ * ]]; then
        local -a hits
        builtin compadd -A hits "$@"
        print -rl -- $hits >> {folder}/offered
    fi
    builtin compadd "$@"
}}
"""
_FISH = """
source {folder}/script
{command}
complete -C $argv[1] | string replace -r '\\t.*' ''
"""
_TABS: Final[Mapping[str, tuple[str, list[str]]]] = {
    "bash": (_BASH, ["bash", "--norc", "--noprofile"]),
    "zsh": (_ZSH, ["zsh", "-f"]),
    "fish": (_FISH, ["fish", "--no-config"]),
}


def told_to_do(shell: str, name: str = "volunteer-cloud") -> tuple[str, str]:
    """What `main.py completion` writes, and the command that makes the program one of the shell's."""
    words = [sys.executable, str(TOP / "main.py"), "completion", shell, "--name", name]
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout, done.stderr.partition("is no command yet: ")[2].strip()


@pytest.fixture(scope="module", params=SHELLS)
def tab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tab:
    folder = tmp_path_factory.mktemp(request.param)
    script, command = told_to_do(request.param)
    assert command
    (folder / ("_volunteer-cloud" if request.param == "zsh" else "script")).write_text(script)
    (folder / "setup").write_text(_ZSH_SETUP.format(folder=folder, command=command))
    text, start = _TABS[request.param]
    (folder / "tab").write_text(text.format(folder=folder, command=command))
    work = folder / "work"
    work.mkdir()
    (work / "cases.csv").touch()
    (work / "casefolder").mkdir()

    def tab(line: str) -> list[str]:
        (folder / "offered").write_text("")
        words = [*start, str(folder / "tab"), f"volunteer-cloud {line}"]
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=work,
            env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "TERM": "dumb", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
        )
        assert done.stderr == ""
        return done.stdout.split()

    return tab


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dr", ["drain"]),
        ("jobs can", ["cancel"]),
        ("jobs ", ["list", "show", "log", "cancel", "retry", "dead", "wait", "prune"]),
        ("jobs list --state ", ["waiting", "leased", "done", "dead"]),
        ("agents re", ["revoke"]),
        ("site --queue ", ["sqlite", "redis"]),
        ("site ", ["up", "down", "status", "legacy"]),
        ("submit --requi", ["--requirements"]),
        ("vm ex", ["exec"]),
        ("completion ", list(SHELLS)),
    ],
)
def test_tab_offers_what_fits(tab: Tab, line: str, offered: list[str]) -> None:
    assert sorted(tab(line)) == sorted(offered)


def test_tab_offers_files_and_folders(tab: Tab) -> None:
    assert "cases.csv" in tab("submit --parameters cas")
    assert [name.rstrip("/") for name in tab("jobs --site cas")] == ["casefolder"]


def test_zsh_takes_it_for_one_shell_only_as_well(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(told_to_do("zsh", "vc")[0])
    words = f'autoload -Uz compinit && compinit -D -u; eval "$(<{tmp_path}/script)"; print -r -- $_comps[vc]'
    done = subprocess.run(["zsh", "-f", "-c", words], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "_shtab_vc"
