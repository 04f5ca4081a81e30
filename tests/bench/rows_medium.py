"""The contextualization medium, as it is made before each boot."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from client.appliance.blank import BlankMedium
from client.appliance.context import Blank, ContextSettings, fill_medium
from client.appliance.contextual.seed import build_seed
from client.appliance.contextual.template import load_template
from client.appliance.worker import run_worker
from tests.bench.harness import TOP, Row, at_most, bench, plain

TIMES = 11
SETTINGS = ContextSettings("work-1", "a@b", "password", "10.0.2.100", 5222, "b", "jm@b", 1.0, ca_pem="x" * 1200)


@bench("context medium")
def medium() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-") as name:
        path, source = Path(name) / "context.iso", Path(name) / "blank.iso"
        packing = _timed(lambda: asyncio.run(_blank(source)), 3)
        blank = asyncio.run(_blank(source))
        making = _timed(lambda: fill_medium(path, SETTINGS.to_json(), blank), TIMES)
        size = path.stat().st_size
    yield at_most("context medium: make it", making, "ms", 100)
    yield plain("context medium: blank, by a worker (once a run)", packing, "ms")
    yield plain("context medium: size", [size / 1024], "KiB")


async def _blank(path: Path) -> Blank:
    return await BlankMedium(path, run_worker).get()


@bench("context medium of a template")
def template_medium() -> Iterator[Row]:
    source = TOP / "resources" / "templates" / "cernvm4.toml"
    given = {"password": "a password", "script": "echo hello\n" * 1000, "proxy": "http://10.0.2.2:3128;DIRECT"}
    with tempfile.TemporaryDirectory(prefix="vc-bench-") as name:
        path = Path(name) / "seed.iso"
        making = _timed(lambda: build_seed(path, load_template(source), given, "vm-1"), TIMES)
        size = path.stat().st_size
    yield at_most("template medium: read, fill, render, write", making, "ms", 100)
    yield plain("template medium: size", [size / 1024], "KiB")


def _timed(deed: object, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        deed()  # type: ignore[operator]
        taken.append((time.perf_counter() - began) * 1000)
    return taken
