"""The graph of a model as data: lists of named nodes, as saved in config.json."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import torch
from huggingface_hub.dataclasses import strict

from textvae.checkpoints import write_file
from textvae.decoders import Decoder
from textvae.encoders import Encoder
from textvae.families import Family
from textvae.graph.folders import CONFIG
from textvae.graph.registration import MODEL_TYPE
from textvae.registry import Component

Node = dict[str, Any]
GRAPH_KEYS = {
    "encoders": {"field", "given"},
    "latents": {
        "given",
        "prior",
        "field",
        "fixed",
        "label_weight",
        "label_smoothing",
        "hidden",
        "relative",
    },
    "decoders": {"field", "given", "auxiliary", "attend", "prior_weight"},
}
PRIOR_KEYS = {"given", "hidden"}
"""Keys of a latent's `prior` that are the graph's; the others are of its kind."""
BASES: dict[str, type[Component]] = {"encoders": Encoder, "latents": Family, "decoders": Decoder}
SUPPLIED = {
    "encoders": {"vocab_size", "shape", "classes", "label_set", "given_features"},
    "latents": {"features", "classes", "label_set", "places"},
    "decoders": {"vocab_size", "shape", "classes", "label_set", "features", "memory"},
    "priors": {"features", "family", "posterior_features", "classes"},
}
"""Arguments of components that the graph supplies."""
MODALITIES = {"shape": "image", "classes": "label", "label_set": "label set"}
"""Facts of a field that is no text, and what such a field is called."""


@strict
@dataclass(kw_only=True)
class VAEConfig:
    """The graph of a VAE: lists of named nodes, since saved mappings lose their order.

    Args:
        vocab_size: number of token ids V of the text fields.
        observed: facts of each field that is no text, and, where a model has several fields, an
            empty mapping for each text: the `shape` of its values, [C, H, W] of an
            image (with how its `pixels` are read) or [D] of a vector; the number of `classes` of a
            label; the size of a `label_set`, C; for a text that is part of another, the field of
            that one, `within`; the name of the `plate` of a field whose rows have several parts,
            and for that name the `counts` of parts in the training rows.
        encoders: `{name, kind, field, given, ...}`; `field` is the name when not given. `given`
            names earlier encoders whose features it reads: in place of a field, or beside one that
            `field` names.
        latents: `{name, kind, given, hidden, prior, relative, ...}`; `given` names encoders and
            earlier latents; `hidden: [100]` are layers with ReLU before the head.
            `prior: {given: [...], hidden: [...]}` makes the prior a network of those in place of
            the default, `prior: {given: []}` one distribution that is learned, `prior: {fitted:
            true}` one that is fitted to the posteriors of all training data after training, and
            `prior: {kind: K, given: [...], ...}` a `Prior` of that kind. `relative: true` measures
            the posterior from the prior, see `Family.relative`. `field` names the label that fixes
            the latent in training where it is not missing, or that chooses the components of a
            `class_mixture` prior; `label_weight: w` adds -w log q(label | x) to the training loss
            alone. `fixed: false` leaves the latent free
            where the label is there: it then names what the latent predicts. `label_smoothing: s`
            takes s of that term's weight from the label and spreads it over all classes.
        decoders: `{name, kind, field, given, ...}`; `auxiliary: weight` makes it a term of the
            training loss alone, -weight E_q log p(x | z). `attend` names an encoder to whose
            states it attends. `prior_weight: w` adds -w log p(x | z), z from the prior, to the
            training loss (Sohn et al. 2015, section 4.2).
        init_range: every weight starts uniform in [-init_range, init_range]; when None, each kind
            of layer has its usual start.
        refinement: arguments of a `Refinement`: steps that improve each text's posterior, in
            training and in evaluation; None for the encoders' posterior as it is.
        recipe: name of the recipe it was made from, for messages.
    """

    model_type: ClassVar[str] = MODEL_TYPE

    vocab_size: int = 0
    observed: dict | None = None
    encoders: list[dict] | None = None
    latents: list[dict] | None = None
    decoders: list[dict] | None = None
    init_range: float | int | None = None
    refinement: dict | None = None
    recipe: str | None = None

    @staticmethod
    def names() -> list[str]:
        """The names of its values."""
        return [each.name for each in fields(VAEConfig)]

    def to_dict(self) -> dict[str, Any]:
        """Its values by name, which make an equal config."""
        return {name: getattr(self, name) for name in VAEConfig.names()}

    def to_json_string(self) -> str:
        """Its values with the model type, as JSON."""
        return json.dumps({"model_type": self.model_type, **self.to_dict()}, indent=2) + "\n"

    def save_pretrained(
        self, folder: str | PathLike[str], dtype: torch.dtype = torch.float32
    ) -> None:
        """Write config.json, from which `AutoConfig` makes a config of transformers.

        Args:
            folder: made if it is not there.
            dtype: of the weights beside it.
        """
        kind = {
            "architectures": ["VAE"],
            "dtype": str(dtype).removeprefix("torch."),
            "model_type": self.model_type,
        }
        Path(folder).mkdir(parents=True, exist_ok=True)
        text = json.dumps(kind | self.to_dict(), indent=2, sort_keys=True) + "\n"
        write_file(Path(folder) / CONFIG, text)

    def facts(self, node: Node) -> dict[str, Any]:
        """Facts of a node's field, which its component may take as arguments; none without one."""
        if node.get("field", "text") is None:
            return {}
        known = (self.observed or {}).get(node.get("field"), {})
        chosen = {name: known[name] for name in MODALITIES if name in known}
        return chosen or {"vocab_size": self.vocab_size}

    def conditions(self) -> list[str]:
        """The fields that must be given to sample from the prior, in the order of their encoders.

        They are those of the encoders that a main decoder or a prior is given, or attends to. A
        field that the model writes before it is read, see `written_first`, is none; one with parts
        where it is read part by part.
        """
        return self.fields_behind(self.read_to_write, posterior=False, written=self.written_first)

    @property
    def read_to_write(self) -> list[str]:
        """The encoders and latents that main decoders are given or attend to."""
        return [name for names in self.read_by_field.values() for name in names]

    @property
    def read_by_field(self) -> dict[str, list[str]]:
        """The encoders and latents that each field that the model writes is written from."""
        found: dict[str, list[str]] = {}
        for node in self.nodes("decoders"):
            if node.get("auxiliary") is None:
                attended = [node["attend"]] if node.get("attend") else []
                found.setdefault(node["field"], []).extend([*node["given"], *attended])
        return found

    @property
    def written_first(self) -> set[str]:
        """The fields that are written before others are, which may then read them.

        Of rows with parts, all that the model writes. Else one that is written from itself, at once
        or by way of other fields, is not among them.
        """
        behind = {
            field: set(self.fields_behind(names, posterior=False))
            for field, names in self.read_by_field.items()
        }
        if self.plates:
            return set(behind)
        for _ in behind:  # a way leads through each field once
            behind = {
                field: found.union(*(behind.get(each, ()) for each in found))
                for field, found in behind.items()
            }
        return {field for field, found in behind.items() if field not in found}

    @property
    def written_or_given(self) -> list[str]:
        """The fields of whole rows that are written before another one, unless they are given."""
        read = self.fields_behind(self.read_to_write, posterior=False)
        return [name for name in read if name in self.written_first and name not in self.plates]

    @property
    def read_or_given(self) -> list[str]:
        """The fields that latents may be drawn from their posteriors by, where they are given.

        They are no conditions, and those of latents whose posteriors read no field that the model
        writes: such a latent else comes from its prior.
        """
        read = (self.fields_read(node["name"]) for node in self.nodes("latents"))
        given = (fields for fields in read if self.read_by_field.keys().isdisjoint(fields))
        conditions = self.conditions()
        found = dict.fromkeys(field for fields in given for field in fields)
        return [field for field in found if field not in conditions]

    def comes_from_posterior(self, latent: str, given: Collection[str]) -> bool:
        """Whether a latent is drawn from its posterior when fields are given: all that it reads.

        Of conditions alone its prior holds what they say of it.
        """
        read, chosen = set(self.fields_read(latent)), {*self.written_or_given, *self.read_or_given}
        return read.issubset(given) and not chosen.isdisjoint(read)

    @property
    def writes_in_turn(self) -> bool:
        """Whether a field has to be written before another one is, or part after part."""
        return bool(self.plates or self.written_or_given)

    def fields_read(self, latent: str) -> list[str]:
        """The fields that the posterior of a latent is computed from, in that order."""
        return self.fields_behind([latent], posterior=True)

    def fields_behind(
        self, names: Iterable[str], posterior: bool, written: Collection[str] = ()
    ) -> list[str]:
        """The fields of the encoders that nodes are computed from, in the order of the encoders.

        Args:
            names: of encoders and latents.
            posterior: whether latents come from their posteriors; else from their priors.
            written: fields that do not count, but where an encoder reduces their parts.
        """
        latents = {node["name"]: node for node in self.nodes("latents")}
        encoders = {node["name"]: node for node in self.nodes("encoders")}
        wanted, read, seen = [(name, False) for name in names], set[str](), set[tuple[str, bool]]()
        while wanted:
            name, reduced = step = wanted.pop()
            if step in seen:
                continue
            seen.add(step)
            given: list[str] = []
            if name in latents:
                node = latents[name]
                if posterior:
                    given += node["given"]
                if not posterior or node.get("relative"):
                    given += (node.get("prior") or {}).get("given") or []
            elif name in encoders:
                given += encoders[name]["given"]
                if reduced or encoders[name]["field"] not in written:
                    read.add(name)
                reduced = reduced or getattr(
                    Encoder.named(encoders[name]["kind"]), "reduces", False
                )
            wanted += [(each, reduced) for each in given]
        fields = [node["field"] for name, node in encoders.items() if name in read]
        return list(dict.fromkeys(field for field in fields if field is not None))

    @property
    def plates(self) -> dict[str, str]:
        """The plate of each field that has parts, by the name of the field."""
        facts = self.observed or {}
        return {name: each["plate"] for name, each in facts.items() if "plate" in each}

    @property
    def plate_fields(self) -> dict[str, list[str]]:
        """The fields of each plate, by its name, which is also that of their counts in a batch."""
        found: dict[str, list[str]] = {}
        for name, plate in self.plates.items():
            found.setdefault(plate, []).append(name)
        return found

    @property
    def reads_rows(self) -> bool:
        """Whether rows have several fields, or parts; else there is one text, or an image."""
        others = {*MODALITIES, "counts"}
        facts = [each for each in (self.observed or {}).values() if isinstance(each, Mapping)]
        return any(not each.keys() & others for each in facts) or bool(self.plates)

    @property
    def conditional_prior(self) -> bool:
        """Whether some latent's prior is given an encoder: each row then has a prior of its own."""
        encoders = {node["name"] for node in self.nodes("encoders")}
        priors = (node.get("prior") or {} for node in self.nodes("latents"))
        return any(name in encoders for prior in priors for name in prior.get("given") or [])

    def nodes(self, group: str) -> list[Node]:
        """The nodes of `encoders`, `latents` or `decoders`, with their graph keys filled in."""
        filled = []
        for node in getattr(self, group) or []:
            complete = dict(node)
            if group == "encoders":
                complete.setdefault("field", None if node.get("given") else node["name"])
            elif group == "decoders":
                complete.setdefault("field", node["name"])
            if "given" in GRAPH_KEYS[group]:
                complete.setdefault("given", [])
            filled.append(complete)
        return filled
