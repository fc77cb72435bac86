"""Devices of other makers, each in an environment of its own: `python -m benchmarks.providers`, or `make providers`."""
