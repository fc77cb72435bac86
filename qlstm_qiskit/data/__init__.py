"""Series to learn from: the paper's, measured ones, a user's CSV files; and windows of all of them."""

from qlstm_qiskit.data.change import SEASON, TRANSFORMS, Change
from qlstm_qiskit.data.chaotic import CHAOTIC_SERIES, SCALINGS
from qlstm_qiskit.data.conformal import INTERVAL_METHODS, Intervals, conformal_radius, require_level, tracked, windows_needed
from qlstm_qiskit.data.cut import make_dataset
from qlstm_qiskit.data.errors import forecast_errors, mean_squared_error, reference_errors
from qlstm_qiskit.data.files import load_csv, numeric_columns, read_table
from qlstm_qiskit.data.generators import PAPER_SERIES
from qlstm_qiskit.data.known import CALENDAR, Known
from qlstm_qiskit.data.labelled import LabelledWindows
from qlstm_qiskit.data.labelled_files import label_csv
from qlstm_qiskit.data.labelled_series import LABELLED_SERIES, load_labelled
from qlstm_qiskit.data.named import DATASETS, load_dataset
from qlstm_qiskit.data.order import require_time_order
from qlstm_qiskit.data.reading import IMPUTE, Reading
from qlstm_qiskit.data.real import REAL_SERIES, RealSeries
from qlstm_qiskit.data.rollout import horizon_errors, rolled_errors, rolled_out, rolled_windows
from qlstm_qiskit.data.scaler import Scaler, scaled_rows
from qlstm_qiskit.data.series import SeriesTable
from qlstm_qiskit.data.table import read_series
from qlstm_qiskit.data.times import Times
from qlstm_qiskit.data.windows import Dataset, part_of, sliding_windows, split_validation

__all__ = [
    "CALENDAR",
    "CHAOTIC_SERIES",
    "DATASETS",
    "IMPUTE",
    "INTERVAL_METHODS",
    "LABELLED_SERIES",
    "PAPER_SERIES",
    "REAL_SERIES",
    "SCALINGS",
    "SEASON",
    "TRANSFORMS",
    "Change",
    "Dataset",
    "Intervals",
    "Known",
    "LabelledWindows",
    "Reading",
    "RealSeries",
    "Scaler",
    "SeriesTable",
    "Times",
    "conformal_radius",
    "forecast_errors",
    "horizon_errors",
    "label_csv",
    "load_csv",
    "load_dataset",
    "load_labelled",
    "make_dataset",
    "mean_squared_error",
    "numeric_columns",
    "part_of",
    "read_series",
    "read_table",
    "reference_errors",
    "require_level",
    "require_time_order",
    "rolled_errors",
    "rolled_out",
    "rolled_windows",
    "scaled_rows",
    "sliding_windows",
    "split_validation",
    "tracked",
    "windows_needed",
]
