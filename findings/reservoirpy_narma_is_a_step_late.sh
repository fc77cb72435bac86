#!/usr/bin/env bash
# reservoirpy 0.4.2: datasets.narma computes another recurrence than the one that its documentation gives.
#
# NARMA of order n, as documented and as in the papers that it cites:
#   y[t+1] = a1 y[t] + a2 y[t] (y[t] + ... + y[t-n+1]) + b u[t-n+1] u[t] + c
# What is computed has both delayed parts a step later:
#   y[t+1] = a1 y[t] + a2 y[t] (y[t-1] + ... + y[t-n]) + b u[t-n] u[t] + c
# It is another series, and a task that asks for one step more of memory: errors on "NARMA-10" of reservoirpy are not those on
# NARMA-10 of other generators. Given the same input u, which the function takes, the two series have a correlation of a half.
#
# Seen, order 10, its other defaults, u of a generator of seed 1, 2000 steps: the difference from the late recurrence is 0 in
# every step; from the documented one it is up to 0.3, where the series has a standard deviation of 0.084; the correlation is 0.55.
# Exits 1 where that is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check reservoirpy==0.4.2 numpy==2.4.6 scipy==1.17.1
env/bin/python - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from reservoirpy.datasets import narma

ORDER, STEPS = 10, 2000
u = np.random.default_rng(1).uniform(0, 0.5, (STEPS + ORDER, 1))


def recurrence(late):
    """The series with its delayed parts `late` steps later than documented."""
    y = np.zeros((STEPS + ORDER, 1))
    for t in range(ORDER, STEPS + ORDER - 1):
        oldest = t - ORDER + 1 - late
        y[t + 1] = 0.2 * y[t] + 0.04 * y[t] * np.sum(y[oldest : oldest + ORDER]) + 1.5 * u[oldest] * u[t] + 0.001
    return y[ORDER:]


print(f"reservoirpy {version('reservoirpy')}")
_, made = narma(STEPS, order=ORDER, u=u)
documented, late = recurrence(0), recurrence(1)
correlation = np.corrcoef(made.ravel(), documented.ravel())[0, 1]
print(f"from the late recurrence: {np.abs(made - late).max():.2g}")
print(f"from the documented one: {np.abs(made - documented).max():.2g}, deviation {made.std():.2g}, correlation {correlation:.2f}")
sys.exit(0 if np.array_equal(made, late) and 0.4 < correlation < 0.6 else 1)
PY
echo "as described"
