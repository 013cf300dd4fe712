"""`textvae explore` as a process, and what it refuses."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from http.cookiejar import CookieJar

import pytest

from textvae.explore.serving import free_port


def taken_port() -> socket.socket:
    """A port of this machine that another program listens at, below 65,000."""
    for port in range(20_000, 60_000, 37):
        listening = socket.socket()
        try:
            listening.bind(("127.0.0.1", port))
        except OSError:
            listening.close()
            continue
        listening.listen()
        return listening
    raise AssertionError("no port is free")


@contextmanager
def served(*arguments):
    """The process of the command, its lines on standard error until its address, the address."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "textvae", "explore", *map(str, arguments), "--no-browser"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    try:
        lines, address = [], None
        while address is None:
            line = process.stderr.readline()
            assert line, "".join(lines)
            lines.append(line)
            address = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", line)
        yield process, "".join(lines), address[0]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_serves_until_a_signal(number, code, runs):
    with served(runs / "vae", "--limit", "7") as (process, lines, address):
        assert re.search(r"vae: 7 of [0-9]+ held-out texts, z of 3", lines)
        jar = urllib.request.HTTPCookieProcessor(CookieJar())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)
        assert b"<!doctype html>" in opener.open(address).read()
        model = json.load(opener.open(address.split("?")[0] + "api/model"))
        assert (model["rows"], model["name"]) == (7, "vae")
        port = int(re.findall(r":(\d+)/", address)[0])
        # Of this machine's addresses only 127.0.0.1 answers.
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.2", port), timeout=5).close()
        process.send_signal(number)
        assert process.wait(60) == code


def test_quiet_prints_the_address_alone(runs):
    with served(runs / "vae", "--quiet") as (_, lines, address):
        assert lines.splitlines() == [address]


def test_a_taken_port_gives_the_next_one(capsys):
    with taken_port() as taken:
        port = taken.getsockname()[1]
        with free_port(port) as found:
            assert port < found.getsockname()[1] <= port + 20
            assert found.getsockname()[0] == "127.0.0.1"
            used = found.getsockname()[1]
            assert f"port {port} is taken: {used} is used" in capsys.readouterr().err


def test_a_missing_extra_is_one_line(runs, refused, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name)
    )
    message = refused("explore", runs / "vae")
    assert 'explore needs uvicorn: pip install "textvae[explore]"' in message


def test_a_language_model_has_no_space_to_explore(runs, refused):
    assert "is a language model: it has no latent space" in refused("explore", runs / "lm")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["RUNS/vae", "--data", "missing.csv"], "missing.csv: no such file"),
        (["RUNS/vae", "--text-column", "review"], "--text-column goes with --data"),
        (["RUNS/vae", "--port", "80"], "--port"),
        (["RUNS/vae", "--limit", "0"], "--limit"),
        (["RUNS/vae", "--label-column", "x"], "texts.txt: a .txt file holds no labels"),
        (["RUNS/vae", "--host", "0.0.0.0"], "--host"),
    ],
)
def test_bad_options_are_refused(arguments, message, runs, refused):
    given = [word.replace("RUNS", str(runs)) for word in arguments]
    assert message in refused("explore", *given)


def test_options_of_texts_are_refused_for_images(image_run, refused):
    assert "--label-column is for models of texts" in refused(
        "explore", image_run, "--label-column", "x"
    )
