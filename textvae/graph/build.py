"""The component of each node, built from its specification and added to a model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from textvae.encoders import Encoder
from textvae.families import Family
from textvae.graph.config import (
    BASES,
    GRAPH_KEYS,
    MODALITIES,
    PRIOR_KEYS,
    SUPPLIED,
    Node,
    VAEConfig,
)
from textvae.layers.convolution import perceptron
from textvae.priors import Prior
from textvae.registry import SpecError

if TYPE_CHECKING:
    from textvae.graph.nodes import Nodes


def add_encoder(model: "Nodes", node: Node) -> None:
    """Build an encoder of a model, which may read earlier ones."""
    given = [model.shown[name] for name in node["given"]]
    encoder = build_node("encoders", node, given_features=given, **model.config.facts(node))
    model.encoders[node["name"]] = encoder
    model.sizes[node["name"]] = model.shown[node["name"]] = encoder.features


def add_latent(model: "Nodes", node: Node) -> None:
    """Build a latent's family and its prior, each with the layers before its head."""
    name = node["name"]
    label = label_facts(model.config, node)
    features = size_of(model, node["given"])
    hidden = node.get("hidden") or []
    size = hidden[-1] if hidden else features
    places = places_of(model, node["given"])
    family: Family = build_node("latents", node, features=size, places=places, **label)
    add_hidden(family, [features, *hidden])
    model.latents[name] = family
    if "prior" in node:
        prior = node["prior"]
        above = size_of(model, prior.get("given", []))
        hidden = prior.get("hidden") or []
        size = hidden[-1] if hidden else above
        model.priors[name] = build_prior(node, family, size, label, features)
        add_hidden(model.priors[name], [above, *hidden])
    model.sizes[name] = family.dim
    model.shown[name] = family.embedding_size


def add_decoder(model: "Nodes", node: Node) -> None:
    """Build a decoder of a model."""
    features = size_of(model, node["given"])
    facts = model.config.facts(node)
    if node.get("attend") is not None:
        facts["memory"] = model.sizes[node["attend"]]
    decoder = build_node("decoders", node, features=features, **facts)
    model.decoders[node["name"]] = decoder


def size_of(model: "Nodes", given: Iterable[str]) -> int:
    """Size H of a context: of what the named nodes show, side by side."""
    return sum(model.shown[name] for name in given)


def label_facts(config: VAEConfig, node: Node) -> dict[str, Any]:
    """Facts of the label that fixes a latent; None each where it has none."""
    known = config.facts(node)
    return {name: known.get(name) for name in SUPPLIED["latents"] & MODALITIES.keys()}


def places_of(model: "Nodes", given: Sequence[str]) -> int:
    """Places that stand side by side in a context; 1 unless it is that of one encoder with some."""
    encoder = dict(model.encoders.items()).get(given[0]) if len(given) == 1 else None
    return 1 if encoder is None else cast(Encoder, encoder).places


def build_prior(
    node: Node,
    family: Family,
    features: int,
    label: Mapping[str, Any],
    posterior_features: int,
) -> nn.Module:
    """A latent's prior: of its `kind`, else a network of the latent's family, else learned.

    Args:
        node: of the latent.
        family: of the latent.
        features: size H of what the prior is given, after its layers; 0 for nothing.
        label: facts of the latent's label, see `label_facts`.
        posterior_features: size H of what the latent itself is given.

    Raises:
        SpecError: its arguments do not fit together.
    """
    spec = {key: value for key, value in node["prior"].items() if key not in PRIOR_KEYS}
    if "fitted" in spec:
        spec = {"kind": "fitted"}
    if not spec and features:
        own = {key: value for key, value in node.items() if key not in family.prior_omits}
        return build_node("latents", own, features=features, **label)
    try:
        return Prior.build(
            spec or {"kind": "learned"},
            features=features,
            family=family,
            posterior_features=posterior_features,
            classes=label.get("classes"),
        )
    except SpecError:
        raise
    except ValueError as error:
        raise SpecError([f"latents.{node['name']}.prior: {error}"]) from None


def build_node(group: str, node: Node, **context: Any) -> Any:
    """The component of a node.

    Raises:
        SpecError: its arguments do not fit together.
    """
    spec = {k: v for k, v in node.items() if k != "name" and k not in GRAPH_KEYS[group]}
    try:
        return BASES[group].build(spec, **context)
    except SpecError:
        raise
    except ValueError as error:
        raise SpecError([f"{group}.{node['name']}: {error}"]) from None


def add_hidden(component: nn.Module, sizes: Sequence[int]) -> None:
    """Give a family or a prior layers with ReLU before its head, as its part `hidden`.

    Args:
        component: its head takes the last of the sizes.
        sizes: of the context and of each layer; of the context alone for no layers.
    """
    if len(sizes) > 1:
        component.add_module("hidden", perceptron(sizes, "relu"))
