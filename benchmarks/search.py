"""Search strategies on the paper's five series: search, derive one circuit a gate, fine-tune it, at equal budget.

    python -m benchmarks.search --out results/search.jsonl [--seeds 0 1 2 3 4] [--datasets bessel ...] [--jobs 2]
    python -m benchmarks.search --out results/search.jsonl --report      # tables of what the file holds

Hidden 5, depth 2 (6 qubits), batch 10, the author's RMSprop. `full` is the paper's model: 100 epochs on the whole training
part, 3,600 epochs x candidates a gate. A strategy searches for 60 epochs with the last fifth of the training part held out;
one circuit a gate is derived on that part (by perturbation; for the weighted sum also by contribution and by weight), and
fine-tuned for 200 epochs on the whole training part: 2,360 epochs x candidates, with more gradient steps than `full` has.
The best of 36 random choices trains each of them for 60 epochs and the best once more, 2,420; a single random choice has 260.
Shrinking evaluates fewer. delayed_quantum_control, nine times as long, has a third of all epochs. Figures are those of the
last epoch; the test part decides nothing, but reading the best row of a table does choose by it.

Records that are in the file are not made again, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from qlstm_qiskit.data import PAPER_SERIES, Dataset, load_dataset
from qlstm_qiskit.hardware import find_spec, plan_backend
from qlstm_qiskit.hardware.executors.cost import qpu_seconds
from qlstm_qiskit.nn import QLSTM, Forecaster, predict_windows
from qlstm_qiskit.nn.update import LSTM_GATES as GATES
from qlstm_qiskit.search import Genotype, derive, make_strategy
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.space.transpiled import transpile_candidates
from qlstm_qiskit.training import QLSTMRegressor

HIDDEN, DEPTH, VALID = 5, 2, 0.2
EPOCHS = {"full": 100, "search": 60, "tune": 200}
#: Label -> strategy and its options.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "weighted-sum": ("weighted-sum", {}),
    "softmax": ("softmax", {}),
    "gumbel-softmax": ("gumbel-softmax", {}),
    "gumbel-straight-through": ("gumbel-softmax", {"straight_through": True}),
    "entropy": ("entropy", {}),
    "entropy, convex": ("entropy", {"convex": True}),
    "l1": ("l1", {}),
    "shrinking": ("shrinking", {}),
    "shrinking, convex": ("shrinking", {"convex": True}),
    "bilevel": ("bilevel", {}),
    "bilevel, convex": ("bilevel", {"convex": True}),
    "weighted-sum + device": ("weighted-sum", {"device": {"backend": "fake-fez"}}),
    "softmax + device": ("softmax", {"device": {"backend": "fake-fez"}}),
    "random": ("random", {}),
    "best-of-random": ("best-of-random", {}),
    "uniform": ("uniform", {}),
    "frozen": ("frozen", {}),
}


def epochs_of(stage: str, dataset: str) -> int:
    """Epochs of a stage on a series."""
    return EPOCHS[stage] // (3 if dataset == "delayed_quantum_control" else 1)


def errors(model: Forecaster, data: Dataset) -> dict[str, float]:
    """Mean squared errors on validation and test part."""
    parts = {"valid": data.validation(VALID), "test": (data.x_test, data.y_test)}
    return {name: float(np.mean((predict_windows(model, x) - y) ** 2)) for name, (x, y) in parts.items()}


def full(dataset: str, seed: int) -> list[dict[str, Any]]:
    """The paper's model."""
    data, started = load_dataset(dataset), time.perf_counter()
    model = QLSTMRegressor("diffqas", HIDDEN, DEPTH, max_epochs=epochs_of("full", dataset), seed=seed)
    model.fit(data.x_train, data.y_train)
    return [_record(dataset, seed, "full", "", {"search": errors(model.module_, data)}, started)]


