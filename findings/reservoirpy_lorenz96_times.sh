#!/usr/bin/env bash
# reservoirpy 0.4.2: points of datasets.lorenz96 are h^2 apart, not h, and those of datasets.lorenz lie further apart the fewer they are.
#
# `h` is documented as the time between two points. lorenz96 multiplies the number of points by h twice: 1,000 points with the
# default h = 0.01 cover 0.1 units of time in place of 10, so that the series stays next to its start, an unstable fixed point. With `warmup` its points spread over the time of all of them, and then the first ones are left out.
# lorenz puts n points on an interval of n h with both ends: they are h n / (n - 1) apart. So a series of
# 100 points is not the beginning of one of 200, and what "12 steps ahead" is depends on the length.
#
# Seen: lorenz96(1000, N=5) is the solution at 1,000 times from 0 to 0.1, with warmup=500 the second half of that up to 0.15; its values are 7.99 to 8.01, those of the
# solution up to 10 are -9.9 to 14.4. The first 100 points of lorenz(200) differ from lorenz(100) by up to 0.66.
# Exits 1 where one of these is no longer so.
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
from reservoirpy.datasets import lorenz, lorenz96
from scipy.integrate import solve_ivp

N, POINTS, F = 5, 1000, 8.0
start = F * np.ones(N)
start[0] += 0.01


def slope(_, x):
    return (np.roll(x, -1) - np.roll(x, 2)) * np.roll(x, 1) - x + F


def solution(end):
    return solve_ivp(slope, (0.0, end), start, t_eval=np.linspace(0.0, end, POINTS)).y.T


print(f"reservoirpy {version('reservoirpy')}")
made, short, right = lorenz96(POINTS, N=N, h=0.01), solution(0.1), solution(10.0)
print(f"lorenz96: values {made.min():.2f} to {made.max():.2f}; up to 0.1: {np.abs(made - short).max():.1g} apart")
print(f"up to 10: values {right.min():.1f} to {right.max():.1f}")
apart = np.abs(lorenz(100) - lorenz(200)[:100]).max()
print(f"lorenz: its first 100 points, of 100 and of 200: {apart:.2f} apart")
late = lorenz96(POINTS, N=N, warmup=500)
spread = np.allclose(late, solution(0.15)[500:], rtol=0, atol=1e-12)
print("with warmup=500, the second half up to 0.15:", "yes" if spread else "no")
ok = spread and np.allclose(made, short, rtol=0, atol=1e-12) and right.max() - right.min() > 10 and 0.5 < apart < 0.8
sys.exit(0 if ok else 1)
PY
echo "as described"
