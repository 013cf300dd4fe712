"""Checks of a graph before anything is built: every mistake is found, one line each."""

from collections.abc import Iterable, Mapping
from inspect import Parameter
from typing import Any

from pydantic import PositiveFloat
from torch import nn

from textvae.config import RESERVED_FIELDS, read_section
from textvae.console import quoted
from textvae.decoders import Decoder
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
from textvae.graph.refinement import Refinement
from textvae.priors import Prior
from textvae.registry import Count, Rate, arguments, check_value, suggest


def check_graph(config: VAEConfig) -> list[str]:
    """The mistakes in a graph, one line each."""
    problems: list[str] = []
    sources: list[str] = []
    for group in ("encoders", "latents", "decoders"):
        names: list[str] = []
        for number, node in enumerate(getattr(config, group) or []):
            name = node.get("name") if isinstance(node, dict) else None
            # A module cannot be called what a container of modules calls its own methods.
            if not isinstance(name, str) or not name.isidentifier() or hasattr(nn.ModuleDict, name):
                problems.append(f"{group}[{number}]: needs a 'name', a word (got {quoted(node)})")
                continue
            if node.get("field", "text") in RESERVED_FIELDS:
                problems.append(f"{group}.{name}.field: {', '.join(RESERVED_FIELDS)} are taken")
            if name in names or (group == "latents" and name in sources):
                problems.append(f"{group}.{name}: the name is taken")
            names.append(name)
            earlier = names[:-1] if group == "encoders" else sources
            problems += check_node(group, dict(node), earlier)
            if group == "latents":
                sources.append(name)
        if group == "encoders":
            sources += names
    problems += refinement_problems(config) + enumeration_problems(config)
    problems += memory_problems(config)
    nodes = [node for node in config.decoders or [] if isinstance(node, dict)]
    if all(node.get("auxiliary") is not None for node in nodes):
        problems.append("decoders: at least one is needed that is not auxiliary")
    return problems


def refinement_problems(config: VAEConfig) -> list[str]:
    """The mistakes in `refinement`, and what of the graph it cannot refine, one line each."""
    if config.refinement is None:
        return []
    problems = read_section(Refinement, config.refinement, "refinement")[1]
    nodes = [node for node in config.latents or [] if isinstance(node, dict)]
    if not nodes:
        problems.append("refinement: the model has no latent")
    problems += [
        f"refinement: {node.get('name')} is relative to its prior; others can be refined"
        for node in nodes
        if node.get("relative") is True
    ]
    problems += [
        f"refinement: {node.get('name')} is made of codes; others can be refined"
        for node in nodes
        if getattr(Family.named(node.get("kind")), "certain", False)
    ]
    names = [node.get("name") for node in nodes]
    return problems + [
        f"refinement: {node.get('name')} is given the latent {name!r}; only latents that are "
        f"given encoders can be refined"
        for node in nodes
        for name in node.get("given") or []
        if name in names
    ]


def enumeration_problems(config: VAEConfig) -> list[str]:
    """What of a graph's latents cannot be summed over, or told a label, one line each."""
    kinds = {
        node.get("name"): Family.named(node.get("kind"))
        for node in config.latents or []
        if isinstance(node, dict) and isinstance(node.get("name"), str)
    }
    names = [str(name) for name, kind in kinds.items() if getattr(kind, "enumerated", False)]
    problems = []
    if len(names) > 1:
        problems.append(f"latents: one categorical latent at most (got {', '.join(names)})")
    if names and config.refinement is not None:
        problems.append(f"refinement: {names[0]} is categorical; others can be refined")
    return problems + [
        f"latents.{node.get('name')}: a label is told of the text alone, not of the latent {name!r}"
        for node in config.latents or []
        if isinstance(node, dict) and "field" in node and is_list_of_names(node.get("given", []))
        for name in node.get("given", [])
        if name in kinds
    ]


def check_fields(config: VAEConfig) -> list[str]:
    """The nodes whose field is of another modality than their kind reads or writes."""
    others = ", ".join(sorted(config.observed or {})) or "texts only"
    several = config.reads_rows
    problems = []
    for group in ("encoders", "decoders"):
        for node in config.nodes(group):
            known = config.facts(node)
            wanted, _ = arguments(BASES[group].kinds[node["kind"]])
            for name in SUPPLIED[group] & {"vocab_size", *MODALITIES}:
                if node["field"] is None and name in wanted and has_default(wanted[name]):
                    continue
                if name in wanted and name not in known:
                    what = MODALITIES.get(name, "text")
                    problems.append(
                        f"{group}.{node['name']}: {node['kind']} needs {what}s, and the data has "
                        f"no {what} field {node['field']!r} (it has: {others})"
                    )
            problems += [
                f"{group}.{node['name']}: the data has no field {field!r} (it has: {others})"
                for field in [node["field"]]
                if several
                and field is not None
                and field not in (config.observed or {})
                and "vocab_size" in wanted
            ]
    for node in config.nodes("latents"):
        wanted = labels_taken(node)
        if "field" in node and not wanted & config.facts(node).keys():
            what = " or ".join(MODALITIES[name] for name in sorted(wanted))
            problems.append(
                f"latents.{node['name']}: the data has no {what} field {node['field']!r} "
                f"(it has: {others})"
            )
    return problems


