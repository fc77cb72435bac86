"""Names that matplotlib, Markdown, plotly, rich or a spreadsheet would take for something else stay names."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter, ParameterVector

from qlstm_qiskit.nn.update import LSTM_GATES as GATES
from qlstm_qiskit.report.architecture import LayerHistory, weights_figure
from qlstm_qiskit.report.circuits import circuit_svg
from qlstm_qiskit.report.names import as_code, drawn, in_legend, in_markdown
from qlstm_qiskit.report.pages.content import csv_file
from qlstm_qiskit.report.pages.run_figures import weight_plots
from qlstm_qiskit.space import SearchSpace
from tests.speed import slow_but

ODD = (r"$\bad{$", "a$b$c", r"\$", "$", "_hidden", "[/b]", "x\ny", "<b>", "%{y}")


@pytest.mark.parametrize("name", slow_but(ODD[:3], ODD))
def test_matplotlib_draws_names_as_they_are(name: str) -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([1, 2], label=in_legend(name))
    axes.plot([2, 3], label="other")
    axes.set_title(drawn(name))
    legend = axes.legend()
    figure.canvas.draw()
    shown = [text.get_text() for text in legend.get_texts()]
    assert len(shown) == 2, "a label that begins with an underscore is not left out"
    for text in (axes.title, legend.get_texts()[0]):
        cleaned, mathtext = text._preprocess_math(text.get_text())
        assert mathtext is False
        assert cleaned.strip() == name.replace("\n", r"\n")


def test_weights_of_candidates_with_odd_names_are_drawn() -> None:
    layer = LayerHistory(np.arange(3), ODD, np.random.default_rng(0).normal(size=(3, len(GATES), len(ODD))))
    figure = weights_figure([layer])
    figure.savefig(io.BytesIO(), format="svg")
    assert all(len(axes.get_legend().get_texts()) == 4 for axes in figure.axes)


@pytest.mark.parametrize("part", slow_but(["gate"], ["parameter", "gate", "register"]))
@pytest.mark.parametrize("name", [r"$\bad{$", r"q$\bad{$", "\x01"])
def test_circuits_with_odd_names_are_drawn(part: str, name: str, recwarn: pytest.WarningsRecorder) -> None:
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(QuantumRegister(2, name if part == "register" else "q"))
    inner = QuantumCircuit(1, name=name if part == "gate" else "own")
    inner.h(0)
    circuit.ry(x[0], 0)
    circuit.ry(x[1], 1)
    circuit.append(inner.to_gate(), [1])
    circuit.rx(Parameter(name if part == "parameter" else "w"), 0)
    candidate = SearchSpace.from_circuits([circuit]).candidates()[0]
    assert circuit_svg(candidate, "one").startswith("<svg")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_markdown_shows_names_as_they_are() -> None:
    assert in_markdown("damped_shm 1-2 (x)") == "damped_shm 1-2 (x)"
    assert in_markdown("a|b\n`c` <i> *d* _e_ [f](g) $h$") == r"a\|b\\n\`c\` \<i\> \*d\* \_e\_ \[f\](g) \$h\$"
    assert as_code("circuit paper") == "`circuit paper`"
    assert as_code("H-RY|linear-RX") == r"`H-RY\|linear-RX`"
    assert as_code("a`b") == "``a`b``"
    assert as_code("`a``") == "``` `a`` ```"
    assert as_code("a\nb") == r"`a\nb`"


def test_names_in_downloads_are_no_formulas_and_numbers_stay() -> None:
    names = ["=1+1", "+a", "-a", "@a", "\ta", "\ra", "＝a", "-1.5", "+2", "plain", "'", None]
    rows = list(csv.reader(io.StringIO(csv_file("f", {"=head": names, "value": [-1.5] * len(names)}).text, newline="")))
    assert rows[0] == ["'=head", "value"]
    assert [row[0] for row in rows[1:]] == [
        "'=1+1",
        "'+a",
        "'-a",
        "'@a",
        r"\ta",
        r"\ra",
        "'＝a",
        "-1.5",
        "+2",
        "plain",
        "'",
        "",
    ]
    assert {row[1] for row in rows[1:]} == {"-1.5"}


def test_hover_texts_hold_names_and_not_their_place_holders() -> None:
    names = [f"c{k}" for k in range(4)] + ["%{x}<br>"]
    history = [
        {"epoch": e, "layers": [{"candidates": names, "coefficients": [[9.0, 8, 7, 6, 1]] * len(GATES)}]} for e in (1, 2)
    ]
    for plot in weight_plots(history):
        templates = {trace.get("hovertemplate", "") for trace in plot.figure["data"]}
        assert not any(re.search("c3|%{x}", template) for template in templates)
        assert "%{x}&lt;br&gt;" in [trace.get("text") for trace in plot.figure["data"]]


def test_no_figure_takes_a_name_without_care() -> None:
    """Every text of a name that matplotlib gets in this room goes through `drawn` or `in_legend`."""
    room = Path(__file__).parents[2] / "qlstm_qiskit" / "report"
    text = r"(?:set_title|suptitle|supxlabel|set_yticks|label=|ylabel=|figure\.text)"
    for path in room.glob("*.py"):
        for line in path.read_text().splitlines():
            if re.search(text, line) and re.search(r"\.name\b|\.target\b|\bdataset\b|\bnames\b", line):
                assert re.search(r"drawn|in_legend|\btitle\b", line) or "plan.dataset" in line, f"{path.name}: {line.strip()}"
