"""`qlstm train`, `evaluate` and `predict`."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qlstm_qiskit.cli.options import BackendsFile, Confirm, Json, OtherBackend, RunFolder
from qlstm_qiskit.cli.output import print_json, print_table
from qlstm_qiskit.errors import OptionError

if TYPE_CHECKING:
    from qlstm_qiskit.experiments import Run


def train(
    dataset: Annotated[str | None, typer.Option(help="One of the paper's series, e.g. damped_shm.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Your own series: a CSV file with a header, rows in time order.")] = None,
    target: Annotated[str | None, typer.Option(help="Column of the CSV file to predict.")] = None,
    features: Annotated[str | None, typer.Option(help="Columns to predict from, A,B; by default the target.")] = None,
    model: Annotated[str, typer.Option(help="diffqas, diffqas-shared, reservoir(-shared), config1..6 or lstm.")] = "diffqas",
    hidden_size: Annotated[int, typer.Option(help="Hidden features; qubits = features + hidden size.")] = 5,
    depth: Annotated[int | None, typer.Option(help="Variational layers of each circuit.", show_default="2")] = None,
    n_qubits: Annotated[int | None, typer.Option(help="Hybrid variant: qubits between two linear layers.")] = None,
    num_layers: Annotated[int, typer.Option(help="Stacked cells.")] = 1,
    mixing: Annotated[str, typer.Option(help="How candidates are weighted: linear or softmax.")] = "linear",
    window: Annotated[int, typer.Option(help="Rows that the model reads.")] = 4,
    horizon: Annotated[int, typer.Option(help="Rows that the model predicts at once.")] = 1,
    train_fraction: Annotated[float, typer.Option(help="Part of a CSV file's windows that trains.")] = 0.67,
    epochs: Annotated[int, typer.Option(help="Passes over the training windows.")] = 100,
    batch_size: Annotated[int, typer.Option(help="Windows in each optimiser step.")] = 10,
    optimizer: Annotated[
        str, typer.Option(help="rmsprop, or spsa: two evaluations a step and no gradients of circuits.")
    ] = "rmsprop",
    lr: Annotated[float | None, typer.Option(help="Learning rate.", show_default="0.01; spsa: 0.03")] = None,
    spsa_eps: Annotated[float, typer.Option(help="Size of SPSA's perturbation, in radians.")] = 0.15,
    spsa_resamplings: Annotated[int, typer.Option(help="Perturbations that SPSA averages over in each step.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bits.")] = 0,
    backend: Annotated[str, typer.Option(help="What evaluates the circuits; see `qlstm backends list`.")] = "statevector",
    backends: BackendsFile = None,
    confirm: Confirm = False,
    out: Annotated[Path | None, typer.Option(help="Run folder.", show_default="runs/SERIES-MODEL-seedN")] = None,
    json: Json = False,
) -> None:
    """Train a model into a run folder, with figures.

    Example: qlstm train --dataset damped_shm --model diffqas --hidden-size 3 --depth 1 --epochs 50 --out runs/demo
    """
    from qlstm_qiskit.hardware import find_spec

    options = find_spec(backend, backends)  # before anything that takes seconds to import
    if confirm:
        options = options.confirmed()
    from qlstm_qiskit.experiments import DataSpec, RunSpec, train_run
    from qlstm_qiskit.report import draw_run

    columns = tuple(name.strip() for name in features.split(",")) if features else None
    spec = RunSpec(
        data=DataSpec(
            dataset=dataset,
            csv=None if csv is None else str(csv),
            target=target,
            features=columns,
            window=window,
            horizon=horizon,
            train_fraction=train_fraction,
        ),
        model=model,
        hidden_size=hidden_size,
        depth=depth,
        n_qubits=n_qubits,
        num_layers=num_layers,
        mixing=mixing,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=lr,
        spsa_eps=spsa_eps,
        spsa_resamplings=spsa_resamplings,
        seed=seed,
    ).on(options)
    out = out or Path("runs") / f"{dataset or (csv.stem if csv else 'run')}-{model}-seed{seed}"
    try:
        run = train_run(spec, out, verbose=1)
        figures = draw_run(run)
    except KeyboardInterrupt:
        what = f"the last finished epoch is in {out}"
        if not (out / "model.safetensors").exists():
            what = "no epoch was finished and nothing was kept"
            if (out / "config.json").exists():
                what = f"no epoch was finished; go on with: qlstm jobs resume {out}"
        print(f"interrupted; {what}", file=sys.stderr)
        raise typer.Exit(130) from None
    metrics = run.metrics
    if json:
        print_json(metrics | {"run": str(run.path), "figures": [str(path) for path in figures]})
    else:
        if metrics["interrupted"]:
            further = f" Go on with: qlstm jobs resume {out}" if (out / "jobs.sqlite").exists() else ""
            print(f"Interrupted: this is the model after {run.epochs} of {epochs} epochs.{further}")
        print(
            f"{model} on {metrics['dataset']}: {run.epochs} epochs in {metrics['wall_seconds']:.0f} s, "
            f"{metrics['n_parameters']} trained parameters, {metrics['n_circuits']} circuits a step, seed {seed}"
        )
        if metrics["path"]:
            print(f"Circuits evaluated as: {metrics['path'].replace('form', 'multilinear form')}")
        _print_dry_run(options.guard.dry_run)
        _print_errors(metrics["test"], metrics["persistence"])
        print(f"Run folder: {run.path}")
        print(f"Figures: {', '.join(path.name for path in figures)}")
    if metrics["interrupted"]:
        raise typer.Exit(130)


def evaluate(
    run: RunFolder,
    backend: OtherBackend = None,
    backends: BackendsFile = None,
    confirm: Confirm = False,
    json: Json = False,
) -> None:
    """Evaluate a run on its test part again, on any backend.

    Jobs on a device are recorded in the run folder; the same evaluation within a day is answered from the record.

    Example: qlstm evaluate runs/demo --backend aer-noise-torino
    """
    from qlstm_qiskit.experiments import forecast_errors, require_affordable_evaluation

    with closing(_load(run, backend, backends, confirm)) as loaded:
        data = loaded.dataset
        require_affordable_evaluation(loaded, len(data.x_test))
        before = loaded.n_jobs
        test = forecast_errors(data, loaded.predict(data.x_test))
        after = loaded.n_jobs
    persistence = forecast_errors(data, data.persistence())
    name = loaded.spec.backend
    if json:
        facts = {"run": str(run), "backend": name, "epochs": loaded.epochs, "test": test, "persistence": persistence}
        print_json(facts | _difference(loaded))
        return
    print(f"{loaded.spec.model} on {data.name}, backend {name}, {loaded.epochs} epochs, {len(data.x_test)} test windows")
    _print_errors(test, persistence)
    _print_difference(loaded)
    _print_jobs(before, after)


def predict(
    run: RunFolder,
    csv: Annotated[Path, typer.Option(help="CSV file with the run's columns, in original units.")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    horizon: Annotated[int | None, typer.Option(help="Forecast this many rows beyond the end of the file.")] = None,
    backend: OtherBackend = None,
    backends: BackendsFile = None,
    confirm: Confirm = False,
    json: Json = False,
) -> None:
    """Predict each row of a CSV file from the rows before it or, with --horizon, the rows that follow it.

    Example: qlstm predict runs/sunspots --csv examples/sunspots.csv --horizon 11 --out forecast.csv
    """
    from qlstm_qiskit.experiments import predict_table, roll_out
    from qlstm_qiskit.storage import exists, write_atomically

    if exists(out):
        raise OptionError(f"{out} exists already; choose another file for --out.")
    with closing(_load(run, backend, backends, confirm)) as loaded:
        before = loaded.n_jobs
        table = predict_table(loaded, csv) if horizon is None else roll_out(loaded, csv, horizon)
        after = loaded.n_jobs
    write_atomically(out, table.to_csv(index=False))
    scores = None
    if horizon is None and "persistence" in table:
        rows = table.dropna(subset=["prediction"])
        truth = rows[loaded.header.target]
        scores = {name: float((rows[name] - truth).pow(2).mean() ** 0.5) for name in ("prediction", "persistence")}
    if json:
        facts = {"out": str(out), "rows": len(table), "rmse": scores, "target": loaded.header.target}
        print_json(facts | {"backend": loaded.spec.backend} | _difference(loaded), table=table)
        return
    if horizon is not None:
        print_table(f"{loaded.header.target}, the {horizon} rows after {csv}", list(table.columns), table.to_numpy().tolist())
    elif scores is not None:
        print_table(
            f"{loaded.header.target}, one step ahead over all rows of the file, those of the training included",
            ["forecast", "RMSE (original units)"],
            [list(item) for item in scores.items()],
        )
    _print_difference(loaded)
    _print_jobs(before, after)
    print(f"Wrote {len(table)} rows to {out}")


def _load(run: Path, backend: str | None, backends: Path | None, confirm: bool) -> Run:
    from qlstm_qiskit.hardware import find_spec

    options = None if backend is None else find_spec(backend, backends)
    from qlstm_qiskit.experiments import load_run, load_spec

    if confirm:
        if options is None:
            own = load_spec(run)
            options = own.backend_options or find_spec(own.backend)
        options = options.confirmed()
    return load_run(run, backend=options)


def _print_jobs(before: int | None, after: int | None) -> None:
    if before is not None and after is not None:
        rest = "" if after > before else "; all of it was answered from the record (qlstm jobs list)"
        print(f"Jobs submitted: {after - before}{rest}")


def _difference(run: Run) -> dict[str, object]:
    """What a backend costs in accuracy, for JSON; nothing on the exact interpreter."""
    facts: dict[str, object] = {"dry_run": True} if _is_dry(run) else {}
    return facts if run.exact is None else facts | {"difference_to_exact": asdict(run.difference)}


def _is_dry(run: Run) -> bool:
    return run.spec.backend_options is not None and run.spec.backend_options.guard.dry_run


def _print_dry_run(dry_run: bool) -> None:
    if dry_run:
        print("dry run: noiseless simulation, nothing was submitted")


def _print_difference(run: Run) -> None:
    _print_dry_run(_is_dry(run))
    if run.exact is not None:
        difference = run.difference
        print(
            f"Difference of {run.spec.backend} to the exact interpreter over {difference.n_windows} windows (scaled units): "
            f"MSE of the layer's outputs {difference.outputs:.3g}, of the predictions {difference.predictions:.3g}"
        )


def _print_errors(test: dict[str, float], persistence: dict[str, float]) -> None:
    rows = [
        [name, errors["mse"], errors["rmse_original"], errors["mae_original"]]
        for name, errors in (("model", test), ("persistence", persistence))
    ]
    print_table("Errors on the test part", ["forecast", "MSE (scaled)", "RMSE (original units)", "MAE (original units)"], rows)
