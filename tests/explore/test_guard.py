"""Who is answered: hosts, origins, tokens, sites, methods, sizes and addresses."""

import asyncio
import json
import re
from importlib.resources import files

import pytest
from support.explorers import HOSTILE, PORT, TOKEN, client, text_explorer

from textvae.explore.guard import HEADERS, POLICY

OWN = f"127.0.0.1:{PORT}"


@pytest.fixture(scope="module")
def explorer():
    return text_explorer([HOSTILE, "a dog", "the cat", "a red cat"])


@pytest.fixture(scope="module")
def server(explorer):
    return client(explorer)


def test_the_printed_address_leads_in_and_is_kept_as_a_cookie(explorer):
    stranger = client(explorer, entered=False)
    for address in ("/", "/static/app.js", "/api/model", "/nothing"):
        assert stranger.get(address).status_code == 403
    assert stranger.post("/api/decode", json={"z": [0, 0, 0]}).status_code == 403
    entered = stranger.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"]
    assert cookie == f"textvae-{PORT}={TOKEN}; Path=/; SameSite=Strict; HttpOnly"
    assert stranger.get("/api/model").status_code == 200


@pytest.mark.parametrize("token", ["", "other", TOKEN[:-1], TOKEN + "x", "é"])
def test_another_token_is_refused(token, explorer):
    stranger = client(explorer, entered=False)
    assert stranger.get("/", params={"token": token}).status_code == 403
    stranger.cookies.set(f"textvae-{PORT}", token.encode("ascii", "replace").decode())
    assert stranger.get("/api/model").status_code == 403
    assert stranger.get("/api/model", params={"token": TOKEN}).status_code == 403


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "evil.test", f"evil.test:{PORT}", "127.0.0.1:80", ""]
)
def test_other_hosts_are_refused(host, server):
    assert server.get("/api/model", headers={"host": host}).status_code == 403


def test_localhost_is_this_machine_too(server):
    headers = {"host": f"localhost:{PORT}", "cookie": f"textvae-{PORT}={TOKEN}"}
    assert server.get("/api/model", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("origin", "http://evil.test", 403),
        ("origin", f"https://{OWN}", 403),
        ("origin", "null", 403),
        ("origin", f"http://{OWN}", 200),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("sec-fetch-site", "none", 200),
    ],
)
def test_requests_of_other_sites_are_refused(name, value, status, server):
    headers = {name: value}
    assert server.get("/api/model", headers=headers).status_code == status
    answer = server.post("/api/decode", json={"z": [0, 0, 0]}, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
def test_only_json_is_posted(kind, server):
    answer = server.post("/api/decode", content='{"z": [0, 0, 0]}', headers={"content-type": kind})
    assert answer.status_code == 400 and "application/json" in answer.json()["error"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(method, server):
    assert server.request(method, "/api/model").status_code == 405


def test_bodies_are_bounded(server):
    text = json.dumps({"text": "a" * 70_000})
    headers = {"content-type": "application/json"}
    assert server.post("/api/encode", content=text, headers=headers).status_code == 413
    parts = (b'{"text": "' + b"a" * 30_000 for _ in range(5))
    assert server.post("/api/encode", content=parts, headers=headers).status_code == 413


@pytest.mark.parametrize(
    "address",
    [
        "/static/../app.py",
        "/static/..%2f..%2fapp.py",
        "/static//etc/passwd",
        "/static/index.html",
        "/static/",
        "/index.html",
        "/api/",
        "/api/model/",
        "/api/point/",
        "/api/point/0/..",
        "/api/__init__",
        "//evil.test/",
        "/.git/config",
    ],
)
def test_there_is_nothing_at_other_addresses(address, server):
    answer = server.get(f"http://{OWN}{address}", follow_redirects=False)
    assert answer.status_code in (400, 404)
    assert "error" in answer.json() and "import" not in answer.text


def test_every_answer_has_the_headers(server):
    for answer in (
        server.get("/"),
        server.get("/static/app.js"),
        server.get("/api/points"),
        server.get("/nothing"),
        server.get("/", headers={"host": "evil.test"}),
        server.get(f"/?token={TOKEN}", follow_redirects=False),
    ):
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
    assert POLICY.startswith("default-src 'none'; ") and "unsafe" not in POLICY


def test_an_error_of_ours_is_answered_without_a_traceback(explorer, monkeypatch):
    monkeypatch.setattr(type(explorer), "draw", lambda self, body: 1 / 0)
    server = client(explorer)
    server._transport.raise_server_exceptions = False
    answer = server.post("/api/draw", json={"seed": 1})
    assert answer.status_code == 500
    assert answer.json() == {"error": "this could not be computed; the server printed why"}


def test_the_page_has_no_code_in_its_html_and_loads_nothing_from_elsewhere():
    page = files("textvae.explore") / "page"
    html, style, script = (
        (page / name).read_text("utf-8") for name in ("index.html", "style.css", "app.js")
    )
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", html)
    assert not re.search(r"https?://|//[a-z]|@import|url\(", html + style)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|https?://",
        script,
    )


def test_two_clients_at_once_get_their_own_answers(explorer):
    """Requests that come while another is computed wait, and none changes another's seed."""
    from textvae.explore.app import make_app

    app = make_app(explorer, PORT, TOKEN)

    async def ask(seed):
        body = json.dumps({"z": [0.1, 0.2, 0.3], "samples": 8, "seed": seed}).encode()
        headers = {
            "host": OWN,
            "cookie": f"textvae-{PORT}={TOKEN}",
            "content-type": "application/json",
        }
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/decode",
            "raw_path": b"/api/decode",
            "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        }
        sent: list = []

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)
        return json.loads(sent[-1]["body"])["samples"]

    async def all_at_once():
        return await asyncio.gather(*(ask(seed) for seed in (1, 2, 1, 2, 3)))

    first, second, third, fourth, fifth = asyncio.run(all_at_once())
    assert first == third and second == fourth
    assert first != second and fifth not in (first, second)
    assert asyncio.run(ask(1)) == first
