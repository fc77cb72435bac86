"""Report pages in a real browser: Debian's Chromium, without a window, offline."""

import os
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from qlstm_qiskit.report.pages.write import write_report
from tests.report.pages import END, SCRIPT, hostile_audit, hostile_run, hostile_study, parsed
from tests.speed import slow_but

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WINDOWS = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
#: A mouse, which a phone has none of, in a window as narrow as a phone.
WINDOWS["narrow"] = WINDOWS["phone"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium is installed: apt-get install chromium")
        pytest.skip("no chromium is installed (apt-get install chromium), and CI is not set")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


_FOLDERS = {"study": hostile_study, "audit": hostile_audit}


class Pages(dict[str, Path]):
    """Pages of a run, a study and an audit, of which all names are scripts; each is made when it is first opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __missing__(self, kind: str) -> Path:
        made = hostile_run(self.folder).path if kind == "run" else _FOLDERS[kind](self.folder / kind)
        page = self.folder / f"{kind}.html"
        write_report(made, page)
        self[kind] = page
        return page


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return Pages(tmp_path_factory.mktemp("pages"))


class Opened:
    """A page in a context of its own, and what happened in it."""

    def __init__(self, browser: Browser, file: Path, window: str, scheme: str) -> None:
        phone = window == "phone"
        self.context = browser.new_context(
            viewport=WINDOWS[window], color_scheme=scheme, has_touch=phone, is_mobile=phone, accept_downloads=True
        )
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.goto(file.as_uri())
        self.wait_for("[...document.querySelectorAll('.canvas')].every((own) => own.querySelector('.main-svg'))")

    def wait_for(self, condition: str) -> None:
        """Until it is true; asked from here, since the page's policy does not let Playwright put a loop into it."""
        for _ in range(600):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        pytest.fail(f"not true after 30 s: {condition}")

    def drawn(self) -> int:
        """Figures with at least one mark in them."""
        marks = "own.querySelector('.trace path, .heatmaplayer image')"
        count = f"[...document.querySelectorAll('.canvas')].filter((own) => {marks}).length"
        return int(self.page.evaluate(count))


KINDS_OF_PAGES = list(product(("run", "study", "audit"), ("desk", "phone"), ("light", "dark")))


TITLES = {"run": "Structural weights", "study": "Errors of all seeds", "audit": "Errors in pairs"}


@pytest.mark.parametrize(
    ("kind", "window", "scheme"), slow_but([("run", "desk", "light"), ("audit", "phone", "dark")], KINDS_OF_PAGES)
)
def test_a_page(browser: Browser, pages: Pages, kind: str, window: str, scheme: str) -> None:
    opened = Opened(browser, pages[kind], window, scheme)
    page = opened.page
    figures = page.locator(".canvas").count()
    assert figures == (9 if kind == "run" else 2)
    assert opened.drawn() == figures
    width, inner = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= inner == WINDOWS[window]["width"]
    if kind == "run":  # the table of errors is small enough for a phone
        needs, has = page.evaluate("['scrollWidth', 'clientWidth'].map((key) => document.querySelector('.scroll')[key])")
        assert 0 < needs <= has
    text = page.locator("body").inner_text()
    for expected in (SCRIPT, END, "Make it again", TITLES[kind]):
        assert expected in text
    axes = page.locator(".canvas .xtitle, .canvas .ytitle").all_text_contents()
    assert len(axes) == 2 * figures
    assert all(axes)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    letters = page.evaluate("getComputedStyle(document.querySelector('.canvas .xtitle')).fill")
    assert (dark, letters) == ((True, "rgb(230, 233, 237)") if scheme == "dark" else (False, "rgb(27, 31, 36)"))
    assert opened.requests == [pages[kind].as_uri()]
    assert opened.said == []
    opened.context.close()


#: Texts and buttons of the page that lie under a button of plotly's tool bar, all figures together; a bar shows on hovering.
COVERED = """() => {
  const boxes = (where) => [...document.querySelectorAll(where)].map((own) => [own, own.getBoundingClientRect()]);
  const bar = boxes(".modebar-btn");
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const texts = boxes(".canvas text, figcaption, .views button, figure > a, h2, h3, p");
  return [bar.length, texts.filter(([, box]) => bar.some(([, own]) => meet(own, box))).map(([own]) => own.textContent)];
}"""


@pytest.mark.parametrize(
    ("kind", "window"), slow_but([("run", "narrow")], list(product(("run", "study", "audit"), ("desk", "narrow"))))
)
def test_the_tool_bar_of_a_figure_covers_nothing(browser: Browser, pages: Pages, kind: str, window: str) -> None:
    opened = Opened(browser, pages[kind], window, "light")
    buttons, covered = opened.page.evaluate(COVERED)
    assert buttons >= 5 * opened.page.locator(".canvas").count()
    assert covered == []
    figure = opened.page.locator(".canvas").first
    figure.hover()
    opened.wait_for("getComputedStyle(document.querySelector('.modebar')).opacity === '1'")
    figure.locator(".modebar-btn").last.hover()
    opened.page.wait_for_timeout(400)
    assert opened.page.evaluate("getComputedStyle(document.querySelector('.modebar')).opacity") == "1", "it can be reached"
    opened.context.close()


@pytest.mark.slow
def test_names_are_drawn_as_text(browser: Browser, pages: Pages) -> None:
    for kind, place in (("run", "#weights-1-input .legend"), ("study", "#errors-1 .ytick")):
        opened = Opened(browser, pages[kind], "desk", "light")
        drawn = "".join(opened.page.locator(f"{place} text").all_text_contents())
        assert SCRIPT in drawn
        assert END in drawn
        assert opened.said == []
        opened.context.close()


@pytest.mark.slow
def test_a_seed_says_which_it_is(browser: Browser, pages: Pages) -> None:
    opened = Opened(browser, pages["study"], "desk", "light")
    opened.page.locator("#errors-1").scroll_into_view_if_needed()
    box = opened.page.locator("#errors-1 .trace").first.locator("path").nth(1).bounding_box()
    assert box is not None
    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 2)
    opened.page.wait_for_selector("#errors-1 .hovertext")
    said = "".join(opened.page.locator("#errors-1 .hovertext").all_text_contents())
    assert said.startswith(f"{SCRIPT}, seed ")
    assert opened.said == []
    opened.context.close()


