"""The primitive interpreter beside what Qiskit's own packages do for the same numbers, in one process.

    python -m benchmarks.primitives [--rounds N] [--json [FILE]]

Three parts, on one circuit of 4 qubits and depth 2 with 4 inputs, 8 weights and 4 outputs Z_k, unless said:

- exact expectation values by Aer, batch 10: stock EstimatorQNN and TorchConnector, and ours;
- 4096 shots at 240 parameter sets, without noise and with that of a Heron device: AerSimulator.run, and ours;
- what one training step of 36 candidates x 4 gates sends: counted, nothing is simulated.

Ways that are compared are first shown to give the same numbers, then timed in alternation. Wrong numbers end the run with
an error, slow ones do not. Takes about two minutes, and less with fewer rounds. OMP_NUM_THREADS should be 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from qiskit.primitives import BaseEstimatorV2
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import EstimatorV2 as AerEstimator
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN
from torch import Tensor, nn

from benchmarks.counting import CountingEstimator, CountingExecutor
from benchmarks.timing import machine
from qlstm_qiskit import QLSTM, SearchSpace
from qlstm_qiskit.hardware import BackendSpec, DtypeTorchConnector, OnePubEstimatorQNN, find_spec, load_backend
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Request
from qlstm_qiskit.hardware.device.compact import noise_model
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.executors.aer import prepare_for_aer
from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend
from qlstm_qiskit.nn import CircuitBank
from qlstm_qiskit.space import Candidate

Values = NDArray[np.float64]
Work = Callable[[], object]
Row = dict[str, Any]

BATCH, SETS, SHOTS = 10, 240, 4096
_QUBITS, _DEPTH, _WINDOW = 4, 2, 4

#: Aer's option to bind parameters while it simulates, in place of a circuit for each parameter set.
_AT_RUN_TIME: Mapping[str, Any] = {"runtime_parameter_bind_enable": True}

#: How many times as fast as Qiskit's fastest way ours should be.
TARGETS = {"forward": 2, "forward + backward": 30, "shots": 20}


def medians_ms(works: Mapping[str, Work], *, rounds: int, seconds: float = 0.1) -> dict[str, float]:
    """Median milliseconds of each; in each round every work has its turn, of `seconds` and at least one call."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            end = time.perf_counter() + seconds
            while True:
                start = time.perf_counter()
                work()
                times[name].append(time.perf_counter() - start)
                if time.perf_counter() >= end:
                    break
    return {name: 1e3 * statistics.median(own) for name, own in times.items()}


def require_close(what: str, own: Values, oracle: Values, tolerance: float | Values) -> None:
    """End the run where numbers differ by more than `tolerance`."""
    excess = np.max(np.abs(own - oracle) / tolerance) if own.shape == oracle.shape else np.inf
    if not excess <= 1:
        raise SystemExit(f"{what}: shapes {own.shape} and {oracle.shape}; differs by {excess:.3g} times the tolerance.")


def exact(candidate: Candidate, rounds: int) -> list[Row]:
    """Forward, and forward and backward by inputs and weights, on exact Aer."""
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.uniform(-np.pi, np.pi, (BATCH, _QUBITS)), requires_grad=True)
    weights = torch.tensor(rng.uniform(-np.pi, np.pi, len(candidate.weights)))
    plain, bound = AerEstimator(), AerEstimator(options={"run_options": _AT_RUN_TIME})
    qnn = stock_qnn(candidate, plain)
    modules: dict[str, nn.Module] = {
        "stock EstimatorQNN": TorchConnector(qnn).double(),
        "stock EstimatorQNN, bound at run time": TorchConnector(stock_qnn(candidate, bound)).double(),
        "OnePubEstimatorQNN": DtypeTorchConnector(one_pub_qnn(candidate, plain)),
        "OnePubEstimatorQNN, bound at run time": DtypeTorchConnector(one_pub_qnn(candidate, bound)),
        'candidate.to_torch("aer-exact")': candidate.to_torch("aer-exact"),
        'CircuitBank(backend="aer-exact")': CircuitBank([candidate], backend="aer-exact"),
    }
    by_x, by_weights = qnn.backward(x.detach().numpy(), weights.numpy())
    oracle = [qnn.forward(x.detach().numpy(), weights.numpy()), by_x, by_weights.sum(0)]
    for name, module in modules.items():
        with torch.no_grad():
            next(module.parameters()).copy_(weights)
        tolerance = 1e-5 if type(module) is TorchConnector else 1e-10  # the stock connector rounds to float32
        for own, expected in zip(answers(module, x), oracle, strict=True):
            require_close(name, own.reshape(expected.shape), expected, tolerance)
    works: dict[str, dict[str, Work]] = {
        "forward": {name: partial(forward, module, x) for name, module in modules.items()},
        "forward + backward": {name: partial(step, module, x) for name, module in modules.items()},
    }
    return [row for work, own in works.items() for row in rows(work, medians_ms(own, rounds=rounds), 2, TARGETS[work])]


