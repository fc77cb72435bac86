"""The quantum LSTM as an sktime forecaster: series in, series out, with their index.

We chose sktime over darts because its estimators follow scikit-learn, as `QLSTMRegressor` does, it adds only one small
package, and it has a conformance test for forecasters (`check_estimator`), which this one passes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from qlstm_qiskit.data import Scaler, sliding_windows
from qlstm_qiskit.errors import DataError, installing, require_at_least
from qlstm_qiskit.training.regressor import QLSTMRegressor
from qlstm_qiskit.training.rows import Grid

try:
    from sktime.forecasting.base import BaseForecaster
except ImportError as error:
    raise ImportError(f"QLSTMForecaster needs sktime: {installing('sktime')}") from error


class QLSTMForecaster(BaseForecaster):
    """A forecaster that predicts the row after a window and feeds predictions back for later rows.

    Several columns are predicted together, each from all of them. Values are scaled to [-1, 1] by the range of the fitted rows.
    For `evaluate`, pipelines and hierarchical data, which work as with other forecasters, see sktime's documentation.

    Args:
        regressor: A `QLSTMRegressor` with the options of model and training; one with its defaults where None. It is cloned,
            so fitting does not change it.
        window_length: Number of rows that it reads.

    Attributes:
        regressor_: The fitted regressor.
        scaler_: Scaler of the fitted rows.

    Raises:
        DataError: On fitting, before anything is trained: fewer than window_length + 2 rows, missing or duplicate rows,
            dates without a frequency, or infinite values. On forecasting: a horizon of a different kind from the index, or
            one that falls between rows.

    Examples:
        >>> from sktime.datasets import load_airline
        >>> from qlstm_qiskit import QLSTMRegressor
        >>> from qlstm_qiskit.training.sktime import QLSTMForecaster
        >>> regressor = QLSTMRegressor("config1", hidden_size=2, depth=1, max_epochs=5)
        >>> forecaster = QLSTMForecaster(regressor, window_length=12).fit(load_airline())
        >>> forecaster.predict(fh=[1, 2, 3]).shape
        (3,)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["qlstm_qiskit developers"],
        "maintainers": ["qlstm_qiskit developers"],
        "python_dependencies": ["torch", "qiskit"],
        "capability:multivariate": True,
        "capability:exogenous": False,
        "capability:insample": False,
        "capability:update": True,
        "y_inner_mtype": "pd.DataFrame",
        "X_inner_mtype": "pd.DataFrame",
        "requires-fh-in-fit": False,
    }

    _config: ClassVar[dict[str, Any]] = {"remember_data": False}  # this class keeps the rows that it needs

    def __init__(self, regressor: QLSTMRegressor | None = None, window_length: int = 12) -> None:
        self.regressor = regressor
        self.window_length = window_length
        super().__init__()

    def _fit(self, y: pd.DataFrame, X: pd.DataFrame | None, fh: Any) -> QLSTMForecaster:
        window = require_at_least("window_length", self.window_length, 1)
        values = y.to_numpy(dtype=np.float64)
        if len(values) < window + 2:
            raise DataError(f"y has {len(values)} rows; a window of {window} needs at least {window + 2} to learn from.")
        self._grid, self._rows = Grid.of(y.index), y
        if fh is not None:
            self._steps(fh)
        self.scaler_ = Scaler.fit(values)
        scaled = self.scaler_.transform(values)
        self.regressor_ = QLSTMRegressor() if self.regressor is None else clone(self.regressor)
        self.regressor_.fit(sliding_windows(scaled, window)[:-1], scaled[window:])
        return self

    def _update(self, y: pd.DataFrame, X: pd.DataFrame | None = None, update_params: bool = True) -> QLSTMForecaster:
        """Continue from new or corrected rows; with `update_params`, train anew on all rows."""
        if y.index.has_duplicates:
            raise DataError(f"y has more than one row at {y.index[y.index.duplicated()][0]}; keep one of them.")
        try:
            rows = pd.concat([self._rows, y])
            rows = rows[~rows.index.duplicated(keep="last")].sort_index()
        except TypeError as error:  # another kind of index, or a time zone where there was none
            raise DataError(f"the index of y does not go with that of the rows before: {error}.") from None
        self._grid.require_whole(rows.index)
        if isinstance(rows.index, pd.DatetimeIndex):
            rows.index.freq = self._grid.step  # which cannot be inferred for business days with holidays
        self._rows = rows
        return self._fit(rows, X, None) if update_params else self

    def _predict(self, fh: Any, X: pd.DataFrame | None) -> pd.DataFrame:
        steps = self._steps(fh)
        rows = self._rows.loc[: self.cutoff[0]]
        if len(rows) < self.window_length:
            raise DataError(f"there are {len(rows)} rows up to {self.cutoff[0]}; a window has {self.window_length}.")
        if rows.index[-1] != self.cutoff[0]:
            raise DataError(f"there is no row at {self.cutoff[0]}: an update was refused. Fill the gap, and update again.")
        known = np.empty((self.window_length + steps.max(), rows.shape[1]))
        known[: self.window_length] = self.scaler_.transform(rows.to_numpy(dtype=np.float64)[-self.window_length :])
        for row in range(self.window_length, len(known)):
            known[row] = self.regressor_.predict(known[None, row - self.window_length : row]).reshape(-1)
        predicted = self.scaler_.inverse(known[self.window_length + steps - 1])
        return pd.DataFrame(predicted, index=fh.to_absolute_index(self.cutoff), columns=self._rows.columns)

    def _steps(self, fh: Any) -> NDArray[np.int64]:
        """Numbers of rows from the last row to those of a horizon."""
        return self._grid.steps(self.cutoff[0], fh.to_pandas(), relative=fh.is_relative)

    def _check_fh(self, fh: Any, *args: Any, **options: Any) -> Any:
        """Sktime's check, which compares a horizon with the rows, with a readable error."""
        try:
            return super()._check_fh(fh, *args, **options)
        except (AssertionError, TypeError) as error:
            if str(error).startswith("Invalid"):
                raise
            raise DataError(
                f"fh is {fh!r}, which does not go with the index of y; give numbers of rows such as [1, 2], time differences "
                "of whole steps, or labels of the kind that y has."
            ) from error
        except ValueError as error:
            if self._fh is None or "frequency" not in str(error).lower():
                raise
            return self._fh  # sktime counts in periods, which business days with holidays have none of; `_steps` does not

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:  # noqa: ARG003 (sktime's)
        """Small models for sktime's conformance test."""
        small: dict[str, Any] = {"hidden_size": 1, "depth": 1, "max_epochs": 1}
        return [
            {"regressor": QLSTMRegressor("config1", **small), "window_length": 3},
            {"regressor": QLSTMRegressor("lstm", hidden_size=2, max_epochs=1), "window_length": 2},
        ]