def check_node(group: str, node: Node, sources: Iterable[str]) -> list[str]:
    """The mistakes in one node; `sources` are the names that it may be given."""
    path = f"{group}.{node['name']}"
    spec = {k: v for k, v in node.items() if k != "name" and k not in GRAPH_KEYS[group]}
    problems = BASES[group].check(spec, SUPPLIED[group], path)
    given = node.get("given", [])
    if not is_list_of_names(given):
        return [*problems, f"{path}.given: must be a list of names (got {quoted(given)})"]
    for key in ("auxiliary", "prior_weight"):
        if node.get(key) is not None:
            problems += check_value(PositiveFloat, node[key], f"{path}.{key}")
    if group == "latents":
        problems += label_problems(node, path)
    if group == "latents" and not given:
        problems.append(f"{path}.given: a latent needs at least one encoder or earlier latent")
    if group == "latents":
        problems += hidden_problems(node.get("hidden"), f"{path}.hidden")
        problems += relative_problems(node, path)
    if group == "encoders":
        problems += reading_problems(node, path)
    if group == "decoders":
        problems += attending_problems(node, path)
    problems += unknown_names(given, sources, f"{path}.given")
    if "prior" in node:
        problems += prior_problems(node, path)
        problems += unknown_names(names_given(node["prior"]), sources, f"{path}.prior.given")
    return problems


def unknown_names(names: Iterable[str], sources: Iterable[str], path: str) -> list[str]:
    """A line for each different name that no source has."""
    known = list(sources)
    return [
        f"{path}: unknown {quoted(name)} {suggest(str(name), known)}"
        for name in dict.fromkeys(names)
        if name not in known
    ]


def prior_problems(node: Node, path: str) -> list[str]:
    """The mistakes in a latent's `prior`, one line each; its names are checked elsewhere."""
    prior, family = node["prior"], Family.named(node.get("kind"))
    if prior == {"fitted": True}:
        if family is not None and not family.fittable:
            return [f"{path}.prior.fitted: no prior is fitted to {node['kind']} latents"]
        return []
    if not isinstance(prior, Mapping) or not (
        "kind" in prior or (prior.keys() <= PRIOR_KEYS and "given" in prior)
    ):
        return [
            f"{path}.prior: must be {{given: [names]}}, {{fitted: true}} or {{kind: ...}} "
            f"(got {quoted(prior)})"
        ]
    if not is_list_of_names(prior.get("given", [])):
        return [f"{path}.prior.given: must be a list of names (got {quoted(prior['given'])})"]
    problems = hidden_problems(prior.get("hidden"), f"{path}.prior.hidden")
    if prior.get("hidden") and not prior.get("given"):
        problems.append(f"{path}.prior.hidden: needs something that the prior is given")
    if "kind" in prior:
        spec = {key: value for key, value in prior.items() if key not in PRIOR_KEYS}
        return problems + Prior.check(spec, SUPPLIED["priors"], f"{path}.prior")
    if family is not None and family.certain:
        known = f"the prior of a {node['kind']} latent cannot be learned without kind: codes"
        return [*problems, f"{path}.prior.kind: {known}"]
    if not prior["given"] and family is not None and not family.learnable:
        problems.append(
            f"{path}.prior.given: the prior of a {node['kind']} latent cannot be learned"
        )
    return problems


def names_given(prior: Any) -> list[str]:
    """The names that a latent's prior or a node is given; none where it is malformed."""
    names = prior.get("given", []) if isinstance(prior, Mapping) else []
    return list(names) if is_list_of_names(names) else []


def hidden_problems(hidden: Any, path: str) -> list[str]:
    """The mistakes in the sizes of layers before a head, one line each."""
    return [] if hidden is None else check_value(list[Count], hidden, path)


def relative_problems(node: Node, path: str) -> list[str]:
    """The mistakes in a latent whose posterior is measured from its prior, one line each."""
    relative, family = node.get("relative", False), Family.named(node.get("kind"))
    if not isinstance(relative, bool):
        return [f"{path}.relative: must be true or false (got {quoted(relative)})"]
    if relative and not names_given(node.get("prior")):
        return [f"{path}.relative: needs a prior that is given something"]
    if relative and isinstance(node["prior"], Mapping) and "kind" in node["prior"]:
        return [f"{path}.relative: needs a prior of the latent's own family, without kind"]
    if relative and family is not None and family.relative is Family.relative:
        return [f"{path}.relative: not for {node['kind']} latents"]
    return []


