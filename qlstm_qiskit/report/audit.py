"""The tables of an audit, and the audit in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from qlstm_qiskit.experiments.studies.audited import MAPS, RULES, Audit, AuditedRow, AuditTest, said, seeds_in_words
from qlstm_qiskit.report.names import as_code, in_markdown
from qlstm_qiskit.report.table import TablePart

_SHORT = {
    "circuits": "circuits are better",
    "classical": "map is better",
    "undecided": "no difference seen",
    "too few": "too few seeds",
}


def verdicts(audit: Audit) -> TablePart:
    """A row for each kind of map: by what factor errors differ, the test, and the verdict."""
    about = (
        "Errors with each map, as a multiple of those with circuits and the same seed: above 1 the circuits are better. "
        "Factor: the Hodges-Lehmann estimate with its exact 95 % interval; seeds: those with lower errors of the circuits; "
        "rank-biserial: 1 where the circuits are better in all pairs, -1 where in none; detectable: the factor that the test "
        "would have found with a probability of 80 %."
    )
    header = ["in place of circuits", "verdict", "factor", "seeds", "rank-biserial", "p (Holm)", "detectable"]
    return TablePart("Verdicts", about, header, [_verdict(test) for test in audit.tests])


def sizes(audit: Audit) -> TablePart:
    """A row for each thing in the place of the circuits: what it is, and its parameters."""
    about = (
        "Trained parameters in the place of the circuits, also as a multiple of the circuits' own, and of the whole model. "
        "Each map has the size nearest to theirs, but at least one hidden unit, or two features, per gate; there may be fewer "
        "products than circuits have parameters, and a map of all of them can compute whatever they can."
    )
    header = ["model", "in the place of circuits", "parameters", "multiple", "whole model"]
    rows = [
        [own.row, MAPS[own.row], f"{own.parameters:,}", f"{audit.parameters_as(own.row):.2f}", f"{own.all_parameters:,}"]
        for own in audit.rows
    ]
    return TablePart("What stands in the place of the circuits", about, header, rows)


def errors(audit: Audit) -> TablePart:
    """A row for each model: its errors over seeds, and what it costs."""
    diverged = sum(error is None for own in audit.rows for error in own.errors)
    about = (
        "Test MSE after training, scaled units: median over seeds with its 95 % interval (BCa bootstrap; the range of fewer "
        "than 6). Times: medians, on the machine that trained; circuits: for each prediction, on a device times its shots."
        + "".join(f" {text}" for text in shared_times(audit))
        + (f" {diverged} trainings diverged and count as infinite." if diverged > 1 else "")
        + (" 1 training diverged and counts as infinite." if diverged == 1 else "")
    )
    header = ["model", "test MSE", "training (s)", "step (ms)", "circuits"]
    return TablePart("Errors and cost", about, header, [_errors(own) for own in audit.rows])


def shared_times(audit: Audit) -> list[str]:
    """What times of seeds that ran side by side are, in a sentence; none where each ran by itself."""
    shared = [own.row for own in audit.rows if own.shared]
    rows = ", ".join(shared) if len(shared) < len(audit.rows) else "each model"
    said = f"Seeds of {rows} ran side by side, and times are each one's share: a training by itself takes longer."
    return [said] if shared else []


def protocol(audit: Audit) -> list[str]:
    """What was kept and how it was trained, in sentences."""
    kept = "its linear layers before and after the circuits, " if audit.hybrid else ""
    stop = f" at most, of which the best by validation is kept (patience {audit.patience})" if audit.patience else ""
    texts = [
        "Replaced: the circuits of all gates, by a classical map per gate that is given the same numbers and gives as many. "
        f"Kept: how inputs become these numbers, {kept}the update equations of the cell, the number of cells, the read-out, "
        "the data and its split.",
        f"All models are trained by one recipe, that of the run: {audit.optimizer}, learning rate {audit.lr:g}, "
        f"{audit.epochs} epochs{stop}, {audit.batch_size} of {audit.windows[0]} windows in each step; {audit.windows[1]} "
        "windows test. No model has a recipe of its own.",
        f"Each is trained with {seeds_in_words(len(audit.seeds))}, {_range(audit.seeds)}. With a seed, all parameters outside "
        "of the replaced part start equal to the bit, and windows come in the same order: errors are compared in pairs.",
        "Test: two-sided exact Wilcoxon signed-rank test on the differences of log errors, corrected by Holm's method for the "
        f"{len(audit.tests)} map{'s' * (len(audit.tests) > 1)}. The verdicts: {'; '.join(RULES.values())}.",
    ]
    if audit.from_start:
        texts.append("The run itself began with trained parameters of another one; here all models start at random.")
    if audit.retrained is not None:
        own = audit.retrained
        same = "the same" if own.there == own.here else f"{own.here:.6g} here"
        texts.append(f"The run itself has seed {own.seed} and a test MSE of {own.there:.6g}; trained again: {same}.")
    return texts


def limits(audit: Audit) -> list[str]:
    """What the audit does not say, in sentences."""
    return [
        f"It is about one series ({audit.dataset}), one split and one recipe: seeds change the start, and not the data. "
        "Another recipe, the run's own choice of it included, may suit circuits or maps better.",
        "Circuits are computed exactly, without the shots and the noise of a device, which would add to their errors.",
        "A map that does as well here may not do so on other data, and does not say that the circuits are easy to simulate.",
        "No difference that is seen is not proof of no difference: a smaller factor than the detectable one may be there.",
    ]


def said_of(audit: Audit) -> list[str]:
    """The verdict on each map as a sentence."""
    return [said(test, audit.parameters_as(test.row)) for test in audit.tests]


def audit_markdown(audit: Audit) -> str:
    """The audit in Markdown, for a paper or a README."""
    text = [f"# Is it the circuit? {in_markdown(f'{audit.model} on {audit.dataset}')}", f"**{in_markdown(audit.answer)}**"]
    text += ["\n".join(f"- {in_markdown(sentence)}" for sentence in said_of(audit))]
    for part in (verdicts(audit), sizes(audit), errors(audit)):
        rows = [[as_code(row[0]), *map(in_markdown, row[1:])] for row in part.rows]
        lines = (part.header, ["---"] * len(part.header), *rows)
        text += [f"## {part.title}", in_markdown(part.about), "\n".join("| " + " | ".join(line) + " |" for line in lines)]
    text += ["## Protocol", *map(in_markdown, protocol(audit)), "## Limits", *map(in_markdown, limits(audit))]
    return "\n\n".join(text) + "\n"


def _verdict(test: AuditTest) -> list[str]:
    interval = "" if test.interval is None else f" [{_factor(test.interval[0])}, {_factor(test.interval[1])}]"
    better = test.superiority * test.n
    return [
        test.row,
        _SHORT[test.verdict],
        _factor(test.factor) + interval,
        f"{better:g} of {test.n}",
        f"{test.rank_biserial:+.2f}",
        f"{test.p_holm:.2g}",
        "" if test.detectable is None else f"{test.detectable:.3g}",
    ]


def _errors(own: AuditedRow) -> list[str]:
    low, high = own.interval
    interval = f" [{_factor(low)}, {_factor(high)}]"
    times = ["" if value is None else f"{value:.3g}" for value in (own.seconds, own.step_ms)]
    return [own.row, _factor(own.median) + interval, *times, f"{own.circuits:,}"]


def _factor(value: float | None) -> str:
    return "inf" if value is None else f"{value:.3g}"


def _range(seeds: Sequence[int]) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
