"""The page of a study: its table, the errors of every seed, its tests, where it was made."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.run import read_json
from qlstm_qiskit.experiments.runner import ENVIRONMENTS, Record, load_study_folder
from qlstm_qiskit.experiments.table import Table, table
from qlstm_qiskit.report.pages.content import Grid, Listing, Page, Panels, Plot, Section, Text, csv_file, json_file, stacked
from qlstm_qiskit.report.pages.figures import axis, label, log_axis, plotted
from qlstm_qiskit.report.table import FIGURES, Part, parts
from qlstm_qiskit.storage import exists


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
    medians = Grid(
        "A row a model: trained parameters, circuits a time step, and for each series the median with its interval.",
        first.header,
        stacked(first.rows),
        notes=first.notes,
        download=json_file("table", found.to_json()),
    )
    sections = [Section("Medians", [medians]), _figures(found, records)]
    sections += [Section(part.title, [_grid(part, found)]) for part in others]
    sections += [_environments(path, records), _again(study.model_dump(mode="json", exclude_defaults=True))]
    return Page("study", study.title or study.name, lead, sections)


def _grid(part: Part, found: Table) -> Grid:
    caption = part.about or "Mean of the middle half of the seeds, with its 95 % interval."
    if part.tests:
        counts = Counter(test.comparison.verdict for test in found.families[part.title.removeprefix("Tests: ")])
        caption += f" The first is {', '.join(f'{verdict} in {count}' for verdict, count in counts.items())}."
    left = ("second", "series", "first is better") if part.tests else ()
    return Grid(caption, part.header, stacked(part.rows), left=left)


def _figures(found: Table, records: list[Record]) -> Section:
    rows = [row for row in found.study.rows if any(key[0] == row for key in found.cells)]
    seeds: dict[tuple[str, str], list[int]] = {}
    for record in records:
        seeds.setdefault((record["row"], record["dataset"]), []).append(record["seed"])
    plots = [
        _panel(found, rows, dataset, place, seeds)
        for place, dataset in enumerate(found.study.datasets, 1)
        if any(key[1] == dataset for key in found.cells)
    ]
    text = f"{FIGURES[found.study.primary]} of each seed, with the median and its interval"
    text += ", and what others have published." if found.study.published else "."
    return Section("Errors of all seeds", [Text(text), Panels(plots)])


def _panel(found: Table, rows: list[str], dataset: str, place: int, seeds: dict[tuple[str, str], list[int]]) -> Plot:
    what = FIGURES[found.study.primary]
    each: dict[str, list[Any]] = {"model": [], "seed": [], found.study.primary: []}
    ys, texts = [], []
    middle: dict[str, list[Any]] = {"x": [], "y": [], "low": [], "high": [], "text": []}
    published: dict[str, list[Any]] = {"x": [], "y": [], "text": []}
    for y, row in enumerate(rows):
        cell = found.cells.get((row, dataset))
        if cell is None:
            continue
        finite = [value for value in cell.values if math.isfinite(value)]
        for seed, value in zip(sorted(seeds[row, dataset]), cell.values, strict=True):
            each["model"].append(row)
            each["seed"].append(seed)
            each[found.study.primary].append(value if math.isfinite(value) else None)
            ys.append(y)
            texts.append(f"{label(row)}, seed {seed}: {value:.3g}")
        if math.isfinite(cell.summary.median):
            low, high = cell.summary.median_interval
            high = min(high, max(finite))
            middle["x"].append(cell.summary.median)
            middle["y"].append(y)
            middle["low"].append(cell.summary.median - low)
            middle["high"].append(high - cell.summary.median)
            middle["text"].append(f"{label(row)}: median {cell.summary.median:.3g}, interval {low:.2g} to {high:.2g}")
        if cell.published is not None:
            published["x"].append(cell.published)
            published["y"].append(y)
            published["text"].append(f"{label(row)}, published: {cell.published:.3g}")
    hover = {"type": "scatter", "mode": "markers", "hovertemplate": "%{text}<extra></extra>"}
    one = {"symbol": "line-ns-open", "size": 9, "color": "blue", "line": {"width": 1.2, "color": "blue"}}
    bars = {
        "type": "data",
        "symmetric": False,
        "array": middle["high"],
        "arrayminus": middle["low"],
        "color": "black",
        "width": 0,
    }
    traces: list[dict[str, Any]] = [
        hover | {"name": "each seed", "x": each[found.study.primary], "y": ys, "text": texts, "marker": one},
        hover
        | {"name": "median, 95 % interval", "x": middle["x"], "y": middle["y"], "text": middle["text"]}
        | {"error_x": bars, "marker": {"color": "black", "size": 7, "symbol": "circle"}},
    ]
    if found.study.published:
        mark = {"color": "orange", "size": 9, "symbol": "diamond"}
        traces.append(hover | {"name": "published", "marker": mark} | published)
    ticks = {"tickvals": list(range(len(rows))), "ticktext": [label(row) for row in rows], "range": [len(rows) - 0.4, -0.6]}
    figure = plotted(
        traces,
        log_axis(f"{what} (scaled units)", each[found.study.primary] + published["x"]),
        axis("model", zeroline=False, **ticks),
        hovermode="closest",
    )
    diverged = sum(not math.isfinite(value) for value in (v for r in rows for v in _values(found, r, dataset)))
    caption = dataset + (f"; {diverged} runs diverged and are not drawn" if diverged else "")
    name = f"errors-{place}"
    return Plot(name, caption, figure, csv_file(name, each), height=110 + 26 * len(rows))


def _values(found: Table, row: str, dataset: str) -> tuple[float, ...]:
    cell = found.cells.get((row, dataset))
    return () if cell is None else cell.values


def _environments(path: Path, records: list[Record]) -> Section:
    known = read_json(path / ENVIRONMENTS) if exists(path / ENVIRONMENTS) else {}
    counts = Counter(str(record.get("environment")) for record in records)
    rows = []
    for name, count in counts.items():
        made = known.get(name, {})
        commit = (
            f"{made['commit'][:10]}{', with changes' if made.get('changed') else ''}" if made.get("commit") else "no checkout"
        )
        rows.append([name, f"{count:,}", commit, made.get("processor", "")])
    header, left = ["environment", "runs", "commit", "processor"], ("commit", "processor")
    where = Grid("Where the runs were made.", header, rows, left=left, download=json_file("environments", known))
    versions = {name: known.get(name, {}).get("versions", {}) for name in counts}
    packages = dict.fromkeys(package for own in versions.values() for package in own)
    table = [[package, *(own.get(package, "") for own in versions.values())] for package in packages]
    return Section("Made with", [where, Grid("With what, by environment.", ["package", *counts], table, left=tuple(counts))])


def _again(study: dict[str, Any]) -> Section:
    text = "Save study.json and give it to the command; what was finished before is kept in a folder that is there."
    listing = Listing(json.dumps(study, indent=2), "study.json", json_file("study", study))
    return Section("Make it again", [Text(text), Listing("qlstm table --study study.json --out again"), listing])
