"""Presentation of scores: tables in several formats, figures for papers, and a report as one HTML file.

`report_table.ReportTable` is a table in any format, `chart.Chart` a drawing of the HTML file. Import the modules one by
one: those that draw figures take a while to load.
"""
