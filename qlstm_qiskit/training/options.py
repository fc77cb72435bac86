"""The options of model and training: name, type, default, limits, choices and help of each, said once.

The estimator, the spec of a run and with it the rows of a study, the options of `qlstm train`, its help and completion, the
command that makes a run again, and the checks of values are all made from these classes; a test adds an option here and finds
it in each of them. Nothing heavy is loaded: a key press in a shell reads the choices.
"""

# ruff: noqa: RUF009 - `option` is `dataclasses.field` with more words

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, Field, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from qlstm_qiskit.training.declare import Real, Whole, entries, option, spoken

if TYPE_CHECKING:
    from skorch.callbacks import Callback
    from torch import Tensor

    from qlstm_qiskit.hardware import Backend, BackendSpec
    from qlstm_qiskit.search import Strategy
    from qlstm_qiskit.space import SearchSpace
    from qlstm_qiskit.training.task import Task

C = TypeVar("C", bound=type)

#: Optimisers by name, and their default learning rates.
OPTIMIZERS: Mapping[str, float] = MappingProxyType({"rmsprop": 0.01, "adam": 0.01, "lbfgs": 1.0, "spsa": 0.03})

#: Models whose gates are no circuits: layers of torch, the classical controls.
CLASSICAL = ("lstm", "gru")

#: Perturbations in a step of SPSA at most; more would take minutes for each step of the smallest model.
MOST_RESAMPLINGS = 100_000


@dataclass(eq=False, repr=False)
class ModelOptions:
    """What a model is."""

    model: str = option(
        "diffqas",
        "diffqas, diffqas-shared, reservoir, reservoir-shared, config1 to config6, or, without circuits, lstm or gru.",
        doc='"diffqas", "diffqas-shared", "reservoir", "reservoir-shared", "config1" to "config6", "derived" (with the `space` '
        'of a `Genotype`), or without circuits "lstm" or "gru" of torch.',
        choices=(
            *("diffqas", "diffqas-shared", "reservoir", "reservoir-shared"),
            *(f"config{number}" for number in range(1, 7)),
            *CLASSICAL,
        ),
    )
    hidden_size: int = option(
        5,
        "Number of hidden features; a circuit has a qubit for each of them and for each input feature.",
        doc="Features of the hidden state; input features + hidden_size is the number of qubits.",
        limits=Whole(1),
    )
    depth: int | None = option(
        None,
        "Variational layers of each circuit.",
        doc="Variational layers of each circuit; 2 by default.",
        limits=Whole(1),
        shown="2",
        circuits=True,
    )
    _: KW_ONLY
    n_qubits: int | None = option(
        None,
        "Qubits of the hybrid variant, in which circuits stand between two linear layers; left out: the paper's model.",
        doc="Qubits of the hybrid variant, whose circuits lie between two linear layers; None for the paper's model.",
        limits=Whole(1),
        circuits=True,
    )
    entangler: str | None = option(
        None,
        "Entangler of each layer, in place of the model's own: linear, cyclic, heavy-hex, grid, or device:NAME, which follows "
        "the couplers of a device, such as device:fez.",
        doc='Entangler of each layer in place of the model\'s own: "linear", "cyclic", "heavy-hex", "grid", or '
        '"device:fez" for the couplers of a device, see `device_entangler`; models of several candidates take several, as in '
        '"linear,device:fez".',
        choices=("linear", "cyclic", "heavy-hex", "grid", "device:fez"),
        shown="the model's own",
        circuits=True,
    )
    cell: str = option(
        "lstm",
        "Recurrent cell whose gates are circuits: lstm, gru, or fast-weight (a classical network writes the angles).",
        doc='Recurrent cell whose gates are circuits: "lstm", "gru" or "fast-weight"; see `QLSTM`, `QGRU` and `QFWP`.',
        choices=("lstm", "gru", "fast-weight"),
        closed=True,
        circuits=True,
    )
    bank: str = option(
        "circuits",
        "What gates are: circuits, or classical maps of their size: products, tanh, frozen, products-all (`qlstm audit`).",
        choices=("circuits", "products", "tanh", "frozen", "products-all"),
        closed=True,
        circuits=True,
    )
    bidirectional: bool = option(False, "Read windows backwards too, by further cells.")
    num_layers: int = option(
        1, "Number of cells that are stacked.", doc="Stacked cells, each reading the one below.", limits=Whole(1)
    )
    dropout: float = option(
        0.0, "Probability of dropping a hidden feature between stacked cells, while training.", limits=Real(0, below=1)
    )
    input_map: str = option(
        "identity",
        "What is done to numbers before they are angles: identity or arctan.",
        doc='What is done to numbers before they are angles: "identity" or "arctan".',
        choices=("identity", "arctan"),
        circuits=True,
    )
    mixing: str = option(
        "linear",
        "How candidates are weighted without a search strategy, which sets this itself: linear or softmax.",
        doc='How candidates are weighted without a `search`, which sets this itself: "linear" or "softmax"; see `CircuitBank`.',
        choices=("linear", "softmax"),
        circuits=True,
    )
    angle_std: float = option(0.01, "Standard deviation of the angles at the start, in radians.", limits=Real(0), circuits=True)
    dtype: str = option(
        "float64",
        "Type of the parameters: float64 or float32.",
        doc='Of the parameters: "float64" or "float32".',
        choices=("float64", "float32"),
        closed=True,
    )


