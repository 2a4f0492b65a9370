"""Tables as text, Markdown, LaTeX and CSV: alignment, misses, blanks and escaping."""

import io

import numpy as np
import pandas as pd
import pytest

from scoring.presentation.report_table import ReportTable, shown
from scoring.presentation.table_formats import latex_text, markdown_text, to_csv, to_latex, to_markdown, to_text


@pytest.fixture
def report() -> ReportTable:
    table = pd.DataFrame(
        {
            "submission": ["a_b", "x|y & 5%", None],
            "time_sec": [1.0 / 3.0, np.inf, np.nan],
            "studies": pd.array([3, 12, None], dtype="Int64"),
            "complete": [True, False, True],
        }
    )
    return ReportTable("times", "Times", "Seconds & counts.", table, {"time_sec": ".2f"})


def test_text_aligns_numbers_right_and_says_miss(report: ReportTable) -> None:
    assert to_text(report).splitlines() == [
        "Times",
        "",
        "submission  time_sec  studies  complete",
        "----------  --------  -------  --------",
        "a_b             0.33        3  yes",
        "x|y & 5%        miss       12  no",
        "                               yes",
        "",
        "Seconds & counts.",
    ]


def test_markdown(report: ReportTable) -> None:
    lines = to_markdown(report).splitlines()
    assert lines[0] == "### Times"
    assert lines[2] == "| submission | time_sec | studies | complete |"
    assert lines[3] == "| ---------- | -------: | ------: | -------- |"
    assert lines[5] == r"| x\|y \& 5% |     miss |      12 | no       |"
    assert lines[-1] == r"Seconds \& counts."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b_c", "a_b_c"),
        ("_a_ *b*", r"\_a\_ \*b\*"),
        ("<img>", r"\<img\>"),
        ("[a](b) `c`", r"\[a\](b) \`c\`"),
        ("~~a~~ \\", r"\~\~a\~\~ \\"),
    ],
)
def test_markdown_escapes_what_it_would_interpret(text: str, expected: str) -> None:
    assert markdown_text(text) == expected


def test_latex_uses_booktabs(report: ReportTable) -> None:
    latex = to_latex(report)
    assert r"\begin{tabular}{lrrl}" in latex
    assert latex.index(r"\toprule") < latex.index(r"\midrule") < latex.index(r"\bottomrule")
    assert r"    x\textbar{}y \& 5\% & miss & 12 & no \\" in latex
    assert r"\caption{Times. Seconds \& counts.}" in latex
    assert r"\label{tab:times}" in latex


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("&%$#_{}", r"\&\%\$\#\_\{\}"),
        ("\\~^", r"\textbackslash{}\textasciitilde{}\textasciicircum{}"),
        ("<|>", r"\textless{}\textbar{}\textgreater{}"),
        ("[1] *", "{[}1{]} {*}"),
        ("a---b", "a-{}-{}-b"),
    ],
)
def test_latex_escapes_every_special_character(text: str, expected: str) -> None:
    assert latex_text(text) == expected


def test_csv_keeps_full_precision_and_infinity(report: ReportTable) -> None:
    lines = to_csv(report).splitlines()
    assert lines[1] == "a_b,0.3333333333333333,3,True"
    assert lines[2] == "x|y & 5%,inf,12,False"
    assert lines[3] == ",,,True"
    back = pd.read_csv(io.StringIO(to_csv(report)))
    assert back["time_sec"].tolist()[:2] == [1.0 / 3.0, np.inf]


@pytest.mark.parametrize(
    ("value", "specification", "expected"),
    [
        (np.inf, ".4f", "miss"),
        (-np.inf, "", "-inf"),
        (np.nan, ".4f", ""),
        (pd.NA, ".4f", ""),
        (pd.NaT, "", ""),
        (np.float64(0.5), ".4f", "0.5000"),
        (1234567, "", "1234567"),
        (1234567, ",", "1,234,567"),
        ("a\nb\x1b[0m", "", "a b\N{REPLACEMENT CHARACTER}[0m"),
        (np.bool_(False), "", "no"),
    ],
)
def test_what_a_cell_shows(value: object, specification: str, expected: str) -> None:
    assert shown(value, specification) == expected


def test_an_empty_table_has_its_headings() -> None:
    report = ReportTable("none", "None", "Nothing.", pd.DataFrame({"a": [], "b": []}))
    assert "a  b" in to_text(report)
    assert to_csv(report) == "a,b\n"
    assert r"\midrule" in to_latex(report)


def test_names_are_checked() -> None:
    table = pd.DataFrame({"a": [1]})
    with pytest.raises(ValueError, match="'a b'"):
        ReportTable("a b", "", "", table)
    with pytest.raises(ValueError, match="column 'b'"):
        ReportTable("x", "", "", table, {"b": ".1f"})
