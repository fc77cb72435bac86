"""Writing a run folder during training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from skorch import NeuralNet
from torch import Tensor

from qlstm_qiskit.data import Dataset, LabelledWindows
from qlstm_qiskit.experiments.runs.agreement import ARCHITECTURE, HISTORY, MODEL
from qlstm_qiskit.experiments.runs.header import ClassLabels, Gates, ModelHeader, RunHeader
from qlstm_qiskit.experiments.runs.reading import ArchitectureLine, history_line, read_epochs
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.nn.forecaster import predict_windows
from qlstm_qiskit.storage import exists, strict_json, write_atomically
from qlstm_qiskit.training.callbacks import Watcher, Writer
from qlstm_qiskit.training.tensors import write_tensors


class Recorder(Writer, Watcher):
    """Writes each finished epoch: first the history, then the weights, whose header has the epoch.

    Args:
        out: The run folder.
        spec: The run.
        dataset: Its data.
        exact: An exact model of the same kind for the test error, if the trained one would use QPU time.
        epochs: Number of finished epochs of a resumed training; their lines are kept.
    """

    def __init__(self, out: Path, spec: RunSpec, dataset: Dataset, exact: Forecaster | None = None, epochs: int = 0) -> None:
        self.out, self.spec, self.dataset, self.exact = out, spec, dataset, exact
        self.together = 1  #: Trainings that share the time of an epoch.
        self.lines = self._before(HISTORY, epochs, history_line(spec.task))
        self.architecture = self._before(ARCHITECTURE, epochs, ArchitectureLine)

    def _before(self, name: str, epochs: int, kind: type[BaseModel]) -> dict[int, str]:
        """The lines of the first epochs, by epoch; those after the best epoch may have been removed already."""
        path = self.out / name
        if not epochs or not exists(path):
            return {}
        lines = read_epochs(path, epochs, kind, whole=not self.spec.patience)
        return {line["epoch"]: strict_json(line) for line in lines}

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.together = max(getattr(net, "together", 0), 1)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.record(net.module_, net.history[-1])

    def record(self, module: Forecaster, row: dict[str, Any]) -> None:
        """Write a finished epoch. It is evaluated only once, because a second evaluation would draw new shots."""
        epoch, layer = int(row["epoch"]), module.circuits
        gates = layer.gates if layer is not None and layer.has_dropped else None
        if epoch not in self.lines:
            self.lines[epoch] = strict_json(self._line(module, row, gates))
        layers = _architecture(module)
        if layers:
            self.architecture[epoch] = strict_json({"epoch": epoch, "layers": layers})
        self.put(partial(self._save, epoch, gates, self.own(module.state_dict())))

    def _save(self, epoch: int, gates: Gates | None, state: dict[str, Tensor]) -> None:
        """Write the files of a finished epoch, with the state of its model."""
        header = weights_header(header_of(self.dataset, epoch, gates), self.spec)
        # On the way back to the best epoch the weights come first: there are never fewer lines than epochs of the weights.
        going_back = epoch < max(self.lines)
        if going_back:
            write_tensors(self.out / MODEL, state, header)
        self._write(HISTORY, self.lines, epoch)
        if epoch in self.architecture:
            self._write(ARCHITECTURE, self.architecture, epoch)
        if not going_back:
            write_tensors(self.out / MODEL, state, header)

    def _write(self, name: str, lines: dict[int, str], last: int) -> None:
        """Write the lines up to an epoch; those after the best epoch are not kept."""
        write_atomically(self.out / name, "".join(line + "\n" for epoch, line in lines.items() if epoch <= last))

    def _line(self, module: Forecaster, row: dict[str, Any], gates: Gates | None) -> dict[str, Any]:
        """The history line of a finished epoch."""
        if self.exact is not None:
            if gates is not None and self.exact.circuits is not None:
                self.exact.circuits.keep(gates)
            self.exact.load_state_dict(module.state_dict())
        prediction = predict_windows(self.exact or module, self.dataset.x_test)
        task = self.spec.task
        valid = {task.valid: float(row["valid_loss"])} if "valid_loss" in row else {}
        return {
            "epoch": int(row["epoch"]),
            task.train: float(row["train_loss"]),
            **valid,
            task.test: task.error(prediction, self.dataset.y_test),
            "seconds": float(row["dur"]) / self.together,
        }


def header_of(data: Dataset, epoch: int, gates: Gates | None = None) -> ModelHeader:
    """The header of a weights file, for a model of this series."""
    return ModelHeader(
        epoch=epoch,
        features=data.features,
        target=data.target,
        window=data.window,
        horizon=data.horizon,
        input_scaler=data.input_scaler,
        target_scaler=data.target_scaler,
        change=data.change,
        known=data.known,
        lead=data.lead,
        classes=ClassLabels.of(data.classes) if isinstance(data, LabelledWindows) else None,
        gates=gates,
    )


def weights_header(header: ModelHeader, spec: RunSpec) -> dict[str, Any]:
    """The header of a run's weights file as plain data, which `RunHeader` reads."""
    return RunHeader(**dict(header), config=spec.lasting()).model_dump(mode="json")


def _architecture(module: Forecaster) -> list[dict[str, Any]]:
    """For each layer, its candidates and their coefficients, (gates, candidates); none without structural weights."""
    if module.circuits is None:
        return []
    layers = []
    for cell in module.circuits.layers():
        training, _ = cell.bank.training, cell.bank.eval()  # without the noise of a sampled choice
        coefficients = cell.bank.coefficients()
        cell.bank.train(training)
        if coefficients is not None:
            names = [candidate.name for candidate in cell.bank.candidates]
            layers.append({"candidates": names, "coefficients": coefficients.detach().tolist()})
    return layers
