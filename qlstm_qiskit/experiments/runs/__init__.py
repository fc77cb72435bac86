"""Runs: their specs, training into a folder, reading back, deriving, forecasting."""
