"""The answers of the server: JSON values from a model, its held-out rows and a request."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from textvae.explore.bodies import (
    BadRequestError,
    name_of,
    number,
    only,
    sentence,
    sentences,
    truth,
    vector,
    whole,
)
from textvae.explore.models import ExploredImages, ExploredModel, Shown
from textvae.explore.space import LatentSpace
from textvae.families import Family

NEIGHBOURS = 6
STEPS, ROWS = 33, 8
"""Most steps of a way, and the rows after the first one in which it is listed."""
MOST_ROWS = 5000
"""Rows that one request reads."""
MOST_SAMPLES = 8
WALK = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Places of a walk along a dimension, in standard deviations of the prior."""
DRAWS = 8
"""Draws of z that show whether the decoder reads it."""
MOST_SEED = 2**32 - 1


class Explorer:
    """A model as the page shows it; every method but `model` answers one request.

    Nothing here changes while requests are answered: every seed is in its request.

    Args:
        explored: the model with its held-out rows.
        facts: further facts for the page: name, figures, alarm and others.
        kls: KL of each dimension on held-out rows, nats; None where it is not known.
    """

    def __init__(
        self,
        explored: ExploredModel,
        facts: Mapping[str, Any],
        kls: list[float] | None,
    ):
        self.explored, self.facts = explored, facts
        self.space = LatentSpace(explored.means, explored.columns(), kls, explored.moments())
        self.constant = self.is_constant()

    def is_constant(self) -> bool:
        """Whether z from anywhere in the prior decodes to one and the same."""
        conditions = self.explored.checked_condition(None)
        z = np.stack([self.explored.draw(seed, conditions) for seed in range(DRAWS)])
        decoded = self.explored.decode(self.explored.project(z), conditions)
        return all(each == decoded[0] for each in decoded)

    def model(self) -> dict[str, Any]:
        """What the page needs before anything is chosen."""
        explored, space = self.explored, self.space
        return {
            **self.facts,
            "modality": explored.modality,
            "recipe": explored.recipe,
            "source": explored.rows.source,
            "rows": len(explored.means),
            "total": explored.rows.total,
            "dim": explored.dim,
            "some": explored.dim < explored.vae.dim,
            "latents": self.latents(),
            "dimensions": space.dimensions(),
            "columns": [self.column_facts(name) for name in (c.name for c in space.columns)],
            "colour": space.best_column(),
            "axes": space.axes(),
            "conditions": explored.conditions(),
            "deterministic": explored.deterministic,
            "constant": self.constant,
            "samples": explored.modality != "image",
            "note": explored.note,
            "apart": bool(space.neighbours.usual),
            "longest": 2000,
        }

    def summary(self) -> str:
        """The model and its rows in a few words."""
        explored = self.explored
        rows, total = len(explored.means), explored.rows.total
        drawn = f"{rows:,}" if rows == total else f"{rows:,} of {total:,}"
        return f"{self.facts['name']}: {drawn} held-out {explored.modality}s, z of {explored.dim}"

    def latents(self) -> list[dict[str, Any]]:
        """Name, size and kind of place of each latent, in the order of z."""
        vae, found = self.explored.vae, []
        for name, size in self.explored.sizes.items():
            family = vae.model.latents[name]
            assert isinstance(family, Family)
            ones = vae.labels if family.enumerated and len(vae.labels) == size else []
            found.append(
                {
                    "name": name,
                    "size": size,
                    "spherical": family.spherical,
                    "classes": (ones or [*map(str, range(size))]) if family.enumerated else None,
                    "proportions": family.proportions,
                }
            )
        return found

    def column_facts(self, name: str) -> dict[str, Any]:
        """The classes of a column with their numbers of rows."""
        column = self.space.column(name)
        return {
            "name": name,
            "names": column.names,
            "counts": column.counts,
            "others": column.others,
            "ordered": column.ordered,
            "computed": column.computed,
        }

    def plane(self, axes: str) -> dict[str, Any]:
        """A plane, with which the page places z itself, and what columns explain of it."""
        plane = self.space.plane(axes)
        # A collapsed latent is a dot beside the prior, and no cloud that fills the map.
        least = 2 * float(self.space.prior[1].mean()) if plane.variance is not None else 0.0
        return {
            "least": least,
            "centre": plane.centre.tolist(),
            "directions": plane.directions.tolist(),
            "axes": plane.axes,
            "note": plane.note,
            "explained": self.space.shares(axes),
        }

    def points(self, axes: str) -> bytes:
        """N pairs of float32, then N bytes for each column: the number of its class.

        Of one dimension the second value is 0: the page stacks the points.
        """
        points = self.space.plane(axes).place(self.explored.means)
        if points.shape[1] == 1:
            points = np.pad(points, [(0, 0), (0, 1)])
        parts = [points.astype("<f4").tobytes()]
        return b"".join([*parts, *(column.bytes.tobytes() for column in self.space.columns)])

    def rows(self, start: int, stop: int) -> list[Shown] | bytes:
        """Texts, cut, or thumbnails of images.

        Raises:
            BadRequestError: too many, or rows that are not there.
        """
        count = len(self.explored.means)
        if not 0 <= start < stop <= count or stop - start > MOST_ROWS:
            raise BadRequestError(
                f"from and to must be from 0 to {count}, and {MOST_ROWS} apart at most"
            )
        if isinstance(self.explored, ExploredImages):
            return self.explored.sprite(start, stop)
        return [self.explored.preview(row)["text"] for row in range(start, stop)]

    def point(self, row: int) -> dict[str, Any]:
        """A held-out row: as it is, decoded, and where it lies.

        Raises:
            BadRequestError: it is not there.
        """
        count = len(self.explored.means)
        if not 0 <= row < count:
            raise BadRequestError(f"the rows are numbered from 0 to {count - 1}")
        condition = self.explored.condition_of(row)
        original = self.explored.original(row)
        here = self.here(self.explored.means[row], condition, original, row)
        labels = {name: values[row] for name, values in self.explored.rows.labels.items()}
        return here | {
            "row": row,
            "scales": self.explored.scales[row].tolist(),
            "labels": labels,
            "condition": condition,
        }

    def here(
        self,
        z: np.ndarray,
        condition: Mapping[str, str],
        original: Shown | None = None,
        row: int | None = None,
    ) -> dict[str, Any]:
        """What z, (D,), stands for, its nearest rows and its distance to them."""
        (decoded,) = self.explored.decode(z[None], condition)
        near, far = self.space.near(z, NEIGHBOURS, row)
        for each in near:
            each["shown"] = self.explored.preview(each["row"])
        compared = None
        if original is not None and self.explored.rebuilds:
            compared = self.explored.compared(original, decoded)
        return {
            "z": z.tolist(),
            "original": original,
            "decoded": decoded,
            "compared": compared,
            "near": near,
            "far": far,
        }

    def placed(self, body: Mapping[str, Any], name: str = "z") -> np.ndarray:
        """The latent nearest to what a request contains, (D,)."""
        return self.explored.project(vector(body, name, self.explored.dim)[None])[0]

    def encode(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A text of the user's: its posterior, and what its mean decodes to."""
        only(body, "text", "condition")
        condition = self.explored.checked_condition(body.get("condition"))
        text = sentence(body, "text")
        mean, scales, unknown = self.explored.encode_text(text, condition)
        here = self.here(mean, condition, {"text": text})
        return here | {"scales": scales.tolist(), "unknown": unknown}

    def decode(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What z decodes to; on request samples, which are drawn with the request's seed."""
        only(body, "z", "samples", "temperature", "seed", "condition")
        z = self.placed(body)
        condition = self.explored.checked_condition(body.get("condition"))
        count = whole(body, "samples", 0, MOST_SAMPLES, 0)
        temperature = number(body, "temperature", 0.01, 10, 1.0)
        seed = whole(body, "seed", 0, MOST_SEED, 0)
        answer = self.here(z, condition)
        if count:
            drawn = self.explored.sample(z, count, temperature, seed, condition)
            answer["samples"] = drawn
        return answer

    def draw(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A draw of the prior, with the request's seed, and what it decodes to."""
        only(body, "seed", "condition")
        condition = self.explored.checked_condition(body.get("condition"))
        seed = whole(body, "seed", 0, MOST_SEED, None)
        z = self.explored.project(self.explored.draw(seed, condition)[None])[0]
        return self.here(z, condition)

    def line(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The way between two latents: z, what it decodes to and the distance of each step."""
        only(body, "a", "b", "steps", "spherical", "condition")
        ends = np.stack([self.placed(body, "a"), self.placed(body, "b")])
        condition = self.explored.checked_condition(body.get("condition"))
        steps = whole(body, "steps", 2, STEPS, STEPS)
        spherical = truth(body, "spherical")
        z = self.explored.project(self.explored.between(ends, steps, spherical))
        return self.many(z, condition, max(1, (steps - 1) // ROWS))

    def many(self, z: np.ndarray, condition: Mapping[str, str], every: int = 1) -> dict[str, Any]:
        """Several latents, (M, D), what each decodes to, and its distance to data.

        `rows` are those of a list, with the words that the row above does not have.
        """
        shown = self.explored.decode(z, condition)
        rows: list[dict[str, Any]] = []
        for step in range(0, len(z), every):
            above = shown[rows[-1]["step"]] if rows else shown[step]
            compared = self.explored.compared(above, shown[step])
            rows.append({"step": step, "runs": compared and compared["decoded"]})
        return {"z": z.tolist(), "shown": shown, "far": self.space.far(z), "rows": rows}

    def walk(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Seven places along one dimension of z, the others as they are."""
        only(body, "z", "axis", "condition")
        z = self.placed(body)
        condition = self.explored.checked_condition(body.get("condition"))
        axis = whole(body, "axis", 0, self.explored.dim - 1, None)
        mean, deviation = (part[axis] for part in self.space.prior)
        values = [float(mean + deviation * place) for place in WALK]
        along = np.repeat(z[None], len(values), 0)
        along[:, axis] = values
        return self.many(self.explored.project(along), condition) | {"values": values}

    def find(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The numbers of the rows that contain some words."""
        only(body, "text")
        return {"rows": self.explored.find(sentence(body, "text"))}

    def direction(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The way from a class to another, or the sum and difference of sentences."""
        only(body, "column", "from", "to", "plus", "minus", "condition")
        condition = self.explored.checked_condition(body.get("condition"))
        if "column" not in body:
            return self.arithmetic(body, condition)
        column, first, second = (name_of(body, key) for key in ("column", "from", "to"))
        found = self.space.direction(column, first, second)
        moved = self.explored.project(
            (self.explored.means[found.rows] + found.step).astype(np.float32)
        )
        again = self.explored.carried(moved, condition)
        carried = None
        if again is not None:
            distances = np.linalg.norm(again[:, None] - found.centres[None], axis=-1)
            carried = float((distances.argmin(1) == found.target).mean())
        length = float(np.linalg.norm(found.step))
        return {
            "step": found.step.tolist(),
            "length": length / found.spread if found.spread else None,
            "counts": found.counts,
            "checked": len(found.rows),
            "carried": carried,
        }

    def arithmetic(self, body: Mapping[str, Any], condition: Mapping[str, str]) -> dict[str, Any]:
        """The sum of the latents of sentences less those of others, decoded.

        Raises:
            BadRequestError: no sentence.
        """
        plus, minus = (sentences(body, key, 4) for key in ("plus", "minus"))
        if not plus:
            raise BadRequestError("plus: write at least one text")
        total = sum(self.explored.encode_text(text, condition)[0] for text in plus)
        total = total - sum(self.explored.encode_text(text, condition)[0] for text in minus)
        z = self.explored.project(np.asarray(total, np.float32)[None])[0]
        return self.here(np.clip(z, -50, 50), condition)
