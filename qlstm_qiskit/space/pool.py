"""Search spaces: the candidates that a gate may choose from."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector

from qlstm_qiskit.circuits import ObservableLike, checked
from qlstm_qiskit.circuits.once import once
from qlstm_qiskit.circuits.place import place_of, placed
from qlstm_qiskit.errors import CircuitError, OptionError, require_at_least, unknown_option
from qlstm_qiskit.space.blocks import BLOCKS, ENCODINGS, PAPER_ENTANGLERS, Builder, blocks_of
from qlstm_qiskit.space.candidate import Candidate
from qlstm_qiskit.space.dead import Draft
from qlstm_qiskit.space.sizes import require_buildable
from qlstm_qiskit.space.vectors import in_order, vector_named

#: Axes (encoding, rotation) of the paper's handcrafted circuits 1 to 6; all have Hadamards and the linear entangler.
_HANDCRAFTED = {1: ("Y", "Y"), 2: ("Z", "Y"), 3: ("Z", "Z"), 4: ("Y", "Z"), 5: ("X", "Z"), 6: ("X", "Y")}

#: Layers of a layered space, or that a function of the user's is asked for, where none are said.
DEFAULT_DEPTH = 2

#: What Qiskit calls a circuit without a name: a number that depends on what was made before.
_AUTOMATIC_NAME = re.compile(r"circuit-\d+(-\d+)?")


@dataclass(frozen=True, eq=False, repr=False)
class SearchSpace:
    """A set of candidates; make one with `paper`, `handcrafted`, `product` or `from_circuits`.

    A layered space builds its candidates for any number of qubits and any depth. A space of given circuits has both fixed.

    Attributes:
        choices: Name, encoding and block of each candidate of a layered space.
        fixed: Given circuits.
        gates: For each gate of an LSTM the candidates that it sums over, by their places; None for all of them.
        leaves_out: What is dropped from it when its candidates are built, see `without_dead`.

    Raises:
        OptionError: It would have no candidate.
    """

    choices: tuple[tuple[str, Builder, Builder], ...] = ()
    fixed: tuple[Candidate, ...] = ()
    gates: tuple[tuple[int, ...], ...] | None = None
    leaves_out: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.choices and not self.fixed:
            raise OptionError("a search space needs at least one candidate; make one with paper, product or from_circuits.")

    def __repr__(self) -> str:
        """One line, with the first and the last of many candidates."""
        names = self.names if len(self) < 4 else (*self.names[:2], "...", self.names[-1])
        return f"SearchSpace({len(self)} candidate{'s' * (len(self) > 1)}: {', '.join(names)})"

    @classmethod
    def paper(cls, entanglers: Sequence[str] = PAPER_ENTANGLERS) -> SearchSpace:
        """The paper's 36 candidates (arXiv 2508.14955): 6 encodings x 2 entanglers x 3 axes of rotations; or with others.

        Args:
            entanglers: "linear", "cyclic", "heavy-hex", "grid", or "device:NAME" for the couplers of a device, such as
                "device:fez"; see `device_entangler`.

        Raises:
            OptionError: There is no such entangler.
        """
        return cls.product(tuple(ENCODINGS), blocks_of(entanglers))

    @classmethod
    def handcrafted(cls, number: int, entangler: str = "linear") -> SearchSpace:
        """One of the paper's handcrafted circuits as a space with a single candidate.

        Args:
            number: From 1 to 6.
            entangler: In place of the paper's; names as in `paper`.

        Raises:
            OptionError: There is no such circuit or entangler.
        """
        if number not in _HANDCRAFTED:
            raise OptionError(f"there is no handcrafted circuit {number!r}; choose one of 1 to {len(_HANDCRAFTED)}.")
        encoding, rotation = _HANDCRAFTED[number]
        block = f"{entangler}-R{rotation}"
        return cls.product((f"H-R{encoding}",), {block: blocks_of((entangler,))[block]})

    @classmethod
    def product(
        cls,
        encodings: Sequence[str] | Mapping[str, Builder],
        blocks: Sequence[str] | Mapping[str, Builder],
    ) -> SearchSpace:
        """All pairs of an encoding and a variational block.

        Args:
            encodings: Names from `ENCODINGS`, or names with functions ``n_qubits -> QuantumCircuit`` whose parameters, in
                Qiskit's order, are the inputs.
            blocks: Names from `BLOCKS`, or names with functions ``n_qubits -> QuantumCircuit`` that return one layer; it is
                repeated `depth` times, each time with angles of its own.

        Raises:
            OptionError: An unknown name, or an empty choice.
        """
        first, second = _choices("encoding", encodings, ENCODINGS), _choices("block", blocks, BLOCKS)
        return cls(choices=tuple((f"{e}|{b}", encode, layer) for e, encode in first.items() for b, layer in second.items()))

    @classmethod
    def from_circuits(
        cls,
        circuits: Sequence[QuantumCircuit | Candidate],
        inputs: str | Sequence[Parameter] = "x",
        observables: Sequence[ObservableLike] | ObservableLike | None = None,
    ) -> SearchSpace:
        """Your own circuits; an input may be used in several gates or inside an expression such as ``2 * x[0]``.

        Args:
            circuits: Circuits, all on the same number of qubits, or `Candidate`s (taken as they are).
            inputs: Which parameters carry data: the name of a `ParameterVector`, or the parameters in the order of the
                columns of the data. All other parameters are weights, in Qiskit's order; those that OpenQASM 3 calls
                ``_w_2_`` and ``_w_10_`` by their numbers.
            observables: What to measure, for all circuits, or a single one; see `Candidate`. By default Z on qubit 0, 1, 2, ...

        Raises:
            CircuitError: No circuit, two of one name, different numbers of qubits or inputs, or no parameter of the given name.
                Or a circuit or observable that cannot be evaluated; see `Candidate`.
        """
        if isinstance(circuits, QuantumCircuit | Candidate):
            raise CircuitError("circuits is a single circuit; give a list of circuits.")
        candidates = [
            item if isinstance(item, Candidate) else _candidate(item, index, inputs, observables)
            for index, item in enumerate(circuits)
        ]
        if not candidates:
            raise CircuitError("a search space needs at least one circuit; none was given.")
        names = [candidate.name for candidate in candidates]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise CircuitError(f"more than one circuit is named {', '.join(map(repr, twice))}; give each a name of its own.")
        for what, sizes in (
            ("qubits", {candidate.n_qubits for candidate in candidates}),
            ("inputs", {len(candidate.inputs) for candidate in candidates}),
        ):
            if len(sizes) > 1:
                raise CircuitError(f"the circuits of a space need the same number of {what}; got {sorted(sizes)}.")
        return cls(fixed=tuple(candidates))

    def without_dead(self, *, repeats: bool = False, blind: bool = False) -> SearchSpace:
        """The space without the candidates that cannot contribute: those that are zero on all measured outputs.

        With the mixing "linear" the weighted sums and the loss curve of a training stay as they are, since the others start as
        they would in the full space. What is dead depends on the number of qubits, the depth and how many outputs are
        measured; so it is decided when candidates are built. `draft` has the reasons.

        Args:
            repeats: Leave out, too, candidates that no weight changes and that are the same function of the inputs as an
                earlier one, up to a sign. What the sum can become stays the same; how it trains does not.
            blind: Leave out, too, candidates that do not depend on the inputs. They are trained constants, so this changes
                what the sum can become.
        """
        wanted = {"zero": True, "repeats": repeats, "blind": blind}
        return replace(self, leaves_out=self.leaves_out | {kind for kind, asked in wanted.items() if asked})

    def __len__(self) -> int:
        return len(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the candidates, in their order, those that are left out among them."""
        return tuple(item.name for item in self.fixed) or tuple(name for name, _, _ in self.choices)

    @property
    def n_qubits(self) -> int | None:
        """The number of qubits of given circuits; None for a layered space, which fits any number."""
        return self.fixed[0].n_qubits if self.fixed else None

    def candidates(
        self, n_qubits: int | None = None, depth: int | None = None, n_outputs: int | None = None
    ) -> tuple[Candidate, ...]:
        """Build the candidates, without those that are left out.

        Args:
            n_qubits: Number of qubits; needed for a layered space.
            depth: Number of variational layers of a layered space; 2 by default.
            n_outputs: Outputs that are measured, all by default; matters where dead candidates are left out.

        Raises:
            OptionError: `n_qubits` or `depth` is given for circuits that fix it, or is missing or below 1; none is left.
            CapacityError: They are too large to be built.
        """
        draft = self.draft(n_qubits, depth, n_outputs)
        return tuple(candidate for candidate, kept in zip(draft.candidates, draft.kept, strict=True) if kept)

    def draft(self, n_qubits: int | None = None, depth: int | None = None, n_outputs: int | None = None) -> Draft:
        """All candidates, and which of them are left out and why; arguments and errors as in `candidates`."""
        return Draft(self._all(n_qubits, depth), n_outputs, self.leaves_out)

    def _all(self, n_qubits: int | None, depth: int | None) -> tuple[Candidate, ...]:
        if self.fixed:
            if n_qubits not in (None, self.n_qubits):
                raise OptionError(f"these circuits have {self.n_qubits} qubits; n_qubits={n_qubits} does not fit them.")
            self.resolve_depth(depth)
            return self.fixed
        size = require_at_least("n_qubits", n_qubits, 1)
        layers = self.resolve_depth(depth)
        assert layers is not None
        require_buildable(size, layers, len(self.choices))
        key = ("candidates", *((name, *map(_known_by, builders)) for name, *builders in self.choices), size, layers)

        def build() -> tuple[Candidate, ...]:
            return tuple(_layered(*choice, size, layers) for choice in self.choices)

        try:
            hash(key)
        except TypeError:  # of a builder that nothing can be known by
            return build()
        return once(key, build)

    def resolve_depth(self, depth: int | None) -> int | None:
        """The number of layers that `candidates` would build: `depth`, its default, or None for given circuits.

        Raises:
            OptionError: `depth` is below 1, or is given for circuits that fix it.
        """
        if not self.fixed:
            return require_at_least("depth", DEFAULT_DEPTH if depth is None else depth, 1)
        if depth is not None:
            raise OptionError(f"depth={depth} has no meaning for given circuits; leave it out.")
        return None


