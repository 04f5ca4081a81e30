"""Who may read the page, and what it may do in a browser."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from client.copilot.managers.config import Config
from client.copilot.managers.monitor.figures import Window
from client.copilot.managers.monitor.settings import MonitorSettings, read_settings
from client.copilot.managers.monitor.web import PAGE, build_application, host_name, said_token
from client.errors import BadInput

SECRET = "a-token-of-some-length"
CONFIG = '[xmpp]\njid = "monitor@localhost"\n[monitor]\nstore = "s"\n'


async def ask(path: str, *, token: str = "", **headers: str) -> web.StreamResponse:
    """A request through the application, without a socket."""

    async def figures(window: Window) -> dict[str, Any]:
        return {"window": window.value}

    settings = MonitorSettings(Path("s"), "127.0.0.1", 0, frozenset(), token)
    application = build_application(settings, figures, lambda: b"metrics 1\n")
    application.freeze()
    request = make_mocked_request("GET", path, headers={"Host": "127.0.0.1:9", **headers}, app=application)
    found = await application.router.resolve(request)
    request._match_info = found
    found.add_app(application)
    found.freeze()
    try:
        return await application.middlewares[0](request, found.handler)  # type: ignore[arg-type, misc]
    except web.HTTPException as refused:
        return refused


@pytest.mark.parametrize("path", ["/", "/dashboard.css", "/dashboard.js", "/chart.js", "/icon.svg"])
async def test_the_page_is_served_under_a_strict_policy(path: str) -> None:
    answer = await ask(path)
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/../main.py", "/index.html", "/figures", "//etc/passwd", "/%2e%2e/main.py"])
async def test_nothing_else_is_served(path: str) -> None:
    assert (await ask(path)).status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "127.0.0.2", "localhost.evil:9", "a:b:c"]
)
async def test_other_names_are_refused(host: str) -> None:
    for path in ("/", "/figures.json", "/metrics"):
        answer = await ask(path, Host=host)
        assert answer.status == 421
        assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:81", "127.0.0.1:9", "[::1]", "[::1]:9"])
async def test_our_names_are_good(host: str) -> None:
    assert (await ask("/metrics", Host=host)).status == 200


def basic(word: str, user: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()


@pytest.mark.parametrize("said", [f"Bearer {SECRET}", basic(SECRET), basic(SECRET, "operator"), f"bearer {SECRET}"])
async def test_with_the_token_the_page_is_open(said: str) -> None:
    assert (await ask("/", token=SECRET, Authorization=said)).status == 200


@pytest.mark.parametrize(
    "said",
    ["", "Bearer", f"Bearer {SECRET}x", SECRET, basic(SECRET[:-1]), "Basic %%%", "Basic YQ", "Bearer ä", basic("")],
)
async def test_without_the_token_nothing_is_shown(said: str) -> None:
    for path in ("/", "/figures.json", "/metrics", "/dashboard.js"):
        answer = await ask(path, token=SECRET, Authorization=said)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


async def test_windows_are_few() -> None:
    answer = await ask("/figures.json?window=month")
    assert isinstance(answer, web.Response)
    assert answer.text == '{"window": "month"}'
    assert (await ask("/figures.json?window=<b>")).status == 400


def test_names_and_tokens_are_read() -> None:
    assert host_name("[::1]") == "[::1]"
    assert host_name("Name:") == "name:"
    assert said_token(make_mocked_request("GET", "/")) == b""


@pytest.mark.parametrize("more", ['host = "0.0.0.0"', 'host = "monitor.example"', 'token = "short"', 'host = "::"'])
def test_a_page_for_others_without_a_good_token_is_refused(tmp_path: Path, more: str) -> None:
    (tmp_path / "c.toml").write_text(CONFIG + more)
    with pytest.raises(BadInput):
        read_settings(Config(tmp_path / "c.toml"))


def test_settings_are_read(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    usual = read_settings(Config(tmp_path / "c.toml"))
    assert (usual.host, usual.token, usual.graphite) == ("127.0.0.1", "", None)
    assert usual.senders == {"monitor@localhost"}
    more = 'host = "0.0.0.0"\ntoken = "0123456789abcdef"\nhosts = "Mon.example"\nsenders = "a@b c@d"\n'
    more += '[graphite]\nhost = "g"\n'
    (tmp_path / "c.toml").write_text(CONFIG + more)
    open_one = read_settings(Config(tmp_path / "c.toml"))
    assert {"mon.example", "0.0.0.0"} < open_one.hosts
    (tmp_path / "c.toml").write_text(CONFIG + 'host = "2001:DB8::1"\ntoken = "0123456789abcdef"\n')
    assert host_name("[2001:db8::1]:80") in read_settings(Config(tmp_path / "c.toml")).hosts
    assert open_one.senders == {"a@b", "c@d"}
    assert open_one.graphite is not None
    assert open_one.graphite.port == 2003
    assert open_one.token not in repr(open_one)


def test_senders_and_hosts_may_stand_in_lists(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG + 'senders = ["a@b", "C@d e@f"]\nhosts = ["Mon.example"]\n')
    settings = read_settings(Config(tmp_path / "c.toml"))
    assert settings.senders == {"a@b", "c@d", "e@f"}
    assert "mon.example" in settings.hosts
    (tmp_path / "c.toml").write_text(CONFIG + "senders = [1]\n")
    with pytest.raises(BadInput, match="must be a list of texts"):
        read_settings(Config(tmp_path / "c.toml"))


def test_the_page_inserts_nothing_as_html_and_asks_nobody_else() -> None:
    sources = {path.name: path.read_text() for path in PAGE.iterdir()}
    scripts = sources["dashboard.js"] + sources["chart.js"]
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "javascript:"):
        assert word not in scripts
    for name, text in sources.items():
        found = set(re.findall(r"https?://[^\"'\s<>]+", text))
        assert found <= {"http://www.w3.org/2000/svg"}, name
    assert not re.search(r"\son[a-z]+=|style=|<script(?![^>]*\ssrc=)", sources["index.html"])
