"""Presentation of scores: tables in several formats, figures for papers, and a report as one HTML file.

`report_table.ReportTable` is what tables are written from, `chart.Chart` a drawing of the HTML file. Modules are
imported one by one, since those that draw figures take a while to load.
"""
