"""`qlstm backends`: listing, checking and planning of backends."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from qlstm_qiskit.cli.certify import backends_certify
from qlstm_qiskit.cli.completion import backend_names, known, names
from qlstm_qiskit.cli.ensembles import replicas_of
from qlstm_qiskit.cli.options import BackendsFile, Json, RunFolder
from qlstm_qiskit.cli.output import print_json, print_table
from qlstm_qiskit.errors import OptionError, QLSTMError

if TYPE_CHECKING:
    from qlstm_qiskit.experiments.runs.shots import ShotCurve
    from qlstm_qiskit.hardware.config.spec import BackendSpec

backends_app = typer.Typer(
    help="List, check and plan for what can evaluate the circuits: simulators and quantum computers.", no_args_is_help=True
)

_PlannedTask = Annotated[
    str,
    typer.Option(
        help="What to plan: predict, or train (the run's own training again).",
        autocompletion=names("task"),
        callback=known("task"),
    ),
]


@backends_app.command("list")
def backends_list(backends: BackendsFile = None, json: Json = False) -> None:
    """List the backends that can be named: the packaged ones and those of your backends.yaml.

    Example: qlstm backends list
    """
    from qlstm_qiskit.hardware.config.file import load_specs

    specs = load_specs(backends)
    rows = [
        {
            "name": spec.name,
            "kind": spec.kind,
            "device": _device(spec),
            "shots": spec.shots,
            "exact": spec.exact,
            "local": spec.local,
            "about": spec.about(),
        }
        for spec in specs.values()
    ]
    if json:
        print_json({"backends": rows})
        return
    print_table(
        f"{len(rows)} backends",
        ["name", "kind", "device", "values", "about"],
        [[row["name"], row["kind"], row["device"] or "", _values(row["shots"]), row["about"]] for row in rows],
        text=("kind", "device", "values", "about"),
    )


@backends_app.command("plan")
def backends_plan(
    run: RunFolder,
    backend: Annotated[
        str, typer.Option(help="A backend with a device; see `qlstm backends list`.", autocompletion=backend_names)
    ],
    task: _PlannedTask = "predict",
    windows: Annotated[
        int | None, typer.Option(help="Number of windows of data.", show_default="those of the test or training part")
    ] = None,
    horizon: Annotated[int | None, typer.Option(help="Plan a forecast of this many rows, as by predict --horizon.")] = None,
    device: Annotated[str | None, typer.Option(help="Plan for this fake device, which needs no account.")] = None,
    for_mse: Annotated[
        float | None,
        typer.Option("--for-mse", help="Plan with the fewest shots whose test error (scaled) is at most this."),
    ] = None,
    backends: BackendsFile = None,
    json: Json = False,
) -> None:
    """Say what a run would cost on a device: jobs, circuits, QPU time, and the error to expect. Nothing is submitted.

    Example: qlstm backends plan runs/demo --backend ibm --device fez --task predict

    Example: qlstm backends plan runs/demo --backend ibm --device fez --for-mse 0.002
    """
    from qlstm_qiskit.hardware import find_spec

    spec = find_spec(backend, backends)  # before anything that takes seconds to import
    if for_mse is not None and task != "predict":
        raise OptionError("--for-mse says how well a trained model is to predict; it goes with --task predict.")
    from qlstm_qiskit.experiments import plan_run
    from qlstm_qiskit.experiments.runs.shots import expected_errors
    from qlstm_qiskit.nn.constants import about_constants, constant_gates

    if for_mse is not None:
        spec = spec.model_copy(update={"shots": expected_errors(run, spec.inside(device)).fewest(for_mse)})
    constant: dict[str, str] = {}
    sizes = {"windows": windows, "horizon": horizon}
    plan = plan_run(run, spec, task, **sizes, device=device, look=lambda layer: constant.update(constant_gates(layer)))
    expected = None
    if task == "predict" and spec.shots is not None:
        with suppress(QLSTMError):  # too large for this machine, or its series is gone, which says nothing of the cost
            expected = expected_errors(run, spec.inside(device), (spec.shots,))
    several = replicas_of(run)
    if json:
        facts = {"run": str(run), "task": task, **plan.facts(), "constant_gates": constant}
        facts |= {} if several == 1 else {"replicas": several}
        print_json(facts | ({} if expected is None else {"expected_error": expected.errors[0], "naive_errors": expected.naive}))
        return
    print_table(f"{task} with {run} on {backend}", ["", "planned"], [list(row) for row in plan.rows()], text=("planned",))
    if several > 1:
        print(f"An ensemble of {several} models: {several} times the cost of one, such as {run / 'members' / '0'}")
    if plan.lost:
        print(plan.lost)
    if constant:
        print(about_constants(constant))
    if expected is not None:
        _print_expected(expected)
    print("Assumed: the delay between shots plus 3 us for each shot, 2 s for each job; see rep_delay_us in backends.yaml.")


def _print_expected(curve: ShotCurve) -> None:
    """The error that the planned shots would give, beside the forecasts that need no model."""
    naive = ", ".join(f"{curve.task.naive[name]} {error:.3g}" for name, error in curve.naive.items())
    error = f"{curve.errors[0]:.3g} with {curve.shots[0]:,} shots {curve.where}; no model: {naive}"
    print(f"Expected {curve.task.words} on the test part ({curve.task.unit}): {error}")


@backends_app.command("check")
def backends_check(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A backend; see `qlstm backends list`.", autocompletion=backend_names)
    ],
    backends: BackendsFile = None,
    json: Json = False,
) -> None:
    """Check account, device and transpilation of a backend, and run one tiny circuit on it.

    Example: qlstm backends check fake-manila
    """
    from qlstm_qiskit.hardware import find_spec

    spec = find_spec(name, backends)  # before anything that takes seconds to import
    from qlstm_qiskit.hardware.check import check_backend

    report = check_backend(spec)
    if json:
        print_json({"backend": name, **report})
        return
    for fact, value in report.items():
        print(f"{fact}: {value}")


backends_app.command("certify")(backends_certify)


def _device(spec: BackendSpec) -> str | None:
    if spec.kind == "ibm":
        return spec.device or "least busy"
    return spec.code or (spec.noise.device if spec.noise else spec.device)


def _values(shots: object) -> str:
    return "exact" if shots is None else f"{shots} shots"
