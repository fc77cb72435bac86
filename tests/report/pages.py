"""Folders whose names try to be markup, and what a page says, without a browser."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, train_run
from qlstm_qiskit.experiments.studies.audited import AUDIT, Audit, AuditedRow, AuditTest, Retrained, answer
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.study import Study
from qlstm_qiskit.nn.update import LSTM_GATES as GATES
from qlstm_qiskit.search import Genotype
from qlstm_qiskit.search.genotype import Choice, StoredCircuit
from qlstm_qiskit.space import SearchSpace

SCRIPT = "<script>alert(1)</script>"
END = "</script><!--<img src=x onerror=alert(2)>"
RAW = f"{SCRIPT}{END}"

#: Elements without an end tag.
_VOID = {"meta", "link", "br", "img", "hr", "path", "use"}


class Parsed(HTMLParser):
    """Elements of a page, in order, and their text.

    Attributes:
        elements: (tag, attributes).
        texts: (tag that it is directly in, text).
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self._open.pop() == tag, f"</{tag}> ends another element"

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.texts.append((self._open[-1], data))

    def text(self, *tags: str) -> list[str]:
        """Of elements of these kinds, of all where none is given; scripts and styles are none."""
        return [text for tag, text in self.texts if (tag in tags if tags else tag not in ("script", "style"))]

    @cached_property
    def content(self) -> dict[str, Any]:
        """What is packed in the page: plotly, figures and files."""
        packed = max((text for tag, text in self.texts if tag == "script"), key=len).replace(".", "<")
        return dict(json.loads(gzip.decompress(base64.b85decode(packed))))

    @property
    def downloads(self) -> dict[str, str]:
        """Files in the page: their names and contents."""
        links = [str(own["download"]) for tag, own in self.elements if tag == "a" and "download" in own]
        return {name: self.content["files"][name][1] for name in links}

    @property
    def figures(self) -> dict[str, Any]:
        """What plotly draws."""
        return dict(self.content["figures"])


def parsed(path: Path) -> Parsed:
    return Parsed(path.read_text())


def hostile_run(folder: Path) -> Run:
    """A run of a CSV file and of a circuit whose names are scripts."""
    folder.mkdir(parents=True, exist_ok=True)
    csv = folder / "series.csv"
    csv.write_text("\n".join([f'"{RAW}"', *(str((row * 7) % 11) for row in range(30))]) + "\n")
    x, w = ParameterVector("x", 2), ParameterVector("w", 2)
    circuits = []
    for name in (SCRIPT, END):
        circuit = QuantumCircuit(2, name=name)
        for qubit in range(2):
            circuit.ry(x[qubit], qubit)
            circuit.rx(w[qubit], qubit)
        circuit.cx(0, 1)
        circuits.append(circuit)
    candidates = SearchSpace.from_circuits(circuits).candidates()
    stored = {own.name: StoredCircuit.of(own) for own in candidates}
    layer = {gate: tuple(Choice(candidate=name, weight=0.5) for name in stored) for gate in GATES}
    genotype = Genotype(layers=(layer,), circuits=stored, provenance={"run": RAW})
    data = DataSpec(csv=str(csv), target=RAW, window=2)
    spec = RunSpec(data=data, model="derived", hidden_size=1, genotype=genotype, epochs=3, valid_fraction=0.2)
    return train_run(spec, folder / "run")


def hostile_audit(folder: Path) -> Path:
    """An audit of made-up errors whose model and series are scripts."""
    folder.mkdir()
    rows = tuple(
        AuditedRow(
            row=row,
            errors=tuple(None if diverged and seed == 3 else 0.01 * scale * 1.2**seed for seed in range(8)),
            median=0.01 * scale,
            interval=(0.008 * scale, None if diverged else 0.02 * scale),
            parameters=int(32 * scale),
            all_parameters=int(36 * scale),
            seconds=12.5,
            step_ms=3.25,
            circuits=16 * (row == "circuits"),
            shared=row == "circuits",
        )
        for row, scale, diverged in (("circuits", 1.0, False), ("products", 2.0, True), ("tanh", 0.5, False))
    )
    made: dict[str, Any] = {"n": 8, "p": 0.0078125, "p_holm": 0.015625, "detectable": 1.5}
    tests = (
        AuditTest(row="products", factor=2.0, interval=(1.5, None), superiority=1, rank_biserial=1, verdict="circuits", **made),
        AuditTest(row="tanh", factor=0.5, interval=(0.4, 0.6), superiority=0, rank_biserial=-1, verdict="classical", **made),
    )
    audit = Audit(
        run=RAW,
        model=SCRIPT,
        dataset=END,
        seeds=tuple(range(8)),
        windows=(100, 50),
        epochs=20,
        patience=3,
        batch_size=10,
        optimizer="adam",
        lr=0.01,
        from_start=True,
        hybrid=True,
        rows=rows,
        tests=tests,
        answer=answer({test.row: test.verdict for test in tests}, 8, {"products": 2.0, "tanh": 0.5}),
        retrained=Retrained(seed=0, there=0.01, here=0.011),
    )
    (folder / AUDIT).write_text(audit.model_dump_json())
    return folder


def hostile_study(folder: Path) -> Path:
    """A study whose rows, title and family are scripts, of controls that take no time."""
    study = Study.model_validate(
        {
            "name": RAW,
            "title": RAW,
            "about": RAW,
            "seeds": 2,
            "datasets": {"damped_shm": {}, "nile": {}},
            "rows": {
                SCRIPT: {"control": {"control": "esn"}, "note": RAW},
                END: {"control": {"control": "ridge"}},
                "persistence": {"control": {"control": "persistence"}},
            },
            "families": {RAW: [[SCRIPT, END]]},
            "published": {SCRIPT: {"damped_shm": 0.0001}},
            "steps": 2,
        }
    )
    run_study(study, folder)
    return folder
