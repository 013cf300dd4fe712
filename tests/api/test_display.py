"""Interpolations in a notebook."""

import copy
import json
import pickle
from html.parser import HTMLParser

from support.models import sentence_vae

from textvae.api.display import Interpolation


class Cells(HTMLParser):
    """The cells of a table, and the words that are marked."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.marks, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        while self.tags.pop() != tag:
            pass

    def handle_data(self, data):
        self.cells[-1] += data
        if "mark" in self.tags:
            self.marks.append(data)


def test_an_interpolation_marks_what_changes_and_greys_what_repeats():
    found = Interpolation(["a dog runs", "a cat runs", "a cat runs"], "the dog", "a <b> cat")
    html = found._repr_html_()
    cells = Cells(html)
    rows = list(zip(cells.cells[::2], cells.cells[1::2], strict=True))
    assert rows == [
        ("from", "the dog"),
        ("0%", "a dog runs"),
        ("50%", "a cat runs"),
        ("100%", "a cat runs"),
        ("to", "a <b> cat"),
    ]
    assert cells.marks == ["cat"]
    assert html.count("opacity") == 1 and "<b>" not in html


def test_interpolate_returns_a_list_that_keeps_its_ends():
    found = sentence_vae().interpolate("a dog", "the cat", steps=3)
    assert isinstance(found, list) and len(found) == 3
    assert (found.first, found.last) == ("a dog", "the cat")
    for copied in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert copied == found and (copied.first, copied.last) == (found.first, found.last)
    assert json.loads(json.dumps(found)) == [*found]
