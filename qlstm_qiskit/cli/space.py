"""`qlstm space`: the candidates of the search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qlstm_qiskit.cli.options import Json
from qlstm_qiskit.cli.output import print_json, print_table

if TYPE_CHECKING:
    from qlstm_qiskit.space import Candidate

space_app = typer.Typer(help="Look at the search space of candidate circuits.", no_args_is_help=True)


@space_app.command("show")
def space_show(
    n_qubits: Annotated[int, typer.Option(help="Qubits of each circuit.")] = 4,
    depth: Annotated[int, typer.Option(help="Variational layers of each circuit.")] = 1,
    draw: Annotated[str | None, typer.Option(help="Draw this candidate, e.g. 'H-RY|linear-RX'.")] = None,
    fourier: Annotated[str | None, typer.Option(help="Write this candidate as a Fourier series of its inputs.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random angles that --fourier is shown at.")] = 0,
    json: Json = False,
) -> None:
    """List the paper's 36 candidate circuits, draw one, or write one as a truncated Fourier series.

    Example: qlstm space show --n-qubits 4 --depth 1 --draw "H-RY|linear-RX"
    """
    from qlstm_qiskit.errors import unknown_option
    from qlstm_qiskit.space import SearchSpace

    candidates = SearchSpace.paper().candidates(n_qubits, depth)
    named = {candidate.name: candidate for candidate in candidates}
    for wanted in (draw, fourier):
        if wanted is not None and wanted not in named:
            raise unknown_option("candidate", wanted, named)
    if fourier is not None:
        _print_fourier(named[fourier], seed, json)
        return
    if draw is not None:
        drawing = str(named[draw].draw("text", fold=120))
        if json:
            print_json({"candidate": draw, "drawing": drawing})
        else:
            print(drawing)
        return
    rows = [
        {
            "candidate": candidate.name,
            "inputs": len(candidate.inputs),
            "weights": len(candidate.weights),
            "circuit_depth": candidate.circuit.depth(),
            "two_qubit_gates": candidate.circuit.num_nonlocal_gates(),
        }
        for candidate in candidates
    ]
    if json:
        print_json({"n_qubits": n_qubits, "depth": depth, "candidates": rows})
        return
    header = ["candidate", "inputs", "weights", "circuit depth", "two-qubit gates"]
    print_table(f"{len(rows)} candidates on {n_qubits} qubits, depth {depth}", header, [list(row.values()) for row in rows])


def _print_fourier(candidate: Candidate, seed: int, json: bool) -> None:
    import torch

    from qlstm_qiskit.nn import CircuitBank

    generator = torch.Generator().manual_seed(seed)
    series = CircuitBank([candidate], angle_std=1.0, generator=generator).fourier()
    outputs = {f"<Z{k}>": series.terms(output=k) for k in range(candidate.n_qubits)}
    if json:
        print_json({"candidate": candidate.name, "seed": seed, "outputs": outputs})
        return
    print(f"{candidate.name} at random angles (seed {seed}); v0, v1, ... are the inputs, in radians")
    for name, terms in outputs.items():
        print(f"{name} = {' '.join(f'{value:+.4f} {label}' for label, value in terms) or '0'}")
