"""A Wayland compositor for tests: sway without any screen or device, ended at the end."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.screen import running, wait_for

LIMIT_S = 30.0
NOBODY = 65534


@dataclass(frozen=True)
class Sway:
    """A running compositor; `env` is what a program needs to show itself on it."""

    env: dict[str, str]
    pid: int

    def type(self, letters: str) -> None:
        """Type on a keyboard that is made for it."""
        subprocess.run(["wtype", letters], env=self.env, check=True, timeout=LIMIT_S, capture_output=True)


@contextlib.contextmanager
def open_sway() -> Iterator[Sway]:
    """Start one; its sockets and log are in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="vc-sway-", dir="/tmp") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "config").write_text("xwayland disable\n")
        command = ["sway", "--config", str(folder / "config")]
        if os.geteuid() == 0:
            # It refuses to run as root.
            os.chown(folder, NOBODY, NOBODY)
            command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
        env = {key: value for key, value in os.environ.items() if key not in {"DISPLAY", "WAYLAND_DISPLAY"}}
        env |= {"XDG_RUNTIME_DIR": name, "WLR_BACKENDS": "headless", "WLR_LIBINPUT_NO_DEVICES": "1"}
        env |= {"WLR_RENDERER": "pixman", "HOME": name}
        process = stack.enter_context(running(command, env, folder / "sway.log"))
        sockets: list[Path] = []

        def listens() -> bool:
            sockets[:] = [path for path in folder.glob("wayland-*") if path.is_socket()]
            return bool(sockets)

        wait_for("a compositor", listens, LIMIT_S)
        yield Sway({**env, "WAYLAND_DISPLAY": sockets[0].name}, process.pid)
