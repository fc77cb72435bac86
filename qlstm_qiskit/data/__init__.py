"""What is learned: the paper's series, a user's CSV files, and windows of both."""

from qlstm_qiskit.data.files import load_csv, numeric_columns, read_table
from qlstm_qiskit.data.generators import DATASETS, load_dataset
from qlstm_qiskit.data.windows import Dataset, Scaler, make_dataset, sliding_windows

__all__ = [
    "DATASETS",
    "Dataset",
    "Scaler",
    "load_csv",
    "load_dataset",
    "make_dataset",
    "numeric_columns",
    "read_table",
    "sliding_windows",
]
