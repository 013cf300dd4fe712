"""The named nodes of a VAE: encoders, latents, priors and decoders, each by itself."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.decoders.text import TokenDecoder
from textvae.encoders import Features
from textvae.families import Family
from textvae.families.base import after_hidden
from textvae.graph.build import add_decoder, add_encoder, add_latent
from textvae.graph.checks import check_fields, check_graph
from textvae.graph.config import Node, VAEConfig
from textvae.graph.plates import batch_plates, node_plates, plate_problems
from textvae.layers.attention import Memory
from textvae.layers.plate import Plate
from textvae.priors import Prior
from textvae.registry import SpecError


class Nodes(nn.Module):
    """The components of the nodes of a graph, and what each computes from what it is given."""

    config: VAEConfig

    def assemble(self, config: VAEConfig) -> None:
        """Build the component of each node; a constructor then draws the initial weights.

        Raises:
            SpecError: a node that cannot be built, or is given something unknown.
        """
        problems = check_graph(config) or check_fields(config) or plate_problems(config)
        if problems:
            raise SpecError(problems)
        self.encoders, self.latents = nn.ModuleDict(), nn.ModuleDict()
        self.priors, self.decoders = nn.ModuleDict(), nn.ModuleDict()
        self.sizes: dict[str, int] = {}
        """Size of each encoder's features and of each latent's value, by name."""
        self.shown: dict[str, int] = {}
        """Size of what each encoder and latent shows the nodes that are given it, by name."""
        self.node_plates = node_plates(config)
        for node in config.nodes("encoders"):
            add_encoder(self, node)
        for node in config.nodes("latents"):
            add_latent(self, node)
        for node in config.nodes("decoders"):
            add_decoder(self, node)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def plate_of(self, group: str, name: str, features: Mapping[str, Features]) -> Plate | None:
        """The plate of a node in a batch that was read; None where it stands for whole rows.

        Args:
            group: "encoders" for what one shows, "latents", "decoders", or "reads" for what an
                encoder reads.
            name: of the node.
            features: as `read` gives them.
        """
        plate = getattr(self.node_plates, group)[name]
        return None if plate is None else features[plate].plate

    @property
    def row_latents(self) -> list[str]:
        """Names of the latents of whole rows; the others are of parts."""
        return [name for name, plate in self.node_plates.latents.items() if plate is None]

    @property
    def copies(self) -> int:
        """What a sample is multiplied by where a latent is enumerated: its number of values."""
        families = [cast(Family, family) for family in self.latents.values()]
        return next((family.dim for family in families if family.enumerated), 1)

    @property
    def auxiliary(self) -> dict[str, float]:
        """Weights of the auxiliary decoders, by name."""
        nodes = self.config.nodes("decoders")
        return {n["name"]: n["auxiliary"] for n in nodes if n.get("auxiliary") is not None}

    @property
    def main_decoders(self) -> list[str]:
        """Names of the decoders whose likelihood counts: all but the auxiliary."""
        return [name for name in self.decoders if name not in self.auxiliary]

    @property
    def text_decoders(self) -> list[str]:
        """Names of the main decoders that write texts."""
        return [
            name for name in self.main_decoders if isinstance(self.decoders[name], TokenDecoder)
        ]

    def field_of(self, decoder: str) -> str:
        """The field that a decoder reconstructs."""
        return next(n["field"] for n in self.config.nodes("decoders") if n["name"] == decoder)

    def encoder_features(self, fields: Mapping[str, Tensor]) -> dict[str, Features]:
        """The features of each encoder whose field and whose given encoders are there, by name.

        With them those of the plates that the batch has, which show nothing.
        """
        features = batch_plates(self.config, fields)
        for node in self.config.nodes("encoders"):
            field, given = node.get("field"), node["given"]
            if (field is None or field in fields) and all(name in features for name in given):
                observed = [] if field is None else [fields[field]]
                plate = self.plate_of("reads", node["name"], features)
                read = [on_plate(features[name], plate) for name in given]
                found: Features = self.encoders[node["name"]](*observed, *read)
                shown = self.plate_of("encoders", node["name"], features)
                features[node["name"]] = replace(found, plate=shown)
        return features

    def variational_parameters(
        self, node: Node, features: Mapping[str, Features], values: Mapping[str, Tensor]
    ) -> Tensor:
        """Variational parameters of a latent, (K or 1, B, P): the refined, or the encoders'."""
        if node["name"] in features:
            return features[node["name"]].pooled[None]
        return self.head(node, features, values)

    def head(
        self, node: Node, features: Mapping[str, Features], values: Mapping[str, Tensor]
    ) -> Tensor:
        """Variational parameters of a latent as the encoders have them, (K or 1, B, P)."""
        family = cast(Family, self.latents[node["name"]])
        plate = self.plate_of("latents", node["name"], features)
        context = self.context(node, features, values, plate)
        return family.variational_parameters(after_hidden(family, context))

    def posterior(
        self,
        node: Node,
        features: Mapping[str, Features],
        values: Mapping[str, Tensor],
        first: bool = False,
    ) -> Distribution:
        """q(z | x) of a latent, batch shape (K or 1, B), event (D,).

        Args:
            node: of the latent.
            features: of the encoders, by name.
            values: of earlier latents, (K, B, D), by name.
            first: of the first sample alone, batch shape (B,).
        """
        family = cast(Family, self.latents[node["name"]])
        parameters = self.variational_parameters(node, features, values)
        if node.get("relative"):
            prior = self.prior(node, features, values, parameters.shape[:-1], parameters)
            parameters = family.relative(parameters, prior)
        return family.distribution(parameters[0] if first else parameters)

    def context(
        self,
        node: Node,
        features: Mapping[str, Features],
        values: Mapping[str, Tensor],
        plate: Plate | None = None,
    ) -> Tensor:
        """What a node is given, side by side: (K, B, H), K = 1 when it comes from encoders only.

        Args:
            node: with the key `given`.
            features: of the encoders, by name.
            values: of earlier latents, (K, B, D), by name.
            plate: that the node is on: what it is given of whole rows is repeated, B is then R.
        """
        parts = []
        for name in node["given"]:
            if name in values:
                part = cast(Family, self.latents[name]).embed(values[name])
            else:
                part = features[name].pooled[None]
            if plate is not None and self.node_plates.sources[name] is None:
                part = plate.repeat_rows(part, 1)
            parts.append(part)
        samples = max(len(part) for part in parts)
        return torch.cat([part.expand(samples, *part.shape[1:]) for part in parts], dim=-1)

    def prior(
        self,
        node: Node,
        features: Mapping[str, Features],
        values: Mapping[str, Tensor],
        batch_shape: torch.Size,
        like: Tensor,
    ) -> Distribution:
        """p(z) of a latent: its network of what the prior is given, else the family's default.

        It is p(z | label) where the features have a label that the prior takes.
        """
        name = node["name"]
        labels, class_prior = features.get(f"{name}.label"), self.class_prior(name)
        if labels is not None and class_prior is not None:
            return class_prior.of_classes(labels.pooled[:, 0]).expand(batch_shape)
        unconditional = self.unconditional_prior(name)
        if unconditional is not None:
            return unconditional.expand(batch_shape)
        if node.get("prior", {}).get("given"):
            plate = self.plate_of("latents", name, features)
            context = self.context(node["prior"], features, values, plate)
            return self.priors[name](after_hidden(self.priors[name], context))
        return cast(Family, self.latents[name]).default_prior(batch_shape, like)

    def unconditional_prior(self, latent: str) -> Distribution | None:
        """The learned or fitted prior that is given nothing, batch shape (), if there is one."""
        prior = dict(self.priors.items()).get(latent)
        if not isinstance(prior, Prior) or not prior.ready:
            return None
        node = next(node for node in self.config.nodes("latents") if node["name"] == latent)
        if node["prior"].get("given"):
            return None
        return prior(next(self.parameters()).new_zeros(0, dtype=torch.float32))

    def class_prior(self, latent: str) -> Prior | None:
        """The prior of a latent, if the latent's label chooses among its components."""
        prior = dict(self.priors.items()).get(latent)
        return prior if isinstance(prior, Prior) and prior.takes_label else None

    @torch.no_grad()
    def prior_scale(self, latent: str) -> Tensor | float:
        """Standard deviation of each dimension under the prior, (D,) or one for all.

        It is what variances are measured in. Under a prior that is given something, or whose
        moments are not known, it is that of the family's default prior.
        """
        prior = self.prior_with_moments(latent)
        return cast(Family, self.latents[latent]).prior_scale if prior is None else prior.stddev

    def prior_with_moments(self, latent: str) -> Distribution | None:
        """`unconditional_prior`, if its mean and deviation are known."""
        prior = dict(self.priors.items()).get(latent)
        known = isinstance(prior, Prior) and prior.has_moments
        return self.unconditional_prior(latent) if known else None

    def contexts(
        self,
        values: Mapping[str, Tensor],
        features: Mapping[str, Features],
        batch: int,
        wanted: Iterable[str] | None = None,
    ) -> dict[str, Tensor]:
        """What decoders are given, (K, B, H), by name.

        Args:
            values: of the latents, (K, B, D).
            features: of the encoders, by name.
            batch: B, for a decoder that is given nothing.
            wanted: names of decoders; the main decoders by default.
        """
        samples = max([1, *(len(value) for value in values.values())])
        names = self.main_decoders if wanted is None else list(wanted)
        given = {}
        for node in self.config.nodes("decoders"):
            if node["name"] in names:
                plate = self.plate_of("decoders", node["name"], features)
                parts = batch if plate is None else plate.parts
                given[node["name"]] = (
                    self.context(node, features, values, plate)
                    if node["given"]
                    else next(self.parameters()).new_zeros(1, parts, 0)
                )
        return {
            # Latents are float32; a decoder's weights need not be.
            name: context.expand(samples, -1, -1).to(next(self.decoders[name].parameters()).dtype)
            for name, context in given.items()
        }

    def likelihoods(
        self,
        values: Mapping[str, Tensor],
        features: Mapping[str, Features],
        batch: int,
        wanted: Iterable[str] | None = None,
    ) -> dict[str, Distribution]:
        """p(x | z) of decoders, batch shape (K, B), by name; arguments as `contexts`."""
        contexts = self.contexts(values, features, batch, wanted)
        memories = self.memories(features, contexts)
        return {
            name: self.decoders[name](context, *memories[name])
            for name, context in contexts.items()
        }

    def memories(
        self, features: Mapping[str, Features], wanted: Iterable[str]
    ) -> dict[str, tuple[Memory, ...]]:
        """What each of these decoders attends to, by its name: one memory, or nothing."""
        attended = {node["name"]: node.get("attend") for node in self.config.nodes("decoders")}
        memories: dict[str, tuple[Memory, ...]] = {}
        for name in wanted:
            encoder, memories[name] = attended[name], ()
            if encoder is not None:
                read = on_plate(features[encoder], self.plate_of("decoders", name, features))
                memories[name] = (Memory(read.states, read.mask, read.ids),)
        return memories

    def writing(
        self,
        decoder: str,
        values: Mapping[str, Tensor],
        features: Mapping[str, Features],
        batch: int,
    ) -> tuple[Tensor, Memory | None]:
        """What a decoder writes from: its context under the first sample, (B, H), and its memory.

        Arguments as `contexts`.
        """
        context = self.contexts(values, features, batch, [decoder])[decoder]
        (memory,) = self.memories(features, [decoder])[decoder] or (None,)
        return context[0], memory


def on_plate(features: Features, plate: Plate | None) -> Features:
    """Features as an encoder on a plate reads them: those of whole rows repeated for each part."""
    if plate is None or features.plate is not None:
        return features
    return features.select(plate.owner, plate)
