"""`qlstm space`: the candidates of the search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from qlstm_qiskit.cli.completion import backend_names, known, names
from qlstm_qiskit.cli.options import BackendsFile, Json, existing_space
from qlstm_qiskit.cli.output import print_json, print_table
from qlstm_qiskit.errors import OptionError

if TYPE_CHECKING:
    from qlstm_qiskit.space import Candidate, SearchSpace, SpaceAnalysis


class _SpaceCommands(typer.core.TyperGroup):
    """`qlstm space FILE.py:NAME` shows that space."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, ["show", *args] if args and ":" in args[0] else args)


space_app = typer.Typer(help="Look at the search space of candidate circuits.", no_args_is_help=True, cls=_SpaceCommands)

_Space = Annotated[
    str | None,
    typer.Argument(
        metavar="[FILE.py:NAME]",
        help="Own circuits, as for `qlstm train --space`; the code in the file is run.",
        callback=existing_space,
        show_default="the paper's",
    ),
]
_Qubits = Annotated[
    int | None, typer.Option(help="Qubits of each circuit.", show_default="4; given circuits have their own number")
]
_Depth = Annotated[
    int | None, typer.Option(help="Variational layers of each circuit.", show_default="1; given circuits have their own")
]
_Entanglers = Annotated[
    str | None,
    typer.Option(
        "--entangler",
        help="Entanglers in place of the paper's, separated by commas: linear, cyclic, heavy-hex, grid, or device:NAME for the "
        "couplers of a device, such as device:fez.",
        autocompletion=names("entangler"),
        callback=known("entangler"),
        show_default="linear,cyclic",
    ),
]


@space_app.command("show")
def space_show(
    space: _Space = None,
    n_qubits: _Qubits = None,
    depth: _Depth = None,
    entangler: _Entanglers = None,
    draw: Annotated[str | None, typer.Option(help="Draw this candidate, e.g. 'H-RY|linear-RX'.")] = None,
    fourier: Annotated[str | None, typer.Option(help="Write this candidate as a Fourier series of its inputs.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random angles that --fourier is shown at.")] = 0,
    json: Json = False,
) -> None:
    """List the paper's 36 candidate circuits, others, or your own; draw one, or write one as a truncated Fourier series.

    Example: qlstm space show --n-qubits 4 --depth 1 --draw "H-RY|linear-RX"

    Example: qlstm space my_space.py:space
    """
    from qlstm_qiskit.errors import require_at_least, unknown_option

    found, n_qubits, depth = _space(space, n_qubits, depth, entangler)
    candidates = found.candidates(n_qubits, depth)
    named = {candidate.name: candidate for candidate in candidates}
    for wanted in (draw, fourier):
        if wanted is not None and wanted not in named:
            raise unknown_option("candidate", wanted, named)
    if fourier is not None:
        require_at_least("seed", seed, 0, 2**64 - 1)  # of torch
        _print_fourier(named[fourier], seed, json)
        return
    if draw is not None:
        picture = named[draw].draw("text", fold=120)
        picture.encoding = "utf-8"  # what the output cannot show is replaced there
        drawing = str(picture)
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
        print_json({"n_qubits": candidates[0].n_qubits, "depth": depth, "candidates": rows})
        return
    header = ["candidate", "inputs", "weights", "circuit depth", "two-qubit gates"]
    layers = "" if depth is None else f", depth {depth}"
    title = f"{len(rows)} candidates on {candidates[0].n_qubits} qubits{layers}"
    print_table(title, header, [list(row.values()) for row in rows])


