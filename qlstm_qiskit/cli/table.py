"""`qlstm table`: studies and their tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlstm_qiskit.cli.completion import NAMES, known, names
from qlstm_qiskit.cli.options import Json, split_names
from qlstm_qiskit.cli.output import Steps, print_json, print_table
from qlstm_qiskit.errors import OptionError, printable, require_at_least

if TYPE_CHECKING:
    from qlstm_qiskit.experiments.studies.records import Place
    from qlstm_qiskit.experiments.studies.study import Study
    from qlstm_qiskit.experiments.studies.table import Table
    from qlstm_qiskit.training.task import Task


def _known_study(study: str) -> str:
    """Refuse what `load_study` would, before anything that takes seconds to import."""
    if study not in NAMES["study"] and not Path(study).is_file():
        raise OptionError(f"unknown study {study!r}. Give a YAML file, or one of: {', '.join(NAMES['study'])}.")
    return study


#: Series beside one another.
_ACROSS = 6

_StudyName = Annotated[
    str,
    typer.Option(
        help="Study to run: table2, table2-tuned, chaos, chaos-leak-free, device, real, trends, search, recipe, "
        "recipe-device, or your YAML file.",
        autocompletion=names("study"),
        callback=_known_study,
    ),
]
_OtherRecipe = Annotated[
    str | None,
    typer.Option(
        help="Recipe to train by: paper, tuned or device.",
        autocompletion=names("recipe"),
        callback=known("recipe"),
        show_default="the study's own",
    ),
]


def table(
    out: Annotated[Path, typer.Option(help="Folder of the study: records, table and figure; an existing one is continued.")],
    study: _StudyName = "table2",
    recipe: _OtherRecipe = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Seeds for each cell; no more for a series that the study gives fewer.", show_default="the study's own"
        ),
    ] = None,
    datasets: Annotated[
        list[str] | None, typer.Option(help="Only these series, e.g. A,B; may be repeated.", autocompletion=names("dataset"))
    ] = None,
    rows: Annotated[list[str] | None, typer.Option(help="Only these rows, e.g. A,B; may be repeated.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Another number of epochs in all runs, to try things out.")] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Number of processes, each of one thread.", show_default="one per core")
    ] = None,
    cluster: Annotated[str | None, typer.Option(help="Run on a Ray cluster: its address, auto, or local.")] = None,
    json: Json = False,
) -> None:
    """Run what is missing of a study, and make the table of everything in its folder: medians, intervals, paired tests.

    Example: qlstm table --seeds 12 --out results/table2

    Example: qlstm table --study table2-tuned --datasets bessel --seeds 3 --out runs/tuned
    """
    from qlstm_qiskit.experiments.studies.records import load_study_folder
    from qlstm_qiskit.experiments.studies.study import load_study
    from qlstm_qiskit.experiments.studies.table import table as make_table
    from qlstm_qiskit.report.ranks import draw_ranks
    from qlstm_qiskit.report.table import draw_table, markdown
    from qlstm_qiskit.storage import strict_json, write_atomically

    if recipe == "tuned" and study == "table2":
        study = "table2-tuned"  # the rows that matter there
    chosen = load_study(study, recipe)
    if epochs is not None:
        chosen = chosen.with_epochs(epochs)
    part = chosen.part(
        rows=split_names(rows or None, chosen.rows), datasets=split_names(datasets or None, chosen.datasets), seeds=seeds
    )
    _run(part, chosen, out, jobs, cluster)
    found = make_table(*load_study_folder(out))  # of all that is there, also where a part was asked for
    write_atomically(out / "table.md", markdown(found))
    content = found.to_json()
    write_atomically(out / "table.json", strict_json(content, indent=1) + "\n")
    figures = draw_table(found, out) + draw_ranks(found, out)
    if json:
        print_json(content | {"out": str(out), "figures": [str(path) for path in figures]})
        return
    _print(found)
    print(f"Written to {out}: table.md, table.json, {', '.join(path.name for path in figures)}, records.jsonl")


def _run(part: Study, whole: Study, out: Path, jobs: int | None, cluster: str | None) -> None:
    """Run what is missing of a part of a study, here or on a cluster."""
    from joblib import cpu_count

    from qlstm_qiskit.experiments.studies.runner import run_study

    if jobs is not None:
        require_at_least("jobs", jobs, 1)
    if jobs is not None and cluster is not None:
        raise OptionError(
            "--jobs is for this machine; a cluster has as many as it has processors. Give one of --jobs and --cluster."
        )
    task = whole.trained_for
    try:
        with Steps("runs") as steps:
            run_study(
                part,
                out,
                whole=whole,
                jobs=jobs or cpu_count(),
                cluster=cluster,
                begin=lambda places: _note_seeds(whole, places),
                report=lambda done, total, record: steps(done, total, _said(record, task)),
            )
    except KeyboardInterrupt:
        print(f"interrupted; finished runs are in {out}, the same command goes on", file=sys.stderr)
        raise typer.Exit(130) from None


def _note_seeds(study: Study, places: set[Place]) -> None:
    """Say before anything is trained which families of tests no outcome could decide."""
    from qlstm_qiskit.experiments.studies.power import too_few

    for own in too_few(study, places):
        if own.seeds > 1:  # with one seed nobody expects a test
            what = f"any of its {own.tests} tests" if own.tests > 1 else "its only test"
            said = f"note: {own.family}: no outcome of {own.seeds} seeds could decide {what}; {own.needed} seeds could."
            print(said, file=sys.stderr)


def _said(record: dict[str, Any], task: Task) -> str:
    what = "diverged" if "error" in record else f"test {task.title} {record[task.test]:.3g}"
    return f"{record['row']} on {record['dataset']}, seed {record['seed']}: {what}"


def _print(found: Table) -> None:
    datasets, lines = found.datasets, []
    for row in found.rows:
        cells = [found.cells.get((row, dataset)) for dataset in datasets]
        lines.append([row, *("" if cell is None else f"{cell.summary.median:.2g}" for cell in cells)])
    what = found.study.compared_by(found.study.trained_for.shown)
    header = [printable(name).replace("_", "\n") for name in datasets]  # so that five of them fit into 80 columns
    for first in range(0, len(header), _ACROSS):
        here = slice(first, first + _ACROSS)
        part = [[row, *own[here]] for row, *own in lines]
        print_table(f"Median {what[0].lower()}{what[1:]} over seeds", ["model", *header[here]], part)
    _print_ranks(found)
    for name, tests in found.families.items():
        if not tests:
            continue
        better = sum(test.comparison.verdict == "better" for test in tests)
        worse = sum(test.comparison.verdict == "worse" for test in tests)
        few = sum(test.comparison.verdict == "too few" for test in tests)
        if few == len(tests):
            words = (f"{few} tests", "any of them") if few > 1 else ("1 test", "it")
            print(f"{name}: {words[0]}; no outcome of so few seeds could decide {words[1]}")
            continue
        rest = "undecided in the rest" + f" ({few} with too few seeds)" * bool(few)
        print(f"{name}: {len(tests)} test{'s' * (len(tests) > 1)}; the first is better in {better}, worse in {worse}, {rest}")


def _print_ranks(table: Table) -> None:
    """Mean ranks and their tests, of a study that asks for them."""
    found = table.ranks
    if found is None:
        if table.unranked:
            print(table.unranked)
        return
    from qlstm_qiskit.report.ranks import about_choice, rank_rows

    print_table(f"Mean rank over {len(found.tasks)} series, by median test errors", *rank_rows(found))
    print(
        f"Friedman: chi-square {found.statistic:.3g}, p = {found.p:.2g}; Nemenyi: mean ranks differ that are more than "
        f"{found.critical_difference:.2f} apart"
    )
    if found.left_out:
        print(f"Left out, as not all of the models have been run there: {', '.join(found.left_out)}")
    pairs = list(found.pairs.values())
    told = sum(one.verdict in ("better", "worse") for one in pairs)
    print(f"Wilcoxon, corrected by Holm: {told} of {len(pairs)} pairs are told apart")
    for name, own in found.families.items():
        better, worse = (sum(pair.comparison.verdict == verdict for pair in own) for verdict in ("better", "worse"))
        count = f"{len(own)} pair{'s' * (len(own) > 1)}"
        print(f"{name}, over all series: {count}; the first has lower errors in {better}, higher ones in {worse}")
    if found.choice is not None:
        print(about_choice(found))
