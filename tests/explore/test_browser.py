"""The page in a browser: Debian's chromium, driven by Playwright; skipped without them."""

import json
import re
import shutil
from contextlib import contextmanager
from importlib.resources import files
from itertools import pairwise
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import Z
from support.dialogues import dialogues
from support.explorers import (
    FACTS,
    HOSTILE,
    LONG,
    dialogue_explorer,
    image_explorer,
    reply_explorer,
    row_explorer,
    served,
    text_explorer,
)
from support.models import texts
from support.rows import EVENTS

from textvae.explore.answers import Explorer
from textvae.explore.held_out import HeldOutTexts

playwright = pytest.importorskip(
    "playwright.sync_api", reason="no driver of browsers: pip install playwright"
)
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt-get install chromium"),
]

WAIT = 60_000
"""Milliseconds, on a machine with other work."""
PHONE = {"width": 390, "height": 844}
LABELS = {"kind": ["ab"[len(text) % 2] for text in texts()]}


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        # --no-sandbox: chromium refuses to run as root, as in a container, without it.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(chromium, address, **options):
    """A page at an address; at the end nothing was printed and nothing asked of others."""
    context = chromium.new_context(**options)
    context.set_default_timeout(WAIT)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(f"dialog {dialog.message}"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.locator("html[data-ready]").wait_for(state="attached")
    yield page
    own = urlsplit(address).netloc
    others = {u for u in asked if urlsplit(u).netloc != own and not u.startswith("data:")}
    context.close()
    assert not others and not said


def row_at(page, row: int) -> tuple[float, float]:
    """Where a row is drawn, in pixels of the page."""
    box = page.locator("#map").bounding_box()
    x, y = page.evaluate(f"[screenX(map.x[{row}]), screenY(map.y[{row}])]")
    return box["x"] + 1 + x, box["y"] + 1 + y


def click_row(page, row: int) -> None:
    """Click the point of a row, and wait for what is there."""
    page.mouse.click(*row_at(page, row))
    page.locator("#place").wait_for()


@pytest.fixture(scope="module")
def explorer():
    facts = FACTS | {"figures": [{"name": "nll", "value": 28.29, "of": None}]}
    return text_explorer(labels=LABELS, facts=facts, kls=[0.01, 3.0, 0.2])


@pytest.fixture(scope="module")
def address(explorer):
    with served(explorer) as found:
        yield found


def test_a_click_shows_original_and_decoded_with_marked_words(chromium, address, explorer):
    with opened(chromium, address) as page:
        assert page.locator("#empty").is_visible()
        click_row(page, 7)
        row = page.evaluate("here.row")  # of equal texts another may lie on top
        assert page.locator("#original").inner_text() == texts()[row]
        found = explorer.point(row)
        assert page.locator("#decoded .text").inner_text().startswith(found["decoded"]["text"][:50])
        marked = [words for words, shared in found["compared"]["original"] if not shared]
        assert page.locator("#original mark").all_inner_texts() == marked
        assert page.locator("#near li").count() == 6
        assert re.fullmatch(r"\d of 6: .+ \([\d.]+ % of all\)", page.locator("#says").inner_text())
        assert "the usual" in page.locator("#far").inner_text()
        page.locator("#samples li").nth(2).wait_for()
        page.locator("#near button").first.click()
        page.locator("#from", has_text=f"held-out text {found['near'][0]['row']} ").wait_for()


def test_the_legend_hides_and_the_colour_changes(chromium, address, explorer):
    with opened(chromium, address) as page:
        drawn = "document.getElementById('points').toDataURL()"
        page.select_option("#colour", "kind")
        legend = page.locator("#legend button")
        assert legend.all_inner_texts() == [
            f"{name}\n{count}"
            for name, count in zip("ab", explorer.space.column("kind").counts, strict=False)
        ]
        page.wait_for_timeout(300)
        before = page.evaluate(drawn)
        legend.first.click()
        page.wait_for_timeout(300)
        assert page.evaluate(drawn) != before
        assert legend.first.get_attribute("aria-pressed") == "false"
        explained = explorer.plane("pca")["explained"]["kind"]
        option = page.locator("#colour option[value=kind]").inner_text()
        assert f"{100 * explained:.1f}" in option or f"{100 * explained:.0f}" in option
        page.select_option("#axes", "lda:kind")
        page.locator("#caption", has_text="LDA").wait_for()
        page.select_option("#axes", "pair")
        page.locator("#caption", has_text="2 of 3 dimensions").wait_for()


def test_a_search_finds_and_opens(chromium, address):
    with opened(chromium, address) as page:
        page.keyboard.press("/")
        page.keyboard.type("red")
        found = [n for n, text in enumerate(texts()) if "red" in text]
        page.locator("#found", has_text=str(len(found))).wait_for()
        page.keyboard.press("Enter")
        page.locator("#from", has_text=f"held-out text {found[0]} ").wait_for()
        page.keyboard.press("Escape")
        assert page.input_value("#find") == ""


def test_two_sentences_have_a_way_between_them(chromium, address):
    with opened(chromium, address) as page:
        for name, text in (("a", "the red dog"), ("b", "a small cat sees the river")):
            page.fill(f"#end-{name} textarea", text)
            page.keyboard.press("Enter")
            page.locator(f"#end-{name} .where", has_text="written").wait_for()
        page.locator("#steps li").nth(8).wait_for()
        assert page.input_value("#end-a textarea") == "the red dog"
        assert page.locator("#heat i").count() == 33
        rows = page.locator("#steps .text").evaluate_all("rows => rows.map(r => r.textContent)")
        same = page.locator("#steps li").evaluate_all(
            "rows => rows.map(r => r.classList.contains('same'))"
        )
        assert same == [False, *(a == b for a, b in zip(rows, rows[1:], strict=False))]
        page.keyboard.press("Tab")
        page.evaluate("document.activeElement.blur()")
        for _ in range(8):
            page.keyboard.press("]")
        page.locator("#from", has_text="25 % from A to B").wait_for()
        page.select_option("#path", "arc")
        page.locator("#step-text", has_text="25 % from A to B").wait_for()


def test_a_slider_changes_the_sentence(chromium, address):
    with opened(chromium, address) as page:
        page.click("#tab-dimensions")
        assert page.locator("#dimensions-empty").is_visible()
        click_row(page, 3)
        before = page.locator("#decoded").inner_text()
        loud = page.locator("#sliders .dimension")
        assert [loud.nth(n).locator("span").first.inner_text() for n in range(2)] == ["z1", "z2"]
        assert page.locator("#quiet-count").inner_text() == "1 quiet dimension"
        slider = loud.first.locator("input")
        slider.focus()
        for _ in range(8):
            page.keyboard.press("PageUp")
        page.locator("#from", has_text="dimension 1 at").wait_for()
        page.wait_for_timeout(500)
        assert page.locator("#decoded").inner_text() != before
        loud.first.locator(".walk").click()
        page.locator("#sliders .walked li").nth(6).wait_for()
        page.click("#reset")
        page.locator("#from", has_text="the posterior mean").wait_for()
        assert page.locator("#decoded").inner_text() == before


def test_a_direction_and_arithmetic_move_z(chromium, address):
    with opened(chromium, address) as page:
        page.click("#tab-direction")
        click_row(page, 3)
        page.locator("#strength").focus()
        for _ in range(10):
            page.keyboard.press("ArrowRight")
        page.locator("#from", has_text="0.50 × from a to b").wait_for()
        assert "of 20" in page.locator(
            "#direction-facts"
        ).inner_text().lower() or "end nearest" in (page.locator("#direction-facts").inner_text())
        for name, text in (("plus-a", "a dog"), ("minus-b", "a cat"), ("plus-c", "the cat")):
            page.fill(f"#{name}", text)
        page.keyboard.press("Enter")
        page.locator("#from", has_text="A − B + C").wait_for()


def test_the_keyboard_alone_is_enough(chromium, address):
    with opened(chromium, address) as page:
        page.focus("#map")
        page.keyboard.press("ArrowRight")
        first = page.evaluate("map.hover")
        page.keyboard.press("ArrowUp")
        second = page.evaluate("map.hover")
        assert first >= 0 and second >= 0
        assert page.evaluate(f"screenY(map.y[{second}]) <= screenY(map.y[{first}])")
        page.keyboard.press("Enter")
        page.locator("#from", has_text="held-out text").wait_for()
        page.keyboard.press("a")
        page.locator("#end-a .where", has_text="held-out text").wait_for()
        page.keyboard.press("?")
        assert page.locator("#keys").is_visible()
        page.keyboard.press("Escape")
        assert not page.locator("#keys").is_visible()
        page.focus("#tab-between")
        page.keyboard.press("ArrowRight")
        assert page.locator("#dimensions").is_visible()
        unnamed = page.locator("input, select, textarea, button").evaluate_all(
            "all => all.filter(e => !(e.labels?.length && e.labels[0].textContent.trim())"
            " && !e.getAttribute('aria-label') && !e.textContent.trim()).map(e => e.outerHTML)"
        )
        assert unnamed == []


def test_a_view_is_in_the_address(chromium, address):
    with opened(chromium, address) as page:
        click_row(page, 5)
        z, url = page.evaluate("here.z"), page.url
        page.goto("about:blank")
        page.goto(url)
        page.locator("#from", has_text="from the address").wait_for()
        np.testing.assert_allclose(page.evaluate("here.z"), z, rtol=2e-3, atol=1e-5)


def test_hostile_and_long_texts_are_texts(chromium):
    with (
        served(text_explorer([HOSTILE, LONG.strip(), "a dog", "the cat", "a cat"])) as address,
        opened(chromium, address) as page,
    ):
        page.evaluate("openPoint(0)")
        page.locator("#place").wait_for()
        assert page.locator("#original").text_content() == " ".join(HOSTILE.split())
        page.evaluate("hoverOn(0)")
        page.locator("#tip .text", has_text="onerror").wait_for()
        page.evaluate("openPoint(1)")
        page.locator("#from", has_text="held-out text 1").wait_for()
        assert len(page.locator("#original").text_content()) == len(LONG.strip())
        assert page.locator("img").count() == 0
        assert page.locator("#original").bounding_box()["height"] < 400


def overflow(page) -> int:
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_no_overflow(scheme, chromium, address):
    options = {"viewport": PHONE, "is_mobile": True, "has_touch": True, "color_scheme": scheme}
    with opened(chromium, address, **options) as page:
        page.touchscreen.tap(*row_at(page, 3))
        page.locator("#place").wait_for()
        page.click("#set-a")
        page.click("#draw")
        page.locator("#from", has_text="a draw from the prior").wait_for()
        page.click("#set-b")
        page.locator("#steps li").nth(8).wait_for()
        for tab in ("between", "dimensions", "direction"):
            page.click(f"#tab-{tab}")
            assert overflow(page) <= 0
        dark = "rgb(21, 23, 26)"
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == dark) == (scheme == "dark")