@pytest.mark.slow
def test_links_give_the_data(browser: Browser, pages: Pages, tmp_path: Path) -> None:
    opened = Opened(browser, pages["run"], "desk", "light")
    link = opened.page.locator("a[download='forecast.csv']")
    with opened.page.expect_download() as caught:
        link.click()
    assert caught.value.suggested_filename == "forecast.csv"
    caught.value.save_as(tmp_path / "forecast.csv")
    content = (tmp_path / "forecast.csv").read_text()
    assert content == parsed(pages["run"]).downloads["forecast.csv"]
    assert content.startswith("row,part,truth,prediction,persistence\n2,training,")
    opened.context.close()


@pytest.mark.slow
def test_zoom_and_a_change_of_scheme(browser: Browser, pages: Pages) -> None:
    opened = Opened(browser, pages["run"], "desk", "light")
    ends = "document.getElementById('forecast').layout.xaxis.range"
    whole = opened.page.evaluate(ends)
    opened.page.get_by_role("button", name="test part").click()
    low, high = opened.page.evaluate(ends)
    assert whole[0] < low < high == whole[1]
    colour = "document.querySelector('#loss .scatterlayer .js-line').style.stroke"
    before = opened.page.evaluate(colour)
    opened.page.emulate_media(color_scheme="dark")
    opened.wait_for(f"{colour} !== {before!r}")
    assert opened.page.evaluate(ends) == [low, high]
    opened.context.close()
