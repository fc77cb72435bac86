"""`python -m qlstm_qiskit` is `qlstm`, also where the environment's scripts are not on the path."""

from qlstm_qiskit.cli import main

main()
