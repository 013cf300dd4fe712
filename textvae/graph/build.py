"""The component of each node, built from its specification."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from textvae.families import Family
from textvae.families.base import in_float32
from textvae.graph.config import BASES, GRAPH_KEYS, PRIOR_KEYS, Node
from textvae.layers.convolution import perceptron
from textvae.priors import Prior
from textvae.registry import SpecError


def build_prior(node: Node, family: Family, features: int, classes: int | None) -> nn.Module:
    """A latent's prior: of its `kind`, else a network of the latent's family, else learned.

    Args:
        node: of the latent.
        family: of the latent.
        features: size H of what the prior is given, after its layers; 0 for nothing.
        classes: of the latent's label, if there is one.

    Raises:
        SpecError: its arguments do not fit together.
    """
    spec = {key: value for key, value in node["prior"].items() if key not in PRIOR_KEYS}
    if "fitted" in spec:
        spec = {"kind": "fitted"}
    if not spec and features:
        return build_node("latents", node, features=features, classes=classes)
    try:
        return Prior.build(spec or {"kind": "learned"}, features=features, family=family)
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


def after_hidden(component: nn.Module, context: Tensor) -> Tensor:
    """What a head takes, (..., H), of a context, after its layers if it has some; float32 there."""
    layers = dict(component.named_children()).get("hidden")
    return context if layers is None else in_float32(layers, context)
