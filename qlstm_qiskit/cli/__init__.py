"""The command line: parse, call one function, print. Nothing heavy is imported before a command needs it."""

from qlstm_qiskit.cli.app import main

__all__ = ["main"]
