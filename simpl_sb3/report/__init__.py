"""Rows -> tables, figures, one HTML page. numpy and matplotlib; no torch."""

from simpl_sb3.report.page import make_report
from simpl_sb3.report.tables import results_table

__all__ = ["make_report", "results_table"]
