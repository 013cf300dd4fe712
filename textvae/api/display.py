"""Models, metrics and interpolations as a notebook shows them: one line, or a table in HTML."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from textvae.console import shown
from textvae.data.differences import Run, compare_words
from textvae.graph.model import VAE

MOST = 8
"""Values of a tuple that are shown one by one."""


def model_facts(model: VAE) -> dict[str, str]:
    """The recipe, the nodes, the size and the device of a model, by name."""
    config = model.config
    nodes = {
        group: ", ".join(node_text(node) for node in config.nodes(group)) or "none"
        for group in ("encoders", "latents", "decoders")
    }
    size = {"token ids": f"{config.vocab_size:,}"} if config.vocab_size else {}
    return {
        **({"recipe": config.recipe} if config.recipe else {}),
        **nodes,
        "parameters": f"{sum(weight.numel() for weight in model.parameters()):,}",
        **size,
        "device": str(model.device),
    }


def node_text(node: Mapping[str, Any]) -> str:
    """A node's name, kind and size: z (gaussian, 32)."""
    sizes = [str(node[key]) for key in ("dim", "hidden") if node.get(key) is not None][:1]
    return f"{node['name']} ({', '.join([node['kind'], *sizes])})"


def value_text(value: Any) -> str:
    """A metric as a cell; of a long tuple, its length and range."""
    if isinstance(value, tuple | list) and len(value) > MOST:
        return f"{len(value)} values, {shown(min(value))} to {shown(max(value))}"
    if isinstance(value, tuple | list):
        return ", ".join(map(shown, value))
    return "none" if value is None else shown(value)


def metric_text(value: Any) -> str:
    """A metric in one line of code; of a long tuple, its length and range."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"<{value_text(value)}>" if isinstance(value, tuple | list) else repr(value)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of nested mappings by their dotted names."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        deeper = isinstance(value, Mapping)
        result |= flat(value, f"{prefix}{name}.") if deeper else {prefix + name: value}
    return result


def html_table(title: str, rows: Iterable[Sequence[str]]) -> str:
    """A table in HTML with a title; every cell is text."""
    lines = []
    for row in rows:
        cells = (f"<td style='text-align: left'>{escape(cell)}</td>" for cell in row)
        lines.append(f"<tr>{''.join(cells)}</tr>")
    body = "".join(lines)
    return f"<table><caption>{escape(title)}</caption><tbody>{body}</tbody></table>"


class Interpolation(list[str]):
    """Sentences between two others, which a notebook shows as a table.

    Words that the sentence above does not have are marked, and a repeated sentence is grey.

    Args:
        sentences: both ends included.
        first: the text that was encoded at the start.
        last: at the end.

    >>> found = Interpolation(["a dog", "a cat"], "the dog", "a cat")
    >>> found == ["a dog", "a cat"], "<mark>cat</mark>" in found._repr_html_()
    (True, True)
    """

    # A list is copied by its class and its items alone, as in dataclasses.asdict.
    def __init__(self, sentences: Iterable[str] = (), first: str = "", last: str = ""):
        super().__init__(sentences)
        self.first, self.last = first, last

    def _repr_html_(self) -> str:
        """A row for each sentence between those for the two texts."""
        rows = [html_row("from", escape(self.first))]
        for number, text in enumerate(self):
            share = f"{number / max(1, len(self) - 1):.0%}"
            above = self[number - 1] if number else text
            if number and above == text:
                rows.append(html_row(share, f"<span style='opacity: 0.5'>{escape(text)}</span>"))
            else:
                rows.append(html_row(share, marked(text, compare_words(above, text)[1])))
        rows.append(html_row("to", escape(self.last)))
        return f"<table><tbody>{''.join(rows)}</tbody></table>"


def marked(text: str, runs: Iterable[Run]) -> str:
    """A text in HTML, in which the words of runs that are not shared are marked."""
    parts = [escape(r.text) if r.shared else f"<mark>{escape(r.text)}</mark>" for r in runs]
    return (" " if " " in text else "").join(parts)


def html_row(name: str, content: str) -> str:
    """A row of a table with a name and content in HTML."""
    style = "text-align: left"
    return f"<tr><td style='{style}'>{escape(name)}</td><td style='{style}'>{content}</td></tr>"
