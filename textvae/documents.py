"""YAML texts: values checked for keys that stand twice and for aliases that make them huge."""

import re
from contextlib import suppress
from typing import Any

import yaml

from textvae.console import quoted
from textvae.registry import SpecError

MERGE = "tag:yaml.org,2002:merge"
"""Tag of the key `<<`, which brings the keys of other mappings."""

MOST_REPEATED = 100_000
"""Characters that the aliases of a YAML text may repeat in all."""


def checked_document(loader: Any) -> Any:
    """The value of a YAML text whose mappings and aliases were checked first.

    Raises:
        SpecError: see `NodeCheck`.
    """
    node = loader.get_single_node()
    if node is None:
        return None
    NodeCheck(loader).check(node)
    return loader.construct_document(node)


class NodeCheck:
    """Refuses keys that stand twice and aliases that make a text much larger; merges `<<`.

    Ten aliases of ten aliases, and so on, are a text of half a kilobyte whose value has a million
    parts. Nodes that aliases share are looked at once. PyYAML's own merge is not used: of a mapping
    that changes a key of `<<` and is merged itself, it takes the value before the change.

    Args:
        loader: of the text.
    """

    def __init__(self, loader: Any):
        self.loader = loader
        self.sizes: dict[int, int] = {}
        self.open_nodes: set[int] = set()
        self.written = 0

    def check(self, root: yaml.Node) -> None:
        """Check a text from its root, and merge in place.

        Raises:
            SpecError: naming the line.
        """
        if self.size_of(root) - self.written > MOST_REPEATED:
            most = f"aliases repeat more than {MOST_REPEATED:,} characters"
            raise SpecError([f"{most}; write out what is needed"])

    def size_of(self, node: yaml.Node) -> int:
        """Characters of a node with every alias written out, and one for each part."""
        if id(node) in self.open_nodes:
            raise SpecError([f"{line_of(node)}: an alias refers to its own anchor"])
        if id(node) not in self.sizes:
            self.open_nodes.add(id(node))
            scalar = isinstance(node, yaml.ScalarNode)
            own = 1 + len(node.value) if scalar else 1
            parts = [] if scalar else node.value
            if isinstance(node, yaml.MappingNode):
                parts = [part for pair in node.value for part in pair]
            self.written += own
            self.sizes[id(node)] = own + sum(map(self.size_of, parts))
            if isinstance(node, yaml.MappingNode):
                self.merge(node)
            self.open_nodes.remove(id(node))
        return self.sizes[id(node)]

    def merge(self, node: yaml.MappingNode) -> None:
        """Put the keys that `<<` brings before a mapping's own, which replace them."""
        own, merged = dict[Any, Any](), dict[Any, Any]()
        for key, value in node.value:
            if key.tag == MERGE:
                for source in sources_of(key, value):
                    for pair in source.value:
                        merged.setdefault(self.name_of(pair[0]), pair)
                continue
            name = self.name_of(key)
            if name in own:
                raise SpecError([f"{line_of(key)}: the key {quoted(name)} stands twice"])
            own[name] = (key, value)
        rest = [pair for name, pair in merged.items() if name not in own]
        node.value = [*rest, *own.values()]

    def name_of(self, key: yaml.Node) -> Any:
        """What a key is compared by: its value; of one that can be none, its node."""
        scalar = isinstance(key, yaml.ScalarNode)
        return self.loader.construct_object(key, deep=True) if scalar else id(key)


def whole_number(loader: Any, node: yaml.ScalarNode) -> int:
    """The value of a whole number.

    Raises:
        SpecError: it is 2^1000 or above, or as far below 0: no float has it.
    """
    value = loader.construct_yaml_int(node)
    if abs(value) >= 2**1000:
        raise SpecError([f"{line_of(node)}: a whole number must be below 2^1000"])
    return value


def line_of(node: yaml.Node) -> str:
    """The line that a node begins in."""
    return f"line {node.start_mark.line + 1}"


def sources_of(key: yaml.Node, value: yaml.Node) -> list[yaml.Node]:
    """The mappings that a key `<<` names.

    Raises:
        SpecError: it names something else.
    """
    sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
    if not all(isinstance(source, yaml.MappingNode) for source in sources):
        raise SpecError([f"{line_of(key)}: << must name a mapping, or a list of them"])
    return sources


def recipe_loader(base: Any) -> Any:
    """A loader of YAML in which 1e-3 is a number; see also `NodeCheck` and `whole_number`."""
    loader = type("RecipeLoader", (base,), {"get_single_data": checked_document})
    # PyYAML follows YAML 1.1, where a float needs a dot: 1e-3 would be a string.
    loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?([eE][-+]?\d+)$"),
        list("-+0123456789"),
    )
    loader.add_constructor("tag:yaml.org,2002:int", whole_number)
    return loader


RecipeLoader = recipe_loader(yaml.SafeLoader)
FastLoader = recipe_loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader))
"""Eight times as fast, in C; its messages differ."""


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text.

    Raises:
        SpecError: it is no YAML; `where` and the line are named.
    """
    if "\t" not in text:  # of which the fast loader takes more
        with suppress(Exception):  # read again, for the message
            return yaml.load(text, Loader=FastLoader)
    try:
        return yaml.load(text, Loader=RecipeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", error)).split())
        raise SpecError([f"{where}{line}: {problem}"]) from None
    except SpecError as error:
        raise SpecError([f"{where} {problem}" for problem in error.problems]) from None
    except (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError):
        # What PyYAML lets out of dates and tags (2001-99-99, !!int x) and of deep nesting.
        raise SpecError([f"{where}: a value is malformed, or nested too deeply"]) from None
