"""The report in a browser without network: sorting, tooltips, the legend, long names, a phone's width."""

import pathlib
import shutil
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, Page, sync_playwright

import scoring
from scoring import reports
from scoring.presentation.charts import profile_chart, time_heat_map
from scoring.presentation.html_report import html_report
from scoring.presentation.time_cells import budgets
from tests.scoring.presentation.reports import LONG, long_logs

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def view(browser: Browser, page: pathlib.Path) -> Iterator[Page]:
    """The opened report; at the end, there were no network requests and no errors."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    view = context.new_page()
    faults: list[str] = []
    view.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    view.on("pageerror", lambda error: faults.append(str(error)))
    view.on("dialog", lambda dialog: faults.append(dialog.message))
    view.on("request", lambda request: None if request.url.startswith("file:") else faults.append(request.url))
    view.goto(page.as_uri())
    yield view
    context.close()
    assert faults == []


def column(view: Page, table: str, number: int) -> list[str]:
    return view.locator(f"#table-{table} tbody tr td:nth-child({number})").all_inner_texts()


def tooltip(view: Page) -> list[str]:
    return view.locator("#tooltip:not([hidden])").inner_text(timeout=2000).splitlines()


def test_a_click_sorts_numbers_with_misses_last(view: Page) -> None:
    head = view.locator("#table-times th").nth(2)
    head.get_by_role("button").click()
    values = column(view, "times", 3)
    assert head.get_attribute("aria-sort") == "ascending"
    numbers = [float(value) for value in values[:-4]]
    assert numbers == sorted(numbers)
    assert len(numbers) == 8
    assert values[-4:] == ["miss", "miss", "", ""]
    head.get_by_role("button").click()
    values = column(view, "times", 3)
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(value) for value in values[:-4]] == numbers[::-1]
    assert values[-4:] == ["miss", "miss", "", ""]


def test_the_keyboard_sorts_texts(view: Page) -> None:
    names = column(view, "leaderboard", 1)
    button = view.locator("#table-leaderboard th").first.get_by_role("button")
    button.focus()
    view.keyboard.press("Enter")
    assert column(view, "leaderboard", 1) == sorted(names)
    view.keyboard.press("Space")
    assert column(view, "leaderboard", 1) == sorted(names, reverse=True)


def test_the_pointer_reads_a_profile(view: Page) -> None:
    plot = view.locator("#chart-performance_profiles .plot.lines .surface")
    box = plot.bounding_box()
    assert box is not None
    # The upper edge of the plot is at 102 %, the lower at -2 %; the best stays at 100 %.
    view.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 4 / 104)
    assert tooltip(view) == ["fast  1.0000", "ratio to the best: 2.500", "workloads (%): 100.0"]
    view.keyboard.press("Escape")
    assert view.locator("#tooltip").is_hidden()


def test_the_pointer_and_the_keyboard_read_the_heat_map(view: Page) -> None:
    view.locator('.cell[data-row="2"][data-column="0"]').hover()
    assert tooltip(view)[0] == "late, alpha"
    assert "alpha_variant" in tooltip(view)[1]
    view.mouse.move(1, 1)
    plot = view.locator(".plot.cells")
    plot.focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowRight"):
        plot.press(key)
    assert tooltip(view)[0] == "fast, beta"


def test_the_keyboard_reads_a_learning_curve(view: Page) -> None:
    plot = view.locator("#chart-learning_curves_alpha .plot")
    plot.focus()
    plot.press("ArrowRight")
    assert tooltip(view)[0] == "fast, study_1, trial_1"
    assert tooltip(view)[2].startswith("loss: 0.4")
    plot.press("ArrowDown")
    assert tooltip(view)[0] == "late, study_1, trial_1"


def test_the_legend_hides_a_submission_everywhere(view: Page) -> None:
    box = view.get_by_label("fast", exact=True)
    lines = view.locator('path.line[data-submission="0"]')
    assert lines.count() == 1 + 3 + 3
    box.uncheck()
    assert view.locator('path.line.off[data-submission="0"]').count() == lines.count()
    assert not lines.first.is_visible()
    assert view.locator("path.line.off").count() == lines.count()
    assert view.locator("#table-leaderboard tbody tr:visible").count() == 3
    box.check()
    assert view.locator(".off").count() == 0
    view.get_by_role("button", name="Hide all").click()
    assert view.locator("path.line:visible").count() == 0


def test_a_phone_shows_the_page_without_overflow(view: Page) -> None:
    view.set_viewport_size({"width": 360, "height": 720})
    width = view.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
    view.locator("#chart-learning_curves_beta .plot .surface").click()
    view.locator("#chart-time_to_target .cell").first.click()
    assert tooltip(view)[0] == "fast, alpha"
    box = view.locator("#tooltip").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


# Texts of charts that leave their drawing or touch each other; boxes are taller than their letters.
TEXTS = """
chart => {
  const frame = chart.getBoundingClientRect();
  const boxes = [...chart.querySelectorAll("text")].map(text => {
    const {left, right, top, bottom} = text.getBoundingClientRect();
    const edge = (bottom - top) / 5;
    return {left, right, top: top + edge, bottom: bottom - edge, name: text.textContent};
  });
  const outside = boxes.filter(box => box.left < frame.left - 1 || box.right > frame.right + 1 ||
    box.top < frame.top - 1 || box.bottom > frame.bottom + 1).map(box => box.name);
  const touching = boxes.flatMap((a, at) => boxes.slice(at + 1).filter(b => a.left < b.right && b.left < a.right &&
    a.top < b.bottom && b.top < a.bottom).map(b => `${a.name} / ${b.name}`));
  return [...outside, ...touching];
}
"""
# Cells whose content is wider than they are, and columns that stay hidden when their table is scrolled to its end.
CELLS = """
region => {
  region.scrollLeft = region.scrollWidth;
  const frame = region.getBoundingClientRect();
  const hidden = [...region.querySelectorAll("tr > :last-child")].filter(
    cell => cell.getBoundingClientRect().right > frame.right + 1);
  const cut = [...region.querySelectorAll("td, th")].filter(cell => cell.scrollWidth > cell.clientWidth + 1);
  return [...hidden, ...cut].map(cell => cell.textContent);
}
"""


@pytest.fixture(scope="module")
def long_page(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    logs = long_logs(tmp_path_factory.mktemp("long"))
    scores = scoring.score(logs)
    tables = reports.report_tables(reports.make_report(logs, scores, resamples=10, baseline="short"))
    charts = [profile_chart(scores), time_heat_map(scores, budgets(logs, scores))]
    path = tmp_path_factory.mktemp("long_report") / "report.html"
    path.write_text(html_report("Long names", {"logs": "/" + "x" * 300}, tables, charts), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [400, 900, 1300, 1900])
def test_long_names_and_many_columns_are_neither_cut_nor_overlap(
    browser: Browser, long_page: pathlib.Path, width: int
) -> None:
    view = browser.new_page(viewport={"width": width, "height": 900})
    view.goto(long_page.as_uri())
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    for chart in view.locator("svg.chart").all():
        assert chart.evaluate(TEXTS) == []
    for region in view.locator(".scroll:has(table)").all():
        assert region.evaluate(CELLS) == []
    for item in view.locator(".legend li, .contents li, dd").all():
        assert item.evaluate("item => item.scrollWidth - item.clientWidth") <= 0
    board = view.locator("#table-leaderboard .scroll")
    overflow = board.evaluate("region => region.scrollWidth - region.clientWidth")
    assert overflow <= 0 or width == 400
    heads = view.locator("#chart-time_to_target g[data-submission]:not(.cell)").all()
    labels = ["".join(head.locator("text").all_text_contents()).replace(" ", "") for head in heads]
    # A name longer than three lines ends in an ellipsis.
    whole = [name.replace(" ", "") for name in scores_order(view) if len(name) < 60]
    assert len(whole) == len(LONG) - 1
    assert [label for label in labels if "\N{HORIZONTAL ELLIPSIS}" not in label] == whole
    view.close()


def scores_order(view: Page) -> list[str]:
    return view.locator("#table-leaderboard td:nth-child(2)").all_text_contents()


def test_the_dark_scheme_changes_the_colours(view: Page) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    light = view.evaluate(colour)
    view.emulate_media(color_scheme="dark")
    assert view.evaluate(colour) != light


def test_the_page_is_complete_without_scripts(browser: Browser, page: pathlib.Path) -> None:
    context = browser.new_context(offline=True, java_script_enabled=False)
    view = context.new_page()
    view.goto(page.as_uri())
    assert view.locator("table").count() == 4
    assert view.locator("svg.chart").count() == 4
    assert view.locator("button, input").count() == 0
    context.close()
