"""Where nobody can sit, nobody does; wherever somebody might, it is not known."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from client.host import nobody
from client.host.presence import Seats


@pytest.fixture(autouse=True)
def users(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    found: list[SimpleNamespace] = []
    monkeypatch.setattr("psutil.users", lambda: found)
    return found


def test_a_server_without_any_display(tmp_path: Path, users: list[SimpleNamespace]) -> None:
    users.append(SimpleNamespace(terminal="pts/0", host="192.0.2.1"))
    users.append(SimpleNamespace(terminal="pts/1", host=None))
    assert nobody.look({}, tmp_path) == {"seats": Seats()}


@pytest.mark.parametrize("env", [{"DISPLAY": ":0"}, {"WAYLAND_DISPLAY": "wayland-0"}])
def test_a_display_of_ours(tmp_path: Path, env: dict[str, str]) -> None:
    assert nobody.look(env, tmp_path) == {"seats": None}


@pytest.mark.parametrize(
    "place", ["run/systemd/system", "run/systemd/seats", "tmp/.X11-unix/X0", "run/user/1000/wayland-1"]
)
def test_a_display_of_others(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    assert nobody.look({}, tmp_path) == {"seats": None}


@pytest.mark.parametrize(
    ("terminal", "host"), [("tty1", None), (None, None), (":0", ":0"), ("tty2", "tty2"), ("pts/3", ":1")]
)
def test_somebody_at_the_console(
    tmp_path: Path, users: list[SimpleNamespace], terminal: str | None, host: str | None
) -> None:
    users.append(SimpleNamespace(terminal=terminal, host=host))
    assert nobody.look({}, tmp_path) == {"seats": None}
