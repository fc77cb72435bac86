#!/usr/bin/env bash
# captum 0.9.0: integrated gradients of a float64 model are summed with weights of the quadrature that are rounded to float32.
#
# Attributions of a model add up to its output less that at the baseline (completeness). Of a linear model in float64 each is w x
# for any number of steps, and rounding leaves about 1e-16. captum converts the step sizes by .float(), so that their sum is not 1.
#
# Seen, for f(x) = sum(x) at x = 1, 2, 3 against zeros, 32 steps of Gauss-Legendre: an error of 1.4e-8, while the same sum with
# the step sizes as captum computes them, in float64, has one below 1e-14. Exits 1 where that is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
env/bin/pip install --quiet --disable-pip-version-check captum==0.9.0
env/bin/python - <<'PY'
import sys
from importlib.metadata import version

import torch
from captum.attr import IntegratedGradients
from captum.attr._utils.approximation_methods import approximation_parameters

print(f"captum {version('captum')}, torch {version('torch')}")
x = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
values = IntegratedGradients(lambda rows: rows.sum(1)).attribute(x, torch.zeros_like(x), n_steps=32, method="gausslegendre")
sizes, _ = approximation_parameters("gausslegendre")
right = sum(sizes(32)) * x
found, own = (float((own - x).abs().max()) for own in (values, right))
print(f"attributions {values.tolist()[0]}, dtype {values.dtype}: error {found:.1e}; with step sizes in float64 {own:.1e}")
sys.exit(0 if found > 1e-9 and own < 1e-14 else 1)
PY
