"""The report as a document: complete, self-contained, escaped."""

import html.parser
import pathlib
import re

import pandas as pd
import pytest

import scoring
from scoring.presentation.chart import Chart
from scoring.presentation.charts import profile_chart
from scoring.presentation.html_report import html_report
from scoring.presentation.report_table import ReportTable
from tests.scoring.presentation.reports import HOSTILE, report_tables

# Elements without an end tag.
VOID = {"meta", "br", "link", "img", "input", "wbr"}


class Document(html.parser.HTMLParser):
    """Elements with their attributes, the cells of tables, and whether elements nest."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def document(page: pathlib.Path) -> Document:
    return Document(page.read_text(encoding="utf-8"))


def test_the_document_is_well_formed(document: Document) -> None:
    assert document.open == []
    identifiers = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_every_link_of_the_contents_has_its_section(document: Document) -> None:
    identifiers = {attributes.get("id") for _, attributes in document.elements}
    links = [str(attributes["href"]) for tag, attributes in document.elements if tag == "a"]
    assert len(links) == 8
    assert all(link.startswith("#") and link[1:] in identifiers for link in links)


def test_the_document_loads_nothing(document: Document, page: pathlib.Path) -> None:
    for tag, attributes in document.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "use", "image"), tag
        assert not {"src", "srcset", "style", "xlink:href"} & set(attributes), attributes
        assert not [name for name in attributes if name.startswith("on")]
    source = page.read_text(encoding="utf-8")
    assert "url(" not in source
    assert "@import" not in source
    assert set(re.findall(r"https?://[^\s\"']+", source)) == {"http://www.w3.org/2000/svg"}


def test_the_policy_names_the_inline_code_alone(document: Document) -> None:
    (policy,) = [str(a["content"]) for tag, a in document.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert [tag for tag, _ in document.elements].count("script") == 1


def test_names_are_escaped(page: pathlib.Path) -> None:
    source = page.read_text(encoding="utf-8")
    assert HOSTILE not in source
    assert "&lt;script&gt;alert(1)&lt;x&gt;" in source
    hostile = ReportTable("a", HOSTILE, HOSTILE, pd.DataFrame({HOSTILE: [HOSTILE]}))
    chart = Chart("c", HOSTILE, HOSTILE, "<svg></svg>", (HOSTILE,))
    assert HOSTILE not in html_report(HOSTILE, {HOSTILE: HOSTILE}, [hostile], [chart])


def test_tables_are_complete(document: Document, scores: scoring.Scores) -> None:
    tables = report_tables(scores)
    assert len(document.tables) == len(tables)
    for found, report in zip(document.tables, tables, strict=True):
        assert found[0] == [column.replace("_", " ") for column in report.columns]
        assert found[1:] == report.cells()
    assert [row[2] for row in document.tables[1][1:]].count("miss") == 2
    assert [row[2] for row in document.tables[1][1:]].count("") == 2


def test_numbers_keep_their_full_value_for_sorting(document: Document) -> None:
    values = [attributes.get("data-value") for tag, attributes in document.elements if tag == "td"]
    assert "Infinity" in values
    assert "nan" not in values


def test_charts_come_after_the_first_table(page: pathlib.Path) -> None:
    source = page.read_text(encoding="utf-8")
    places = [
        source.index(f'<section id="{name}"') for name in ("table-leaderboard", "chart-time_to_target", "table-times")
    ]
    assert places == sorted(places)


def test_charts_of_different_scores_are_refused(scores: scoring.Scores) -> None:
    other = Chart("other", "Other", "", "<svg></svg>", ("somebody",))
    with pytest.raises(ValueError, match="different scores"):
        html_report("title", {}, [], [profile_chart(scores), other])


def test_a_report_may_be_empty() -> None:
    assert Document(html_report("title", {}, [], [])).tables == []