def way(label: str, dataset: str, seed: int) -> list[dict[str, Any]]:
    """One strategy: a record for each way to derive."""
    data, started = load_dataset(dataset), time.perf_counter()
    name, options = WAYS[label]
    search = QLSTMRegressor(
        "diffqas",
        HIDDEN,
        DEPTH,
        search=make_strategy(name, options),
        valid_fraction=VALID,
        max_epochs=epochs_of("search", dataset),
        seed=seed,
    ).fit(data.x_train, data.y_train)
    found = errors(search.module_, data)
    windows, targets = (torch.as_tensor(part) for part in data.validation(VALID))
    records = []
    for by in ("perturbation", "contribution", "weight") if label == "weighted-sum" else ("perturbation",):
        genotype, state = derive(search.module_, windows, targets, strategy=by)
        model = QLSTMRegressor(
            "derived",
            HIDDEN,
            genotype.depth,
            space=genotype.spaces(),
            start=state,
            max_epochs=epochs_of("tune", dataset),
            seed=seed,
        )
        untrained = model.build_module(1, 1)
        untrained.load_state_dict(state)
        tuned = model.fit(data.x_train, data.y_train).module_
        stages = {"search": found, "derived": errors(untrained, data), "tuned": errors(tuned, data)}
        records.append(_record(dataset, seed, label, by, stages, started, genotype))
    return records


def _record(
    dataset: str, seed: int, label: str, by: str, stages: dict[str, Any], started: float, genotype: Genotype | None = None
) -> dict[str, Any]:
    record = {"dataset": dataset, "seed": seed, "strategy": label, "by": by, **stages, "seconds": time.perf_counter() - started}
    if genotype is not None:
        record["circuits"] = {gate: own[0].candidate for gate, own in genotype.layers[0].items()}
        record["weights"] = {gate: own[0].weight for gate, own in genotype.layers[0].items()}
    return record


def cost(circuits: dict[str, list[str]]) -> dict[str, float]:
    """What one prediction of a window of 4 asks of ibm_fez, with 4096 shots: two-qubit gates of all circuits, QPU seconds."""
    genotype = Genotype.model_validate(
        {"depth": DEPTH, "layers": [{g: [{"candidate": c, "weight": 1.0} for c in own] for g, own in circuits.items()}]}
    )
    space = genotype.spaces()[0]
    candidates = space.candidates(HIDDEN + 1, DEPTH)
    _, reports = transpile_candidates(candidates, HIDDEN, "fake-fez")
    gates = {report.name: report.two_qubit_gates[1] for report in reports}
    spec = find_spec("ibm")
    planned = plan_backend(spec, "fez")
    layer = QLSTM(1, HIDDEN, depth=DEPTH, space=space, backend=planned, batch_first=True)
    with torch.no_grad():
        layer(torch.zeros(1, 4, 1, dtype=torch.float64))
    packed, unpacked = planned.work()
    return {
        "circuits": sum(map(len, circuits.values())),
        "two_qubit_gates": sum(gates[name] for own in circuits.values() for name in own),
        "qpu_seconds": qpu_seconds(packed, spec),
        "qpu_seconds_unpacked": qpu_seconds(unpacked, spec),
    }


def work(
    datasets: list[str], seeds: list[int], labels: list[str], done: set[tuple[str, int, str]]
) -> Iterator[tuple[str, int, str]]:
    """What is missing, seed after seed."""
    for seed in seeds:
        for dataset in datasets:
            for label in labels:
                if (dataset, seed, label) not in done:
                    yield dataset, seed, label


