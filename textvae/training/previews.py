"""Reconstructions and samples of a model in training: texts, or images for TensorBoard."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations.integration_utils import TensorBoardCallback

from textvae.data.batching import Examples
from textvae.data.tokenizers import TextTokenizer, decode_ids, tokenizer_kind
from textvae.decoders.image import ImageDecoder
from textvae.decoders.text import TokenDecoder
from textvae.evaluation.latent import posterior_moments
from textvae.graph.generation import Decoding, generate
from textvae.graph.model import VAE
from textvae.randomness import seeded
from textvae.training.callbacks import Report
from textvae.training.sharding import unsharded
from textvae.training.trainer import VAETrainer
from textvae.vocabulary import EOS

TEXTS, IMAGES = 2, 8
"""Number of reconstructions and of samples, of texts and of images."""
TEMPERATURE = 0.7
"""Of the samples; the reconstructions are greedy."""
MAX_TOKENS = 100
"""Most tokens of a generated text, and fewer where the validation texts are shorter."""
FIRST_SECONDS = 40.0
"""Training time after which a first sample is reported where no epoch has ended."""


class TextPreview:
    """Texts that a model generates: of two fixed validation texts, and from the prior.

    Args:
        valid: validation rows.
        tokenizer: of the texts.
        field: that the model writes.
    """

    def __init__(self, valid: Examples, tokenizer: TextTokenizer, field: str = "text"):
        self.field = field
        lengths = valid.lengths
        # Of ordinary length, and the same ones in each epoch.
        chosen = np.argsort(abs(lengths - np.median(lengths)), kind="stable")[:TEXTS]
        self.batch = valid.collate([valid[int(index)] for index in chosen])
        self.tokenizer = tokenizer
        self.max_tokens = min(int(lengths.max()), MAX_TOKENS)
        # Subwords spell every word: no training text contains the unknown token.
        self.allow_unknown = tokenizer_kind(tokenizer) == "word"

    def reconstructions(self, model: VAE) -> list[tuple[str, str]]:
        """Pairs of a validation text and the greedy text at its posterior mean."""
        if not len(model.latents):
            return []
        moments = posterior_moments(model, [self.batch])
        values = {name: mean[None].to(model.device) for name, (mean, _) in moments.items()}
        texts = [decode_ids(self.tokenizer, row) for row in self.batch[self.field].tolist()]
        return list(zip(texts, self.decoded(model, values, len(texts)), strict=True))

    def samples(self, model: VAE, count: int = TEXTS) -> list[str]:
        """Texts at samples of the prior, under the conditions of the validation texts.

        Under conditions no more than there are of these.
        """
        conditions = self.conditions(model, count)
        count = min([count, *map(len, conditions.values())])
        values = model.sample_prior(count, None, **conditions)
        return self.decoded(model, values, count, do_sample=True, temperature=TEMPERATURE)

    def decoded(
        self, model: VAE, values: Mapping[str, Tensor], count: int, **settings: Any
    ) -> list[str]:
        """The texts of `count` latents; one that was cut ends with an ellipsis."""
        (name,) = model.text_decoders
        features = model.encoder_features(self.conditions(model, count))
        context, memory = model.writing(name, values, features, count)
        decoder = model.decoders[name]
        assert isinstance(decoder, TokenDecoder), "see `preview_of`"
        limits = {"max_new_tokens": self.max_tokens, "allow_unknown": self.allow_unknown}
        how = Decoding(**limits, **settings)
        rows = generate(decoder, context, how, None, memory).tolist()
        return [decode_ids(self.tokenizer, row) + ("" if EOS in row else " ...") for row in rows]

    def conditions(self, model: VAE, count: int) -> dict[str, Tensor]:
        """The conditions of the first validation texts, those of the model."""
        fields = model.config.conditions()
        return {name: self.batch[name][:count].to(model.device) for name in fields}

    def __call__(self, model: VAE) -> dict[str, Any]:
        """The values of the report's "preview"."""
        return {"reconstructions": self.reconstructions(model), "samples": self.samples(model)}

    def write(self, board: Any, values: Mapping[str, Any], step: int) -> None:
        """Write texts to TensorBoard, as Markdown."""
        pairs = [f"    {text}\n    {decoded}" for text, decoded in values["reconstructions"]]
        if pairs:
            board.add_text("reconstructions", "\n\n---\n\n".join(pairs), step)
        board.add_text("samples", "\n".join(f"    {text}" for text in values["samples"]), step)


