"""A report as one HTML file that loads nothing, works without its script, and runs no other script."""

import base64
import hashlib
import html
import importlib.resources
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from scoring.presentation.chart import Chart, ChartGroup, look
from scoring.presentation.report_table import ReportTable, shown
from scoring.presentation.series import Series
from scoring.presentation.svg import element

_SUBMISSION = "submission"
# Longer texts wrap where a table is too narrow.
_SHORT = 16


def _asset(name: str) -> str:
    return (importlib.resources.files("scoring.presentation") / "assets" / name).read_text(encoding="utf-8")


def _source(content: str) -> str:
    """How a content security policy names inline code."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _submissions(charts: Sequence[Chart]) -> tuple[str, ...]:
    """The submissions of the charts, which all show one set of scores.

    Raises:
      ValueError: two charts number their submissions differently.
    """
    orders = {chart.submissions for chart in charts if chart.submissions}
    if len(orders) > 1:
        raise ValueError("the charts of a report number submissions differently: they come from different scores")
    return orders.pop() if orders else ()


def _breakable(text: str) -> str:
    """Text that wraps after underscores only."""
    return html.escape(text).replace("_", "_<wbr>")


def _cell(value: object, text: str, numeric: bool) -> str:
    if not numeric:
        return f"<td{' class=long' if len(text) > _SHORT else ''}>{_breakable(text)}</td>"
    kind = ' class="number"'
    if pd.isna(value):  # pyright: ignore[reportArgumentType, reportGeneralTypeIssues]
        return f"<td{kind}></td>"
    if value == np.inf:
        return f'<td class="number miss" data-value="Infinity">{html.escape(text)}</td>'
    return f'<td{kind} data-value="{value}">{html.escape(text)}</td>'


def _table(report: ReportTable, numbers: Mapping[str, int]) -> str:
    numeric = report.numeric
    heads = "".join(
        f'<th scope="col"{" class=number" if right else ""}>{html.escape(column.replace("_", " "))}</th>'
        for column, right in zip(report.columns, numeric, strict=True)
    )
    place = report.columns.index(_SUBMISSION) if _SUBMISSION in report.columns else None
    rows = []
    for values, texts in zip(report.table.itertuples(index=False, name=None), report.cells(), strict=True):
        number = None if place is None else numbers.get(shown(values[place]))
        cells = "".join(_cell(*one) for one in zip(values, texts, numeric, strict=True))
        rows.append(f"<tr{'' if number is None else f' data-submission={number}'}>{cells}</tr>")
    count = f"{len(rows)} row{'' if len(rows) == 1 else 's'}"
    return (
        f'<section id="table-{report.name}"><h2>{html.escape(report.title)} <small>{count}</small></h2>'
        f'<p class="caption">{html.escape(report.caption)}</p>'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(report.title)}">'
        f"<table class=sortable><thead><tr>{heads}</tr></thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>"
        "</section>"
    )


def _figure(chart: Chart, heading: str) -> str:
    return (
        f'<section id="chart-{html.escape(chart.name)}" class="figure">'
        f"<{heading}>{html.escape(chart.title)}</{heading}>"
        f'<p class="caption">{html.escape(chart.caption)}</p><div class="scroll">{chart.svg}</div></section>'
    )


def _groups(charts: Sequence[Chart]) -> list[tuple[ChartGroup | None, list[Chart]]]:
    found: list[tuple[ChartGroup | None, list[Chart]]] = []
    for chart in charts:
        if chart.group is not None and found and found[-1][0] == chart.group:
            found[-1][1].append(chart)
        else:
            found.append((chart.group, [chart]))
    return found


def _figures(charts: Sequence[Chart]) -> tuple[str, list[tuple[str, str]]]:
    """The charts, and their entries in the table of contents: identifier and title."""
    parts, entries = [], []
    for group, members in _groups(charts):
        if group is None:
            parts.append(_figure(members[0], "h2"))
            entries.append((f"chart-{members[0].name}", members[0].title))
            continue
        identifier = f"charts-{members[0].name}"
        entries.append((identifier, group.title))
        parts.append(
            f'<section id="{html.escape(identifier)}"><h2>{html.escape(group.title)}</h2>'
            f'<p class="caption">{html.escape(group.caption)}</p><div class="multiples">'
            + "\n".join(_figure(chart, "h3") for chart in members)
            + "</div></section>"
        )
    return "\n".join(parts), entries


def _legend(submissions: Sequence[str]) -> str:
    items = []
    for number, name in enumerate(submissions):
        line = element("line", class_=f"line bold {look(Series(number, name, 0.0))}", x1=1, x2=31, y1=6, y2=6)
        sample = element("svg", line, viewBox="0 0 32 12", width=32, height=12, aria_hidden="true")
        items.append(f"<li data-key={number}>{sample}<span>{_breakable(shown(name))}</span></li>")
    return f'<nav class="legend" aria-label="Submissions"><h2>Submissions</h2><ul>{"".join(items)}</ul></nav>'


def html_report(title: str, settings: Mapping[str, str], tables: Sequence[ReportTable], charts: Sequence[Chart]) -> str:
    """The report as HTML: the first table, then the charts, then the other tables.

    In a table with a column `submission`, each row belongs to the submission of that name, as each line of a chart
    does.

    Args:
      title: heading of the report.
      settings: how the scores were computed, name -> value, shown at the top.
      tables: tables of the report, the leaderboard first.
      charts: charts of the report, all of the same scores.

    Raises:
      ValueError: the charts show different scores.
    """
    submissions = _submissions(charts)
    numbers = {shown(name): number for number, name in enumerate(submissions)}
    sections = [_table(table, numbers) for table in tables]
    entries = [(f"table-{table.name}", table.title) for table in tables]
    figures, chart_entries = _figures(charts)
    sections[1:1], entries[1:1] = [figures], chart_entries
    style, script = _asset("report.css"), _asset("report.js")
    sources = f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}"
    policy = f"{sources}; base-uri 'none'; form-action 'none'"
    body = "\n".join(sections)
    contents = "".join(f'<li><a href="#{html.escape(name)}">{html.escape(text)}</a></li>' for name, text in entries)
    chosen = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in settings.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header><h1>{html.escape(title)}</h1><dl>{chosen}</dl></header>
<div class="columns">
<aside>
<nav class="contents" aria-label="Contents"><h2>Contents</h2><ol>{contents}</ol></nav>
{_legend(submissions) if submissions else ""}
</aside>
<main id="main">
{body}
</main>
</div>
<script>{script}</script>
</body>
</html>
"""
