"""`qlstm attribute`: what lags and features add to predictions."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qlstm_qiskit.cli.formats import encoded, require_format
from qlstm_qiskit.cli.options import Json, RunFolder
from qlstm_qiskit.cli.output import print_json, print_table
from qlstm_qiskit.errors import OptionError, installing, require_at_least
from qlstm_qiskit.storage import exists

if TYPE_CHECKING:
    import pandas as pd

    from qlstm_qiskit.experiments import Attribution

#: Rows of the printed table.
_SHOWN = 12


def attribute(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option(help="A file for the value of each window, lag, feature and output: .csv, .tsv, .json, ...")
    ] = None,
    windows: Annotated[int | None, typer.Option(help="Only the last test windows.", show_default="all")] = None,
    json: Json = False,
) -> None:
    """Say where predictions of the test part come from: what each lag of each feature adds, against the mean training window.

    Integrated gradients of the exact interpreter; values of a window add up to its prediction less that of the mean window.

    Example: qlstm attribute runs/demo

    Example: qlstm attribute runs/demo --windows 1 --out attribution.csv
    """
    if find_spec("captum") is None:
        raise OptionError(f"attribution needs captum: {installing('explain')}.")
    if windows is not None:
        require_at_least("--windows", windows, 1)
    if out is not None:
        require_format(out)
        if not exists(out.parent):
            raise OptionError(f"there is no folder {out.parent} to write {out.name} into; make it first.")
    from qlstm_qiskit.experiments import attribute as attributed
    from qlstm_qiskit.experiments import load_run
    from qlstm_qiskit.hardware import EXACT
    from qlstm_qiskit.storage import write_atomically

    trained = load_run(run, backend=EXACT)
    test = trained.dataset.x_test
    if windows is not None and windows > len(test):
        raise OptionError(f"--windows is {windows}; the test part has {len(test)} windows.")
    found = attributed(trained, test if windows is None else test[-windows:])
    table = _table(found, len(test) - len(found.values))
    if out is not None:
        write_atomically(out, encoded(table, out))
    mean = table.assign(value=table["value"].abs()).groupby(["lag", "feature"], sort=False)["value"].mean().reset_index()
    mean = mean.sort_values("value", ascending=False, kind="stable")
    if json:
        print_json({"run": str(run), "windows": len(found.values), "gap": found.gap, "out": out and str(out)}, mean)
        return
    title = f"Mean size of what lags and features add to predictions of {run}, {len(found.values)} test windows, scaled units"
    print_table(title, ["feature", "lag", "size"], mean[["feature", "lag", "value"]].head(_SHOWN).to_numpy().tolist())
    if len(mean) > _SHOWN:
        print(f"and {len(mean) - _SHOWN} smaller ones")
    print(f"Values add up to predictions less that of the mean training window, within {found.gap:.1g}")
    if out is not None:
        print(f"Written: {out}")


def _table(found: Attribution, first: int) -> pd.DataFrame:
    """A row per window, lag, feature and output; windows are counted from the first one of the test part."""
    import numpy as np
    import pandas as pd

    n, _, _, n_outputs = found.values.shape
    names = {
        "window": range(first, first + n),
        "lag": found.lags,
        "feature": found.features,
        "output": range(1, n_outputs + 1),
    }
    index = pd.MultiIndex.from_product(names.values(), names=names)
    return pd.DataFrame({"value": np.ravel(found.values)}, index=index).reset_index()
