"""The application: sections of commands, their help, and the names that are still accepted."""

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from textvae.console import emit, quiet

Section = Literal["Train", "Generate", "Evaluate", "Latent space", "Recipes"]

OLD_COMMANDS = {"judge": "control-accuracy", "codecs": "reduce"}
OLD_OPTIONS = {"--beams": "--num-beams", "--max-tokens": "--max-new-tokens"}
"""Former names, accepted and not shown."""

SEVERAL = "N..."
"""Metavar of an option that takes all the whole numbers after it, as in `--sizes 5 50 500`."""


class Group(TyperGroup):
    """Commands under their former names too, listed by section."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, current or former."""
        return super().get_command(ctx, OLD_COMMANDS.get(cmd_name, cmd_name))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a list of commands for each section."""
        width = max(map(len, self.commands))
        for section in get_args(Section):
            rows = [
                (name.ljust(width), first_line(command))
                for name, command in self.commands.items()
                if getattr(command, "rich_help_panel", None) == section and not command.hidden
            ]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)


class Command(TyperCommand):
    """A command whose epilog holds one example on each line."""

    def make_parser(self, ctx: Any) -> Any:
        """The parser, which accepts options under their former names too."""
        parser = super().make_parser(ctx)
        options = {name: option for option in self.params for name in option.opts}
        for old, new in OLD_OPTIONS.items():
            if new in options and old not in options:
                alias: Any = copy.copy(options[new])
                alias.opts = [old]
                alias.add_to_parser(parser, ctx)
        return parser

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, with the numbers of a `SEVERAL` option as one value."""
        for parameter in self.params:
            if parameter.metavar == SEVERAL:
                args = with_joined_numbers(args, parameter.opts[0])
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are, without filling lines."""
        if self.epilog:
            with formatter.section("Examples"):
                for line in self.epilog.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


app = typer.Typer(
    name="textvae",
    cls=Group,
    help="Train, evaluate and sample variational autoencoders of text.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print results and errors; no notes, no progress."),
]


def print_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from textvae.version import __version__

        emit(__version__, False, f"textvae {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Print the version."),
    ] = False,
    quietly: Quiet = False,
) -> None:
    """Options of every command, given before its name."""
    context.with_resource(quiet(quietly))


def command(section: Section, *examples: str, name: str | None = None) -> Callable[[Any], Any]:
    """Register a function as a command.

    The first line of its docstring is listed by `textvae --help`: an imperative of at most 60
    characters.

    Args:
        section: heading under which the command is listed.
        examples: command lines, each at most 78 characters.
        name: of the command; that of the function when not given.
    """
    settings: Any = {"cls": Command, "epilog": "\n".join(examples), "rich_help_panel": section}

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        app.command(name, **settings)(with_quiet(function))
        return function

    return register


def with_quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command with the option `--quiet`, during which nothing but its result is printed."""

    @functools.wraps(function)
    def run(*args: Any, quietly: bool = False, **values: Any) -> Any:
        with quiet(quietly):
            return function(*args, **values)

    signature = inspect.signature(function)
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = inspect.Parameter("quietly", keyword, default=False, annotation=Quiet)
    parameters = [*signature.parameters.values(), own]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {**function.__annotations__, "quietly": Quiet}
    return run


def first_line(listed: Any) -> str:
    """The line of a command in the list of commands."""
    return (listed.help or "").strip().splitlines()[0]


def with_joined_numbers(arguments: list[str], option: str) -> list[str]:
    """The arguments with the numbers that follow an option as one value, `5,50,500`."""
    if option not in arguments:
        return arguments
    start = stop = arguments.index(option) + 1
    while stop < len(arguments) and arguments[stop].isdecimal():
        stop += 1
    joined = [",".join(arguments[start:stop])] if stop > start else []
    return [*arguments[:start], *joined, *arguments[stop:]]
