"""The page of a study: its table, the errors of every seed, its tests, and the machines that it ran on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.studies.records import Record, load_study_folder, read_environments
from qlstm_qiskit.experiments.studies.table import Table, table
from qlstm_qiskit.report.pages.content import (
    DataGrid,
    Drawing,
    Listing,
    Page,
    Panels,
    Plot,
    Section,
    Text,
    csv_file,
    json_file,
    number,
    stacked,
)
from qlstm_qiskit.report.pages.figures import INK, axis, label, log_axis, plotted
from qlstm_qiskit.report.ranks import ranks_svg
from qlstm_qiskit.report.table import TablePart, parts
from qlstm_qiskit.storage import strict_json


def study_page(path: Path) -> Page:
    """The page of a folder that `qlstm table` has made, from its records as they are.

    Raises:
        RunError: A file is missing or damaged, or nothing is finished yet.
    """
    study, records = load_study_folder(path)
    found = table(study, records)
    if not found.cells:
        raise RunError(f"{path} holds no finished run of its study yet; go on with the `qlstm table` command that made it.")
    first, *others = parts(found)
    lead = [text.replace("`", "") for text in (study.about, first.about) if text]
    medians = DataGrid(
        "A row per model: trained parameters, circuits per time step, and for each series the median with its interval.",
        first.header,
        stacked(first.rows),
        notes=first.notes,
        download=json_file("table", found.to_json()),
    )
    sections = [Section("Medians", [medians]), _figures(found, records)]
    sections += [Section(part.title, [_grid(part, found)]) for part in others]
    if found.ranks is not None:
        text = "Mean ranks; bars join models that a test does not tell apart."
        sections.insert(2, Section("Critical differences", [Drawing(text, ranks_svg(found))]))
    sections += [_environments(path, records), _again(study.model_dump(mode="json", exclude_defaults=True))]
    return Page("study", study.title or study.name, lead, sections)


def _grid(part: TablePart, found: Table) -> DataGrid:
    caption = part.about
    if part.title.startswith("Tests: "):
        counts = Counter(test.comparison.verdict for test in found.families[part.title.removeprefix("Tests: ")])
        caption += f" The first is {', '.join(f'{verdict} in {count}' for verdict, count in counts.items())}."
    left = ("second", "series", "first is better", "the first has") if part.tests else ()
    return DataGrid(caption, part.header, stacked(part.rows), left=left)


def _figures(found: Table, records: list[Record]) -> Section:
    rows = found.rows
    seeds: dict[tuple[str, str], list[int]] = {}
    for record in records:
        seeds.setdefault((record["row"], record["dataset"]), []).append(record["seed"])
    plots = [
        _panel(found, rows, dataset, place, seeds)
        for place, dataset in enumerate(found.study.datasets, 1)
        if dataset in found.datasets
    ]
    text = f"{found.study.compared_by()} of each seed, with the median and its interval"
    text += ", and what others have published." if found.published else "."
    return Section("Errors of all seeds", [Text(text), Panels(plots)])


def _panel(found: Table, rows: list[str], dataset: str, place: int, seeds: dict[tuple[str, str], list[int]]) -> Plot:
    study, what, published = found.study, found.study.compared_by(), _published(found, rows, dataset)
    each: dict[str, list[Any]] = {"model": [], "seed": [], study.primary: []}
    for row in rows:
        values = _values(found, row, dataset)
        each["model"] += [row] * len(values)
        each["seed"] += sorted(seeds.get((row, dataset), []))
        each[study.primary] += [value if math.isfinite(value) else None for value in values]
    traces = [
        _each_seed(rows, each["model"], each["seed"], each[study.primary]),
        _medians(found, rows, dataset),
        *([published] if published["x"] else []),
    ]
    ticks = {"tickvals": list(range(len(rows))), "ticktext": [label(row) for row in rows], "range": [len(rows) - 0.4, -0.6]}
    drawn = [value for trace in traces for value in trace["x"]]
    horizontal = log_axis(f"{what} (scaled units)", drawn)
    figure = plotted(traces, horizontal, axis("model", zeroline=False, **ticks), hovermode="closest")
    diverged = each[study.primary].count(None)
    caption = dataset + (f"; {diverged} run{'s' * (diverged > 1)} diverged, not drawn" if diverged else "")
    name = f"errors-{place}"
    return Plot(name, caption, figure, csv_file(name, each), height=110 + 26 * len(rows))


def _marks(name: str, points: Sequence[tuple[float | None, int, str]], **options: Any) -> dict[str, Any]:
    """Points (error, row, what is said about it) without lines."""
    x, y, text = (list(column) for column in zip(*points, strict=True)) if points else ([], [], [])
    hover = {"type": "scatter", "mode": "markers", "hovertemplate": "%{text}<extra></extra>"}
    return hover | {"name": name, "x": x, "y": y, "text": text} | options


def _each_seed(rows: list[str], models: list[str], seeds: list[int], errors: list[float | None]) -> dict[str, Any]:
    points = [
        (error, rows.index(row), f"{label(row)}, seed {seed}: {number(error)}")
        for row, seed, error in zip(models, seeds, errors, strict=True)
    ]
    mark = {"symbol": "line-ns-open", "size": 9, "color": "blue", "line": {"width": 1.2, "color": "blue"}}
    return _marks("each seed", points, marker=mark)


def _medians(found: Table, rows: list[str], dataset: str) -> dict[str, Any]:
    points, above, below = [], [], []
    for y, row in enumerate(rows):
        finite = [value for value in _values(found, row, dataset) if math.isfinite(value)]
        cell = found.cells.get((row, dataset))
        if cell is None or not math.isfinite(cell.summary.median):
            continue
        middle, (low, high) = cell.summary.median, cell.summary.median_interval
        points.append((middle, y, f"{label(row)}: median {middle:.3g}, interval {low:.2g} to {high:.2g}"))
        above.append(min(high, max(finite)) - middle)
        below.append(middle - low)
    bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": INK, "width": 0}
    mark = {"color": INK, "size": 7, "symbol": "circle"}
    return _marks("median, 95 % interval", points, error_x=bars, marker=mark)


def _published(found: Table, rows: list[str], dataset: str) -> dict[str, Any]:
    points = [
        (cell.published, y, f"{label(row)}, published: {cell.published:.3g}")
        for y, row in enumerate(rows)
        if (cell := found.cells.get((row, dataset))) is not None and cell.published is not None
    ]
    return _marks("published", points, marker={"color": "orange", "size": 9, "symbol": "diamond"})


def _values(found: Table, row: str, dataset: str) -> tuple[float, ...]:
    cell = found.cells.get((row, dataset))
    return () if cell is None else cell.values


def _environments(path: Path, records: list[Record]) -> Section:
    known = read_environments(path)
    counts = Counter(str(record.get("environment")) for record in records)
    rows = []
    for name, count in counts.items():
        made = known.get(name, {})
        commit = (
            f"{made['commit'][:10]}{', with changes' if made.get('changed') else ''}" if made.get("commit") else "no checkout"
        )
        rows.append([name, f"{count:,}", commit, made.get("processor", "")])
    header, left = ["environment", "runs", "commit", "processor"], ("commit", "processor")
    where = DataGrid("Where the runs were made.", header, rows, left=left, download=json_file("environments", known))
    versions = {name: known.get(name, {}).get("versions", {}) for name in counts}
    packages = dict.fromkeys(package for own in versions.values() for package in own)
    table = [[package, *(own.get(package, "") for own in versions.values())] for package in packages]
    return Section(
        "Made with", [where, DataGrid("With what, by environment.", ["package", *counts], table, left=tuple(counts))]
    )


def _again(study: dict[str, Any]) -> Section:
    text = "Save study.json and give it to the command; what was finished before is kept in a folder that is there."
    listing = Listing(strict_json(study, indent=2), "study.json", json_file("study", study))
    return Section("Make it again", [Text(text), Listing("qlstm table --study study.json --out again"), listing])
