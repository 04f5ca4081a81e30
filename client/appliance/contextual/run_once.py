"""The program that a guest runs once: it lays files, sets the fields as variables, and starts the template's script.

All that a person wrote travels in base64 or in single quotes; what is read by a shell before is the same for everybody.
"""

import base64
import shlex
from typing import Final

from client.appliance.contextual.language import File, Guest, System

FOLDER: Final = "/var/lib/volunteer-cloud"
START: Final = f"{FOLDER}/start"

_PUT: Final = """put() {
 mkdir -p "$(dirname "$1")" && ( umask 077; printf %s "$4" | base64 -d > "$1" ) && chmod "$2" "$1"
 test -z "$3" || chown "$3" "$1"
}
"""


def start_program(guest: Guest, folder: str = FOLDER) -> str:
    """A program for /bin/sh; empty when there is nothing to be done. In CernVM it lays the files too."""
    is_cernvm = guest.system is System.CERNVM
    parts = [_laid(file) for file in guest.files if is_cernvm]
    if is_cernvm and guest.time_zone:
        parts.append(f"ln -sf {shlex.quote(f'/usr/share/zoneinfo/{guest.time_zone}')} /etc/localtime\n")
    if guest.script:
        script = f"{folder}/script"
        parts.append(_laid(File(script, "0700", "", guest.script.text)))
        parts += [f"{name}={shlex.quote(said)}\nexport {name}\n" for name, said in guest.script.variables.items()]
        parts.append(f"exec {shlex.quote(script)}\n")
    if not parts:
        return ""
    return f"#!/bin/sh\n{_PUT}{''.join(parts)}"


def outer_script(program: str, instance_id: str, folder: str = FOLDER) -> str:
    """What amiconfig runs: it unpacks and runs `program`, at most once for an instance, whoever else runs it too.

    amiconfig drops blank lines and hands a shell all that follows the first line; some versions of it stop at the
    first line that begins with `exit`. So that line is the last one, and nothing of a person's is here in the clear.
    """
    ran, start = shlex.quote(f"{folder}/ran-{instance_id}"), shlex.quote(f"{folder}/start")
    return (
        "#!/bin/sh.after\n"
        "umask 077\n"
        f"mkdir -p {shlex.quote(folder)}\n"
        f"mkdir {ran} 2>/dev/null || test ! -d {ran} || exit 0\n"
        f"echo {packed(program)} | base64 -d > {start}\n"
        f"( umask 022; /bin/sh {start} )\n"
        "exit 0\n"
    )


def packed(text: str) -> str:
    """Text as base64 on one line."""
    return base64.b64encode(text.encode()).decode()


def _laid(file: File) -> str:
    return f"put {shlex.quote(file.path)} {file.mode} {shlex.quote(file.owner)} {packed(file.content)}\n"