def make(dataset: str, seed: int, label: str) -> list[dict[str, Any]]:
    """The records of one training."""
    torch.set_num_threads(1)
    return full(dataset, seed) if label == "full" else way(label, dataset, seed)


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def report(records: list[dict[str, Any]]) -> str:
    """Tables in Markdown: medians over seeds."""
    seeds = sorted({r["seed"] for r in records})
    lines = [
        f"Seeds {', '.join(map(str, seeds))}; (n) behind a number: of n of them only. The last column counts series on which "
        "the median is at most 1.5 times that of `full`."
    ]
    for stage, title in (
        ("search", "Search"),
        ("derived", "Derived, before fine-tuning"),
        ("tuned", "Fine-tuned, one circuit a gate"),
    ):
        lines += ["", f"**{title}: median test MSE**", "", *_table(records, stage, len(seeds))]
    lines += ["", "**Cost of one prediction on ibm_fez (snapshot), 4096 shots: medians over series and seeds**", ""]
    lines += [
        "| strategy | derived by | circuits a step | two-qubit gates a step | QPU s | QPU s without packing |",
        "|---" * 6 + "|",
    ]
    lines.append(_cost_row(("full", ""), [cost({gate: list(SearchSpace.paper().names) for gate in GATES})]))
    for label in dict.fromkeys((r["strategy"], r["by"]) for r in records):
        own = [r["circuits"] for r in records if (r["strategy"], r["by"]) == label and "circuits" in r]
        if own:
            lines.append(_cost_row(label, [cost({gate: [name] for gate, name in circuits.items()}) for circuits in own]))
    return "\n".join(lines)


def _table(records: list[dict[str, Any]], stage: str, n_seeds: int) -> list[str]:
    """A row for each strategy, and before deriving one for all that is derived from it."""
    datasets = [name for name in PAPER_SERIES if any(r["dataset"] == name for r in records)]
    limits = {d: 1.5 * _median(records, d, ("full", ""), "search")[0] for d in datasets}
    lines = ["| strategy | derived by | " + " | ".join(datasets) + " | within 1.5 |", "|---" * (len(datasets) + 3) + "|"]
    shown = set()
    for strategy, by in dict.fromkeys((r["strategy"], r["by"]) for r in records if stage in r):
        if stage == "search" and strategy in shown:
            continue
        shown.add(strategy)
        values = [_median(records, d, (strategy, by), stage) for d in datasets]
        cells = [f"{value:.3g}" + (f" ({count})" if count < n_seeds else "") if count else "" for value, count in values]
        within = sum(value <= limits[d] for (value, _), d in zip(values, datasets, strict=True))
        known = sum(count > 0 for _, count in values)
        lines.append(f"| {strategy} | {'' if stage == 'search' else by} | " + " | ".join(cells) + f" | {within} of {known} |")
    return lines


def _median(records: list[dict[str, Any]], dataset: str, way: tuple[str, str], stage: str) -> tuple[float, int]:
    """The median over seeds, and how many there are."""
    values = [r[stage]["test"] for r in records if (r["dataset"], r["strategy"], r["by"]) == (dataset, *way) and stage in r]
    return (float(np.median(values)) if values else float("nan")), len(values)


def _cost_row(way: tuple[str, str], costs: list[dict[str, float]]) -> str:
    keys = ("circuits", "two_qubit_gates", "qpu_seconds", "qpu_seconds_unpacked")
    cells = " | ".join(f"{np.median([c[key] for c in costs]):.3g}" for key in keys)
    return f"| {way[0]} | {way[1]} | {cells} |"


def main() -> None:
    """Make what is missing, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--datasets", nargs="+", default=list(PAPER_SERIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--ways", nargs="+", default=["full", *WAYS])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    records = read(arguments.out)
    if arguments.report:
        print(report(records))
        return
    done = {(r["dataset"], r["seed"], r["strategy"]) for r in records}
    missing = list(work(arguments.datasets, arguments.seeds, arguments.ways, done))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    made = Parallel(n_jobs=arguments.jobs, return_as="generator_unordered")(delayed(make)(*item) for item in missing)
    with arguments.out.open("a") as file:
        for number, found in enumerate(made, 1):
            file.writelines(json.dumps(record) + "\n" for record in found)
            file.flush()
            best = min(r.get("tuned", r["search"])["test"] for r in found)
            print(
                f"{number} of {len(missing)}: {' '.join(str(found[0][k]) for k in ('strategy', 'dataset', 'seed'))}: {best:.3g}"
            )


if __name__ == "__main__":
    main()
