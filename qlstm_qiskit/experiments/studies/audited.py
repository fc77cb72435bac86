"""What an audit has found: numbers, verdicts by stated rules, and an answer in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from qlstm_qiskit.experiments.runs.reading import read_json, validated
from qlstm_qiskit.experiments.studies.effects import least_pairs

#: The file of an audit in its folder.
AUDIT = "audit.json"

#: What stands in the place of circuits, in words.
MAPS: Mapping[str, str] = MappingProxyType(
    {
        "circuits": "the model's own circuits",
        "products": "a linear map on products of cosines and sines of the angles that the circuits would be given: those that "
        "the circuits' outputs can contain, lowest order first",
        "tanh": "a perceptron with one hidden layer of tanh",
        "frozen": "random Fourier features, which stay as they are drawn, and a trained linear read-out",
        "products-all": "a linear map on all products that the circuits' outputs can contain: it can compute whatever they can",
    }
)

#: The same in a sentence.
CALLED: Mapping[str, str] = MappingProxyType(
    {
        "products": "the linear map on products",
        "tanh": "the tanh layer",
        "frozen": "the frozen random features",
        "products-all": "the linear map on all products",
    }
)

#: Numbers of parameters up to this factor apart are about as many.
ALIKE = 1.25

Verdict = Literal["circuits", "classical", "undecided", "too few"]

#: The rules, as the page states them.
RULES: Mapping[Verdict, str] = MappingProxyType(
    {
        "circuits": "the circuits are better: p (Holm) is below 0.05, and the map has the higher errors",
        "classical": "the classical map is better: p (Holm) is below 0.05, and the circuits have the higher errors",
        "undecided": "no difference that these seeds show: p (Holm) is 0.05 or more",
        "too few": "too few seeds: no outcome of so many pairs could reach 0.05",
    }
)


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AuditedRow(_Plain):
    """The model with one thing in the place of its circuits.

    Attributes:
        row: A name in `MAPS`.
        errors: Test MSE, seed after seed, scaled units; None where a run diverged.
        median, interval: Of them, with its 95 % interval, as in `summarise`; None where infinite.
        parameters: Trained ones in the place of the circuits.
        all_parameters: Trained ones of the model.
        seconds: Median time of a training; None where none ended.
        step_ms: The same for each step of the optimiser, in milliseconds; None also where a training may end early.
        shared: Whether trainings ran side by side, so that times are shares of what all of them took: less than one by itself.
        circuits: Evaluated for each prediction.
    """

    row: str
    errors: tuple[float | None, ...]
    median: float | None
    interval: tuple[float | None, float | None]
    parameters: int = Field(gt=0)
    all_parameters: int = Field(ge=0)
    seconds: float | None
    step_ms: float | None
    circuits: int = Field(ge=0)
    shared: bool = False


class AuditTest(_Plain):
    """The circuits against one kind of map.

    Attributes:
        row: The map.
        n: Pairs.
        factor, interval: From the errors with circuits to those with the map, see `Effect`; above 1 the circuits are better.
            None where infinite; no interval for fewer than 6 pairs.
        superiority: The part of seeds with which the circuits have the lower error.
        rank_biserial: What the test is about: 1 where the circuits are better in all pairs, -1 where in none.
        p, p_holm: Of the exact signed-rank test, and corrected for all tests of the audit.
        detectable: The factor that the test would have found with a probability of 80 %; None where that is not known.
        verdict: By `RULES`.
    """

    row: str
    n: int
    factor: float | None
    interval: tuple[float | None, float | None] | None
    superiority: float
    rank_biserial: float
    p: float
    p_holm: float
    detectable: float | None
    verdict: Verdict


class Retrained(_Plain):
    """The run itself beside the same seed of the audit: the test MSE in its folder, and here."""

    seed: int
    there: float
    here: float


class Audit(_Plain):
    """An audit: what was done, and what came out.

    Attributes:
        run: The run folder, as it was named.
        model, dataset: Of the run.
        seeds: Of all rows.
        windows: Numbers that trained and that tested.
        epochs, patience, batch_size, optimizer, lr: The recipe of all rows.
        from_start: Whether the run itself began with the parameters of another one, which rows here do not.
        hybrid: Whether the model has linear layers round its circuits, which all rows keep.
        rows: The circuits, then each map.
        tests: Of each map.
        answer: In a sentence or two.
        retrained: None where the run's own training was another one.
    """

    format: Literal[1] = 1
    run: str
    model: str
    dataset: str
    seeds: tuple[int, ...] = Field(min_length=1)
    windows: tuple[int, int]
    epochs: int
    patience: int
    batch_size: int
    optimizer: str
    lr: float
    from_start: bool
    hybrid: bool
    rows: tuple[AuditedRow, ...] = Field(min_length=2)
    tests: tuple[AuditTest, ...] = Field(min_length=1)
    answer: str
    retrained: Retrained | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        first, *others = [own.row for own in self.rows]
        if first != "circuits" or others != [own.row for own in self.tests] or set(others) - set(CALLED):
            raise ValueError(f"rows are {first}, {', '.join(others)}; the circuits come first, then the maps of the tests")
        if any(len(own.errors) != len(self.seeds) for own in self.rows):
            raise ValueError(f"a row has another number of errors than the {len(self.seeds)} seeds")
        return self

    def parameters_as(self, row: str) -> float:
        """Parameters in the place of the circuits, as a multiple of theirs."""
        counts = {own.row: own.parameters for own in self.rows}
        return counts[row] / counts[self.rows[0].row]


def load_audit(folder: Path | str) -> Audit:
    """The audit of a folder.

    Raises:
        RunError: There is none, or it is damaged.
    """
    path = Path(folder) / AUDIT
    return validated(Audit, read_json(path), path)


def verdict_of(p_holm: float, p_least: float, rank_biserial: float) -> Verdict:
    """The verdict on a map.

    Args:
        p_holm: Corrected p.
        p_least: The smallest that any outcome could have.
        rank_biserial: Positive where the circuits are better.
    """
    if p_least >= 0.05:
        return "too few"
    if p_holm >= 0.05:
        return "undecided"
    return "circuits" if rank_biserial > 0 else "classical"


def said(test: AuditTest, parameters: float) -> str:
    """A verdict as a sentence.

    Args:
        test: Whose.
        parameters: See `Audit.parameters_as`.
    """
    called = CALLED[test.row]
    factor = "without bound" if test.factor is None else f"by a factor of {test.factor:.3g}"
    sizes = "" if 1 / ALIKE <= parameters <= ALIKE else f" The map has {parameters:.2g} times as many parameters."
    if test.verdict == "circuits":
        return f"The circuits are better than {called}, whose errors are higher {factor}.{sizes}"
    if test.verdict == "classical":
        lower = f"by a factor of {1 / test.factor:.3g}" if test.factor else "without bound"
        return f"Errors with {called} are lower than with the circuits {lower}.{sizes}"
    if test.verdict == "too few":
        return f"{seeds_in_words(test.n)} cannot decide about {called}.{sizes}"
    found = (
        "" if test.detectable is None else f"; one by a factor of {test.detectable:.3g} would have been found in 4 of 5 cases"
    )
    return f"No difference from {called} that {test.n} seeds show{found}.{sizes}"


def answer(verdicts: Mapping[str, Verdict], n_seeds: int, parameters: Mapping[str, float]) -> str:
    """The answer to whether it is the circuit.

    Args:
        verdicts: On each map.
        n_seeds: Of each model.
        parameters: Of each map in the place of the circuits, as a multiple of theirs.
    """
    called = {row: CALLED[row] + (" (with more parameters)" if parameters[row] > ALIKE else "") for row in verdicts}
    of: dict[Verdict, list[str]] = {kind: [called[row] for row, own in verdicts.items() if own == kind] for kind in RULES}
    if of["too few"]:
        return f"{seeds_in_words(n_seeds)} cannot decide; give at least {least_pairs(len(verdicts))} (--seeds)."
    better = f"the circuits are better than {_listed(of['circuits'])}" if of["circuits"] else ""
    alike = f"{_listed(of['undecided'])} in their place: no difference that {n_seeds} seeds show" if of["undecided"] else ""
    if of["classical"]:
        text = f"It is not the circuit: with {_listed(of['classical'])} in its place the test error is lower."
        others = "; ".join(filter(None, (better, alike)))
        return f"{text} {others[:1].upper()}{others[1:]}." if others else text
    if not alike:
        return f"It is the circuit, as far as these maps can tell: {better} in their place."
    if not better:
        return f"Nothing says that it is the circuit. {alike[:1].upper()}{alike[1:]}."
    return f"It need not be the circuit: {better}, but with {alike}."


def seeds_in_words(count: int) -> str:
    """A number of seeds."""
    return f"{count} seed{'s' * (count != 1)}"


def _listed(names: Sequence[str]) -> str:
    *others, last = names or ("",)
    return f"{', '.join(others)} and {last}" if others else last


def plain(value: float | None) -> float | None:
    """A number, or None where it is not finite."""
    return None if value is None or not math.isfinite(value) else float(value)
