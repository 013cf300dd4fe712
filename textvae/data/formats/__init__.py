"""Formats of text files: one module each, found by itself, and one table of them."""

from textvae.data.formats.base import FORMATS, Format, Row, format_of, read_rows, register
from textvae.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["FORMATS", "Format", "Row", "format_of", "read_rows", "register"]
