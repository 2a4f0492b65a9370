"""Writes a report as files: tables in several formats, figures, and one HTML page."""

import dataclasses
import json
import pathlib

import pandas as pd

from scoring.errors import ScoringError
from scoring.presentation.charts import profile_chart, time_heat_map
from scoring.presentation.curve_charts import learning_curve_charts
from scoring.presentation.figures import write_figures
from scoring.presentation.html_report import html_report
from scoring.presentation.report_table import ReportTable
from scoring.presentation.table_formats import to_csv, to_latex, to_markdown, to_text
from scoring.presentation.time_cells import budgets
from scoring.reports import Report, detail_tables, report_tables

_FORMATS = {"txt": to_text, "md": to_markdown, "tex": to_latex}


def _with_rule(table: ReportTable, rule: str) -> ReportTable:
    return dataclasses.replace(table, table=pd.DataFrame(table.table.assign(rule=rule)))


def write_report(report: Report, folder: pathlib.Path) -> None:
    """Writes a report into `folder`, which is created if needed.

    `scores.csv` has the columns `submission,score`, the best first. Every other table is `<name>.csv`, in full
    precision and with a column `rule`; those of `reports.report_tables` are also in `tables/` as text, Markdown and
    LaTeX. `figures/` has PNG and SVG files, `report.html` shows everything, `settings.json` says how it was made.

    Raises:
      ScoringError: a file cannot be written.
    """
    scores, tables = report.scores, report_tables(report)
    files = {
        "scores.csv": to_csv(ReportTable("scores", "", "", pd.DataFrame(scores.leaderboard[["submission", "score"]]))),
        "settings.json": json.dumps(report.settings, indent=2) + "\n",
        "report.html": html_report(
            f"Scores of {report.logs.folder.absolute().name}",
            report.settings,
            tables,
            [
                profile_chart(scores),
                time_heat_map(scores, budgets(report.logs, scores)),
                *learning_curve_charts(report.logs, scores),
            ],
        ),
    }
    for table in (*tables, *detail_tables(report)):
        files[f"{table.name}.csv"] = to_csv(_with_rule(table, scores.rule))
    for table in tables:
        files |= {f"tables/{table.name}.{ending}": write(table) for ending, write in _FORMATS.items()}
    try:
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise ScoringError(f"{folder}: cannot be written ({error})") from error
    write_figures(folder / "figures", report.logs, scores)