class ImagePreview:
    """Mean images of a model: of the first validation images, and from the prior.

    Args:
        valid: validation rows.
        field: of the images.
    """

    def __init__(self, valid: Examples, field: str):
        rows = [valid[index] for index in range(min(IMAGES, len(valid)))]
        self.batch = valid.drawn(valid.collate(rows), torch.Generator().manual_seed(0))
        self.field = field

    def __call__(self, model: VAE) -> dict[str, Tensor]:
        """Images, (N, C, H, W), by what they are: originals come before their reconstructions."""
        batch = {name: value.to(model.device) for name, value in self.batch.items()}
        images, count = batch[self.field], len(batch[self.field])
        moments = posterior_moments(model, [self.batch])
        means = {name: mean[None].to(model.device) for name, (mean, _) in moments.items()}
        # Labels are read for samples too; images are not.
        others = {name: value for name, value in batch.items() if name != self.field}
        features = model.encoder_features(others)

        def mean_images(values: Mapping[str, Tensor]) -> Tensor:
            (likelihood,) = model.likelihoods(values, features, count).values()
            return likelihood.mean[0].float().clamp(0, 1)

        samples = mean_images(model.sample_prior(count, None, **others))
        return {"reconstructions": torch.cat([images, mean_images(means)]), "samples": samples}

    def write(self, board: Any, values: Mapping[str, Tensor], step: int) -> None:
        """Write images to TensorBoard, eight in a row."""
        for name, images in values.items():
            board.add_images(name, images.cpu().numpy(), step)


def preview_of(
    model: VAE, valid: Examples, tokenizer: TextTokenizer | None
) -> TextPreview | ImagePreview | None:
    """What can be shown of a model: None of bags of words, vectors, parts, and several decoders."""
    if model.config.plates:
        return None
    if len(model.main_decoders) != 1 and len(model.text_decoders) != 1:
        return None
    (name,) = model.text_decoders or model.main_decoders
    decoder = model.decoders[name]
    if isinstance(decoder, TokenDecoder) and tokenizer is not None:
        ordered = decoder.ordered and tokenizer_kind(tokenizer) != "bag"
        return TextPreview(valid, tokenizer, model.field_of(name)) if ordered else None
    if isinstance(decoder, ImageDecoder) and len(decoder.shape) == 3 and decoder.shape[0] in (1, 3):
        return ImagePreview(valid, model.field_of(name))
    return None


class Previews(TrainerCallback):
    """Reports texts of the model after each validation, and writes them to TensorBoard.

    The random state and the mode of the model stay as they are, so that training does too. Where no
    epoch ends in time, one sample is reported before.

    Args:
        trainer: whose candidate model is shown.
        tokenizer: of the texts; None for images.
        report: called with "preview" and its texts, and with "sample" and one text.
        logs: callbacks of the run, among which a TensorBoard is looked for.
        seed: of the samples, the same in each epoch.
    """

    def __init__(
        self,
        trainer: VAETrainer,
        tokenizer: TextTokenizer | None,
        report: Report,
        logs: Sequence[TrainerCallback] = (),
        seed: int = 0,
    ):
        self.trainer, self.report, self.seed = trainer, report, seed
        self.preview = preview_of(trainer.vae, trainer.valid, tokenizer)
        self.boards = [log for log in logs if isinstance(log, TensorBoardCallback)]
        self.began, self.shown = time.monotonic(), False

    def of_model(self, preview: Callable[[VAE], Any]) -> Any:
        """What a preview makes of the candidate model, which is left as it was.

        None of weights that are not finite: the next step raises an error that names their loss.
        """
        model = self.trainer.candidate
        if not all(bool(weights.isfinite().all()) for weights in model.parameters()):
            return None
        training = model.training
        with seeded(self.seed), torch.no_grad():
            try:
                return preview(model.eval())
            finally:
                model.train(training)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self.began = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report a first sample where an epoch takes long; never of sharded weights."""
        late = time.monotonic() - self.began > FIRST_SECONDS
        if self.shown or not late or self.trainer.is_fsdp_enabled:
            return
        self.shown = True
        if isinstance(self.preview, TextPreview):
            preview = self.preview
            for text in self.of_model(lambda model: preview.samples(model, 1)) or ():
                self.report("sample", {"step": state.global_step, "text": text})

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report a preview and write it to TensorBoard; of sharded weights, in every process."""
        self.shown = True
        if self.preview is None:
            return
        with unsharded(self.trainer.vae):
            values = self.of_model(self.preview)
        if values is None:
            return
        if isinstance(self.preview, TextPreview):
            self.report("preview", {"step": state.global_step, **values})
        for board in self.boards:
            self.preview.write(board.tb_writer, values, state.global_step)
