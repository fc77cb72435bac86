"""The content of model.json, the manifest of an exported model."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn

from qlstm_qiskit.experiments.runs.load import ModelHeader
from qlstm_qiskit.search.genotype import cell_of

MANIFEST = "model.json"

#: File extension of each circuit format.
CIRCUIT_FORMATS = {"qasm3": ".qasm", "qpy": ".qpy"}

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_Row: TypeAlias = tuple[float, ...]


class StoredFile(BaseModel):
    """A file of the export: its path in the folder, and the hash of its content."""

    model_config = _FROZEN

    path: Annotated[str, Field(pattern=r"^circuits/[A-Za-z0-9_.+-]+$")]
    sha256: str

    @classmethod
    def of(cls, path: str, content: bytes) -> StoredFile:
        return cls(path=path, sha256=hashlib.sha256(content).hexdigest())


class Affine(BaseModel):
    """A linear layer: ``weight @ values + bias``; weight (outputs, inputs)."""

    model_config = _FROZEN

    weight: tuple[_Row, ...]
    bias: _Row

    @classmethod
    def of(cls, layer: nn.Linear) -> Affine:
        return cls(weight=layer.weight.tolist(), bias=layer.bias.tolist())


class ExportedCircuit(BaseModel):
    """A candidate.

    Attributes:
        parameterised: The circuit with all its parameters.
        inputs, weights: Names of parameters in the file, with their names in the model, in the order of the columns of data
            and of angles. A circuit need not use all inputs.
        observables: For each output, (Pauli string, coefficient) pairs; qubit 0 is the last letter.
    """

    model_config = _FROZEN

    parameterised: StoredFile
    inputs: dict[str, str]
    weights: dict[str, str]
    observables: tuple[tuple[tuple[str, float], ...], ...]


class Term(BaseModel):
    """A candidate in the sum of a gate: `coefficient` times its outputs at `angles` (radians), which are bound in `bound`."""

    model_config = _FROZEN

    candidate: str
    coefficient: float
    angles: _Row
    bound: StoredFile


class ExportedLayer(BaseModel):
    """A cell: its candidates by name, the terms of each gate's sum, and the linear layers of the hybrid variant."""

    model_config = _FROZEN

    candidates: dict[str, ExportedCircuit]
    gates: dict[str, tuple[Term, ...]]
    to_angles: Affine | None = None
    from_outputs: Affine | None = None

    @model_validator(mode="after")
    def _check(self) -> ExportedLayer:
        cell_of(self.gates)
        if not all(self.gates.values()):
            raise ValueError("a gate has no circuit; each needs at least one")
        for gate, terms in self.gates.items():
            for term in terms:
                if term.candidate not in self.candidates:
                    raise ValueError(f"the {gate} gate sums over {term.candidate!r}, which is not among the candidates")
                if len(term.angles) != len(self.candidates[term.candidate].weights):
                    raise ValueError(f"{term.candidate!r} has {len(term.angles)} angles in the {gate} gate, not one per weight")
        return self


class ExportedModel(BaseModel):
    """The content of model.json: together with the circuit files, everything needed to predict.

    Attributes:
        circuits: Format of the circuit files.
        bidirectional: Layers come in pairs, the first of which reads forwards.
        input_map: Map applied to the data angles; see `RecurrentCell`.
        header: The columns that the model reads and predicts, with their scalers.
        head: The read-out of the last step.
    """

    model_config = _FROZEN

    format: Literal[1] = 1
    circuits: Literal["qasm3", "qpy"]
    dtype: Literal["float32", "float64"]
    hidden_size: PositiveInt
    bidirectional: bool = False
    input_map: str
    header: ModelHeader
    layers: Annotated[tuple[ExportedLayer, ...], Field(min_length=1)]
    head: Affine

    @model_validator(mode="after")
    def _check(self) -> ExportedModel:
        if len({tuple(layer.gates) for layer in self.layers}) > 1:
            raise ValueError("layers have different gates; all layers of a model must be of the same kind")
        if self.bidirectional and len(self.layers) % 2:
            raise ValueError(f"a bidirectional model has two cells per layer, so not {len(self.layers)} cells")
        return self

    @property
    def cell(self) -> str:
        """The kind of its cells, a name in `CELLS`."""
        return cell_of(self.layers[0].gates)
