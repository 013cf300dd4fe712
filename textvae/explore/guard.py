"""Checks of each request before it is answered: host, origin, token, method and size."""

import secrets
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from textvae.explore.bodies import MOST_BYTES

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""Headers of every answer."""


class RefusedError(Exception):
    """A request that is not answered.

    Args:
        status: of the answer.
        message: one line.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


class Guard:
    """An app behind the checks; it serves one address on this machine to one user.

    - Host is 127.0.0.1 or localhost with the port: a name that was made to lead here (DNS
      rebinding) is refused.
    - Origin and Sec-Fetch-Site, where a browser sends them, are this server's own.
    - The first request has the token of the address that was printed; a cookie keeps it, so that
      other users of the machine are kept out.
    - GET, or POST of JSON with at most 64 KiB.

    Args:
        app: that answers.
        port: of the server.
        token: that the address contains.
    """

    def __init__(self, app: App, port: int, token: str):
        self.app, self.port, self.token = app, port, token
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.cookie = f"textvae-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it in one line."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return None  # no websockets
        try:
            headers = single_headers(scope)
            self.check(scope, headers)
            if (token := token_of(scope)) is not None:
                return await self.enter(token, with_headers(send))
            if not self.known(headers.get("cookie", "")):
                raise RefusedError(403, "open the address that textvae explore printed")
            if scope["method"] == "POST":
                receive = replay(await read_body(receive))
        except RefusedError as refused:
            return await plain(with_headers(send), refused.status, refused.message)
        return await self.app(scope, receive, with_headers(send))

    def check(self, scope: Scope, headers: dict[str, str]) -> None:
        """Refuse a request that is not from this server's own page.

        Raises:
            RefusedError: naming why.
        """
        if headers.get("host", "").lower() not in self.hosts:
            raise RefusedError(
                403, "host: must be 127.0.0.1 or localhost with the port of the server"
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower().removeprefix("http://") not in self.hosts:
            raise RefusedError(403, "origin: must be the server's own")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise RefusedError(403, "requests from other sites are not answered")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise RefusedError(405, "only GET and POST are answered")
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            raise RefusedError(400, "content-type: must be application/json")

    async def enter(self, token: str, send: Send) -> None:
        """Keep the token as a cookie and lead to the address without it.

        Raises:
            RefusedError: it is another.
        """
        if not self.matches(token):
            raise RefusedError(
                403, "the token is that of another server: use the address it printed"
            )
        cookie = f"{self.cookie}={self.token}; Path=/; SameSite=Strict; HttpOnly"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def known(self, cookies: str) -> bool:
        """Whether the cookies of a request contain the token."""
        try:
            found = SimpleCookie(cookies).get(self.cookie)
        except CookieError:
            return False
        return found is not None and self.matches(found.value)

    def matches(self, token: str) -> bool:
        """Whether a token is the server's."""
        return secrets.compare_digest(token.encode("utf-8", "replace"), self.token.encode())


def single_headers(scope: Scope) -> dict[str, str]:
    """The headers of a request by their name in lower case.

    Raises:
        RefusedError: one that decides who asks stands twice.
    """
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in headers and key in ("host", "origin", "sec-fetch-site", "content-type"):
            raise RefusedError(400, f"{key}: stands twice")
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}; {text}" if key in headers else text
    return headers


def token_of(scope: Scope) -> str | None:
    """The token in the address of the first request; None in any other."""
    if scope["path"] != "/":
        return None
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [None])[0]


async def read_body(receive: Receive) -> bytes:
    """The body of a request.

    Raises:
        RefusedError: it is longer than `MOST_BYTES`; the rest is not read.
    """
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the request ended early")
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            raise RefusedError(413, f"a request has at most {MOST_BYTES:,} bytes")
        if not message.get("more_body"):
            return body


def replay(body: bytes) -> Receive:
    """A body that was read, to be read again."""
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def with_headers(send: Send) -> Send:
    """A sender that adds `HEADERS` to an answer."""

    async def extended(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", []), *own]}
        await send(message)

    return extended


async def plain(send: Send, status: int, text: str) -> None:
    """Send one line as `{"error": ...}`; it is made of our own words alone."""
    body = f'{{"error": "{text}"}}'.encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
