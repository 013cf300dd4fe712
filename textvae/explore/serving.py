"""Serve the page on this machine until Ctrl-C."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textvae.console import Terminated, print_encoded, say, say_note

if TYPE_CHECKING:
    import uvicorn

ADDRESS = "127.0.0.1"
"""The only one that is served; from another machine: ssh -L."""

TRIED = 20
"""Ports that are tried, one after the other."""


def check_installed() -> None:
    """Refuse to begin without the packages of the server.

    Raises:
        ValueError: naming the command that installs them.
    """
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f'explore needs {" and ".join(missing)}: pip install "textvae[explore]"')


def free_port(port: int) -> socket.socket:
    """A socket at a port of this machine, or at the next one that is free, which a note names.

    Raises:
        ValueError: none of `TRIED` is.
    """
    last = min(port + TRIED, 65536)
    for number in range(port, last):
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((ADDRESS, number))
            # Held from now on: another server may otherwise take it while the model loads.
            found.listen()
        except OSError:
            found.close()
            continue
        if number != port:
            say_note(f"port {port} is taken: {number} is used")
        return found
    raise ValueError(f"--port: {port} to {last - 1} are taken; name another")


def server_of(app: Any) -> uvicorn.Server:
    """The server of an app; it prints errors alone, and no answer names it."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def serve(make: Callable[[int, str], Any], listening: socket.socket, browser: bool) -> None:
    """Serve an app until Ctrl-C.

    Args:
        make: the app, of the port and the token.
        listening: at the port.
        browser: whether to open the address.
    """
    port, token = listening.getsockname()[1], secrets.token_urlsafe(16)
    address = f"http://{ADDRESS}:{port}/?token={token}"
    server = server_of(make(port, token))
    # The result, also under --quiet.
    print_encoded(address, sys.stderr)
    say("Ctrl-C ends it")
    if browser and can_show():
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(address)
    try:
        server.run(sockets=[listening])
    except Terminated:
        raise
    except KeyboardInterrupt:
        say("ended")


def can_show() -> bool:
    """Whether a user sits before a screen: a terminal, and on Linux a display."""
    display = sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    return bool(display) and sys.stderr.isatty()