@space_app.command("analyze")
def space_analyze(
    space: _Space = None,
    n_qubits: _Qubits = None,
    depth: _Depth = None,
    entangler: _Entanglers = None,
    outputs: Annotated[
        int | None,
        typer.Option(
            help="Number of measured qubits, which is the hidden size.", show_default="qubits - 1, for one input feature"
        ),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="Transpile for this backend; see `qlstm backends list`.", autocompletion=backend_names)
    ] = None,
    backends: BackendsFile = None,
    samples: Annotated[int, typer.Option(help="Random states for the two estimated figures of merit.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of the random states.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Draw a figure into this file, as PNG.")] = None,
    json: Json = False,
) -> None:
    """Find out which of the paper's 36 candidates, or of your own, are dead, blind or equal, what each can express, and what it
    costs.

    Example: qlstm space analyze --n-qubits 4 --depth 1 --backend fake-fez --out space.png
    """
    from qlstm_qiskit.hardware import find_spec

    if backend is not None:
        find_spec(backend, backends)  # a name that there is none of is refused before anything that takes seconds to import
    from qlstm_qiskit.hardware.device.isa_cache import cache_folder
    from qlstm_qiskit.space import analyze

    found = analyze(
        *_space(space, n_qubits, depth, entangler),
        outputs,
        backend=backend,
        backends=backends,
        cache=None if backend is None else cache_folder(),
        samples=samples,
        seed=seed,
    )
    if out is not None:
        from qlstm_qiskit.report.space import draw_space

        draw_space(out, found)
    if json:
        print_json(found.facts() | ({} if out is None else {"figure": str(out)}))
        return
    _print_analysis(found)
    if out is not None:
        print(f"Figure: {out}")


def _space(
    source: str | None, n_qubits: int | None, depth: int | None, entangler: str | None
) -> tuple[SearchSpace, int | None, int | None]:
    """The paper's space, one of other entanglers, or the user's own, and sizes to build it with; given circuits need none."""
    if source is not None and entangler is not None:
        raise OptionError(f"--entangler {entangler} has no meaning for given circuits; leave out one of the two.")
    from qlstm_qiskit.space import SearchSpace
    from qlstm_qiskit.space.blocks import entangler_names

    sizes = 4 if n_qubits is None else n_qubits, 1 if depth is None else depth
    if source is None:
        return SearchSpace.paper() if entangler is None else SearchSpace.paper(entangler_names(entangler)), *sizes
    from qlstm_qiskit.hardware.config.code import Named
    from qlstm_qiskit.space.named import OwnCode

    own = OwnCode.load(Named.of("space", source))
    space = own.space(*sizes)
    return (space, *sizes) if not space.fixed else (space, n_qubits, None if own.takes_depth else depth)


def _print_analysis(found: SpaceAnalysis) -> None:
    rows: list[list[object]] = []
    for report in found.reports:
        pairs, depth, success = [str(report.two_qubit_gates)], [str(report.depth)], []
        if report.device is not None:
            pairs, depth = ([f"{before} -> {after}"] for before, after in (report.device.two_qubit_gates, report.device.depth))
            success = [f"{report.device.success:.3f}"]
        inert = f"{'' if report.complete else '>= '}{len(report.inert_weights)}/{report.n_weights}"
        frequencies = "?" if report.n_frequencies is None else str(report.n_frequencies)
        estimated = [
            "-" if value is None else f"{value:.2f}" for value in (report.entangling_capability, report.expressibility)
        ]
        rows.append([report.name, frequencies, inert, *estimated, *pairs, *depth, *success, report.verdict])
    where = "" if found.device is None else f", and on {found.device}"
    layers = "" if found.depth is None else f", depth {found.depth}"
    title = f"{len(rows)} candidates on {found.n_qubits} qubits{layers}, measured on {found.n_outputs}{where}"
    header = [
        "candidate",
        "freq.",
        "inert",
        "Q",
        "KL",
        "2q",
        "depth",
        *([] if found.device is None else ["success"]),
        "verdict",
    ]
    print_table(title, header, rows, text=("verdict",))
    counts = found.counts()
    print(
        f"Proven: {counts['zero']} of {counts['candidates']} are zero everywhere, {counts['blind']} do not see the input "
        f"(zeros among them), in {counts['inert']} no weight matters, {counts['equal']} repeat an earlier one up to a sign and "
        "relabelled weights."
    )
    origin = f"estimated from {found.samples} random states, seed {found.seed}"
    if not found.samples:
        origin = f"left out, since random states of {found.n_qubits} qubits do not fit in memory"
    if counts["not_complete"]:
        print(f"In {counts['not_complete']} of them more may be dead than was found.")
    print(
        f"freq.: vectors of input frequencies; inert: weights that do not matter; Q: entangling capability (mean Meyer-Wallach "
        f"Q); KL: expressibility (divergence from Haar, 0 is best); both {origin}; 2q: two-qubit gates."
    )


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