def _known_by(builder: Builder) -> Hashable:
    """What builders of the same circuits have in common: each space makes those of the package anew."""
    return (builder.func, builder.args, *sorted(builder.keywords.items())) if isinstance(builder, partial) else builder


def _choices(kind: str, given: Sequence[str] | Mapping[str, Builder], table: Mapping[str, Builder]) -> Mapping[str, Builder]:
    if isinstance(given, str) or not given:
        raise OptionError(f"{kind}s is {given!r}; give a list of names, or names with functions, with at least one.")
    if isinstance(given, Mapping):
        return given
    for name in given:
        if name not in table:
            raise unknown_option(kind, name, table)
    return {name: table[name] for name in given}


def _layered(name: str, encode: Builder, layer: Builder, n_qubits: int, depth: int) -> Candidate:
    """Compose encoding and layers, with fresh parameters x[...] and w[...] in the order of time."""
    encoding, block = (_part(what, name, build(n_qubits), n_qubits) for what, build in (("encoding", encode), ("block", layer)))
    inputs = ParameterVector("x", encoding.num_parameters)
    weights = ParameterVector("w", depth * block.num_parameters)
    circuit = placed(QuantumCircuit(n_qubits, name=name), place_of(block))
    circuit.compose(encoding.assign_parameters(list(inputs)), inplace=True)
    for index in range(depth):
        angles = weights[index * block.num_parameters : (index + 1) * block.num_parameters]
        circuit.compose(block.assign_parameters(list(angles)), inplace=True)
    return Candidate(name, circuit, tuple(inputs), tuple(weights))


