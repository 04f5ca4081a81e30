"""Readers of a context as the programs in a guest read it, written from how they behave, not from our renderers."""

import configparser
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence

_TRUE = {"YES", "ON", "TRUE"}
_FALSE = {"NO", "OFF", "FALSE"}


def loader_text(user_data: bytes) -> str:
    """What uCernVM's boot loader makes of user-data: shell text. Byte by byte, lines end with LF only."""
    made, inside = [], False
    *lines, _unended = user_data.decode("latin-1").split("\n")
    for line in lines:
        if line == "[ucernvm-begin]":
            inside = True
        elif line == "[ucernvm-end]":
            break
        elif inside and "=" in line:
            key, _, value = line.partition("=")
            value = "1" if value.upper() in _TRUE else "0" if value.upper() in _FALSE else value
            made.append(f"_UCONTEXT_{key.upper()}={value}\n")
    return "".join(made)


def loader_variables(user_data: bytes, shell: Sequence[str] = ("/bin/sh",)) -> dict[str, str]:
    """The variables that a real shell has after it read that text; everything else that it did is a failure."""
    text = loader_text(user_data)
    names = sorted(set(re.findall(r"^(_UCONTEXT_\w+)=", text, re.MULTILINE)))
    told = "".join(f"printf '%s\\0' \"${name}\"\n" for name in names)
    with tempfile.NamedTemporaryFile() as file:
        file.write(text.encode("latin-1"))
        file.flush()
        done = subprocess.run(
            [*shell, "-u"],
            input=f"cd /\n. {file.name}\n{told}".encode("latin-1"),
            env={"PATH": "/nowhere"},
            capture_output=True,
            timeout=60,
            check=True,
        )
    assert done.stderr == b"", "a part of a value was run"
    return dict(zip(names, done.stdout.decode("latin-1").split("\0")[:-1], strict=True))


def amiconfig_sections(user_data: bytes) -> dict[str, dict[str, str]]:
    """The sections as amiconfig has them: Python 2's ConfigParser, after all lines were dropped that are none."""
    kept, is_in_section = [], False
    for line in user_data.decode().split("\n"):
        if re.match(r"\[[^]]+\]", line):
            is_in_section = True
            kept.append(line)
        elif is_in_section and re.match(r"[^:=\s][^:=]*\s*[:=]", line):
            kept.append(line)
    parser = configparser.RawConfigParser(
        inline_comment_prefixes=(";",), comment_prefixes=("#", ";"), strict=False, default_section="DEFAULT"
    )
    parser.read_string("".join(f"{line}\n" for line in kept))
    return {name: {key: "" if said == '""' else said for key, said in parser.items(name)} for name in parser.sections()}


def amiconfig_script(user_data: bytes, *, stops_at_exit: bool = False) -> str:
    """What amiconfig gives to a shell: without blank lines, from the first line to the end, or to the first `exit`."""
    lines = [line for line in user_data.decode().split("\n") if line.strip(" ")]
    if not lines or not lines[0].startswith("#!"):
        return ""
    if stops_at_exit:
        end = next(number for number, line in enumerate(lines) if line.startswith("exit"))
        lines = lines[: end + 1]
    return "\n".join(lines) + "\n"


def run_program(text: str, **environment: str) -> str:
    """What a program for /bin/sh prints."""
    path = os.environ.get("PATH", "/usr/bin:/bin")
    done = subprocess.run(
        ["/bin/sh"], input=text.encode(), env={"PATH": path, **environment}, capture_output=True, timeout=60, check=True
    )
    assert done.stderr == b""
    return done.stdout.decode()
