"""The documentation site: pages and files that lie outside docs/, and links to them."""

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "LICENSE": "LICENSE.txt",
    "mkdocs.yml": "mkdocs.yml",
    "data/README.md": "corpus.md",
    **{f"configs/{path.name}": f"configs/{path.name}" for path in (ROOT / "configs").iterdir()},
}
"""Files of the repository that the site has, by their path in it: where they are in the site."""
PAGES = {site: file for file, site in OUTSIDE.items()}
LINK = re.compile(r"(\]\()([^)#\s]+)")


def on_files(files: Any, config: Any) -> Any:
    """Add the files outside docs/."""
    from mkdocs.structure.files import File

    for file, site in OUTSIDE.items():
        files.append(File.generated(config, site, abs_src_path=str(ROOT / file)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The text of a page, whose links lead to where files are in the site."""
    uri = page.file.src_uri
    file = PAGES.get(uri, f"docs/{uri}")

    def in_site(match: re.Match[str]) -> str:
        target = match[2]
        if "://" in target:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), target))
        site = OUTSIDE.get(path, path.removeprefix("docs/"))
        return match[1] + posixpath.relpath(site, posixpath.dirname(uri) or ".")

    return LINK.sub(in_site, markdown)
