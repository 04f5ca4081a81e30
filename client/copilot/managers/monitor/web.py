"""The page, its figures, and the metrics over HTTP; read only.

Whoever comes is checked: the Host header must be a name of ours, so that no page from elsewhere can have a browser
read this one under another name (DNS rebinding), and the token, where there is one, must come as the password of
basic authentication or as a bearer token.
"""

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from client.copilot.managers.monitor.figures import Window
from client.copilot.managers.monitor.settings import MonitorSettings

PAGE: Final = Path(__file__).resolve().parents[4] / "resources" / "dashboard"
#: path -> (file, kind); nothing else is served from the folder
_FILES: Final = {
    "/": ("index.html", "text/html"),
    "/dashboard.css": ("dashboard.css", "text/css"),
    "/dashboard.js": ("dashboard.js", "text/javascript"),
    "/chart.js": ("chart.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_METRICS_KIND: Final = "text/plain; version=0.0.4; charset=utf-8"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_application(
    settings: MonitorSettings, figures: Callable[[Window], Awaitable[dict[str, Any]]], metrics: Callable[[], bytes]
) -> web.Application:
    """The HTTP service: GET /, /figures.json?window=hour|day|month, /metrics."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _check(request, settings)
            response = await handler(request)
        except web.HTTPException as refused:
            refused.headers.update(_HEADERS)
            raise
        response.headers.update(_HEADERS)
        return response

    async def file(request: web.Request) -> web.Response:
        name, kind = _FILES[request.path]
        # Files of a few kilobytes that the system has in memory: a thread would cost more than reading them.
        return web.Response(body=(PAGE / name).read_bytes(), content_type=kind, charset="utf-8")

    async def figures_json(request: web.Request) -> web.Response:
        try:
            window = Window(request.query.get("window", Window.HOUR))
        except ValueError:
            raise web.HTTPBadRequest(text="window is hour, day or month") from None
        return web.json_response(await figures(window))

    async def metrics_text(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": _METRICS_KIND})

    application = web.Application(middlewares=[guard], client_max_size=1024)
    for path in _FILES:
        application.router.add_get(path, file)
    application.router.add_get("/figures.json", figures_json)
    application.router.add_get("/metrics", metrics_text)
    return application


def host_name(header: str) -> str:
    """The name in a Host header, without its port, in lower case."""
    name, colon, port = header.strip().lower().rpartition(":")
    return name if colon and port.isdecimal() else header.strip().lower()


def _check(request: web.Request, settings: MonitorSettings) -> None:
    if host_name(request.headers.get("Host", "")) not in settings.hosts:
        raise web.HTTPMisdirectedRequest(text="This is not a name of this monitor; [monitor] hosts lists them.")
    if settings.token and not hmac.compare_digest(said_token(request), settings.token.encode()):
        challenge = {"WWW-Authenticate": 'Basic realm="monitor", charset="UTF-8"'}
        raise web.HTTPUnauthorized(text="The monitor's token is needed, as the password.", headers=challenge)


def said_token(request: web.Request) -> bytes:
    """The token that a request brings; empty when it brings none."""
    kind, _, said = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return said.strip().encode("utf-8", "replace")
    if kind.lower() != "basic":
        return b""
    try:
        return base64.b64decode(said.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""
