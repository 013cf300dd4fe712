"""Model cards and uploads to the hub, and how models and metrics are shown in a notebook."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import huggingface_hub
import numpy as np
import pytest
import torch
from conftest import IMAGE_DECODERS, IMAGE_ENCODERS, vae
from huggingface_hub import HfApi, ModelCard
from support.commands import copy_run
from support.models import sentence_vae, texts

from textvae.api.cards import CARD, fenced
from textvae.api.image import ImageVAE, open_model
from textvae.api.sentence import SentenceVAE
from textvae.checkpoints import damage
from textvae.graph.folders import FILES


def image_vae() -> ImageVAE:
    torch.manual_seed(0)
    z = {"name": "z", "kind": "gaussian", "dim": 3, "given": ["image"]}
    model = vae(
        [{"name": "image", **IMAGE_ENCODERS["mlp"]}],
        [z],
        [{"name": "image", "given": ["z"], **IMAGE_DECODERS["mlp"]}],
        observed={"image": {"shape": [1, 4, 4], "pixels": "grey"}},
        recipe="<b>tiny</b>",
    )
    return ImageVAE(model)


MODELS = {"text": sentence_vae, "image": image_vae}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


def code_of(card: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)


def test_saved_model_has_a_card_that_loads_it(model, tmp_path):
    model.save_pretrained(tmp_path / "saved")
    card = ModelCard.load(tmp_path / "saved" / CARD)
    assert card.data.library_name == "textvae" and "textvae" in card.data.tags
    tasks = {"SentenceVAE": "text-generation", "ImageVAE": "unconditional-image-generation"}
    assert card.data.pipeline_tag == tasks[type(model).__name__]
    interface, graph = code_of(card.text)
    names: dict = {}
    exec(interface.replace("PATH", str(tmp_path / "saved")), names)
    assert type(names["vae"]) is type(model)
    exec(graph.replace("PATH", str(tmp_path / "saved")), names)
    weights = names["model"].state_dict()
    assert all(torch.equal(weights[name], w) for name, w in model.model.state_dict().items())


def test_a_card_can_be_edited(model, tmp_path):
    model.save_pretrained(tmp_path)
    (tmp_path / CARD).write_text("---\nlicense: mit\n---\nmine\n", encoding="utf-8")
    assert damage(tmp_path) is None
    loaded = open_model(tmp_path)
    loaded.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / CARD).read_bytes() == (tmp_path / CARD).read_bytes()


def test_card_of_a_run_goes_with_its_weights_alone(runs, tmp_path):
    loaded = SentenceVAE.from_pretrained(runs / "vae")
    loaded.save_pretrained(tmp_path / "same")
    card = (tmp_path / "same" / CARD).read_text(encoding="utf-8")
    assert card == (runs / "vae" / CARD).read_text(encoding="utf-8")
    with torch.no_grad():
        next(loaded.model.parameters()).add_(1)
    loaded.save_pretrained(tmp_path / "other")
    card = (tmp_path / "other" / CARD).read_text(encoding="utf-8")
    assert "No metrics of these weights" in card and "nll" not in card
    assert "bowman2016" in card


def test_card_of_a_folder_that_is_gone_is_bare(runs, tmp_path):
    run = copy_run(runs / "vae", tmp_path / "run")
    loaded = SentenceVAE.from_pretrained(run)
    shutil.rmtree(run)
    loaded.save_pretrained(tmp_path / "saved")
    assert "No metrics" in (tmp_path / "saved" / CARD).read_text(encoding="utf-8")


def test_pictures_of_a_card_go_with_it(image_run, tmp_path):
    assert "(samples.png)" in (image_run / CARD).read_text(encoding="utf-8")
    ImageVAE.from_pretrained(image_run).save_pretrained(tmp_path)
    assert (tmp_path / "samples.png").read_bytes() == (image_run / "samples.png").read_bytes()
    assert not (tmp_path / "reconstructions.png").exists()


@pytest.mark.parametrize("text", ["a", "a\n```\nb", "````", "\x1b[31mred\x07", "\u202etfel"])
def test_block_of_code_holds_any_text(text):
    block = fenced(text)
    first, *body, last = block.split("\n")
    assert first == f"{last}text" and set(last) == {"`"}
    assert not any(line.startswith(last) for line in body)
    assert all(c.isprintable() or c == "\n" for c in block)


@pytest.fixture
def hub(monkeypatch):
    """The hub's API with the signatures of the real one; `uploaded` has the files of a commit."""
    api = create_autospec(HfApi, instance=True)
    uploaded: dict[str, bytes] = {}

    def upload_folder(*, folder_path, **options):
        folder = Path(folder_path)
        files = [path for path in folder.rglob("*") if path.is_file()]
        uploaded.update({str(path.relative_to(folder)): path.read_bytes() for path in files})
        pull_request = "https://hub/pull" if options["create_pr"] else None
        return SimpleNamespace(commit_url="https://hub/commit", pr_url=pull_request)

    api.upload_folder.side_effect = upload_folder
    api.create_repo.side_effect = lambda repo_id, **_: SimpleNamespace(repo_id=f"me/{repo_id}")
    made = create_autospec(HfApi, return_value=api)
    monkeypatch.setattr(huggingface_hub, "HfApi", made)
    return SimpleNamespace(api=api, made=made, uploaded=uploaded)


