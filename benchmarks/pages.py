"""Write the generated parts of docs/ from configs/ and docs/results.json.

Run: python benchmarks/pages.py. Writes docs/systems.md, and the tables between
`<!-- generated: NAME -->` and `<!-- end -->` in docs/results.md and docs/results/.
"""

from pathlib import Path

from textvae.analysis.pages import generated_pages

if __name__ == "__main__":
    for page, text in generated_pages(Path(__file__).resolve().parent.parent / "docs"):
        page.write_text(text, encoding="utf-8")