def reading_problems(node: Node, path: str) -> list[str]:
    """The mistakes in what an encoder reads, one line each."""
    kind = Encoder.named(node.get("kind"))
    if kind is None:
        return []
    reads = arguments(kind)[0].get("given_features")
    if node.get("given") and reads is None:
        return [f"{path}.given: a {node['kind']} encoder reads no other encoders"]
    if not node.get("given") and reads is not None and not has_default(reads):
        return [f"{path}.given: a {node['kind']} encoder reads other encoders: name them"]
    wanted = arguments(kind)[0].get("vocab_size")
    if node.get("given") and "field" not in node and wanted is not None:
        return [f"{path}.field: a {node['kind']} encoder reads a text beside encoders: name it"]
    return []


def attending_problems(node: Node, path: str) -> list[str]:
    """The mistakes in what a decoder attends to, one line each; see `memory_problems`."""
    kind = Decoder.named(node.get("kind"))
    if node.get("attend") is None:
        memory = None if kind is None else arguments(kind)[0].get("memory")
        if memory is None or has_default(memory):
            return []
        return [f"{path}.attend: a {node['kind']} decoder points into an encoder's states: name it"]
    if kind is not None and "memory" not in arguments(kind)[0]:
        able = [name for name, each in Decoder.kinds.items() if "memory" in arguments(each)[0]]
        return [
            f"{path}.attend: a {node['kind']} decoder does not attend (those that do: "
            f"{', '.join(sorted(able))})"
        ]
    return []


def memory_problems(config: VAEConfig) -> list[str]:
    """The encoders and decoders that read states of what has none, one line each."""
    kinds = {
        node.get("name"): Encoder.named(node.get("kind"))
        for node in config.encoders or []
        if isinstance(node, dict) and isinstance(node.get("name"), str)
    }
    able = [str(name) for name, kind in kinds.items() if kind is not None and kind.has_states]  # type: ignore[attr-defined]
    known = ", ".join(able) or "none"
    problems = [
        f"encoders.{node['name']}.given: must name an encoder of token ids (got {quoted(given)}; "
        f"known: {known})"
        for node in config.encoders or []
        if isinstance(node, dict)
        and isinstance(node.get("name"), str)
        and getattr(kinds.get(node["name"]), "reads_states", False)
        for given in (node["given"] if is_list_of_names(node.get("given")) else [])
        if given not in able
    ]
    return problems + [
        f"decoders.{node.get('name')}.attend: must name an encoder of token ids (got "
        f"{quoted(node['attend'])}; known: {known})"
        for node in config.decoders or []
        if isinstance(node, dict) and node.get("attend") is not None and node["attend"] not in able
    ]


def has_default(parameter: Parameter) -> bool:
    """Whether an argument may be left out."""
    return parameter.default is not Parameter.empty


def label_problems(node: Node, path: str) -> list[str]:
    """The mistakes in a latent's label keys, one line each."""
    problems = []
    if "field" in node:
        kind = Family.named(node.get("kind"))
        if kind is not None and not labels_taken(node):
            problems.append(f"{path}.field: a {node['kind']} latent takes no label")
        elif not isinstance(node["field"], str):
            problems.append(f"{path}.field: must be a name (got {quoted(node['field'])})")
    if not isinstance(node.get("fixed", True), bool):
        problems.append(f"{path}.fixed: must be true or false (got {quoted(node['fixed'])})")
    if node.get("label_smoothing") is not None:
        problems += check_value(Rate, node["label_smoothing"], f"{path}.label_smoothing")
        if node.get("label_weight") is None:
            problems.append(f"{path}.label_smoothing: needs label_weight")
    if "fixed" in node and "field" not in node:
        problems.append(f"{path}.fixed: needs the field of the label")
    if node.get("label_weight") is not None:
        problems += check_value(PositiveFloat, node["label_weight"], f"{path}.label_weight")
        if "field" not in node:
            problems.append(f"{path}.label_weight: needs the field of the label")
    return problems


def labels_taken(node: Node) -> set[str]:
    """The facts of labels, such as `classes`, that a latent or its prior takes; none for most."""
    prior = node.get("prior")
    kinds = [Family.named(node["kind"])]
    kinds += [Prior.named(prior.get("kind"))] if isinstance(prior, Mapping) else []
    taken = {name for kind in kinds if kind is not None for name in arguments(kind)[0]}
    return SUPPLIED["latents"] & MODALITIES.keys() & taken


def is_list_of_names(given: Any) -> bool:
    """Whether a value is a list of words; a single word, though iterable, is not."""
    return isinstance(given, list | tuple) and all(isinstance(name, str) for name in given)
