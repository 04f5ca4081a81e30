"""What may stand in which place of a context, and what its consumers could not carry. Pure checks: "" is fine."""

import re
from collections.abc import Callable
from typing import Final

from client.appliance.contextual.values import fault_of_line, fault_of_lines, fault_of_ssh_key

Check = Callable[[str], str]


def _shape(pattern: str, must: str) -> Check:
    whole = re.compile(pattern, re.ASCII)
    return lambda text: "" if whole.fullmatch(text) else f"must be {must}"


_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
host_name: Final = _shape(rf"{_LABEL}(?:\.{_LABEL}){{0,8}}", "a host name: letters, digits, '-' and '.'")
account: Final = _shape(
    r"[a-z_][a-z0-9_-]{0,30}", "an account name: a small letter, then small letters, digits, '-', '_'"
)
package: Final = _shape(r"[A-Za-z0-9][A-Za-z0-9+._:=~-]{0,199}", "the name of a package")
repository: Final = _shape(r"[A-Za-z0-9][A-Za-z0-9.-]{0,199}", "the name of a CVMFS repository, like sft.cern.ch")
organisation: Final = _shape(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "one word of letters, digits, '.', '-', '_'")
service: Final = _shape(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,199}", "the name of a service")
proxy: Final = _shape(
    r"[A-Za-z0-9._:/@|;,-]{1,2000}", "CVMFS's list of proxies, like http://10.0.2.2:3128;DIRECT, without blanks"
)
time_zone: Final = _shape(r"[A-Za-z0-9_+-]{1,40}(?:/[A-Za-z0-9_+-]{1,40}){0,2}", "a time zone, like Europe/Zurich")
shell: Final = _shape(r"(?:/[A-Za-z0-9._+-]{1,60}){1,8}", "the path of a shell, like /bin/bash")
mode: Final = _shape(r"[0-7]{3,4}", 'three or four octal digits in quotes, like "0644"')
owner: Final = _shape(r"[a-z_][a-z0-9_-]{0,30}(?::[a-z_][a-z0-9_-]{0,30})?", "user or user:group")
ssh_key: Final[Check] = fault_of_ssh_key
crypted: Final = _shape(r"\$6\$(?:rounds=\d{4,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}", "a SHA-512 crypt hash")

#: beside letters and digits: what means nothing to a shell, in an INI file or in YAML
_HARMLESS: Final = "._:/@,+=%~^-"
_NO_QUOTING: Final = frozenset("$`\"'\\&<>(){}[]*?!#\t")
#: where a shell takes `~` for a home folder
_HOME: Final = re.compile(r"(?:^|[:=])~")
#: amiconfig's reader (Python 2's ConfigParser) ends a value at a blank before a semicolon
_INI_COMMENT: Final = re.compile(r"\s;")


def path(text: str) -> str:
    """A file of the guest."""
    parts = text.split("/")[1:]
    if not text.startswith("/") or len(text) > 1024 or not all(parts) or any(part in {".", ".."} for part in parts):
        return "must be a whole path that begins with / and has no '..' in it"
    return fault_of_line(text)


def content(text: str) -> str:
    """What stands in a file or script."""
    return fault_of_lines(text, 1 << 18)


def block_value(text: str) -> str:
    """A value for the boot loader of uCernVM: it lands between double quotes in text that two shells read in turn."""
    if text and not text.isascii():
        return "must have no letters but a to z: the boot loader knows no others"
    bad = next((sign for sign in text if sign in _NO_QUOTING), "")
    if bad:
        return f"has {bad!r} in it, and the boot loader's shell has no safe way to take that"
    return fault_of_line(text, 65536)


def ini_value(text: str) -> str:
    """A value of amiconfig: one line, and nothing that its reader cuts off."""
    if text != text.strip():
        return "must not begin or end with a blank: amiconfig cuts it off"
    if _INI_COMMENT.search(text):
        return "has a blank before a ';' in it, and amiconfig drops what follows"
    if text == '""':
        return 'must not be "" alone: amiconfig takes it for empty'
    if text and not text.isascii():
        return "must have no letters but a to z: amiconfig knows no others"
    return fault_of_line(text, 65536)


def one_item(text: str) -> str:
    """A value that is a part of a place whose readers take these signs for the end of one item of a list."""
    sign = next((sign for sign in text if sign in ",;|%"), "")
    return f"has {sign!r} in it, which would begin something else in that place" if sign else ""


def shell_safe(text: str) -> str:
    """A value that amiconfig writes, as it is, into a file which a shell reads."""
    return ini_value(text) or harmless(text)


def harmless(text: str) -> str:
    """A filled-in value in a place whose consumers have no quoting that all of them understand."""
    for sign in text:
        if not (sign.isalnum() or sign in _HARMLESS):
            shown = "a blank" if sign == " " else repr(sign) if sign.isprintable() else "a control character"
            return f"has {shown} in it, which cannot be quoted in that place"
    return "has a '~' in it where a shell would put a home folder" if _HOME.search(text) else ""


def harmless_words(text: str) -> str:
    """The same, and blanks may be between its words."""
    return harmless(text.replace(" ", "")) if text == text.strip() else "must not begin or end with a blank"
