"""Derivation of a run with only the best circuits from the run of a search."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from qlstm_qiskit import __version__
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.runs.ensemble import require_one_model
from qlstm_qiskit.experiments.runs.load import (
    CONFIG,
    GENOTYPE,
    HISTORY,
    METRICS,
    MODEL,
    Run,
    load_run,
    load_spec,
)
from qlstm_qiskit.experiments.runs.metrics import errors_of, run_metrics
from qlstm_qiskit.experiments.runs.recording import header_of, weights_header
from qlstm_qiskit.experiments.runs.start import weights_digest
from qlstm_qiskit.experiments.runs.training.one import refuse_existing
from qlstm_qiskit.experiments.runs.trust import require_trusted
from qlstm_qiskit.hardware import EXACT, BackendSpec
from qlstm_qiskit.search import Genotype, derive
from qlstm_qiskit.storage import exists, make_folders, strict_json, take_back, write_atomically
from qlstm_qiskit.training.tensors import save_weights

#: Part of the training windows on which candidates are scored if the search held none out.
_DEFAULT_VALID = 0.2


def derive_run(
    path: Path | str,
    out: Path | str,
    *,
    strategy: str = "perturbation",
    top_k: int = 1,
    refit: bool = True,
    trust: bool = False,
) -> Run:
    """Derive a model from the run of a search into a new run folder.

    Candidates are scored on the validation part, or on the last fifth of the training windows if the search held none out.
    Scores use exact values, with the noise of a device if the search had it inside the exact interpreter. The new folder is a
    run like any other, without further training; another run can start from it (`RunSpec.start`).

    Args:
        path: The search.
        out: The new folder; it must not hold a run yet.
        strategy, top_k, refit: As in `derive`.
        trust: As in `load_run`, for the device whose noise the search had.

    Raises:
        RunError: A folder is missing or damaged, exists already, or would call code chosen by whoever made it.
        OptionError: An unknown strategy, or the model has no circuits.
    """
    path, out = Path(path), Path(out)
    refuse_existing(out)
    require_one_model(path, load_spec(path), "`qlstm derive` derives from")
    started = time.perf_counter()
    run, noisy = load_run(path, backend=EXACT), _noise(path, trust)
    scored = run if noisy is None else load_run(path, backend=noisy)
    if run.forecaster.circuits is None:
        raise OptionError(f"the model of {path} is {run.spec.title}, which has no circuits; choose the run of a search.")
    dataset, held_out = run.dataset, run.valid_fraction
    parameter = next(run.forecaster.parameters())
    windows, targets = (torch.as_tensor(part).to(parameter) for part in dataset.validation(held_out or _DEFAULT_VALID))
    provenance = {
        "run": str(path),
        "weights_sha256": weights_digest(path),
        "dataset": dataset.name,
        "model": run.spec.model,
        "search": "weighted-sum" if run.spec.search is None else run.spec.search.name,
        "seed": run.spec.seed,
        "epochs": run.epochs,
        "strategy": strategy,
        "top_k": top_k,
        "refit": refit,
        "scored_on": f"{len(windows)} windows {'held out' if held_out else 'of the training part'}",
        "version": __version__,
    } | ({} if noisy is None else {"noise_of": noisy.noise_of})
    chosen: dict[str, Any] = {"strategy": strategy, "top_k": top_k, "refit": refit, "loss": _loss(run)}
    genotype, state = derive(scored.forecaster, windows, targets, **chosen, provenance=provenance)
    derived = _derived(run, out, genotype, state)
    stages = {"search": errors_of(run, dataset, held_out), "derived": errors_of(derived, dataset, held_out)}
    metrics = run_metrics(derived, dataset) | {"interrupted": False, "wall_seconds": time.perf_counter() - started}
    history = (path / HISTORY).read_bytes() if exists(path / HISTORY) else b""
    _write(derived, history, metrics | {"stages": stages})
    return derived


def _loss(run: Run) -> nn.Module | None:
    """By what candidates are scored; None for mean squared error, which `derive` sums in a way of its own."""
    return run.spec.task.criterion() if run.spec.task.labelled else None


def _noise(path: Path, trust: bool) -> BackendSpec | None:
    """The noise that a search had inside the exact interpreter, without its shots, because scores are exact."""
    spec = load_spec(path)
    options = spec.backend_options
    if options is None or options.kind != "statevector" or options.noise is None:
        return None
    require_trusted(path, spec, trust)
    return options.model_copy(update={"shots": None, "sampling": "gaussian", "seed": None})


def _derived(run: Run, out: Path, genotype: Genotype, state: dict[str, Tensor]) -> Run:
    """The model of a genotype, as a run that has not been written yet."""
    changes = {
        "model": "derived",
        "genotype": genotype,
        "depth": genotype.depth,
        "search": None,
        "space": None,  # the genotype holds what is kept of it, and of an entangler
        "entangler": None,
        "start": None,
        "data": run.data,
    }
    spec = run.spec.model_copy(update=changes | {"mixing": "linear", "epochs": run.epochs})
    sizes = len(run.header.features), run.header.n_outputs
    module = spec.estimator(device="cpu").build_module(*sizes, generator=torch.Generator())
    module.load_state_dict(state)
    return Run(out, spec.on(EXACT), module.eval(), header_of(run.dataset, run.epochs))


def _write(run: Run, history: bytes, metrics: dict[str, Any]) -> None:
    """Write the folder, the config last, since a folder without it is not a run. An interruption leaves nothing behind."""
    assert run.spec.genotype is not None
    out, made = run.path, make_folders(run.path)
    try:
        write_atomically(out / GENOTYPE, run.spec.genotype.model_dump_json(indent=2, exclude_defaults=True) + "\n")
        write_atomically(out / HISTORY, history)
        save_weights(out / MODEL, run.forecaster, weights_header(run.header, run.spec))
        write_atomically(out / METRICS, strict_json(metrics, indent=2) + "\n")
        write_atomically(out / CONFIG, run.spec.model_dump_json(indent=2) + "\n")
    except BaseException:
        take_back(out, (GENOTYPE, HISTORY, MODEL, METRICS, CONFIG), made)
        raise
