"""The commands of `qlstm`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qlstm_qiskit import __version__
from qlstm_qiskit.cli.backends import backends_app
from qlstm_qiskit.cli.jobs import jobs_app
from qlstm_qiskit.cli.output import print_json, print_table
from qlstm_qiskit.errors import OptionError, QLSTMError

if TYPE_CHECKING:
    from qlstm_qiskit.space import Candidate

app = typer.Typer(
    name="qlstm",
    help="Quantum LSTMs that design their own circuits (DiffQAS-QLSTM, arXiv 2508.14955).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
space_app = typer.Typer(help="Look at the search space of candidate circuits.", no_args_is_help=True)
app.add_typer(space_app, name="space")
app.add_typer(backends_app, name="backends")
app.add_typer(jobs_app, name="jobs")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder made by `qlstm train`.")]


@app.command()
def train(
    dataset: Annotated[str | None, typer.Option(help="One of the paper's series, e.g. damped_shm.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Your own series: a CSV file with a header, rows in time order.")] = None,
    target: Annotated[str | None, typer.Option(help="Column of the CSV file to predict.")] = None,
    features: Annotated[str | None, typer.Option(help="Columns to predict from, A,B; by default the target.")] = None,
    model: Annotated[str, typer.Option(help="diffqas, diffqas-shared, reservoir(-shared), config1..6 or lstm.")] = "diffqas",
    hidden_size: Annotated[int, typer.Option(help="Hidden features; qubits = features + hidden size.")] = 5,
    depth: Annotated[int | None, typer.Option(help="Variational layers of each circuit.  [default: 2]")] = None,
    n_qubits: Annotated[int | None, typer.Option(help="Hybrid variant: qubits between two linear layers.")] = None,
    num_layers: Annotated[int, typer.Option(help="Stacked cells.")] = 1,
    mixing: Annotated[str, typer.Option(help="How candidates are weighted: linear or softmax.")] = "linear",
    window: Annotated[int, typer.Option(help="Rows that the model reads.")] = 4,
    horizon: Annotated[int, typer.Option(help="Rows that the model predicts at once.")] = 1,
    train_fraction: Annotated[float, typer.Option(help="Part of a CSV file's windows that trains.")] = 0.67,
    epochs: Annotated[int, typer.Option(help="Passes over the training windows.")] = 100,
    batch_size: Annotated[int, typer.Option(help="Windows in each optimiser step.")] = 10,
    lr: Annotated[float, typer.Option(help="Learning rate of RMSprop.")] = 0.01,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bits.")] = 0,
    backend: Annotated[str, typer.Option(help="What evaluates the circuits.")] = "statevector",
    out: Annotated[Path | None, typer.Option(help="Run folder.  [default: runs/SERIES-MODEL-seedN]")] = None,
    json: Json = False,
) -> None:
    """Train a model into a run folder, with figures.

    Example: qlstm train --dataset damped_shm --model diffqas --hidden-size 3 --depth 1 --epochs 50 --out runs/demo
    """
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
        lr=lr,
        seed=seed,
        backend=backend,
    )
    out = out or Path("runs") / f"{dataset or (csv.stem if csv else 'run')}-{model}-seed{seed}"
    try:
        run = train_run(spec, out, verbose=1)
        figures = draw_run(run)
    except KeyboardInterrupt:
        kept = (out / "model.safetensors").exists()
        what = f"the last finished epoch is in {out}" if kept else "no epoch was finished and nothing was kept"
        print(f"interrupted; {what}", file=sys.stderr)
        raise typer.Exit(130) from None
    metrics = run.metrics
    if json:
        print_json(metrics | {"run": str(run.path), "figures": [str(path) for path in figures]})
    else:
        if metrics["interrupted"]:
            print(f"Interrupted: this is the model after {run.epochs} of {epochs} epochs.")
        print(
            f"{model} on {metrics['dataset']}: {run.epochs} epochs in {metrics['wall_seconds']:.0f} s, "
            f"{metrics['n_parameters']} trained parameters, {metrics['n_circuits']} circuits a step, seed {seed}"
        )
        if metrics["path"]:
            print(f"Circuits evaluated as: {metrics['path'].replace('form', 'multilinear form')}")
        _print_errors(metrics["test"], metrics["persistence"])
        print(f"Run folder: {run.path}")
        print(f"Figures: {', '.join(path.name for path in figures)}")
    if metrics["interrupted"]:
        raise typer.Exit(130)


@app.command()
def evaluate(
    run: RunFolder,
    backend: Annotated[str | None, typer.Option(help="Evaluate on this backend; by default the run's own.")] = None,
    json: Json = False,
) -> None:
    """Evaluate a run on its test part again.

    Example: qlstm evaluate runs/demo
    """
    from qlstm_qiskit.experiments import forecast_errors, load_run

    loaded = load_run(run, backend=backend)
    data = loaded.dataset
    test = forecast_errors(data, loaded.predict(data.x_test))
    persistence = forecast_errors(data, data.persistence())
    name = loaded.spec.backend
    if json:
        print_json({"run": str(run), "backend": name, "epochs": loaded.epochs, "test": test, "persistence": persistence})
        return
    print(f"{loaded.spec.model} on {data.name}, backend {name}, {loaded.epochs} epochs, {len(data.x_test)} test windows")
    _print_errors(test, persistence)


@app.command()
def predict(
    run: RunFolder,
    csv: Annotated[Path, typer.Option(help="CSV file with the run's columns, in original units.")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    horizon: Annotated[int | None, typer.Option(help="Forecast this many rows beyond the end of the file.")] = None,
    json: Json = False,
) -> None:
    """Predict each row of a CSV file from the rows before it or, with --horizon, the rows that follow it.

    Example: qlstm predict runs/sunspots --csv examples/sunspots.csv --horizon 11 --out forecast.csv
    """
    from qlstm_qiskit.experiments import load_run, predict_table, roll_out
    from qlstm_qiskit.storage import exists, write_atomically

    if exists(out):
        raise OptionError(f"{out} exists already; choose another file for --out.")
    loaded = load_run(run)
    table = predict_table(loaded, csv) if horizon is None else roll_out(loaded, csv, horizon)
    write_atomically(out, table.to_csv(index=False))
    scores = None
    if horizon is None and "persistence" in table:
        rows = table.dropna(subset=["prediction"])
        truth = rows[loaded.header.target]
        scores = {name: float((rows[name] - truth).pow(2).mean() ** 0.5) for name in ("prediction", "persistence")}
    if json:
        print_json({"out": str(out), "rows": len(table), "rmse": scores, "target": loaded.header.target}, table=table)
        return
    if horizon is not None:
        print_table(f"{loaded.header.target}, the {horizon} rows after {csv}", list(table.columns), table.to_numpy().tolist())
    elif scores is not None:
        print_table(
            f"{loaded.header.target}, one step ahead over all rows of the file, those of the training included",
            ["forecast", "RMSE (original units)"],
            [list(item) for item in scores.items()],
        )
    print(f"Wrote {len(table)} rows to {out}")


@space_app.command("show")
def space_show(
    n_qubits: Annotated[int, typer.Option(help="Qubits of each circuit.")] = 4,
    depth: Annotated[int, typer.Option(help="Variational layers of each circuit.")] = 1,
    draw: Annotated[str | None, typer.Option(help="Draw this candidate, e.g. 'H-RY|linear-RX'.")] = None,
    fourier: Annotated[str | None, typer.Option(help="Write this candidate as a Fourier series of its inputs.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random angles that --fourier is shown at.")] = 0,
    json: Json = False,
) -> None:
    """List the paper's 36 candidate circuits, draw one, or write one as a truncated Fourier series.

    Example: qlstm space show --n-qubits 4 --depth 1 --draw "H-RY|linear-RX"
    """
    from qlstm_qiskit.errors import unknown_option
    from qlstm_qiskit.space import SearchSpace

    candidates = SearchSpace.paper().candidates(n_qubits, depth)
    named = {candidate.name: candidate for candidate in candidates}
    for wanted in (draw, fourier):
        if wanted is not None and wanted not in named:
            raise unknown_option("candidate", wanted, named)
    if fourier is not None:
        _print_fourier(named[fourier], seed, json)
        return
    if draw is not None:
        drawing = str(named[draw].draw("text", fold=120))
        if json:
            print_json({"candidate": draw, "drawing": drawing})
        else:
            print(drawing)
        return
    rows = [
        {
            "candidate": candidate.name,
            "inputs": len(candidate.inputs),
            "weights": len(candidate.weights),
            "circuit_depth": candidate.circuit.depth(),
            "two_qubit_gates": candidate.circuit.num_nonlocal_gates(),
        }
        for candidate in candidates
    ]
    if json:
        print_json({"n_qubits": n_qubits, "depth": depth, "candidates": rows})
        return
    header = ["candidate", "inputs", "weights", "circuit depth", "two-qubit gates"]
    print_table(f"{len(rows)} candidates on {n_qubits} qubits, depth {depth}", header, [list(row.values()) for row in rows])


def _print_fourier(candidate: Candidate, seed: int, json: bool) -> None:
    import torch

    from qlstm_qiskit.nn import CircuitBank

    generator = torch.Generator().manual_seed(seed)
    series = CircuitBank([candidate], angle_std=1.0, generator=generator).fourier()
    outputs = {f"<Z{k}>": series.terms(output=k) for k in range(candidate.n_qubits)}
    if json:
        print_json({"candidate": candidate.name, "seed": seed, "outputs": outputs})
        return
    print(f"{candidate.name} at random angles (seed {seed}); v0, v1, ... are the inputs, in radians")
    for name, terms in outputs.items():
        print(f"{name} = {' '.join(f'{value:+.4f} {label}' for label, value in terms) or '0'}")


@app.command()
def about(json: Json = False) -> None:
    """Versions and machine, for a bug report.

    Example: qlstm about
    """
    import os

    from qlstm_qiskit.experiments import versions

    facts = {**versions(), "cores": str(os.cpu_count())}
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        print(f"{name}: {value}")


def _print_errors(test: dict[str, float], persistence: dict[str, float]) -> None:
    rows = [
        [name, errors["mse"], errors["rmse_original"], errors["mae_original"]]
        for name, errors in (("model", test), ("persistence", persistence))
    ]
    print_table("Errors on the test part", ["forecast", "MSE (scaled)", "RMSE (original units)", "MAE (original units)"], rows)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 on success, 2 on a user's mistake with one line on standard error, 130 on Ctrl-C."""
    try:
        code = app(arguments, standalone_mode=False)
    except QLSTMError as error:
        code = _fail(str(error))
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        if not hasattr(error, "format_message"):  # not one of the parser's own
            raise
        code = _fail(error.format_message())
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> int:
    if message:  # the parser has none where it has shown the help instead
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
