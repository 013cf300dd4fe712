"""Values as cells of tables."""

from textvae.console import shown


def percent(share: float | None) -> str:
    """A share as a table cell; a dash where it is missing."""
    return "-" if share is None else f"{100 * share:.1f}%"


def decimal(value: float | None) -> str:
    """A number as a table cell; a dash where it is missing."""
    return "-" if value is None else shown(float(value))
