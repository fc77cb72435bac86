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

from qlstm_qiskit.data import Scaler, conformal_radius, part_of, sliding_windows, windows_needed
from qlstm_qiskit.errors import DataError, installing, require_at_least
from qlstm_qiskit.training.declare import Real
from qlstm_qiskit.training.exogenous import IMPUTER, Exogenous
from qlstm_qiskit.training.regressor import QLSTMRegressor
from qlstm_qiskit.training.rows import Grid

try:
    from sktime.forecasting.base import BaseForecaster
except ImportError as error:
    raise ImportError(f"QLSTMForecaster needs sktime: {installing('sktime')}") from error


class QLSTMForecaster(BaseForecaster):
    """A forecaster that predicts the row after a window and feeds predictions back for later rows.

    Several columns are predicted together, each from all of them. Columns of X are known ahead: at the step of each row the
    model reads X in the next row, the one that it predicts, so that `predict` needs X up to the farthest row of fh. Values are
    scaled to [-1, 1] by the range of the fitted rows. For `evaluate`, pipelines and hierarchical data, which work as with other
    forecasters, see sktime's documentation; and for missing values, which are refused, its `Imputer`.

    Args:
        regressor: A `QLSTMRegressor` with the options of model and training; one with its defaults where None. It is cloned,
            so fitting does not change it.
        window_length: Number of rows that it reads.
        calibration_fraction: Part of the windows, the last of them, that calibrates intervals and does not train; 0 for none,
            and then there are no intervals and no quantiles. Rows of updates that are not trained on calibrate too.

    Attributes:
        regressor_: The fitted regressor.
        scaler_: Scaler of the fitted rows of y.

    Raises:
        DataError: On fitting, before anything is trained: fewer than window_length + 2 rows, missing or duplicate rows,
            dates without a frequency, missing or infinite values, or rows of y without a row of X. On forecasting: a horizon of
            a different kind from the index, or one that falls between rows; X without the rows up to it, or with other columns
            than in the fit; or too few calibration windows for the coverage that far ahead.

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
        "capability:exogenous": True,
        "capability:non_contiguous_X": False,
        "X-y-must-have-same-index": False,  # X may go on after y; what it lacks is said in words
        "capability:missing_values": False,
        "capability:insample": False,
        "capability:update": True,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "y_inner_mtype": "pd.DataFrame",
        "X_inner_mtype": "pd.DataFrame",
        "requires-fh-in-fit": False,
    }

    _config: ClassVar[dict[str, Any]] = {"remember_data": False}  # this class keeps the rows that it needs

    def __init__(
        self, regressor: QLSTMRegressor | None = None, window_length: int = 12, calibration_fraction: float = 0.0
    ) -> None:
        self.regressor = regressor
        self.window_length = window_length
        self.calibration_fraction = calibration_fraction
        super().__init__()
        if calibration_fraction == 0:
            self.set_tags(**{"capability:pred_int": False})

    def _fit(self, y: pd.DataFrame, X: pd.DataFrame | None, fh: Any) -> QLSTMForecaster:
        window = require_at_least("window_length", self.window_length, 1)
        values = y.to_numpy(dtype=np.float64)
        if len(values) < window + 2:
            raise DataError(f"y has {len(values)} rows; a window of {window} needs at least {window + 2} to learn from.")
        self._grid, self._rows = Grid.of(y.index), y
        if fh is not None:
            self._steps(fh)
        self.scaler_ = Scaler.fit(values)
        self._x = None if X is None else Exogenous.fit(X, y.index)
        inputs = scaled = self.scaler_.transform(values)
        if self._x is not None:
            inputs = np.concatenate([scaled[:-1], self._x.scaled(y.index[1:])], axis=1)
        self.regressor_ = QLSTMRegressor() if self.regressor is None else clone(self.regressor)
        windows, targets = sliding_windows(inputs, window)[: len(scaled) - window], scaled[window:]
        fraction = Real(0, below=1).checked("calibration_fraction", self.calibration_fraction)
        n_train = len(windows) - part_of(fraction, len(windows))
        self.regressor_.fit(windows[:n_train], targets[:n_train])
        self._last_seen = y.index[window + n_train - 1]  # by the model; rows after it calibrate
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
        known = self._given(X)
        if known is not None:
            known.scaled(y.index)
        self._rows, self._x = rows, known
        return self._fit(rows, None if known is None else known.rows, None) if update_params else self

    def _predict(self, fh: Any, X: pd.DataFrame | None) -> pd.DataFrame:
        steps, known = self._steps(fh), self._given(X)
        rows, window = self._known(), self.window_length
        later = None
        if known is not None:
            index = self._rows.loc[: self.cutoff[0]].index
            labels = index[len(index) - window + 1 :].append(self._grid.ahead(self.cutoff[0], int(steps.max()))[1:])
            later = known.scaled(labels)[None]
        predicted = self.scaler_.inverse(self._fed_back(rows[None, -window:], int(steps.max()), later)[0, steps - 1])
        return pd.DataFrame(predicted, index=fh.to_absolute_index(self.cutoff), columns=self._rows.columns)

    def _known(self) -> NDArray[np.float64]:
        """All rows up to the cutoff, scaled."""
        rows = self._rows.loc[: self.cutoff[0]]
        if len(rows) < self.window_length:
            raise DataError(f"there are {len(rows)} rows up to {self.cutoff[0]}; a window has {self.window_length}.")
        if rows.index[-1] != self.cutoff[0]:
            raise DataError(f"there is no row at {self.cutoff[0]}: an update was refused. Fill the gap, and update again.")
        return self.scaler_.transform(rows.to_numpy(dtype=np.float64))

    def _given(self, X: pd.DataFrame | None) -> Exogenous | None:
        """All rows of X, with these."""
        if self._x is None and X is not None:
            raise DataError("X is given, and this forecaster was fitted without; fit it with X, or leave X out.")
        return None if self._x is None else self._x.joined(X)

    def _fed_back(
        self, windows: NDArray[np.float64], steps: int, later: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Scaled predictions (n, steps, columns) of scaled windows (n, rows, columns), fed back for later steps.

        `later` is X, scaled, in the rows from the second of each window to the last that is predicted.
        """
        found, window = np.empty((len(windows), steps, windows.shape[2])), windows.shape[1]
        for step in range(steps):
            inputs = windows if later is None else np.concatenate([windows, later[:, step : step + window]], axis=2)
            found[:, step] = self.regressor_.predict(inputs).reshape(len(windows), -1)
            windows = np.concatenate([windows[:, 1:], found[:, step, None]], axis=1)
        return found

    def _predict_interval(self, fh: Any, X: pd.DataFrame | None, coverage: list[float]) -> pd.DataFrame:
        """Symmetric conformal intervals for each step, calibrated by feeding back over rows that did not train."""
        steps, forecast = self._steps(fh), self._predict(fh, X)
        scores = self._scores(int(steps.max()))[:, steps - 1]
        columns = pd.MultiIndex.from_product([self._get_varnames(), coverage, ["lower", "upper"]])
        ends = pd.DataFrame(index=forecast.index, columns=columns, dtype=np.float64)
        for level in coverage:
            exact = round(level, 12)  # sktime's are computed from quantiles; that of the median is 0
            least, counts = windows_needed(exact) if exact else 0, (~np.isnan(scores[:, :, 0])).sum(axis=0)
            if counts.min() < least:
                raise DataError(
                    f"intervals of coverage {level:g} need {least} calibration windows, and {counts.min()} reach "
                    f"{steps[counts.argmin()]} steps ahead; give a larger calibration_fraction, more rows or a lower coverage."
                )
            for place, name in enumerate(self._get_varnames()):
                radius = conformal_radius(scores[:, :, place], exact) if exact else np.zeros(len(steps))
                for end, sign in (("lower", -1), ("upper", 1)):
                    ends[(name, level, end)] = forecast.iloc[:, place].to_numpy() + sign * radius
        return ends

    def _scores(self, steps: int) -> NDArray[np.float64]:
        """Absolute residuals of the windows that calibrate, (n, steps, columns), in the units of y; NaN where not known yet."""
        known, window = self._known(), self.window_length
        first = int((self._rows.loc[: self.cutoff[0]].index <= self._last_seen).sum())
        if first == len(known):
            return np.empty((0, steps, known.shape[1]))
        windows = sliding_windows(known, window)[first - window : -1]
        after = np.concatenate([known[first:], np.full((steps, known.shape[1]), np.nan)])
        truth = np.lib.stride_tricks.sliding_window_view(after, steps, axis=0)[: len(windows)].transpose(0, 2, 1)
        later = None
        if self._x is not None:  # beyond the last row nothing came true, and any number does
            x = self._x.scaled(self._rows.loc[: self.cutoff[0]].index)
            x = np.concatenate([x[first - window + 1 :], np.zeros((steps, x.shape[1]))])
            later = sliding_windows(x, window + steps - 1)[: len(windows)]
        return np.abs(self.scaler_.inverse(self._fed_back(windows, steps, later)) - self.scaler_.inverse(truth))

    def _steps(self, fh: Any) -> NDArray[np.int64]:
        """Numbers of rows from the last row to those of a horizon."""
        return self._grid.steps(self.cutoff[0], fh.to_pandas(), relative=fh.is_relative)

    def _check_X_y(self, *args: Any, **options: Any) -> Any:  # noqa: N802 (sktime's)
        """Sktime's check, which refuses missing values, and the way to fill them in."""
        try:
            return super()._check_X_y(*args, **options)
        except ValueError as error:
            if "missing data" not in str(error):
                raise
            name = "X" if "X passed" in str(error) else "y"
            raise DataError(f"{name} has missing values; fill them in by a transformer of sktime: {IMPUTER}") from error

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
            {"regressor": QLSTMRegressor("lstm", hidden_size=2, max_epochs=1), "window_length": 2, "calibration_fraction": 0.5},
        ]
