"""Whether there is a screen to draw on."""

import socket

import pytest

from client.errors import BadInput
from ui.display import Place, display_answers, need_display

#: A number that no X server of this computer has.
NUMBER = 59321


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        ({}, "there is none"),
        ({"DISPLAY": ""}, "there is none"),
        ({"QT_QPA_PLATFORM": "xcb", "WAYLAND_DISPLAY": "wayland-0"}, "there is none"),
        ({"QT_QPA_PLATFORM": "wayland;xcb"}, "there is none"),
        ({"DISPLAY": f":{NUMBER}"}, f":{NUMBER} does not answer"),
        ({"DISPLAY": f"unix:{NUMBER}.0"}, f"unix:{NUMBER}.0 does not answer"),
    ],
)
def test_without_a_display_it_is_said(environment: dict[str, str], what: str) -> None:
    with pytest.raises(BadInput) as caught:
        need_display(environment, "linux")
    assert (caught.value.where, caught.value.what) == ("the display", what)
    assert "headless" in caught.value.remedy


@pytest.mark.parametrize(
    ("environment", "platform"),
    [
        ({}, "darwin"),
        ({}, "win32"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux"),
        ({"QT_QPA_PLATFORM": "offscreen"}, "linux"),
        ({"QT_QPA_PLATFORM": "vnc:size=800x600"}, "linux"),
        ({"DISPLAY": "not understood"}, "linux"),
    ],
)
def test_in_doubt_it_is_left_to_qt(environment: dict[str, str], platform: str) -> None:
    need_display(environment, platform)


def test_a_display_that_listens_is_taken() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(f"\0/tmp/.X11-unix/X{NUMBER}")
        server.listen(1)
        need_display({"DISPLAY": f":{NUMBER}.0"}, "linux")


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        (
            ":7.1",
            [
                (socket.AF_UNIX, "\0/tmp/.X11-unix/X7"),
                (socket.AF_UNIX, "/tmp/.X11-unix/X7"),
                (socket.AF_INET, ("127.0.0.1", 6007)),
            ],
        ),
        ("localhost:10.0", [(socket.AF_INET, ("localhost", 6010))]),
        ("[::1]:2", [(socket.AF_INET6, ("::1", 6002))]),
    ],
)
def test_it_is_looked_for_where_x_listens(name: str, asked: list[Place]) -> None:
    seen: list[Place] = []

    def refuses(place: Place) -> bool:
        seen.append(place)
        return False

    assert not display_answers(name, refuses)
    assert seen == asked