@dataclass(eq=False, repr=False, kw_only=True)
class TrainingOptions:
    """How a model is trained."""

    batch_size: int = option(10, "Windows in each optimiser step; 0 for all.", limits=Whole(0))
    optimizer: str = option(
        "rmsprop",
        "rmsprop, adam, lbfgs, or spsa (two evaluations per step, and no gradients of circuits).",
        doc='"rmsprop", "adam", "lbfgs" or "spsa". L-BFGS needs all windows at once and an exact backend; an epoch of it has '
        "20 iterations, and the loss in the history is that before them. SPSA needs no gradients of circuits, see `SPSA`; its "
        "losses in the history are those of perturbed parameters.",
        choices=tuple(OPTIMIZERS),
        closed=True,
    )
    lr: float | None = option(
        None,
        "Learning rate of the optimiser.",
        doc='Learning rate; by default 0.01 for "rmsprop" and "adam", 1 for "lbfgs" and 0.03 for "spsa".',
        limits=Real(0, above=True),
        shown="0.01; spsa: 0.03; lbfgs: 1",
    )
    schedule: str = option(
        "constant",
        "How the learning rate changes: constant, or cosine.",
        doc='"constant", or "cosine": the learning rate falls to 0 along half a wave, a little at each step.',
        choices=("constant", "cosine"),
        closed=True,
    )
    repeats: int = option(
        1,
        "How often a step evaluates each of its windows, each time with fresh shots.",
        doc="Times that an optimiser step evaluates each of its windows, each time with noise of its own (shots, dropout, "
        "sampled mixings); the mean of the losses is learned. Without noise it changes nothing but the time.",
        limits=Whole(1, 1024),
    )
    spsa_eps: float = option(
        0.15,
        "Size of SPSA's perturbation, in radians.",
        doc="`eps` of `SPSA`, in radians; structural weights of C candidates move by eps / sqrt(C).",
        limits=Real(0, above=True),
    )
    spsa_resamplings: int = option(
        1,
        "Perturbations that SPSA averages over in each step.",
        doc="`resamplings` of `SPSA`: perturbations that it averages over in each step.",
        limits=Whole(1, MOST_RESAMPLINGS),
    )
    valid_fraction: float = option(
        0.0,
        "Part of the training windows, the last of them, that is held out for validation.",
        doc="Last part of the windows that does not train: its loss is recorded, and strategies may learn from it. Nor do "
        "windows before it train whose targets lie in it, one fewer than a target has values.",
        limits=Real(0, below=1),
        shown="0, or as RUN",
    )
    patience: int = option(
        0,
        "End once so many epochs have not lowered the validation error, and keep the best epoch; with 0 all are trained.",
        doc="End the training when so many epochs have not lowered the validation loss, and keep the epoch that had the "
        "lowest, also where all epochs were trained; 0 trains them all and keeps the last.",
        limits=Whole(0),
    )
    seed: int | None = option(
        0,
        "Seed of all random numbers; the same seed gives the same bits.",
        doc="Of the initial parameters, dropout, shuffling, SPSA and simulated shots; None for a fresh one at each fit. A "
        "backend given as an object has a seed of its own. A fit neither reads nor moves the generators that torch and numpy "
        "share, so that fits in threads are those that run alone; callbacks that draw bring a generator of their own.",
        limits=Whole(0, 2**128 - 1),  # what numpy's seeds hold
    )
    replicas: int = option(
        1,
        "Models that differ in their seeds alone (seed, seed + 1, ...), trained side by side; predictions are their mean.",
        doc="Models that differ in their seeds alone, `seed`, `seed` + 1 and so on, trained side by side, see "
        "`train_together`. Predictions are their mean, and the standard deviation over them is the spread.",
        limits=Whole(1, 1024),
    )
    device: str = option(
        "cpu",
        "What trains the model: cpu, cuda (or cuda:1 and so on), or mps. A trained run is read on any machine.",
        doc="A torch device.",
        choices=("cpu", "cuda", "mps"),
    )