def forward(module: nn.Module, x: Tensor) -> None:
    """Outputs alone."""
    with torch.no_grad():
        module(x)


def step(module: nn.Module, x: Tensor) -> None:
    """Outputs, and a gradient by inputs and weights."""
    torch.autograd.grad(module(x).square().sum(), [x, *module.parameters()])


def answers(module: nn.Module, x: Tensor) -> list[Values]:
    """Outputs (batch, outputs), derivatives by inputs (batch, outputs, inputs), and by weights summed over the batch."""
    values = module(x).reshape(len(x), -1)
    gradients = [torch.autograd.grad(v, (x, *module.parameters()), retain_graph=True) for v in values.sum(0)]
    by_x, by_weights = (torch.stack(parts) for parts in zip(*gradients, strict=True))
    return [values.detach().numpy(), by_x.transpose(0, 1).numpy(), by_weights.numpy()]


def stock_qnn(candidate: Candidate, estimator: BaseEstimatorV2, n_outputs: int | None = None) -> EstimatorQNN:
    """The candidate as qiskit-machine-learning's own network: parameter shift, precision 0 in both passes."""
    return EstimatorQNN(
        circuit=candidate.circuit,
        estimator=estimator,
        observables=candidate.observables(n_outputs),
        input_params=candidate.inputs,
        weight_params=candidate.weights,
        gradient=ParamShiftEstimatorGradient(estimator),
        input_gradients=True,
        default_precision=0.0,
    )


def one_pub_qnn(candidate: Candidate, estimator: BaseEstimatorV2) -> OnePubEstimatorQNN:
    """The candidate as our network on any estimator."""
    return OnePubEstimatorQNN(
        circuit=candidate.circuit,
        estimator=estimator,
        observables=candidate.observables(),
        input_params=candidate.inputs,
        weight_params=candidate.weights,
        default_precision=0.0,
    )


def shots(candidate: Candidate, backend: str, simulators: Mapping[str, Mapping[str, Any]], rounds: int) -> list[Row]:
    """Sampled expectation values: simulators of these options, one run for all parameter sets, beside the backend's executor.

    Both sides run the same ISA circuit, on the same noise of its active qubits.
    """
    spec = find_spec(backend)
    sampled, noiseless = (_backend(spec.model_copy(update={"shots": number})) for number in (SHOTS, None))
    parameters = (*candidate.inputs, *candidate.weights)
    isa = sampled.prepare(candidate.name, candidate.circuit, parameters, candidate.observables())
    values = np.random.default_rng(1).uniform(-np.pi, np.pi, (SETS, len(parameters)))
    request = [Request(isa, values)]
    expected = noiseless.executor.expect(request)[0]
    noise = {}
    if spec.noise is not None:
        noise["noise_model"] = noise_model(find_device(spec.noise.device).target, isa.qubits, readout=spec.noise.readout)
    works: dict[str, Work] = {}
    for name, options in simulators.items():
        simulator = AerSimulator(seed_simulator=0, **noise, **options)
        works[f"AerSimulator.run, {name}"] = partial(sample, simulator, isa, values)
    works[f"AerExecutor ({backend})"] = lambda: sampled.executor.expect(request)[0]
    # Five standard errors, and ten outcomes where an expectation value is so near to 1 that few differ.
    tolerance = 5 * np.sqrt(np.clip(1 - expected**2, 0, 1) / SHOTS) + 10 / SHOTS
    for name, work in works.items():
        require_close(name, np.asarray(work()), expected, tolerance)
    work = "shots" if spec.noise is None else f"shots, noise of {spec.noise.device}"
    return rows(work, medians_ms(works, rounds=rounds), len(simulators), TARGETS.get(work))


def _backend(spec: BackendSpec) -> PrimitiveBackend:
    backend = load_backend(spec, seed=0)
    assert isinstance(backend, PrimitiveBackend)
    return backend


def sample(simulator: AerSimulator, isa: ISACircuit, values: Values) -> Values:
    """Expectation values (sets, observables) from the counts of one run."""
    circuit = isa.circuit.copy()
    circuit.measure_all()
    binds = {parameter: column.tolist() for parameter, column in zip(isa.parameters, values.T, strict=True)}
    result = simulator.run(circuit, parameter_binds=[binds], shots=SHOTS).result()
    frequencies = np.zeros((len(values), 1 << circuit.num_qubits))
    for row, item in zip(frequencies, result.results, strict=True):
        for outcome, count in item.data.counts.items():
            row[int(outcome, 16)] = count / SHOTS
    signs = np.stack([observable.to_matrix().diagonal().real for observable in isa.observables], axis=1)
    return frequencies @ signs


