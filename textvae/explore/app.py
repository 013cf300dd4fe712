"""The server's app: fixed files and the answers of an `Explorer`, behind the `Guard`."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from textvae.console import finite
from textvae.explore.answers import Explorer
from textvae.explore.bodies import parsed
from textvae.explore.guard import Guard

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/static/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/static/style.css": ("style.css", "text/css; charset=utf-8"),
}
"""The files that are served, by address; no address is ever made into a path."""

POSTS = ("encode", "decode", "draw", "line", "walk", "direction", "find")
"""Answers to a JSON object, by the name of their method."""


def make_app(explorer: Explorer, port: int, token: str) -> Guard:
    """The app of a model behind its guard.

    Args:
        explorer: that answers.
        port: of the server.
        token: of its address.
    """
    # One thread computes: requests wait for each other, and torch's threads are kept warm.
    worker = ThreadPoolExecutor(1, "textvae-explore")
    routes = [Route(address, serve_file(*file)) for address, file in FILES.items()]
    gets = {"model": get_model, "plane": get_plane, "points": get_points}
    gets |= {"texts": get_rows, "point/{row}": get_point}
    for name, answer in gets.items():
        routes.append(Route(f"/api/{name}", in_worker(worker, explorer, answer)))
    for name in POSTS:
        answer = partial(post, name)
        routes.append(Route(f"/api/{name}", in_worker(worker, explorer, answer), methods=["POST"]))
    handlers: dict[Any, Any] = {HTTPException: no_such_address, Exception: failed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(app, port, token)  # type: ignore[arg-type]


def serve_file(name: str, kind: str) -> Callable[[Request], Any]:
    """An endpoint that serves a file of the package, read once."""
    content = (files("textvae.explore") / "page" / name).read_bytes()

    async def serve(request: Request) -> Response:
        return Response(content, media_type=kind)

    return serve


def in_worker(
    worker: ThreadPoolExecutor, explorer: Explorer, answer: Callable[..., Any]
) -> Callable[[Request], Any]:
    """An endpoint whose answer is computed in the one thread that computes.

    Bytes are sent as they are, PNG files with their type; anything else as JSON.
    """

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        loop = asyncio.get_running_loop()
        try:
            # The body of a request that was given up meanwhile is computed all the same.
            result = await loop.run_in_executor(worker, answer, explorer, request, body)
        except ValueError as error:
            return as_json({"error": str(error).split("\n")[0]}, 400)
        if isinstance(result, bytes):
            is_picture = result.startswith(b"\x89PNG")
            return Response(
                result, media_type="image/png" if is_picture else "application/octet-stream"
            )
        return as_json(result)

    return endpoint


def as_json(value: Any, status: int = 200) -> Response:
    """A value as JSON, in ASCII; infinities and NaN, which JSON lacks, become null."""
    text = json.dumps(finite(value), allow_nan=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def get_model(explorer: Explorer, request: Request, body: bytes) -> Any:
    """Facts about the model."""
    return explorer.model()


def get_plane(explorer: Explorer, request: Request, body: bytes) -> Any:
    """A plane of the map."""
    return explorer.plane(request.query_params.get("axes", "pca"))


def get_points(explorer: Explorer, request: Request, body: bytes) -> Any:
    """The points of the map, and their classes."""
    return explorer.points(request.query_params.get("axes", "pca"))


def get_rows(explorer: Explorer, request: Request, body: bytes) -> Any:
    """Texts, or thumbnails."""
    start, stop = (count_of(request.query_params.get(key, "")) for key in ("from", "to"))
    return explorer.rows(start, stop)


def get_point(explorer: Explorer, request: Request, body: bytes) -> Any:
    """A held-out row."""
    return explorer.point(count_of(request.path_params["row"]))


def post(name: str, explorer: Explorer, request: Request, body: bytes) -> Any:
    """The answer of a method to a JSON object."""
    return getattr(explorer, name)(parsed(body))


def count_of(text: str) -> int:
    """A whole number from 0 in an address; -1, which is no row, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1


async def no_such_address(request: Request, error: Exception) -> Response:
    """The answer to an address or a method that is not there."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    return as_json({"error": "there is nothing at this address"}, status)


async def failed(request: Request, error: Exception) -> Response:
    """The answer after an error of ours, which is printed where the server runs."""
    return as_json({"error": "this could not be computed; the server printed why"}, 500)
