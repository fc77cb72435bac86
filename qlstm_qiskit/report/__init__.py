"""Figures of runs."""

from qlstm_qiskit.report.figures import draw_run, forecast_figure, loss_figure, structural_weights_figure

__all__ = ["draw_run", "forecast_figure", "loss_figure", "structural_weights_figure"]
