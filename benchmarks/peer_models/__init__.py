"""The same model in other libraries; each module runs in an environment of its own and must not import qlstm_qiskit."""
