"""Figures of runs, and pages on runs and studies."""

from qlstm_qiskit.report.figures import draw_run, forecast_figure, loss_figure, structural_weights_figure
from qlstm_qiskit.report.pages.write import write_report

__all__ = ["draw_run", "forecast_figure", "loss_figure", "structural_weights_figure", "write_report"]
