#!/usr/bin/env bash
# sktime 1.2.0: forecasts of seasonal differences are turned back only where at least a season is predicted.
#
# A forecaster behind Differencer(lags=12) learns y[t] - y[t-12], and its forecasts are turned back by adding the value of 12 rows
# before, which the differencer remembers from fitting. How far ahead is predicted should not matter: the forecasts of rows 1 to 4
# must be the first four of those of rows 1 to 12. They are not: where fewer rows than the lag are predicted, what comes out are the
# differences themselves, without an error or a warning.
# In the transformer's inverse the rows between the remembered ones and the forecast are left out, and the sum over every lag-th row
# then pairs rows that are not a lag apart.
#
# Seen, airline passengers, the mean of the differences as their forecast:
#   lags=12, rows 1 to 12    446.1 420.1 448.1 490.1 ...    (a year before: 417 391 419 461; 29.1 on top)
#   lags=12, rows 1 to 4      29.1  29.1  29.1  29.1
#   lags=1, rows 1 to 4      the first four of rows 1 to 12
# Exits 1 where one of these is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check sktime==1.2.0 pandas==3.0.6
env/bin/python -W ignore - <<'PY'
import sys
import warnings
from importlib.metadata import version

import numpy as np
from sktime.datasets import load_airline
from sktime.forecasting.naive import NaiveForecaster
from sktime.transformations.series.difference import Differencer

print(f"sktime {version('sktime')}, pandas {version('pandas')}")
warnings.filterwarnings("ignore", category=FutureWarning)  # of a default of 1.3
y = load_airline()


def forecast(lags, steps):
    model = Differencer(lags=lags) * NaiveForecaster("mean")
    return model.fit(y).predict(fh=list(range(1, steps + 1))).to_numpy()


whole, short = forecast(12, 12), forecast(12, 4)
mean = (y - y.shift(12)).fillna(0).mean()  # as the differencer has it by default
wanted = y.to_numpy()[-12:] + mean
print("a season and its first rows:", whole.round(1)[:4], short.round(1), "wanted:", wanted.round(1)[:4])
plain = np.allclose(forecast(1, 4), forecast(1, 12)[:4])
print("a lag of 1:", "the same" if plain else "not the same")
ok = np.allclose(whole, wanted) and np.allclose(short, mean) and plain
sys.exit(0 if ok else 1)
PY
echo "as described"
