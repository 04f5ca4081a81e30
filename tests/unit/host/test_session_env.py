"""Where displays are."""

from client.host.session_env import displays_in


def test_only_what_tells_of_displays_is_taken() -> None:
    words = ["PATH=/evil", "DISPLAY=:0", "XAUTHORITY=/run/user/1/a=b", "WAYLAND_DISPLAY=wayland-1", "XDG_SESSION_TYPE="]
    assert displays_in(words) == {
        "DISPLAY": ":0",
        "XAUTHORITY": "/run/user/1/a=b",
        "WAYLAND_DISPLAY": "wayland-1",
        "XDG_SESSION_TYPE": "",
    }
    assert displays_in([]) == {}