@dataclass(eq=False, repr=False, kw_only=True)
class FitOptions:
    """What a fit is given in Python alone: objects, and what a run says in another way."""

    space: "SearchSpace | Sequence[SearchSpace] | None" = option(
        None,
        "Candidates to use in place of the model's own; a sequence has one space for each layer.",
        circuits=True,
    )
    search: "Strategy | str | None" = option(
        None,
        "How weights over candidates are trained: a `Strategy` or its name; the paper's weighted sum where None.",
    )
    max_epochs: int = option(100, "Passes over the training windows.", limits=Whole(1), spoken="epochs")
    shuffle: bool = option(False, "Whether windows are trained in another order in each epoch.")
    start: "Mapping[str, Tensor] | None" = option(
        None, "Parameters to start from in place of random ones, as in the `state_dict` of `module_`."
    )
    backend: "Backend | BackendSpec | str" = option(
        "statevector", "What evaluates the circuits, as in `QLSTM`; a name, or an entry of backends.yaml, is loaded."
    )
    checkpoint: Path | str | None = option(
        None,
        "A file that all of a training's state is written to after each epoch; side by side with others, at most once a "
        "second. Where it is there, `fit` goes on from it, to the same bits as without the interruption; delete it to train "
        "anew. Not so for shots of a backend given as an object without a seed, and for callbacks with a state of their own, "
        "such as EarlyStopping, which begin anew.",
    )
    callbacks: "Sequence[Callback] | None" = option(None, "Further skorch callbacks.")
    verbose: int = option(
        0,
        "1 shows on standard error how far training is: a bar on a terminal, elsewhere a line each minute. If it takes more "
        "than ten minutes, that is said after the first batches, and what would be shorter.",
    )


@dataclass(eq=False, repr=False)
class AllOptions(FitOptions, TrainingOptions, ModelOptions):
    """All options of a fit, as they are given: in the order of the estimator's arguments."""

    @property
    def strategy(self) -> "Strategy":
        """`search` as an object."""
        from qlstm_qiskit.search import WeightedSum, make_strategy

        if self.search is None:
            return WeightedSum()
        return make_strategy(self.search) if isinstance(self.search, str) else self.search

    @property
    def task(self) -> "Task":
        """What the model is for."""
        from qlstm_qiskit.training.task import REGRESSION

        return REGRESSION

    @property
    def learning_rate(self) -> float:
        """`lr`, or the optimiser's default."""
        return OPTIMIZERS[self.optimizer] if self.lr is None else self.lr


#: All options by their names in Python.
OPTIONS: Mapping[str, Field[Any]] = MappingProxyType({own.name: own for own in fields(AllOptions)})


#: Those of a run by their names in its spec and on the command line: of its model, and of its training.
OF_MODEL: Mapping[str, Field[Any]] = MappingProxyType(spoken(ModelOptions))
OF_TRAINING: Mapping[str, Field[Any]] = MappingProxyType({"epochs": OPTIONS["max_epochs"], **spoken(TrainingOptions)})
OF_RUN: Mapping[str, Field[Any]] = MappingProxyType({**OF_MODEL, **OF_TRAINING})


def described(cls: C) -> C:
    """Put a line for each option into the docstring of a class, in place of one that begins with the name of their class."""
    text, groups = cls.__doc__ or "", {group.__name__: group for group in (ModelOptions, TrainingOptions, FitOptions)}
    lines: list[str] = []
    for line in text.split("\n"):
        group = groups.get(line.strip().partition(":")[0])
        lines.extend([line] if group is None else entries(group, line[: len(line) - len(line.lstrip())]))
    cls.__doc__ = "\n".join(lines)
    return cls
