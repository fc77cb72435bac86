"""Own circuits in the rows of a study: taken from files beside its YAML, known by digests in its folder."""

from __future__ import annotations

from pathlib import Path

from qlstm_qiskit.errors import CapacityError, CircuitError, DataError, OptionError
from qlstm_qiskit.experiments.runs.own import NamedSpace, OwnSpace
from qlstm_qiskit.experiments.runs.settle import with_own_circuits
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.studies.tasks import Chain, StudyTask
from qlstm_qiskit.hardware import EXACT


class OwnCircuits:
    """Takes circuits, those of the same sizes once.

    Args:
        folder: That of the study's YAML, which paths are relative to; None for a study that was read back, whose names of code
            are not called.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._taken: dict[str, OwnSpace] = {}
        self._features: dict[str, int] = {}

    def __eq__(self, other: object) -> bool:
        """Studies are the same whichever has taken circuits."""
        return isinstance(other, OwnCircuits)

    __hash__ = None  # type: ignore[assignment]

    def of(self, spec: RunSpec, place: str, known: str | None) -> RunSpec:
        """A spec with its own circuits.

        Args:
            spec: Of a training.
            place: What messages call it.
            known: The digest that a study which was read back has for them.

        Raises:
            OptionError: The circuits cannot be taken, or do not fit the model.
            DataError: They are not known.
        """
        if spec.space is None:
            return spec
        if not isinstance(spec.space, NamedSpace):
            raise OptionError(f"{place} has circuits in place of a name; give space: FILE.py:NAME.")
        if self.folder is None:
            if known is None:
                raise DataError(f"{place} has own circuits, which are taken where a study is read from its YAML file.")
            return spec.model_copy(update={"space": OwnSpace(source=spec.space.source, digest=known)})
        sizes = ("hidden_size", "depth", "n_qubits", "num_layers", "bidirectional", "cell", "model")
        data = spec.data.model_dump_json()
        key = repr([data, spec.space.source, [getattr(spec, name) for name in sizes]])
        if key not in self._taken:
            if data not in self._features:
                self._features[data] = len(spec.data.load().features)
            self._taken[key] = self._fitting(spec, place, self._features[data])
        return spec.model_copy(update={"space": self._taken[key]})

    def _fitting(self, spec: RunSpec, place: str, features: int) -> OwnSpace:
        """Circuits of which a model can be made."""
        try:
            whole = with_own_circuits(spec, features, self.folder)
            whole.on(EXACT).estimator(device="cpu").build_module(features, spec.data.horizon)
        except (OptionError, CircuitError, CapacityError) as error:
            raise type(error)(f"{place}: {error}") from None
        assert isinstance(whole.space, OwnSpace)
        return whole.space


def digest_of(task: StudyTask) -> str | None:
    """Of the circuits that a task has taken, if any."""
    work = task.work.search if isinstance(task.work, Chain) else task.work
    return work.space.digest if isinstance(work, RunSpec) and isinstance(work.space, OwnSpace) else None
