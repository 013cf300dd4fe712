"""Control of a text model by its codes; `SentenceVAE` has these functions as its methods."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from textvae.control.codes import (
    FEWEST,
    Holding,
    check_disjoint,
    different_texts,
    hold_attribute,
)
from textvae.control.plug_in import PlugIn, PlugInSettings, train_plug_in
from textvae.control.steering import fit_labels, langevin, space_of
from textvae.data.python_texts import checked_text, text_list
from textvae.graph.decoding import Decoding
from textvae.graph.saving import weights_sha
from textvae.registry import suggest

if TYPE_CHECKING:
    from textvae.api.sentence import SentenceVAE
    from textvae.api.text_writer import TextWriter

PER_CLASS = 2500
"""Most texts of a class that are encoded for steering."""


@dataclass(frozen=True)
class Steered:
    """Sentences that were steered toward a label.

    Args:
        sentences: the decoded latents.
        z: the latents, (N, D), float32.
        label_probability: mean q(label | z) of them.
        holding: whether the codes of the model hold the label.
    """

    sentences: list[str]
    z: np.ndarray
    label_probability: float
    holding: Holding


@dataclass(frozen=True)
class Arithmetic:
    """The result of arithmetic on posterior means.

    Args:
        sentence: the decoded result.
        z: the result, (D,), float32.
        nearest: the text whose posterior mean is nearest to it; None without texts.
        distance: to that; None without texts.
        typical: median distance of a text to the nearest other text; None without texts.
        farther: share of the texts that are nearer to another text than `distance`.
    """

    sentence: str
    z: np.ndarray
    nearest: str | None = None
    distance: float | None = None
    typical: float | None = None
    farther: float | None = None

    def result(self) -> dict[str, Any]:
        """The JSON output, without z."""
        return {name: value for name, value in asdict(self).items() if name != "z"}


def held_by(
    vae: "SentenceVAE", codes: np.ndarray, has: Sequence[bool] | np.ndarray, seed: int
) -> Holding:
    """`hold_attribute` for the codes of a text model, (N, D)."""

    def reconstructed(z: np.ndarray) -> np.ndarray:
        # An empty reconstruction is a text too.
        return np.asarray(vae.encode(vae.decode(z)))

    return hold_attribute(codes, np.asarray(has).tolist(), reconstructed, seed)


def plug_in(
    vae: "SentenceVAE",
    texts: Sequence[str],
    others: Sequence[str] | None = None,
    settings: PlugInSettings | None = None,
    seed: int = 0,
) -> PlugIn:
    """A plug-in VAE for texts with an attribute, such as 200 positive reviews; see `sample`.

    The model itself is not changed. `facts` of the plug-in has how well the codes hold the
    attribute (`holding`, see `Holding`; only with `others`), losses and CPU seconds.

    Args:
        vae: the model.
        texts: with the attribute, at least 10 different ones.
        others: without it.
        settings: of the training.
        seed: of the training.

    Raises:
        TypeError: texts are no list of strings.
        ValueError: too few or blank texts, or the model has no latent.

    Source: Duan et al. 2020, Pre-train and Plug-in, ACL, arXiv:1911.03882.
    """
    vae.require_latent()
    settings = settings or PlugInSettings()
    wanted = different_texts(texts, "texts", FEWEST)
    codes, other_codes, holding = np.asarray(vae.encode(wanted)), None, None
    facts: dict[str, Any] = {"texts": len(wanted), "others": 0, "seed": seed, **asdict(settings)}
    if others is not None:
        unwanted = different_texts(others, "others", FEWEST)
        check_disjoint(wanted, unwanted)
        other_codes = np.asarray(vae.encode(unwanted))
        has = np.arange(len(wanted) + len(unwanted)) < len(wanted)
        holding = held_by(vae, np.concatenate([codes, other_codes]), has, seed)
        facts |= {"others": len(unwanted)}
    start = time.process_time()
    plug, losses = train_plug_in(codes, other_codes, settings, seed)
    plug.base = weights_sha(vae.model)
    plug.facts = facts | {"losses": losses, "cpu_seconds": time.process_time() - start}
    plug.facts |= {} if holding is None else {"holding": holding.result()}
    return plug


def sample_plug_in(
    vae: "TextWriter", plug: PlugIn, count: int, decoding: Decoding | None, seed: int | None
) -> list[str]:
    """Sentences of a plug-in: v ~ N(0, I), its code, the sentence of that; greedy by default.

    Raises:
        ValueError: the plug-in belongs to another model.
    """
    if plug.base != weights_sha(vae.model):
        raise ValueError("the plug-in belongs to another model: its base has other weights")
    return vae.decode(vae.projected(plug.sample(count, seed)), decoding, seed)


def steer(
    vae: "SentenceVAE",
    texts: Sequence[str],
    labels: Sequence[str],
    toward: str,
    count: int = 10,
    strength: float = 4.0,
    steps: int = 100,
    decoding: Decoding | None = None,
    seed: int = 0,
) -> Steered:
    """Sentences with a label from a model that was trained without: p(z) q(label | z)^s, decoded.

    q(label | z) is logistic regression on the posterior means of labelled texts. Latents follow
    Langevin dynamics from the prior; of an autoencoder, from a Gaussian fitted to the codes.

    Args:
        vae: the model.
        texts: with labels; at most 2,500 of a label are used.
        labels: of the texts; a text with a blank one is not used.
        toward: the label of the sentences.
        count: number of sentences.
        strength: s, above 0.
        steps: of the dynamics.
        decoding: how to choose tokens; greedy by default.
        seed: of texts, dynamics and tokens.

    Raises:
        TypeError: texts are no list of strings.
        ValueError: an unknown label, fewer than 10 texts with it or without, a value out of
            range, or the model has no latent or a discrete one.
    """
    vae.require_latent()
    for name, value in (("count", count), ("strength", strength), ("steps", steps)):
        if not 0 < value < float("inf"):
            raise ValueError(f"{name}: must be above 0 (got {value})")
    chosen, names = labelled_texts(texts, labels, toward, seed)
    codes = np.asarray(vae.encode(chosen))
    space = space_of(vae.model, codes)
    holding = held_by(vae, codes, np.asarray(names) == toward, seed)
    model = fit_labels(codes, names)
    row = model.names.index(toward)
    z = langevin(
        space, lambda z: model.log_probs(z)[:, row], count, strength, steps, vae.projected, seed
    )
    z = vae.projected(z)
    probability = model.log_probs(z)[:, row].exp().mean().item()
    return Steered(vae.decode(z, decoding, seed), z.numpy(), probability, holding)


def labelled_texts(
    texts: Sequence[str], labels: Sequence[str], toward: str, seed: int
) -> tuple[list[str], list[str]]:
    """Texts that have a label, at most `PER_CLASS` of each, and their labels.

    Raises:
        ValueError: see `steer`.
    """
    given, names = text_list(texts), text_list(labels, "labels")
    if len(given) != len(names):
        raise ValueError(f"one label for each of {len(given)} texts (got {len(names)})")
    rows: dict[str, list[str]] = {}
    for text, name in zip(given, names, strict=True):
        if name.strip() and text.strip():
            rows.setdefault(name, []).append(text)
    if toward not in rows:
        raise ValueError(f"unknown label {toward!r} {suggest(toward, sorted(rows))}")
    draw = np.random.default_rng(seed)
    for name, group in rows.items():
        if len(group) > PER_CLASS:
            rows[name] = [group[i] for i in np.sort(draw.permutation(len(group))[:PER_CLASS])]
    few = [name for name, group in rows.items() if len(group) < 2]
    kept = {name: group for name, group in rows.items() if name == toward or name not in few}
    pairs = [(text, name) for name, group in kept.items() for text in group]
    return [text for text, _ in pairs], [name for _, name in pairs]


def attribute_vector(vae: "SentenceVAE", texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """The mean posterior mean of texts with an attribute, less that of others: (D,), float32.

    Add a multiple of it to a code: `vae.decode(vae.encode(["the food was bad ."]) + 2 * v)`.

    Raises:
        TypeError: texts are no list of strings.
        ValueError: no text, a blank one, mostly the same texts, or the model has no latent.

    Source: Larsen et al. 2016, section 5.2, arXiv:1512.09300.
    """
    vae.require_latent()
    groups = different_texts(texts, "texts"), different_texts(others, "others")
    check_disjoint(*groups)
    with_it, without = (np.asarray(vae.encode(group)).mean(0) for group in groups)
    return with_it - without


def arithmetic(
    vae: "SentenceVAE",
    add: Sequence[str | Sequence[str]],
    subtract: Sequence[str | Sequence[str]] = (),
    texts: Sequence[str] | None = None,
    strength: float = 1.0,
    decoding: Decoding | None = None,
) -> Arithmetic:
    """The sentence at z(a) + strength (z(c) + ... - z(b) - ...), z the posterior mean.

    Args:
        vae: the model.
        add: a, c, ...: each a sentence, or a list of texts, which counts as their mean.
        subtract: b, ...
        texts: of the data, to tell how far from their posterior means the result is.
        strength: factor of all but the first.
        decoding: how to choose tokens; greedy by default.

    Raises:
        TypeError: a sentence is no string.
        ValueError: nothing to add, a blank text, or the model has no latent.

    Source: Mikolov et al. 2013, analogies; of sentence VAEs, Shen et al. 2020, section 5.3,
    arXiv:1905.12777.
    """
    vae.require_latent()
    if isinstance(add, str) or isinstance(subtract, str):
        raise TypeError("add and subtract must be lists of sentences (got one string)")
    if not add:
        raise ValueError("add: at least one sentence is needed (got none)")
    if not np.isfinite(strength):
        raise ValueError(f"strength: must be a number (got {strength})")
    plus = [mean_code(vae, term, f"add[{n}]") for n, term in enumerate(add)]
    minus = [mean_code(vae, term, f"subtract[{n}]") for n, term in enumerate(subtract)]
    z = plus[0] + strength * (sum(plus[1:], np.zeros_like(plus[0])) - sum(minus, 0 * plus[0]))
    z = vae.projected(z[None]).numpy()
    (sentence,) = vae.decode(z, decoding)
    if texts is None:
        return Arithmetic(sentence, z[0])
    given = different_texts(texts, "texts", 2)
    nearest, distance, spacing = distances(z[0], np.asarray(vae.encode(given)))
    return Arithmetic(
        sentence,
        z[0],
        given[nearest],
        distance,
        float(np.median(spacing)),
        float((spacing < distance).mean()),
    )


def mean_code(vae: "SentenceVAE", term: str | Sequence[str], name: str) -> np.ndarray:
    """The posterior mean of a sentence, or the mean of those of a list, (D,)."""
    texts = [checked_text(term, name)] if isinstance(term, str) else term
    return np.asarray(vae.encode(different_texts(texts, name))).mean(0)


def distances(z: np.ndarray, codes: np.ndarray) -> tuple[int, float, np.ndarray]:
    """The row of the code nearest to z, its distance, and each code's to its nearest other, (N,).

    Args:
        z: (D,).
        codes: (N, D).
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=1).fit(codes)
    distance, row = search.kneighbors(z[None])
    # Without an argument a code is no neighbour of itself.
    spacing, _ = search.kneighbors()
    return int(row[0, 0]), float(distance[0, 0]), spacing[:, 0]


def traverse(
    vae: "SentenceVAE",
    text: str,
    dimension: int,
    values: Sequence[float] | np.ndarray,
    decoding: Decoding | None = None,
) -> list[str]:
    """The sentences at a text's posterior mean with one dimension at each of the values.

    Args:
        vae: the model.
        text: whose posterior mean is moved.
        dimension: from 0, of all latents side by side.
        values: of that dimension; a standard Gaussian prior has most from -3 to 3.
        decoding: how to choose tokens; greedy by default.

    Raises:
        TypeError: the text is no string.
        ValueError: no such dimension, no value, or the model has no latent.
    """
    vae.require_latent()
    if not 0 <= dimension < vae.dim:
        raise ValueError(f"dimension: must be from 0 to {vae.dim - 1} (got {dimension})")
    line = np.asarray(values, np.float32)
    if line.ndim != 1 or not len(line) or not np.isfinite(line).all():
        raise ValueError("values: must be a list of numbers")
    z = np.repeat(mean_code(vae, text, "text")[None], len(line), 0)
    z[:, dimension] = line
    return vae.decode(vae.projected(z), decoding)
