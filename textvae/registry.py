"""Components by name: `kind` in a recipe chooses a class, the other keys are its arguments."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from textvae.console import quoted

Rate = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(gt=0, le=1_000_000)]
"""A width, or a number of samples or rows: what is larger fits in no memory."""
Depth = Annotated[int, Field(gt=0, le=1_000)]
"""A number of layers."""


LONGEST_NAME = 100
"""Characters of an unknown name that are compared with the known ones."""


class SpecError(ValueError):
    """A specification that names something unknown or gives a value that is not allowed.

    `problems` holds one line per mistake; all of them are found before anything is raised.
    """

    def __init__(self, problems: Iterable[str]):
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def suggest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest known one, then all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name[:LONGEST_NAME], names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"({hint}known: {', '.join(names) if names else 'none'})"


def check_value(hint: Any, value: Any, path: str) -> list[str]:
    """The mistakes in `value` under a type annotation, as lines that begin with `path`."""
    if is_component(hint):
        return hint.check(value, path=path)
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
        adapter.validate_python(value)
    except ValidationError as error:
        return [
            f"{'.'.join([path, *map(str, e['loc'])])}: {e['msg']} (got {quoted(e['input'])})"
            for e in error.errors()
        ]
    return []


class Component:
    """Base of everything that a recipe names by `kind`.

    A direct subclass is an abstraction and keeps its own table of kinds; a subclass of that with
    `kind="name"` enters the table:

    >>> class Shape(Component): ...
    >>> class Circle(Shape, kind="circle"):
    ...     def __init__(self, radius: float = 1.0):
    ...         self.radius = radius
    >>> Shape.build({"kind": "circle", "radius": 2.0}).radius
    2.0
    """

    kinds: ClassVar[dict[str, type]] = {}
    kind: ClassVar[str] = ""

    def __init_subclass__(cls, kind: str | None = None, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if Component in cls.__bases__:
            cls.kinds = {}
        if kind is not None:
            taken = cls.kinds.get(kind, cls)
            # A module that is imported again defines its classes again.
            if (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
                raise TypeError(f"kind {kind!r} is already {taken.__module__}.{taken.__qualname__}")
            cls.kind = kind
            cls.kinds[kind] = cls

    @classmethod
    def named(cls, kind: Any) -> type | None:
        """The class of a kind; None where a recipe gives an unknown one, or something else."""
        return cls.kinds.get(kind) if isinstance(kind, str) else None

    @classmethod
    def check(cls, spec: Any, context: Iterable[str] = (), path: str = "") -> list[str]:
        """The mistakes in a specification, one line each; empty when it can be built.

        Args:
            spec: `{"kind": name, argument: value, ...}`.
            context: names of arguments that the caller of `build` supplies.
            path: where the specification stands in the recipe, for the messages.
        """
        where = path or cls.__name__.lower()
        if not isinstance(spec, Mapping):
            return [f"{where}: must be a mapping with a 'kind' (got {quoted(spec)})"]
        kind = spec.get("kind")
        chosen = cls.named(kind)
        if chosen is None:
            near = suggest(kind if isinstance(kind, str) else "", cls.kinds)
            return [f"{where}.kind: unknown {quoted(kind)} {near}"]
        parameters, hints = arguments(chosen)
        supplied = set(context)
        allowed = [name for name in parameters if name not in supplied]
        problems = []
        for name, value in spec.items():
            if name == "kind":
                continue
            if name not in allowed:
                problems.append(f"{where}.{name}: unknown key {suggest(str(name), allowed)}")
            elif name in hints:
                problems += check_value(hints[name], value, f"{where}.{name}")
        problems += [
            f"{where}.{name}: missing"
            for name in allowed
            if parameters[name].default is inspect.Parameter.empty and name not in spec
        ]
        return problems

    @classmethod
    def build(cls, spec: Mapping[str, Any], **context: Any) -> Self:
        """The component that `spec` describes; its constructor takes what it needs of `context`.

        Raises:
            SpecError: an unknown kind or key, a missing key, a value that is not allowed.
        """
        problems = cls.check(spec, context)
        if problems:
            raise SpecError(problems)
        chosen = cls.kinds[spec["kind"]]
        parameters, hints = arguments(chosen)
        own = {
            name: hints[name].build(value) if is_component(hints.get(name)) else value
            for name, value in spec.items()
            if name != "kind"
        }
        return chosen(**own, **{k: v for k, v in context.items() if k in parameters})


def import_modules(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that its kinds enter their table.

    Args:
        package: dotted name.
        path: its `__path__`.
    """
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")


def is_component(hint: Any) -> bool:
    """Whether a type annotation is a component, given in a recipe as its specification."""
    return isinstance(hint, type) and issubclass(hint, Component)


def arguments(cls: type) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    """The parameters of a class's constructor, without self, and their type annotations."""
    constructor = cls.__init__
    parameters = dict(list(inspect.signature(constructor).parameters.items())[1:])
    return parameters, typing.get_type_hints(constructor, include_extras=True)
