"""Which nodes of a graph stand for whole rows and which for their parts."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from textvae.encoders import Encoder, Features, pooled_only
from textvae.families import Family
from textvae.graph.config import Node, VAEConfig
from textvae.layers.plate import Plate

GROUPS = ("encoders", "latents", "decoders")


@dataclass(frozen=True)
class NodePlates:
    """The plate of each node of a graph, by its name; None where it stands for whole rows.

    It follows from what a node reads: a node that is given something of a plate is on that plate,
    and what it is given of the rows is repeated. An encoder that reduces ends it.

    Args:
        encoders: of what each encoder shows.
        latents: of each latent.
        decoders: of the field of each decoder.
        reads: of what each encoder reads.
        problems: nodes that cannot be built, one line each.
    """

    encoders: dict[str, str | None] = field(default_factory=dict)
    latents: dict[str, str | None] = field(default_factory=dict)
    decoders: dict[str, str | None] = field(default_factory=dict)
    reads: dict[str, str | None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def sources(self) -> dict[str, str | None]:
        """The plate of all that a node can be given."""
        return self.encoders | self.latents


def node_plates(config: VAEConfig) -> NodePlates:
    """The plate of each node of a graph whose names are known to be right."""
    plates = NodePlates()
    fields = config.plates
    for node in config.nodes("encoders"):
        name, kind = node["name"], Encoder.named(node.get("kind"))
        read = [fields.get(node["field"]), *(plates.encoders.get(n) for n in node["given"])]
        plate = single(plates, f"encoders.{name}", read)
        reduces = bool(getattr(kind, "reduces", False))
        if plate is None and (reduces or getattr(kind, "reads_earlier", False)):
            plates.problems.append(
                f"encoders.{name}.given: a {node['kind']} encoder reads the parts of a plate: name "
                f"an encoder of a field with 'plate'"
            )
        plates.reads[name], plates.encoders[name] = plate, None if reduces else plate
    for node in config.nodes("latents"):
        name, prior = node["name"], node.get("prior") or {}
        given = [*node["given"], *(prior.get("given") or [])]
        plate = single(plates, f"latents.{name}", map(plates.sources.get, given))
        plates.latents[name] = plate
        if "field" in node and fields.get(node["field"]) != plate:
            plates.problems.append(f"latents.{name}.field: {node['field']!r} is of another plate")
        if plate is not None and getattr(Family.named(node.get("kind")), "enumerated", False):
            plates.problems.append(
                f"latents.{name}: the classes of parts ({plate}) are too many to sum over; "
                f"take kind gumbel"
            )
    for node in config.nodes("decoders"):
        given = [*node["given"], *([node["attend"]] if node.get("attend") else [])]
        decoder_plate(plates, node, fields.get(node["field"]), map(plates.sources.get, given))
    return plates


def single(plates: NodePlates, path: str, found: Iterable[str | None]) -> str | None:
    """The one plate among some; a problem is added where there are two."""
    names = list(dict.fromkeys(name for name in found if name is not None))
    if len(names) > 1:
        plates.problems.append(
            f"{path}: reads parts of two plates, {names[0]} and {names[1]}: a sequence or set "
            f"encoder makes one vector a row of either"
        )
    return names[0] if names else None


def decoder_plate(
    plates: NodePlates, node: Node, own: str | None, found: Iterable[str | None]
) -> None:
    """Note the plate of a decoder, and the problem where it is given something of another one."""
    plates.decoders[node["name"]] = own
    other = next((name for name in found if name not in (None, own)), None)
    if other is not None:
        unit = "one value a row" if own is None else f"values of {own}"
        plates.problems.append(
            f"decoders.{node['name']}: writes {unit} and is given parts of {other}: a sequence or "
            f"set encoder makes one vector a row of them"
        )


def plate_problems(config: VAEConfig) -> list[str]:
    """The mistakes in the plates of a graph, one line each."""
    names = list(dict.fromkeys(config.plates.values()))
    if not names:
        return node_plates(config).problems
    taken = {node["name"] for group in GROUPS[:2] for node in config.nodes(group)}
    problems = [
        f"data.fields: the plate {name!r} has the name of a node; rename one of them"
        for name in names
        if name in taken
    ]
    if config.refinement is not None:
        problems.append("refinement: not with plates: posteriors of whole rows can be refined")
    problems += node_plates(config).problems
    for plate in (None, *names) if not problems else ():
        try:
            writing_order(config, plate)
        except ValueError as error:
            problems.append(str(error))
    return problems


@dataclass(frozen=True)
class Step:
    """One step of writing a row: a latent is drawn, or a decoder writes its field.

    Args:
        group: "latents" or "decoders".
        name: of the node.
    """

    group: str
    name: str


def writing_order(config: VAEConfig, plate: str | None) -> list[Step]:
    """The steps in which whole rows are written, or the next part of a plate.

    A latent or a decoder comes after the fields that it reads of the same part, and after the
    latents that it is given. Earlier parts are there already.

    Raises:
        ValueError: nodes need each other's field.
    """
    plates = node_plates(config)
    decoders = [node for node in config.nodes("decoders") if node.get("auxiliary") is None]
    waiting = {
        Step("latents", node["name"]): [*((node.get("prior") or {}).get("given") or [])]
        for node in config.nodes("latents")
        if plates.latents[node["name"]] == plate
    } | {
        Step("decoders", node["name"]): [*node["given"], *filter(None, [node.get("attend")])]
        for node in decoders
        if plates.decoders[node["name"]] == plate
    }
    field_of = {node["name"]: node["field"] for node in decoders}
    order: list[Step] = []
    while waiting:
        fields = {field_of[step.name] for step in waiting if step.group == "decoders"}
        latents = {step.name for step in waiting if step.group == "latents"}
        ready = next(
            (step for step, given in waiting.items() if not reads(config, given, fields, latents)),
            None,
        )
        if ready is None:
            names = ", ".join(f"{step.group}.{step.name}" for step in waiting)
            raise ValueError(f"{names}: each reads what another writes: none can be sampled first")
        order.append(ready)
        del waiting[ready]
    return order


def reads(
    config: VAEConfig, given: Iterable[str], fields: Collection[str], latents: Collection[str]
) -> bool:
    """Whether what a node is given depends on some fields or latents of the same part."""
    encoders = {node["name"]: node for node in config.nodes("encoders")}
    wanted = list(given)
    while wanted:
        name = wanted.pop()
        if name in latents or (name in encoders and encoders[name]["field"] in fields):
            return True
        if name in encoders and not getattr(
            Encoder.named(encoders[name]["kind"]), "reads_earlier", False
        ):
            wanted += encoders[name]["given"]
    return False


def batch_plates(config: VAEConfig, fields: Mapping[str, Tensor]) -> dict[str, Features]:
    """The plates of a batch by name, each as features that show nothing, (R, 0)."""
    found = {}
    for name, members in config.plate_fields.items():
        if name in fields:
            parts = next((len(fields[each]) for each in members if each in fields), None)
            plate = Plate.of(fields[name], parts)
            nothing = torch.zeros(plate.parts, 0, device=plate.owner.device)
            found[name] = replace(pooled_only(nothing), plate=plate)
    return found


def batch_size(config: VAEConfig, fields: Mapping[str, Tensor]) -> int:
    """Number of rows B of a batch: with plates, their parts are more."""
    rows = [name for name in fields if name not in config.plates]
    if not rows:
        raise ValueError(f"a batch needs the number of parts of each row: {config.plate_fields}")
    return len(fields[rows[0]])