def contrast(first: str, second: str) -> float:
    """The ratio of the luminances of two colours, as in WCAG 2."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_from_its_ground():
    style = (files("textvae.explore") / "page/style.css").read_text("utf-8")
    light, dark = style.split("@media", 2)[:2]
    for part in (light, dark):
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part))
        for ground in ("page", "surface", "hover"):
            for name in ("ink", "muted", "accent", "warm"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        assert contrast(colours["ink"], colours["differs"]) >= 4.5
        assert contrast(colours["on-accent"], colours["accent"]) >= 4.5


def test_a_collapsed_model_shows_its_alarm_and_works(chromium):
    alarm = {"text": "Collapsed. All the same.", "command": "textvae doctor runs/x"}
    explorer = text_explorer(facts=FACTS | {"alarm": alarm})
    for weight in explorer.explored.vae.decoder.parameters():
        weight.data.zero_()
    explorer.constant = explorer.is_constant()
    with served(explorer) as address, opened(chromium, address) as page:
        assert page.locator("#alarm").inner_text().startswith("Collapsed. All the same.")
        assert "textvae doctor runs/x" in page.locator("#alarm code").inner_text()
        click_row(page, 3)
        assert page.locator("#constant").inner_text() == "same for every z"
        page.click("#draw")
        page.locator("#from", has_text="a draw from the prior").wait_for()


def test_images_have_thumbnails_and_no_forms_for_sentences(chromium):
    with served(image_explorer()) as address, opened(chromium, address) as page:
        click_row(page, 4)
        assert page.locator("#decoded img").is_visible()
        assert page.locator("#near canvas").count() == 6
        width = page.locator("#near canvas").first.bounding_box()["width"]
        assert width >= 40
        assert not page.locator("#write").is_visible()
        page.keyboard.press("a")
        page.click("#draw")
        page.locator("#from", has_text="a draw from the prior").wait_for()
        page.keyboard.press("b")
        page.locator("#steps img").nth(8).wait_for()
        assert page.locator("#steps img").first.bounding_box()["width"] >= 40
        page.click("#tab-direction")
        assert not page.locator("#arithmetic").is_visible()


def test_a_condition_is_a_menu_that_changes_the_picture(chromium):
    with served(image_explorer(conditional=True)) as address, opened(chromium, address) as page:
        page.evaluate("openPoint(4)")
        menu = page.locator("#conditions select")
        menu.wait_for()
        own = menu.input_value()
        before = page.locator("#decoded img").get_attribute("src")
        other = next(name for name in ("cat", "dog", "owl") if name != own)
        menu.select_option(other)
        page.locator("#from", has_text=f"given label {other}").wait_for()
        assert page.locator("#decoded img").get_attribute("src") != before
        assert menu.input_value() == other


def test_a_text_that_is_given_is_a_field_of_the_page(chromium):
    with served(row_explorer()) as address, opened(chromium, address) as page:
        page.evaluate("openPoint(4)")
        field = page.locator("#conditions input")
        field.wait_for()
        page.locator("#from", has_text="held-out text 4").wait_for()
        assert field.input_value() == page.evaluate("here.condition.event")
        before = page.locator("#decoded").inner_text()
        for event in EVENTS:
            field.fill(event)
            field.press("Enter")
            page.locator("#from", has_text=f"given event {event}").wait_for()
            if page.locator("#decoded").inner_text() != before:
                break
        else:
            raise AssertionError("no event changes what is decoded")
        field.fill(" ")
        field.press("Enter")
        assert field.input_value() == event
        given = json.dumps({"event": event}, separators=(",", ":"))
        assert f"given={given}" in page.evaluate("python()")
        assert overflow(page) <= 0


def test_rows_with_parts_are_shown_one_part_a_line(chromium):
    rows = dialogues(30)
    rows[0]["turns"] = [{"speaker": "guide", "text": HOSTILE}, *rows[1]["turns"]]
    with served(dialogue_explorer(rows)) as address, opened(chromium, address) as page:
        assert not page.locator("#write").is_visible()
        assert "cannot be written" in page.locator("#empty").inner_text()
        page.evaluate("openPoint(0)")
        page.locator("#from", has_text="held-out row 0 ").wait_for()
        lines = page.locator("#original .line")
        assert lines.count() == 1 + len(rows[0]["turns"])
        assert lines.nth(1).inner_text() == f"guide{' '.join(HOSTILE.split())}"
        boxes = [lines.nth(n).bounding_box() for n in range(lines.count())]
        assert all(a["y"] + a["height"] <= b["y"] + 1 for a, b in pairwise(boxes))
        page.locator("#samples li").nth(2).wait_for()
        page.click("#set-a")
        page.evaluate("openPoint(3)")
        page.locator("#from", has_text="held-out row 3 ").wait_for()
        page.click("#set-b")
        page.locator("#steps li").nth(8).wait_for()
        assert page.locator("#end-a textarea").count() == 0
        assert page.locator("#end-a .line").count() == lines.count() + len(rows[0]["turns"]) - len(
            rows[3]["turns"]
        )
        page.click("#tab-direction")
        assert not page.locator("#arithmetic").is_visible()
        page.fill("#strength", "1")
        page.locator("#direction-facts", has_text="end nearest to").wait_for()
        page.click("#tab-dimensions")
        page.click("#quiet-count")  # untrained: every dimension is quiet
        page.locator(".walk").first.click()
        page.locator(".walked li").nth(6).wait_for()
        code = page.evaluate("python()")
        assert code.startswith("vae.decode_parts(np.array([[")
        page.set_viewport_size(PHONE)
        assert overflow(page) <= 0


def test_a_context_with_parts_is_a_field_of_a_part_a_line(chromium):
    explorer = reply_explorer()
    with served(explorer) as address, opened(chromium, address) as page:
        page.evaluate("openPoint(2)")
        page.locator("#place").wait_for()
        field = page.locator("#conditions textarea")
        assert field.input_value() == explorer.explored.condition_of(2)["text"]
        field.fill("is it far\ntwo miles")
        field.blur()
        page.locator("#from", has_text="given text is it far").wait_for()
        assert '"text":[["is it far","two miles"]]' in page.evaluate("python()")
        z = explorer.explored.means[2:3]
        (own,) = explorer.explored.decode(z, {"text": "is it far\ntwo miles"})
        assert (
            page.locator("#decoded .line").nth(1).inner_text() == f"reply{own['lines'][1]['text']}"
        )


def test_one_text_has_no_map_and_the_rest_works(chromium):
    with served(text_explorer(["the red dog"])) as address, opened(chromium, address) as page:
        assert not page.locator("#map-section").is_visible()
        page.locator("#place").wait_for()
        page.fill("#sentence", "a cat sees the dog")
        page.keyboard.press("Enter")
        page.locator("#from", has_text="your sentence").wait_for()
        assert page.locator("#near li").count() == 1
        assert not page.locator("#distance").is_visible()


def test_one_dimension_is_a_histogram(chromium):
    explorer = text_explorer(latents=({**Z, "dim": 1},))
    with served(explorer) as address, opened(chromium, address) as page:
        click_row(page, 3)
        assert page.evaluate("Math.min(...map.y)") == 0
        assert not page.locator("#axes-label").is_visible()
        page.keyboard.press("a")
        page.click("#tab-dimensions")
        assert page.locator("#sliders .dimension, #quiet-sliders .dimension").count() == 1


def test_without_labels_the_options_that_give_them_are_named(chromium):
    with served(text_explorer()) as address, opened(chromium, address) as page:
        page.click("#tab-direction")
        assert "--label-column" in page.locator("#direction-empty").inner_text()
        values = page.locator("#colour option").evaluate_all("all => all.map(o => o.value)")
        assert values == ["length in words", "first word", ""]


def test_two_browsers_at_once_see_their_own(chromium, address):
    with opened(chromium, address) as first, opened(chromium, address) as second:
        for page, row in ((first, 3), (second, 5)):
            page.evaluate(f"openPoint({row})")
        for page, row in ((first, 3), (second, 5)):
            page.locator("#from", has_text=f"held-out text {row} ").wait_for()
            assert page.locator("#original").inner_text() == texts()[row]


def test_an_ended_server_is_named(chromium):
    with served(text_explorer()) as address:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(address)
        page.locator("html[data-ready]").wait_for(state="attached", timeout=WAIT)
    page.click("#draw")
    page.locator("#failure", has_text="The server has ended").wait_for(timeout=WAIT)
    context.close()


def random_points(count: int) -> Explorer:
    """An explorer of random points in eight classes, all of one text."""
    small = text_explorer()
    explored, draw = small.explored, np.random.default_rng(0)
    explored.texts = explored.folded = ["a dog"] * count
    explored.means = explored.scales = draw.normal(size=(count, 3)).astype(np.float32)
    kinds = {"kind": [f"k{n}" for n in draw.integers(0, 8, count)]}
    explored.rows = HeldOutTexts(explored.texts, kinds, count, "many")
    return Explorer(explored, FACTS, None)


@pytest.mark.parametrize(("count", "seconds"), [(5_000, 5.0), (100_000, 15.0)])
def test_many_points_are_drawn_and_picked_in_time(count, seconds, chromium):
    """Limits are five times the budgets: 1 s, 50 ms and 5 ms on a machine without other work."""
    with served(random_points(count)) as address, opened(chromium, address) as page:
        assert page.evaluate("Number(document.documentElement.dataset.ready)") < 1000 * seconds
        redraw = "() => {zoom(1.01); drawPoints(); return map.drawn;}"
        times = page.evaluate(f"Array.from({{length: 9}}, {redraw})")
        assert np.median(times) < 250, times
        pick = (
            "(() => {const began = performance.now();"
            " for (let n = 0; n < 40; n++) nearestTo(200 + 3 * n, 150 + n);"
            " return (performance.now() - began) / 40;})()"
        )
        picked = page.evaluate(pick)
        assert picked < 25
