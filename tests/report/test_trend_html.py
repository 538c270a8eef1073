"""The page of a trend: self-contained, well-formed, strict, and text of a model is text on it."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from trend_makers import make_result, make_share, make_step, make_trend

from collapsecli.report.trend_html import trend_page
from collapsecli.trends import trend_of

HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> \u202e\x00\x1b[31m {{ 7*7 }} {% raw %} &amp; "
    "</svg></style>"
)
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Elements and texts, and whether every element that is opened is closed in its turn."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self.open = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


TREND = make_trend(
    (0.1, 0.5, 0.95), other=(0.1, None, 0.2), **{f"q{k}": (0.1, 0.2 + k / 10, 0.3) for k in range(6)}, notes=("a < b",)
)


def hostile_trend():
    """Everything that comes from outside is hostile: answers, names of steps, models, paths, notes."""
    steps = []
    for k in range(2):
        step = make_step(f"step {k} {HOSTILE}")
        side = replace(step.side, model=HOSTILE, adapter=HOSTILE, path=HOSTILE, engine=HOSTILE)
        result = make_result([HOSTILE] * 20, f"{HOSTILE}@t1.0", suite=HOSTILE, prompt_id=HOSTILE)
        steps.append((replace(step, side=side), [result]))
    return trend_of(steps, 0.05, [HOSTILE])


@pytest.fixture(params=["plain", "hostile"])
def page(request):
    return trend_page(TREND if request.param == "plain" else hostile_trend())


def test_every_element_of_the_page_is_closed_and_every_drawing_is_of_numbers(page):
    read = Page(page)
    assert read.open == []
    assert len(read.all("svg")) >= 2
    drawn = [attributes["points"] for tag in ("polygon", "polyline") for attributes in read.all(tag)]
    assert drawn
    assert all(re.fullmatch(r"\d+\.\d,\d+\.\d( \d+\.\d,\d+\.\d)+", points) for points in drawn)


def test_nothing_on_the_page_comes_from_elsewhere_or_runs(page):
    read = Page(page)
    names = {tag for tag, _ in read.elements}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "input"}
    for _, attributes in read.elements:
        assert not any(name.startswith("on") or name in {"src", "href", "style", "action"} for name in attributes)
    assert "url(" not in page
    assert "@import" not in page


def test_the_content_security_policy_allows_the_style_of_the_page_and_nothing_else(page):
    policy = next(meta for meta in Page(page).all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy["content"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert page.count("<style") == 1
    before = page[: page.index("Content-Security-Policy")]
    assert "<style" not in before


def test_hostile_text_is_shown_as_text():
    page = trend_page(hostile_trend())
    assert not any(char in page for char in "\u202e\x00\x1b")
    text = "".join(Page(page).texts)
    assert "<script>alert(1)</script>" in text
    assert "{{ 7*7 }}" in text
    assert "\\u202e" in text
    assert "&amp; </svg></style>" in text


def test_every_cell_has_a_row_a_curve_and_a_table_of_its_steps():
    read = Page(trend_page(TREND))
    assert len(read.all("details")) == len(TREND.cells) == 8
    assert len(read.all("figure")) == 4
    assert len(read.all("svg")) == 4 + 8
    text = " ".join("".join(read.texts).split())
    assert "suite over 3 steps: step 0 → step 200" in text
    assert "from step 200 on" not in text  # collapsed at the last step alone
    assert "at step 200" in text
    assert "a < b" in text
    assert "(not asked)" in text


def test_a_curve_has_a_band_for_its_interval_and_a_gap_where_a_cell_is_not_asked():
    page = trend_page(TREND)
    by_label = dict(re.findall(r'<svg[^>]*aria-label="(\w+): mode mass">(.*?)</svg>', page, re.DOTALL))
    assert by_label["cell"].count("<circle") == 3
    assert len(re.findall(r'polygon class="band" points="(.*?)"', by_label["cell"])[0].split()) == 6
    assert by_label["other"].count("<circle") == 2
    assert by_label["other"].count("<polygon") == 2
    assert "<polyline" not in by_label["other"]
    low, high = TREND.cells[0].results[1].mode_mass.low, TREND.cells[0].results[1].mode_mass.high
    assert f"<title>step 100: 50% ({math.floor(100 * low)}–{math.ceil(100 * high)})</title>" in page


def test_the_page_can_be_read_in_the_dark_and_on_paper():
    style = re.search(r"<style>(.*?)</style>", trend_page(TREND), re.DOTALL)[1]
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    assert set(re.findall(r"var\((--\w+)\)", style)) <= set(re.findall(r"(--\w+):", style))


def test_every_class_of_the_page_has_a_style():
    page = trend_page(TREND)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    used = {name for _, attributes in Page(page).elements for name in (attributes.get("class") or "").split()}
    assert used <= set(re.findall(r"\.(\w+)", style)) | {"name"}


def test_a_page_of_a_hundred_cells_is_small_enough_to_send():
    steps = [(make_step(f"step {k}"), [make_share(0.3, f"q{j}@t1.0") for j in range(100)]) for k in range(2)]
    assert len(trend_page(trend_of(steps, 0.05)).encode()) < 400_000
