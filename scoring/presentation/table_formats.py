"""Report tables as plain text, Markdown, LaTeX and CSV."""

import re
from collections.abc import Sequence

from scoring.presentation.report_table import ReportTable

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    # At the start of a row, LaTeX would read these as arguments of the preceding line end.
    **{letter: f"{{{letter}}}" for letter in "[]*"},
}
# An underscore between letters or digits never begins emphasis.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~&$]|(?<![^\W_])_|_(?![^\W_])")


def _padded(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> list[str]:
    return [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    ]


def _widths(rows: Sequence[Sequence[str]], least: int = 1) -> list[int]:
    return [max(least, *map(len, column)) for column in zip(*rows, strict=True)]


def to_text(report: ReportTable) -> str:
    """Title, aligned columns and caption, for a terminal."""
    cells, numeric = report.cells(), report.numeric
    widths = _widths([report.columns, *cells])
    rows = [report.columns, ["-" * width for width in widths], *cells]
    lines = ["  ".join(_padded(row, widths, numeric)).rstrip() for row in rows]
    return "\n".join([report.title, "", *lines, "", report.caption]) + "\n"


def markdown_text(text: str) -> str:
    """Text escaped so that Markdown shows it literally."""
    return _MARKDOWN.sub(lambda match: f"\\{match[0]}", text)


def to_markdown(report: ReportTable) -> str:
    """A heading, a table in GitHub's dialect, and the caption."""
    numeric = report.numeric
    rows = [[markdown_text(cell) for cell in row] for row in (report.columns, *report.cells())]
    widths = _widths(rows, least=3)
    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    lines = [f"| {' | '.join(_padded(row, widths, numeric))} |" for row in (rows[0], rule, *rows[1:])]
    return "\n".join([f"### {markdown_text(report.title)}", "", *lines, "", markdown_text(report.caption)]) + "\n"


def latex_text(text: str) -> str:
    """Text escaped so that LaTeX prints it literally."""
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    # Two hyphens would become a dash.
    return re.sub("-(?=-)", "-{}", escaped)


def to_latex(report: ReportTable) -> str:
    """A `table` environment with the rules of the package booktabs, and the label `tab:<name>`."""
    rows = [" & ".join(map(latex_text, row)) + r" \\" for row in (report.columns, *report.cells())]
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{latex_text(report.title)}. {latex_text(report.caption)}}}",
        rf"  \label{{tab:{report.name}}}",
        rf"  \begin{{tabular}}{{{''.join('r' if right else 'l' for right in report.numeric)}}}",
        r"    \toprule",
        f"    {rows[0]}",
        r"    \midrule",
        *(f"    {row}" for row in rows[1:]),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def to_csv(report: ReportTable) -> str:
    """Comma-separated values in full precision: `inf` for a miss, empty for an unknown value."""
    return report.table.to_csv(index=False, lineterminator="\n")
