"""Tables of the study `search`, stage by stage (search, one circuit per gate, fine-tuned), and of what a prediction costs.

`qlstm table --study search --out results/search` makes the records, in some hours on two cores, and

    python -m benchmarks.stages [results/search]

makes these tables of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qlstm_qiskit.experiments.studies.records import Record, load_study_folder
from qlstm_qiskit.experiments.studies.study import Study
from qlstm_qiskit.hardware import find_spec, plan_backend
from qlstm_qiskit.hardware.executors.cost import qpu_seconds
from qlstm_qiskit.nn import QLSTM
from qlstm_qiskit.nn.update import LSTM_GATES
from qlstm_qiskit.search import Genotype
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.space.transpiled import transpile_candidates

RESULTS = Path(__file__).parents[1] / "results" / "search"

#: Title of a table and the stage of a chain that it shows. What is not derived has one stage, its training.
STAGES = {
    "Search": "search",
    "Derived, before fine-tuning": "derived",
    "Fine-tuned, one circuit a gate": "fine_tuned",
}

#: Test errors over seeds, by stage, row and series.
Errors = dict[tuple[str, str, str], list[float]]


def report(study: Study, records: list[Record]) -> str:
    """Tables in Markdown: medians over seeds."""
    return "\n".join([*stages(study, records), *costs(study, records)])


def stages(study: Study, records: list[Record]) -> list[str]:
    """Lines of a table per stage."""
    lines = [
        f"Seeds {', '.join(map(str, range(study.seeds)))}; (n) behind a number: of n of them only. The last column counts "
        "series on which the median is at most 1.5 times that of `full`."
    ]
    errors = _errors(study, records)
    for title, stage in STAGES.items():
        lines += ["", f"**{title}: median test MSE**", "", *_table(study, errors, stage)]
    return lines


def costs(study: Study, records: list[Record]) -> list[str]:
    """Lines of the table of what a prediction costs."""
    lines = ["", "**Cost of one prediction on ibm_fez (snapshot), 4096 shots: medians over series and seeds**", ""]
    lines += [
        "| strategy | derived by | circuits a step | two-qubit gates a step | QPU s | QPU s without packing |",
        "|---" * 6 + "|",
    ]
    for label, row in study.rows.items():
        if row.search is None:
            own = [cost(study, {gate: list(SearchSpace.paper().names) for gate in LSTM_GATES})]
        else:
            own = [cost(study, record["circuits"]) for record in records if record["row"] == label and "circuits" in record]
        if own:
            lines.append(f"| {_named(study, label)} | {_cost_cells(own)} |")
    return lines


def cost(study: Study, circuits: dict[str, list[str]]) -> dict[str, float]:
    """What one prediction of a window of 4 asks of ibm_fez, with 4096 shots: two-qubit gates of all circuits, QPU seconds."""
    hidden, depth = study.common["hidden_size"], 2
    genotype = Genotype.model_validate(
        {"depth": depth, "layers": [{g: [{"candidate": c, "weight": 1.0} for c in own] for g, own in circuits.items()}]}
    )
    space = genotype.spaces()[0]
    _, reports = transpile_candidates(space.candidates(hidden + 1, depth), hidden, "fake-fez")
    gates = {report.name: report.two_qubit_gates[1] for report in reports}
    spec = find_spec("ibm")
    planned = plan_backend(spec, "fez")
    layer = QLSTM(1, hidden, depth=depth, space=space, backend=planned, batch_first=True)
    with torch.no_grad():
        layer(torch.zeros(1, 4, 1, dtype=torch.float64))
    packed, unpacked = planned.work()
    return {
        "circuits": sum(map(len, circuits.values())),
        "two_qubit_gates": sum(gates[name] for own in circuits.values() for name in own),
        "qpu_seconds": qpu_seconds(packed, spec),
        "qpu_seconds_unpacked": qpu_seconds(unpacked, spec),
    }


def _errors(study: Study, records: list[Record]) -> Errors:
    name = study.trained_for.test
    found: Errors = {}
    for record in records:
        last = "search" if study.rows[record["row"]].search is None else "fine_tuned"
        made: dict[str, Any] = record.get("stages") or {last: record}
        for stage, own in made.items():
            error = float("inf") if own[name] is None else own[name]  # of what diverged
            found.setdefault((stage, record["row"], record["dataset"]), []).append(error)
    return found


def _table(study: Study, errors: Errors, stage: str) -> list[str]:
    """A row per strategy, and from deriving on one for each way in which circuits are derived from it."""
    lines = ["| strategy | derived by | " + " | ".join(study.datasets) + " | within 1.5 |"]
    lines.append("|---" * (len(study.datasets) + 3) + "|")
    shown = set()
    for label in study.rows:
        strategy = label.partition(" by ")[0]
        own = {name: errors[stage, label, name] for name in study.datasets if (stage, label, name) in errors}
        if not own or (stage == "search" and strategy in shown):
            continue
        shown.add(strategy)
        within = sum(np.median(own[name]) <= 1.5 * np.median(errors["search", "full", name]) for name in own)
        cells = " | ".join(_median(own.get(name, []), study.seeds_for(name)) for name in study.datasets)
        named = f"{strategy} | " if stage == "search" else _named(study, label)
        lines.append(f"| {named} | {cells} | {within} of {len(own)} |")
    return lines


def _median(values: list[float], seeds: int) -> str:
    if not values:
        return ""
    return f"{np.median(values):.3g}" + (f" ({len(values)})" if len(values) < seeds else "")


def _named(study: Study, label: str) -> str:
    """Two cells: the strategy, and how circuits are derived from it."""
    row = study.rows[label]
    return f"{label.partition(' by ')[0]} | {'' if row.search is None else row.derive.strategy}"


def _cost_cells(own: list[dict[str, float]]) -> str:
    keys = ("circuits", "two_qubit_gates", "qpu_seconds", "qpu_seconds_unpacked")
    return " | ".join(f"{np.median([one[key] for one in own]):.3g}" for key in keys)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS)
    print(report(*load_study_folder(parser.parse_args().folder)))


if __name__ == "__main__":
    main()
