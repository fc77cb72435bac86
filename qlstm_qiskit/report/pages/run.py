"""The page of a run: its forecast, its search, its cost, and how to make it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments import Run, is_unfinished, load_run, load_spec
from qlstm_qiskit.experiments.runs.load import METRICS, load_metrics
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.runs.training.folder import SIDE_BY_SIDE
from qlstm_qiskit.hardware import EXACT, BackendSpec, find_spec
from qlstm_qiskit.nn.constants import about_constants, constant_gates
from qlstm_qiskit.report.circuits import circuit_svg, circuits_of
from qlstm_qiskit.report.names import seeds_said
from qlstm_qiskit.report.pages.attribution import attribution_section
from qlstm_qiskit.report.pages.classes import accuracy_said, classes_section
from qlstm_qiskit.report.pages.commands import again
from qlstm_qiskit.report.pages.content import (
    DataGrid,
    Drawing,
    Element,
    Listing,
    Page,
    Panels,
    Section,
    Text,
    json_file,
    number,
)
from qlstm_qiskit.report.pages.cost import cost_sections
from qlstm_qiskit.report.pages.members import members_grid
from qlstm_qiskit.report.pages.run_figures import forecast_section, loss_plot, weight_plots
from qlstm_qiskit.report.pages.shots import shots_section
from qlstm_qiskit.storage import exists, strict_json
from qlstm_qiskit.training.task import Task

#: Of a backend's entry: names of accounts, which a page that is handed on need not say.
_PRIVATE = ("account", "instance", "token_env")

#: What a page needs of metrics.json, beside the errors.
_NEEDED = ("n_parameters", "n_circuits", "test", "wall_seconds", "versions")


def run_page(path: Path, backend: str | None = None, backends: Path | None = None) -> Page:
    """The page of a run folder; its model is evaluated on the exact interpreter.

    Args:
        path: The folder.
        backend, backends: As in `write_report`.

    Raises:
        RunError: It is damaged or not finished.
        OptionError: The backend has no device, may leave this machine, or the model has no circuits.
    """
    spec = _without_folders(load_spec(path))
    if not exists(path / METRICS):
        hint = f"; finish it with `qlstm resume {path}`" if is_unfinished(path) else ""
        raise RunError(f"{path} has no {METRICS}, it is not finished{hint}.")
    metrics = load_metrics(path)
    missing = [
        name for name in (spec.task.train, spec.task.test, next(iter(spec.task.naive)), *_NEEDED) if metrics.get(name) is None
    ]
    if missing:
        raise RunError(f"{path / METRICS} is damaged or of another version: it has no {', '.join(missing)}.")
    chosen = None if backend is None else _on_this_machine(backend, backends)
    run = load_run(path, backend=EXACT)
    sections = [
        forecast_section(run) if run.header.classes is None else classes_section(run),
        _errors(run),
        _losses(run),
        *_architecture(run),
        *attribution_section(run),
        *shots_section(run, spec.backend_options, backends),
    ]
    sections += cost_sections(run, chosen, backends)
    sections += [_settings(spec), _versions(run), _again(spec, run)]
    return Page("run", f"{spec.title} on {run.dataset.name}", _lead(spec, run), sections)


def _without_folders(spec: RunSpec) -> RunSpec:
    """The spec with names in place of paths: a page that is handed on need not say where things lie."""
    changes: dict[str, Any] = {}
    if spec.data.csv is not None:
        changes["data"] = spec.data.model_copy(update={"csv": Path(spec.data.csv).name})
    if spec.space is not None and spec.space.source is not None:
        place, colon, name = spec.space.source.rpartition(":")
        changes["space"] = spec.space.model_copy(update={"source": f"{Path(place).name}{colon}{name}"})
    if spec.start is not None:
        changes["start"] = spec.start.model_copy(update={"run": Path(spec.start.run).name})
    if spec.genotype is not None and "run" in spec.genotype.provenance:
        provenance = spec.genotype.provenance | {"run": Path(spec.genotype.provenance["run"]).name}
        changes["genotype"] = spec.genotype.model_copy(update={"provenance": provenance})
    return spec.model_copy(update=changes)


def _on_this_machine(name: str, backends: Path | None) -> BackendSpec:
    spec = find_spec(name, backends)
    if not spec.local:
        raise OptionError(f"backend {name!r} may leave this machine, and a page is made offline; give a fake one, as fake-fez.")
    return spec


def _lead(spec: RunSpec, run: Run) -> list[str]:
    metrics, task = run.metrics, spec.task
    naive, error = task.best_naive(metrics)
    lines = [
        *accuracy_said(run),
        f"{run.epochs} epoch{'s' * (run.epochs > 1)}, {seeds_said(run)}, {metrics['n_parameters']:,} trained parameters, "
        f"{metrics['n_circuits']:,} circuits per step. {task.words.capitalize()} on the test part {metrics[task.test]:.3g}, "
        f"of the {naive} forecast {error:.3g}, {task.unit}.",
    ]
    if metrics.get("interrupted"):
        lines.append(f"Interrupted: this is the model after {run.epochs} of {spec.epochs} epochs.")
    return lines


def _errors(run: Run) -> Section:
    metrics, task = run.metrics, run.spec.task
    forecasts = {"test": "model", **task.naive}
    rows = [
        [label, *(number(metrics[name].get(key)) for key in task.figures)]
        for name, label in forecasts.items()
        if name in metrics
    ]
    caption = f"On the test part, {task.about}."
    if task.ahead:
        caption = "On the test part. RMSE and MAE are in original units; MASE is the MAE divided by that of the naive forecast "
        caption += "before the test part."
    parts: list[Element] = [
        DataGrid(caption, ["forecast", *task.figures.values()], rows, download=json_file("metrics", metrics))
    ]
    parts.append(_each_part(metrics, task))
    parts += members_grid(run)
    if "stages" in metrics:
        rows = [
            [
                name.replace("_", "-"),
                str(stage["epochs"]),
                f"{stage['n_circuits']:,}",
                "trained on it" if stage[task.valid] is None else number(stage[task.valid]),
                number(stage[task.test]),
            ]
            for name, stage in metrics["stages"].items()
        ]
        header = ["stage", "epochs", "circuits per step", f"validation {task.shown}", f"test {task.shown}"]
        parts.append(DataGrid("From the search to one model.", header, rows))
    return Section("Errors", parts)


def _short(date: str) -> str:
    """A date without the seconds of whole minutes."""
    return date.replace("T", " ").removesuffix(":00") if date.count(":") == 2 else date


def _each_part(metrics: dict[str, Any], task: Task) -> DataGrid:
    """The error on each part, and from when to when it goes where the series has dates."""
    named = {"training": (task.train, "train"), "validation": (task.valid, ""), "test": (task.test, "test")}
    dates = metrics.get("dates") or {}
    spans = {
        part: " to ".join(_short(str(date)) for date in dates.get(part, ["within training"])) for _, part in named.values()
    }
    rows = [
        [name, number(metrics[key]), *([spans[part]] if dates else [])] for name, (key, part) in named.items() if key in metrics
    ]
    header = ["part", task.shown, *(["predicts"] if dates else [])]
    caption = f"The model on each part of the {'data' if task.labelled else 'series'}."
    return DataGrid(caption, header, rows, left=("predicts",))


def _losses(run: Run) -> Section:
    if not run.history:
        return Section("Training", [Text("No history was kept.")])
    text = "The test part is recorded and never used to choose anything."
    if "fine_tuned" not in run.metrics.get("stages", {}) and "stages" in run.metrics:
        text = "The history is that of the search that this model was derived from. " + text
    if run.dataset.change is not None:
        text += f" Its errors are those of {run.dataset.change.words}, scaled: what is trained on."
    return Section("Training", [Text(text), loss_plot(run)])


def _architecture(run: Run) -> Iterator[Section]:
    recurrent = run.members[0].forecaster.circuits
    if recurrent is None:
        return
    plots = list(weight_plots(run.architecture, recurrent))
    genotype = run.spec.genotype
    parts: list[Element] = []
    if genotype is not None:
        rows = [
            [gate, str(layer), choice.candidate, number(choice.weight), number(choice.score)]
            for layer, gates in enumerate(genotype.layers, 1)
            for gate, choices in gates.items()
            for choice in choices
        ]
        caption = (
            "What was kept of the search, with the weight that each circuit had then, and the score that it was chosen by."
        )
        download = json_file("genotype", genotype.model_dump(mode="json", exclude_defaults=True))
        header = ["gate", "layer", "circuit", "weight", "score"]
        parts.append(DataGrid(caption, header, rows, left=("layer", "circuit"), download=download))
    if plots:
        parts.append(Text("The coefficient of each candidate circuit in the sum of its gate, after each epoch."))
        parts.append(Panels(plots))
    if parts:
        yield Section("Structural weights", parts)
    drawings = [
        Drawing(item.title, circuit_svg(item.candidate, f"circuit-{place}"))
        for place, item in enumerate(circuits_of(recurrent), 1)
    ]
    constant = about_constants(constant_gates(recurrent))
    if drawings or constant:
        texts = ["x are the inputs, w the trained angles."] * bool(drawings) + [constant] * bool(constant)
        yield Section("Circuits", [*map(Text, texts), *drawings])


def _settings(spec: RunSpec) -> Section:
    content = _public(spec)
    rows = [[name, strict_json(value)] for name, value in content["data"].items() if value is not None]
    rows += [
        [name, strict_json(value)]
        for name, value in content.items()
        if name not in ("data", "genotype", "backend_options", "space") and value is not None
    ]
    if spec.space is not None and spec.entangler is None:
        rows.append(["space", spec.space.source or "own circuits"])
    grid = DataGrid("The series, the model and its training.", ["option", "value"], rows, left=("value",))
    listing = Listing(strict_json(content, indent=2), "config.json", json_file("config", content))
    return Section("Configuration", [grid, listing])


def _public(spec: RunSpec) -> dict[str, Any]:
    """The configuration without names of accounts."""
    content: dict[str, Any] = json.loads(spec.model_dump_json())
    for name in _PRIVATE:
        (content["backend_options"] or {}).pop(name, None)
    return content


def _versions(run: Run) -> Section:
    return Section(
        "Versions",
        [
            DataGrid(
                "What the run was made with.", ["package", "version"], list(run.metrics["versions"].items()), left=("version",)
            )
        ],
    )


def _again(spec: RunSpec, run: Run) -> Section:
    text = "The same versions, on the same kind of processor, give the same bits."
    if SIDE_BY_SIDE.items() <= run.metrics.items():
        text = (
            "It was trained side by side with other seeds. By itself it ends as it did but for rounding, which long trainings "
            "amplify."
        )
    start = (
        ""
        if spec.start is None
        else f" It starts from the run {spec.start.run}, whose weights have the SHA-256 {spec.start.sha256}."
    )
    return Section("Make it again", [Text(text + start), Listing(again(spec, run.path))])
