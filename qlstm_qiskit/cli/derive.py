"""`qlstm derive`: from the run of a search to a model with few circuits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlstm_qiskit.cli.completion import known, names
from qlstm_qiskit.cli.ensembles import require_single
from qlstm_qiskit.cli.options import Json, RunFolder, TrustProvider
from qlstm_qiskit.cli.output import print_json, print_table

if TYPE_CHECKING:
    from qlstm_qiskit.training.task import Task


def derive(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="Run folder of the derived model.")],
    strategy: Annotated[
        str,
        typer.Option(
            help="How candidates are scored: by perturbation, contribution or weight.",
            autocompletion=names("derivation"),
            callback=known("derivation"),
        ),
    ] = "perturbation",
    top_k: Annotated[int, typer.Option(help="How many candidates each gate keeps.")] = 1,
    refit: Annotated[bool, typer.Option(help="Fit the weights of the kept candidates to the sums over all of them.")] = True,
    trust_provider: TrustProvider = False,
    json: Json = False,
) -> None:
    """Derive a model with one or a few circuits per gate from a trained search. Fine-tune it with `qlstm train --from`.

    Example: qlstm derive runs/demo --strategy perturbation --top-k 1 --out runs/derived
    """
    require_single(run, "`qlstm derive` derives from")
    from qlstm_qiskit.experiments import derive_run
    from qlstm_qiskit.nn.constants import about_constants, circuit_verdicts, constant_gates
    from qlstm_qiskit.report import draw_run

    derived = derive_run(run, out, strategy=strategy, top_k=top_k, refit=refit, trust=trust_provider)
    figures = draw_run(derived)
    genotype, recurrent = derived.spec.genotype, derived.forecaster.circuits
    assert genotype is not None
    assert recurrent is not None
    constant = constant_gates(recurrent)
    if json:
        kept = genotype.model_dump(mode="json", exclude_defaults=True)
        print_json(derived.metrics | {"run": str(out), "genotype": kept, "constant_gates": constant})
        return
    verdicts = [circuit_verdicts(cell.bank) for cell in recurrent.layers()]
    rows = [
        [str(number), gate, choice.candidate, choice.weight, choice.score, own[choice.candidate]]
        for number, (layer, own) in enumerate(zip(genotype.layers, verdicts, strict=True), 1)
        for gate, choices in layer.items()
        for choice in choices
    ]
    header = ["layer", "gate", "candidate", "weight", "score", "verdict"]
    noise = genotype.provenance.get("noise_of")
    under = "" if noise is None else f", scored with the noise of {noise}"
    print_table(f"Kept of {run} by {strategy}{under}", header, rows, text=("gate", "candidate", "verdict"))
    if constant:
        print(f"{about_constants(constant)} See the verdicts with `qlstm space`, or keep more circuits with --top-k.")
    print_stages(derived.metrics["stages"], derived.spec.task)
    print(f"Run folder: {out}; genotype.json says what was kept")
    print(f"Figures: {', '.join(path.name for path in figures)}")
    print(f"Next: qlstm train --from {out} --epochs 100")


def print_stages(stages: dict[str, dict[str, Any]], task: Task) -> None:
    """From the search to the model that is used: errors of each stage."""
    rows = [
        [name.replace("_", "-"), s["n_circuits"], "trained on it" if s[task.valid] is None else s[task.valid], s[task.test]]
        for name, s in stages.items()
    ]
    header = ["stage", "circuits per step", f"validation {task.shown}", f"test {task.shown}"]
    print_table("From the search to one model", header, rows)