def _part(what: str, name: str, built: QuantumCircuit, n_qubits: int) -> QuantumCircuit:
    """What a builder returned, checked; it is not the whole circuit, so that nothing in it is at the end."""
    if isinstance(built, QuantumCircuit) and built.num_qubits != n_qubits:
        raise CircuitError(f"the {what} of {name!r} built {built.num_qubits} qubits where {n_qubits} were asked for.")
    try:
        if getattr(built, "layout", None) is not None:
            raise CircuitError("it was transpiled, which moves qubits; give it as it was before.")
        own = checked(built).circuit
        if any(item.operation.name == "measure" for item in built.data):
            raise CircuitError("it holds a measurement; outputs are measured by the interpreter.")
    except CircuitError as error:
        raise CircuitError(f"the {what} of {name!r}: {error}") from error
    return own


def _candidate(
    circuit: QuantumCircuit,
    index: int,
    inputs: str | Sequence[Parameter],
    observables: Sequence[ObservableLike] | ObservableLike | None,
) -> Candidate:
    if not isinstance(circuit, QuantumCircuit):
        raise CircuitError(f"a circuit is a {type(circuit).__name__}; give QuantumCircuit or Candidate objects.")
    if isinstance(inputs, Parameter):
        inputs = [inputs]
    data = vector_named(circuit, inputs) if isinstance(inputs, str) else tuple(inputs)
    for parameter in data:
        if not isinstance(inputs, str) and parameter not in circuit.parameters:
            raise CircuitError(f"the input {parameter!r} is not a parameter of the circuit {circuit.name!r}.")
    weights = tuple(parameter for parameter in in_order(circuit) if parameter not in set(data))
    name = f"circuit-{index}" if _AUTOMATIC_NAME.fullmatch(circuit.name) else circuit.name
    return Candidate(name, circuit, data, weights, observables)  # type: ignore[arg-type]
