"""The documentation site: it has every page, its links lead somewhere, nothing is remote.

`mkdocs build --strict` itself is run by `.ci/run`, where mkdocs is installed.
"""

import importlib
import importlib.util
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def hooks_module():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs/hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = hooks_module()
DOCS = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*") if path.is_file()]
FILES = {path.as_posix() for path in DOCS} | set(HOOKS.OUTSIDE.values())
PAGES = sorted(name for name in FILES if name.endswith(".md"))


def listed(nav) -> Iterator[str]:
    for entry in nav:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else listed(value)


def source(page: str) -> str:
    file = HOOKS.PAGES.get(page, f"docs/{page}")
    return (ROOT / file).read_text(encoding="utf-8")


def in_site(page: str, text: str) -> str:
    return HOOKS.on_page_markdown(text, SimpleNamespace(file=SimpleNamespace(src_uri=page)))


def test_every_page_is_listed_once():
    assert sorted(listed(CONFIG["nav"])) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_links_of_the_site_lead_somewhere(page):
    text = re.sub("`[^`]*`", "", in_site(page, source(page)))
    for _, target in HOOKS.LINK.findall(text):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        assert "://" in target or path in FILES, target


def test_links_to_files_outside_docs_are_changed():
    assert in_site("architecture.md", "[x](../CONTRIBUTING.md#a)") == "[x](contributing.md#a)"
    assert in_site("results/ptb.md", "[x](../../configs/a.yaml)") == "[x](../configs/a.yaml)"
    assert in_site("index.md", "![x](docs/images/a.png)") == "![x](images/a.png)"
    assert in_site("contributing.md", "[x](docs/architecture.md)") == "[x](architecture.md)"
    assert in_site("cli.md", "[x](https://a.b/c) [y](#data)") == "[x](https://a.b/c) [y](#data)"


def test_site_loads_nothing_from_other_hosts():
    assert CONFIG["theme"]["font"] is False
    assert "http" not in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    remote = re.compile(r"!\[[^]]*\]\(\w+://|<(?:img|script|link|iframe)\b|```mermaid")
    assert not [page for page in PAGES if remote.search(source(page))]


@pytest.mark.parametrize("name", re.findall(r"^::: (\S+)$", "\n".join(map(source, PAGES)), re.M))
def test_reference_names_what_is_there(name):
    module, _, last = name.rpartition(".")
    found = getattr(importlib.import_module(module), last)
    assert found.__doc__


def test_ci_builds_the_site_or_names_what_is_missing():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "mkdocs build --strict" in script and "mkdocs is not installed" in script
