"""Presentation of scores: tables in several formats, figures for papers, and a report as one HTML file."""

from scoring.presentation.chart import Chart, ChartGroup
from scoring.presentation.charts import profile_chart, time_heat_map
from scoring.presentation.curve_charts import learning_curve_charts
from scoring.presentation.figures import write_figures
from scoring.presentation.html_report import html_report
from scoring.presentation.report_table import ReportTable
from scoring.presentation.table_formats import to_csv, to_latex, to_markdown, to_text
from scoring.presentation.time_cells import budgets

__all__ = [
    "Chart",
    "ChartGroup",
    "ReportTable",
    "budgets",
    "html_report",
    "learning_curve_charts",
    "profile_chart",
    "time_heat_map",
    "to_csv",
    "to_latex",
    "to_markdown",
    "to_text",
    "write_figures",
]
