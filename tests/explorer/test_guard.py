"""Who may talk to the explorer: only a page of this machine that knows the token."""

import asyncio

import pytest

from sxq.explorer.guard import Guard, foreign

HERE = {"host": "127.0.0.1:8000"}


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def asked(path="/token/x", **headers):
    """Status, headers and body of one request."""
    sent = []

    async def send(message):
        sent.append(message)

    raw = [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in (HERE | headers).items()
    ]
    scope = {"type": "http", "path": path, "headers": raw}
    asyncio.run(Guard(app, "token")(scope, None, send))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"].decode()


def test_the_page_itself_gets_through_and_sees_the_path_without_the_token():
    assert asked()[::2] == (200, "/x")
    assert asked("/token")[::2] == (200, "/")
    assert asked(origin="http://127.0.0.1:8000", sec_fetch_site="same-origin")[0] == 200
    assert asked(host="localhost:8000", origin="http://localhost:8000")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "", "/tokem/x", "/token2/x", "//token/x", "/TOKEN/x", "/tok\u00e9n/"]
)
def test_without_the_token(path):
    status, headers, body = asked(path)
    assert status == 403 and "token" in body
    assert b"content-security-policy" in headers


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8000"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "0.0.0.0:8000"},
        {"host": "[::1]:8000"},
        {"host": ""},
        {"host": "["},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1.evil.example"},
        {"origin": "https://127.0.0.1"},
        {"origin": "null"},
        {"origin": ""},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
    ids=str,
)
def test_other_hosts_and_origins(headers):
    status, _, body = asked(**headers)
    assert status == 403 and body.startswith("refused: ")


def test_every_answer_carries_a_policy_without_inline_scripts():
    policy = asked()[1][b"content-security-policy"].decode()
    assert (
        "default-src 'none'" in policy
        and "unsafe" not in policy
        and "frame-ancestors 'none'" in policy
    )


def test_web_sockets_are_not_answered():
    sent = []
    asyncio.run(Guard(app, "token")({"type": "websocket", "path": "/token/"}, None, sent.append))
    assert sent == []


def test_a_missing_host_is_foreign():
    assert foreign({}) and not foreign({"host": "localhost"})
