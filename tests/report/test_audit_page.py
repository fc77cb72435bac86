"""The page and the Markdown of an audit, by their words."""

import json
from pathlib import Path

import pytest

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.studies.audited import load_audit
from qlstm_qiskit.report.audit import audit_markdown
from qlstm_qiskit.report.pages.write import folder_kind, write_report
from tests.report.pages import END, SCRIPT, hostile_audit, parsed


def test_a_page_says_what_a_referee_asks(tmp_path: Path) -> None:
    folder = hostile_audit(tmp_path / "audit")
    written = write_report(folder, tmp_path / "page.html")
    assert (written.kind, written.size < 2e6) == ("audit", True)
    page = parsed(tmp_path / "page.html")
    words = " ".join(page.text())
    for text in (
        "It is not the circuit: with the tanh layer in its place the test error is lower.",
        "The circuits are better than the linear map on products (with more parameters).",
        "The circuits are better than the linear map on products, whose errors are higher by a factor of 2.",
        "The map has 2 times as many parameters.",
        "Errors with the tanh layer are lower than with the circuits by a factor of 2. The map has 0.5 times",
        "its linear layers before and after the circuits",
        "adam, learning rate 0.01, 20 epochs at most, of which the best by validation is kept (patience 3)",
        "The run itself began with trained parameters of another one",
        "8 seeds, 0 to 7",
        "the circuits are better: p (Holm) is below 0.05",
        "It is about one series",
        "qlstm audit RUN --seeds 8 --banks products,tanh --epochs 20 --out again",
        "1 training diverged and counts as infinite.",
        "Seeds of circuits ran side by side, and times are each one's share: a training by itself takes longer.",
    ):
        assert text in words, text
    assert SCRIPT in words
    assert END in words
    assert json.loads(page.downloads["audit.json"]) == json.loads((folder / "audit.json").read_text())
    factors = [line.split(",") for line in page.downloads["factors.csv"].splitlines()]
    assert factors[0] == ["map", "seed", "factor"]
    assert len(factors) == 1 + 7 + 8  # without the seed that diverged
    assert {round(float(value), 9) for name, _, value in factors[1:] if name == "products"} == {2.0}


def test_markdown_shows_names_as_they_are(tmp_path: Path) -> None:
    text = audit_markdown(load_audit(hostile_audit(tmp_path / "audit")))
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "| `tanh` | map is better | 0.5" in text


def test_a_folder_with_a_damaged_audit(tmp_path: Path) -> None:
    folder = hostile_audit(tmp_path / "audit")
    assert folder_kind(folder) == "audit"
    content = json.loads((folder / "audit.json").read_text())
    changes = ({"rows": []}, {"tests": 3}, {"answer": None}, {"format": 2}, {"seeds": [0]}, {"rows": content["rows"][::-1]})
    for change in changes:
        (folder / "audit.json").write_text(json.dumps(content | change))
        with pytest.raises(RunError, match="audit.json is damaged or of another version"):
            write_report(folder, tmp_path / "page.html")
