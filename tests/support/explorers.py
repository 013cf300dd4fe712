"""Explorers of tiny models, and a client of their server in memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from conftest import IMAGE_DECODERS, IMAGE_ENCODERS, Z, vae

from support.dialogues import LATENTS, OBSERVED, columns, dialogues, interface
from support.models import sentence_vae, texts
from support.rows import conditional_vae, table
from textvae.analysis.pictures import label_names
from textvae.api.image import ImageVAE
from textvae.data.fields import Fields, Images, Labels
from textvae.explore.answers import Explorer
from textvae.explore.held_out import HeldOutImages, HeldOutTexts
from textvae.explore.models import ExploredImages, ExploredTexts
from textvae.explore.part_rows import ExploredParts
from textvae.explore.serving import free_port, server_of

# A test file that imports this one is skipped without them.
client_module = pytest.importorskip("starlette.testclient", reason="pip install starlette")
pytest.importorskip("uvicorn", reason="pip install uvicorn")

PORT, TOKEN = 8017, "secret"
HOSTILE = "<img src=x onerror=alert(1)> \x1b[31mred\u202e </script>&amp;"
LONG = "word " * 20_000
FACTS = {"name": "tiny", "figures": [], "alarm": None, "notes": []}


def text_explorer(given=None, labels=None, latents=(Z,), facts=FACTS, kls=None) -> Explorer:
    """An untrained text model with some texts, the same every time."""
    rows = texts() if given is None else given
    model = sentence_vae(latents=latents)
    held_out = HeldOutTexts(rows, labels or {}, len(rows), "texts.txt")
    return Explorer(ExploredTexts(model, held_out), facts, kls)


def row_explorer(mood=False) -> Explorer:
    """An untrained model of replies to events, with some rows."""
    model, rows = conditional_vae(mood=mood), table(30)
    columns = {name: rows[name] for name in model.fields}
    labels = {"mood": rows["mood"]} if mood else {}
    columns |= {"mood": [cell or "calm" for cell in rows["mood"]]} if mood else {}
    held_out = HeldOutTexts(rows["reply"], labels, 30, "rows.csv", columns=columns)
    return Explorer(ExploredTexts(model, held_out), FACTS, None)


def image_explorer(conditional=False, count=30) -> Explorer:
    """An untrained image model with random pictures of three classes."""
    torch.manual_seed(0)
    names = ("cat", "dog", "owl")
    observed = {"image": {"shape": [1, 4, 4], "pixels": "grey"}}
    encoders = [{"name": "image", **IMAGE_ENCODERS["mlp"]}]
    given = []
    if conditional:
        observed["label"] = {"classes": 3, "names": list(names)}
        encoders.append({"name": "label", "kind": "label"})
        given = ["label"]
    model = ImageVAE(
        vae(
            encoders,
            [{**Z, "given": ["image", *given]}],
            [{"name": "image", "given": ["z", *given], **IMAGE_DECODERS["mlp"]}],
            vocab_size=0,
            observed=observed,
        )
    )
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (count, 1, 4, 4), np.uint8)
    rows = Fields({"image": Images(pixels), "label": Labels(draw.integers(0, 3, count), 3, names)})
    held_out = HeldOutImages(rows, label_names(rows), count, "pictures")
    return Explorer(ExploredImages(model, held_out), FACTS, None)


def client(explorer: Explorer, entered: bool = True) -> Any:
    """A client of the explorer's server, with the cookie if it has entered."""
    from textvae.explore.app import make_app

    made = client_module.TestClient(
        make_app(explorer, PORT, TOKEN), base_url=f"http://127.0.0.1:{PORT}"
    )
    if entered:
        assert made.get(f"/?token={TOKEN}").status_code == 200
    return made


@contextmanager
def served(explorer: Explorer) -> Iterator[str]:
    """The address of the explorer's server, in a thread."""
    from textvae.explore.app import make_app

    with free_port(20_000) as listening:
        port = listening.getsockname()[1]
        server = server_of(make_app(explorer, port, TOKEN))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/?token={TOKEN}"
        finally:
            server.should_exit = True
            thread.join(60)


def dialogue_explorer(rows=None, latents=LATENTS, labels=True) -> Explorer:
    """An untrained model of dialogues with latents of the whole and of turns, and some of them."""
    model = interface(latents=latents)
    fields = columns(dialogues(30) if rows is None else rows)
    texts = [" ".join(parts) for parts in fields["text"]]
    moods = {"mood": fields["mood"]} if labels else {}
    held_out = HeldOutTexts(texts, moods, len(texts), "rows.jsonl", columns=fields)
    return Explorer(ExploredParts(model, held_out), FACTS, None)


def reply_explorer() -> Explorer:
    """An untrained model of the mood of a dialogue and its last turn, given the turns before it."""
    observed = {name: OBSERVED[name] for name in ("text", "mood", "turn")} | {"reply": {}}
    model = interface(
        [
            {"name": "text", "kind": "lstm", "hidden": 6},
            {"name": "history", "kind": "sequence", "hidden": 6, "given": ["text"]},
            {"name": "mood", "kind": "label"},
            {"name": "reply", "kind": "lstm", "hidden": 6},
        ],
        [{**Z, "given": ["history", "mood", "reply"], "prior": {"given": ["history"]}}],
        [
            {"name": "mood", "kind": "label", "given": ["z", "history"]},
            {"name": "reply", "kind": "lstm", "hidden": 6, "given": ["z", "history", "mood"]},
        ],
        observed,
    )
    rows = columns(dialogues(20))
    replies = [parts[-1] for parts in rows["text"]]
    fields = {"text": rows["text"], "mood": rows["mood"], "reply": replies}
    held_out = HeldOutTexts(replies, {"mood": rows["mood"]}, 20, "rows.jsonl", columns=fields)
    return Explorer(ExploredParts(model, held_out), FACTS, None)
