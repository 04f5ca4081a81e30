"""The in-guest agent as a zipapp: `client.copilot.guest` and all of this program that it imports, nothing else.

The byte code lies beside each source, so that a guest whose Python is of this program's version need not compile;
any other takes the source.
"""

import ast
import importlib.util
import io
import marshal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import client

ENTRY: Final = "client.copilot.guest"
#: All entries carry this date, so that the same sources give the same bytes.
_DATE: Final = (2026, 1, 1, 0, 0, 0)
_TOP: Final = Path(client.__file__).resolve().parent.parent

#: Flags of a byte-code file that is never checked against its source (PEP 552).
_UNCHECKED: Final = (0b01).to_bytes(4, "little")

_MAIN: Final = '''"""Volunteer Cloud agent {version}."""
import sys

from {entry} import main

sys.exit(main(sys.argv[1:]))
'''


def build_agent(version: str, top: Path = _TOP, entry: str = ENTRY) -> bytes:
    """Pack the agent; the same sources and version give the same bytes.

    Args:
        version: told in the archive's `__main__`.
        top: folder that holds the package of the entry.
        entry: module whose `main(argv)` the archive runs.

    Raises:
        FileNotFoundError: the entry is not there.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        _add(packed, "__main__.py", _MAIN.format(version=version, entry=entry).encode())
        for module in sorted(needed_modules(top, entry)):
            path = _source_of(top, module)
            if path:
                _add(packed, path.relative_to(top).as_posix(), path.read_bytes())
    return archive.getvalue()


def needed_modules(top: Path, entry: str) -> set[str]:
    """The modules below `top` that an entry imports, directly or not, with their packages.

    Raises:
        FileNotFoundError: the entry is not there.
    """
    if not _source_of(top, entry):
        raise FileNotFoundError(f"{entry} in {top}")
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        module = waiting.pop()
        path = _source_of(top, module)
        if module in found or not path:
            continue
        found.add(module)
        waiting += [module.rpartition(".")[0], *_imports_of(path)]
    return found


def _source_of(top: Path, module: str) -> Path | None:
    if not module:
        return None
    path = top.joinpath(*module.split("."))
    for candidate in (path.with_name(path.name + ".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _add(packed: zipfile.ZipFile, name: str, source: bytes) -> None:
    packed.writestr(zipfile.ZipInfo(name, _DATE), source)
    if name != "__main__.py":  # which is always compiled
        packed.writestr(zipfile.ZipInfo(name + "c", _DATE), _byte_code(name, source))


def _byte_code(name: str, source: bytes) -> bytes:
    code = compile(source, f"/context/agent.pyz/{name}", "exec", dont_inherit=True, optimize=0)
    head = importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source)
    return head + marshal.dumps(code)
