"""The plan of the house, kept by a test: who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
#: library -> the only places that may import it
ONLY_IN = {
    "PySide6": ("ui/",),
    "slixmpp": ("client/copilot/stream.py",),
    "virtualbox": ("client/hypervisor/virtualbox/session.py",),
    "vboxapi": ("client/hypervisor/virtualbox/session.py",),
    "tuf": ("client/appliance/trust", "client/appliance/publish/"),
    "securesystemslib": ("client/appliance/publish/",),
    "redis": ("client/copilot/queue/redis", "client/copilot/queue/original"),
    "dbus_fast": ("client/host/dbus/",),
    "psutil": ("client/process.py", "client/throttle/sampler.py", "client/host/"),
}
#: first match wins; higher may import lower, siblings of level 3 never each other
LEVELS = (
    ("main", 6),
    ("ui", 5),
    ("client.service", 5),
    ("client.core", 4),
    ("client.reconcile", 4),
    ("client.supervisor", 4),
    ("client.keeper", 4),
    ("client.actions", 4),
    ("client.renewal", 4),
    ("client.parts", 4),
    ("client.intent_file", 4),
    ("client.regulator", 4),
    ("client.regulated", 4),
    ("client.usage", 4),
    ("client.cvmfs", 4),
    ("client.traffic", 4),
    ("client.disk_room", 4),
    ("client.disk_rate", 4),
    ("client.cpu_cap", 4),
    ("client.appliances", 4),
    ("client.own_image", 4),
    ("client.own_keeper", 4),
    ("client.own_make", 4),
    ("client.own_share", 4),
    ("client.own_vms", 4),
    ("client.hypervisor", 3),
    ("client.appliance", 3),
    ("client.guest", 3),
    ("client.copilot", 3),
    ("client.throttle", 3),
    ("client.boinc", 3),
    ("client.project", 3),
    ("client.update", 3),
    ("client.process", 2),
    ("client.host", 2),
    ("client.journal", 2),
    ("client.history", 2),
    ("client.credentials", 2),
    ("client.preferences.spec", 1),
    ("client.preferences", 2),
    ("client.vm_record", 2),
    ("client", 1),
)
#: of the host side, all that the agent and the managers may use: it is packed into a guest
COPILOT_MAY = (
    "client.copilot",
    "client.errors",
    "client.key_request",
    "client.link",
    "client.clock",
    "client.filenames",
    "client.log",
)


def level(module: str) -> int:
    return next(rank for name, rank in LEVELS if module == name or module.startswith(name + "."))


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def sources() -> list[Path]:
    return [TOP / "main.py", *sorted((TOP / "client").rglob("*.py")), *sorted((TOP / "ui").rglob("*.py"))]


def imports_of(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{source}: relative import"
            base = node.module or ""
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if (TOP / base.replace(".", "/")).is_dir())


def breaches(name: str, imported: str) -> Iterator[str]:
    places = ONLY_IN.get(imported.split(".")[0])
    if places and not name.startswith(places):
        yield f"{name} imports {imported}, which belongs to {places}"
    if imported.split(".")[0] not in {"client", "ui", "main"}:
        return
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if module.startswith("client.copilot") and not imported.startswith(COPILOT_MAY) and imported != "client":
        yield f"{name} imports {imported}, which is not packed into the guest"
    mine, theirs = level(module), level(imported)
    if theirs > mine or (mine == theirs == 3 and room(module) != room(imported)):
        yield f"{name} (level {mine}) imports {imported} (level {theirs})"


@pytest.mark.parametrize("source", sources(), ids=lambda path: str(path.relative_to(TOP)))
def test_imports_follow_the_plan(source: Path) -> None:
    name = str(source.relative_to(TOP))
    found = [breach for imported in set(imports_of(source)) for breach in breaches(name, imported)]
    assert found == []


def test_the_rule_can_fail() -> None:
    assert list(breaches("client/link.py", "PySide6.QtCore"))
    assert list(breaches("client/link.py", "client.core"))
    assert list(breaches("client/guest/channel.py", "client.hypervisor.driver"))
    assert list(breaches("client/copilot/agent.py", "client.process"))
    assert not list(breaches("client/core.py", "client.hypervisor.driver"))
