"""Refuses requests that did not come from the page: other hosts and origins, and those without the token.

A page of another site can make the browser send requests here, under a name of its own (DNS rebinding) or as a
form. It knows no token, and the browser tells its origin. This is plain ASGI and imports no library.
"""

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

HERE = ("127.0.0.1", "localhost")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class Guard:
    """Passes requests below `/TOKEN/` on to an app that sees the rest of the path; refuses all others."""

    def __init__(self, app: App, token: str):
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # there are no web sockets here
        headers = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
        refusal = foreign({name: value.decode("latin-1") for name, value in headers.items()})
        token, _, rest = scope["path"].removeprefix("/").partition("/")
        if not refusal and not secrets.compare_digest(token.encode(), self._token.encode()):
            refusal = "the address lacks the token; open the one that sxq explore printed"
        if refusal:
            await _refuse(send, refusal)
            return
        await self._app({**scope, "path": f"/{rest}", "raw_path": None}, receive, _guarded(send))


def foreign(headers: MutableMapping[str, str]) -> str:
    """Why a request is not from this machine's own page; empty if it may be."""
    host = _name(f"//{headers.get('host', '')}")
    if host not in HERE:
        return f"host {host or 'unknown'!r} is not this machine; expected 127.0.0.1 or localhost"
    origin = headers.get("origin")
    if origin is not None and (_name(origin) not in HERE or not origin.startswith("http://")):
        return f"origin {origin!r} is another site"
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "the request comes from another site"
    return ""


def _name(url: str) -> str:
    """The host of a URL, without its port; empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _guarded(send: Any) -> Any:
    """`send` that puts the headers of safety on every answer."""

    async def with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
        await send(message)

    return with_headers


async def _refuse(send: Any, why: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": f"refused: {why}\n".encode()})
