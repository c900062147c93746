"""A report as a browser lays it out."""

import base64
import json

import pytest

from kgdists.runs.reporting import report
from tests.browser import BROWSER, asked
from tests.cli.helpers import written

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs a Chromium")

LONG = {f"a_setting_of_a_long_name_{i}": "x" * 60 for i in range(3)}
DECAY = {"initial_learning_rate": 1e-3, "end_learning_rate": 0.0, "power": 1.0}
RATES = [{"class_name": "PolynomialDecay", "config": DECAY | {"decay_steps": n}} for n in (1580, 4680)]
# What is wider than the page, or than the box in which it scrolls; what a box cuts off; letters that are too small.
QUESTION = """document => {
    const width = document.documentElement.clientWidth, root = document.documentElement
    const shown = x => x.getClientRects().length
    const boxes = [...document.querySelectorAll("main *, header *, footer *")].filter(shown)
    const scrolled = x => x.closest(".table") && x !== x.closest(".table")
    const name = x => x.tagName + " " + (x.textContent || "").slice(0, 40)
    const over = x => x.getBoundingClientRect().right > width + 0.5 || x.getBoundingClientRect().left < -0.5
    const letters = [...document.querySelectorAll("svg text")].filter(shown)
    return {
        width, scroll: root.scrollWidth,
        over: boxes.filter(x => over(x) && !scrolled(x) && !x.closest("svg")).map(name),
        letters: Math.min(...letters.map(x => x.getBoundingClientRect().height)),
        cut: letters.filter(over).map(name),
        tables: [...document.querySelectorAll(".table")].map(x => [x.scrollWidth > x.clientWidth,
            document.defaultView.getComputedStyle(x).overflowX]),
        drawn: [...document.querySelectorAll(".metrics svg")].map(x => Math.round(x.getBoundingClientRect().width)),
    }
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    runs = [
        written(folder / f"CartPole-v1-ppo-of-a-long-name-seed{seed}-{i}", seed=seed, learning_rate=rate, **LONG)
        for i, rate in enumerate(RATES)
        for seed in range(3)
    ]
    runs.append(written(folder / "a2c", agent="a2c", gamma=0.5, returns=(1.0, 123456.0, -98765.4321)))
    runs.append(written(folder / "other", env="package.with.a.long.name:Environment/Of-A-Long-Name-v12"))
    (runs[-1] / "recording.gif").write_bytes(base64.b64decode("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="))
    command = "kgdists train CartPole-v1 --agent ppo --steps 20000 --seed 0 --a-setting " + "x" * 80
    return report(runs, len(runs) * [(command, "learning_rate=" + "y" * 80)])


@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_is_as_wide_as_its_window(page, width):
    found = asked(page, width, QUESTION, 20_000)
    assert found["width"] == width and found["scroll"] <= width
    assert found["over"] == found["cut"] == []
    assert all(overflow == "auto" for _, overflow in found["tables"])
    assert len(set(found["drawn"])) == 1 and found["letters"] > 9.0


@pytest.mark.exhaustive
def test_wide_tables_scroll_within_their_box_on_a_phone(page):
    assert any(is_wider for is_wider, _ in asked(page, 390, QUESTION)["tables"])


@pytest.mark.exhaustive
def test_unfolded_settings_fit_too(page):
    opened = page.replace("<details>", "<details open>")
    assert asked(opened, 390, QUESTION)["over"] == []


COLORS = """document => {
    const style = x => document.defaultView.getComputedStyle(document.querySelector(x))
    return [style("body").backgroundColor, style("body").color, style("svg text").fill, style(".key").backgroundColor]
}"""


def test_a_page_is_dark_where_the_reader_wants_it(page):
    light, dark = (asked(page, 1280, COLORS, scheme=scheme) for scheme in ("light", "dark"))
    assert light[0] == "rgb(255, 255, 255)" and dark[0] == "rgb(13, 17, 23)"
    for paper, ink, letters, series in (light, dark):
        assert contrast(paper, ink) > 7.0 and letters == ink and contrast(paper, series) > 3.0


def contrast(one, other):
    """The contrast of two colors by WCAG 2."""

    def luminance(color):
        parts = [int(part) / 255.0 for part in color[4:-1].split(",")]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return sum(x * weight for x, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.exhaustive
def test_every_color_of_a_series_stands_out(page):
    question = """document => {
        const style = document.defaultView.getComputedStyle(document.documentElement)
        const colors = [...Array(8).keys()].map(i => style.getPropertyValue("--series-" + i).trim())
        return [style.getPropertyValue("--paper").trim(), ...colors]
    }"""
    for scheme in ("light", "dark"):
        paper, *colors = (as_rgb(x) for x in asked(page, 1280, question, scheme=scheme))
        assert len(set(colors)) == 8 and min(contrast(paper, color) for color in colors) > 3.0, json.dumps(colors)


def as_rgb(text):
    digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
    return f"rgb({', '.join(str(int(digits[i : i + 2], 16)) for i in (0, 2, 4))})"