def rows(work: str, times: Mapping[str, float], n_others: int, target: float | None) -> list[Row]:
    """A row for each way; ratios are to the fastest of the first `n_others`, which are not ours."""
    fastest = min(list(times.values())[:n_others])
    return [
        {"work": work, "way": way, "ms": ms, "ratio": fastest / ms, "target": target if place >= n_others else None}
        for place, (way, ms) in enumerate(times.items())
    ]


def sent() -> list[Row]:
    """Jobs, PUBs and circuits of one training step of 36 candidates x 4 gates, depth 1, 4 time steps, batch 10."""
    found = []
    for everything in (True, False):
        executor = CountingExecutor()
        backend = PrimitiveBackend(find_spec("aer-exact"), executor, prepare_for_aer)
        layer = QLSTM(1, 3, depth=1, batch_first=True, backend=backend)
        x = torch.rand(BATCH, _WINDOW, 1, dtype=torch.float64, requires_grad=everything)
        state = [torch.zeros(1, BATCH, 3, dtype=torch.float64, requires_grad=everything) for _ in range(2)]
        layer(x, (state[0], state[1]))[0][:, -1].sum().backward()
        way = "QLSTM, every input with gradients" if everything else "QLSTM, as in training: none by data and first state"
        found.append(_counted(way, executor.jobs, 1))
    estimator = CountingEstimator()
    for candidate in SearchSpace.paper().candidates(_QUBITS, 1):
        module = TorchConnector(stock_qnn(candidate, estimator, n_outputs=3)).double()
        step(module, torch.rand(BATCH, _QUBITS, dtype=torch.float64, requires_grad=True))
    return [_counted("stock EstimatorQNN for each candidate and gate", estimator.jobs, 4 * _WINDOW), *found]


def _counted(way: str, jobs: Sequence[Sequence[int]], times: int) -> Row:
    counts = {"jobs": len(jobs), "pubs": sum(map(len, jobs)), "circuits": sum(map(sum, jobs))}
    return {"way": way, **{what: times * count for what, count in counts.items()}}


def measure(rounds: int | None = None) -> dict[str, Any]:
    """All parts, and what they were measured on; 11 rounds of exact values and 9 of shots unless said."""
    candidate = SearchSpace.handcrafted(1).candidates(_QUBITS, _DEPTH)[0]
    plain = {"default": {}, "bound at run time": _AT_RUN_TIME}
    noisy = {"default": {}, "density matrix": {"method": "density_matrix"}}
    return {
        "machine": machine() | {"qiskit-aer": version("qiskit-aer")},
        "timed": [
            *exact(candidate, rounds or 11),
            *shots(candidate, "aer-shots", plain, rounds or 9),
            *shots(candidate, "aer-noise-torino", noisy, rounds or 9),
        ],
        "counted": sent(),
    }


def report(result: Mapping[str, Any]) -> str:
    """The result as Markdown that also reads as plain text."""
    facts = result["machine"]
    packages = ", ".join(f"{name} {facts[name]}" for name in ("qiskit", "qiskit-aer", "qiskit-machine-learning", "torch"))
    return f"""{facts["date"]}, {facts["cpu"]}, {facts["cores"]} cores, one thread, {packages}.

4 qubits, depth 2, H-RY and linear-RY: 4 inputs, 8 weights, 4 outputs Z_k. Exact values: batch {BATCH}, gradients by inputs and
weights; stock and OnePub networks are on Aer's EstimatorV2. Shots: {SHOTS} at {SETS} parameter sets. Bound at run time: by
Aer's option runtime_parameter_bind_enable, without which it makes a circuit of every parameter set. Ratio: times as fast as
the fastest of Qiskit's own ways.

{table(result["timed"])}

One training step of 36 candidates x 4 gates by parameter shift, depth 1, {_WINDOW} time steps, batch {BATCH}, 3 outputs, sends:

{table(result["counted"])}"""


def table(rows: Sequence[Row]) -> str:
    """Rows as lines of cells."""
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in cells)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="JSON instead of the table, or to FILE beside it")
    parser.add_argument("--rounds", type=int, help="how often each way is timed in turn; 1 shows that they run")
    arguments = parser.parse_args()
    file = arguments.json
    torch.set_num_threads(1)
    result = measure(arguments.rounds)
    if file not in (None, "-"):
        Path(file).write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result) if file == "-" else report(result))


if __name__ == "__main__":
    main()