def test_upload_is_what_is_loaded(model, hub, tmp_path):
    assert model.push_to_hub("tiny", private=True, token="secret") == "https://hub/commit"
    hub.made.assert_called_once_with(token="secret")
    hub.api.create_repo.assert_called_once_with("tiny", private=True, exist_ok=True)
    assert hub.api.upload_folder.call_args.kwargs["repo_id"] == "me/tiny"
    for name, content in hub.uploaded.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(content)
    loaded = open_model(tmp_path)
    weights = loaded.model.state_dict()
    assert all(torch.equal(weights[name], w) for name, w in model.model.state_dict().items())
    if isinstance(model, SentenceVAE):
        assert np.array_equal(loaded.encode(texts()), model.encode(texts()))


def test_upload_of_a_run_is_its_model_and_its_card(runs, hub):
    SentenceVAE.from_pretrained(runs / "vae").push_to_hub("me/x", revision="draft")
    assert hub.uploaded[CARD] == (runs / "vae" / CARD).read_bytes()
    assert not hub.uploaded.keys() & {"run.json", "results.json", "recipe.yaml"}
    assert all(any(Path(name).match(kind) for kind in FILES) for name in hub.uploaded)
    options = hub.api.upload_folder.call_args.kwargs
    assert options["revision"] == "draft" and "*.safetensors" in options["delete_patterns"]


def test_upload_as_a_pull_request_returns_its_url(model, hub):
    assert model.push_to_hub("tiny", create_pr=True) == "https://hub/pull"


def test_errors_of_the_hub_are_not_hidden(model, hub):
    hub.api.create_repo.side_effect = OSError("401 Unauthorized")
    with pytest.raises(OSError, match="401"):
        model.push_to_hub("tiny")
    assert not hub.uploaded


def test_model_is_shown_on_one_line_and_as_a_table(model):
    line, table = repr(model), model._repr_html_()
    assert "\n" not in line and line.startswith(f"{type(model).__name__}(")
    weights = f"{sum(weight.numel() for weight in model.model.parameters()):,}"
    for part in ("z (gaussian, 3)", weights, "cpu"):
        assert part in line and part in table
    assert table.startswith("<table>") and "<b>" not in table


def test_metrics_are_shown_with_all_names(model):
    rows = texts()[:6] if isinstance(model, SentenceVAE) else np.random.rand(5, 4, 4)
    metrics = model.evaluate(rows, samples=2)
    line, table = repr(metrics), metrics._repr_html_()
    assert "\n" not in line and line.startswith(f"{type(metrics).__name__}(")
    for name in vars(metrics):
        assert f"{name}=" in line and f">{name}<" in table
    assert f"nll={metrics.nll:.6g}" in line and f">{metrics.nll:.3f}<" in table


def test_metrics_of_generation_are_shown_by_dotted_names():
    metrics = sentence_vae().evaluate(texts(), samples=1, generation=True)
    assert "generation.reconstruction.bleu=" in repr(metrics)
    assert ">generation.samples.self_bleu<" in metrics._repr_html_()


def test_a_long_tuple_is_shown_by_its_range():
    z = {"name": "z", "kind": "gaussian", "dim": 20, "given": ["text"]}
    metrics = sentence_vae(latents=(z,)).evaluate(texts(), samples=1)
    assert "variances=<20 values, " in repr(metrics)
    assert len(repr(metrics)) < 1500
