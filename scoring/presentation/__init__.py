"""Presentation of scores: tables in several formats, figures for papers, and a report as one HTML file."""

from scoring.presentation.report_table import ReportTable
from scoring.presentation.table_formats import to_csv, to_latex, to_markdown, to_text

__all__ = ["ReportTable", "to_csv", "to_latex", "to_markdown", "to_text"]
