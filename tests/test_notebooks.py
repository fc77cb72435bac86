"""The notebooks: what is committed of them, and that each runs at a small size, offline, in an empty folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from qlstm_qiskit.hardware.config.secrets import VARIABLES, looks_like_token, scrub
from tests.speed import slow_but

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

LARGEST = 400_000  # bytes
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(home|root|tmp|work|Users)/|\b[A-Z]:\\")
#: What a credential may be given to; names of environment variables and of accounts are no credentials.
GIVEN = re.compile(r"""(?i)\b(token|password|secret|api_?key)\s*[=:]\s*["'][^"']+["']""")

#: Sizes at which they are run here.
SMOKE = {
    "01_quickstart": {"EPOCHS": 2, "HIDDEN_SIZE": 1},
    "02_search_space": {"N_QUBITS": 3, "SAMPLES": 10},
    "03_search_derive_finetune": {"SEARCH_EPOCHS": 5, "TUNE_EPOCHS": 2, "HIDDEN_SIZE": 1},
    "04_shots_and_noise": {"EPOCHS": 1, "SHOTS": [16, 64], "WINDOWS": 2, "DEVICE_EPOCHS": 1, "SHOT_EPOCHS": 1},
    "05_topology_and_transpilation": {"N_QUBITS": [3], "BACKENDS": ["fake-manila"]},
    "06_submit_to_a_qpu": {"EPOCHS": 1, "DEVICE_EPOCHS": 1, "WINDOWS": 2, "SHOTS": 16},
    "07_your_circuits_your_data": {"EPOCHS": 1, "ROWS": 60, "SUNSPOT_EPOCHS": 1},
    "08_reproduce_the_table": {"SEEDS": 2, "EPOCHS": 1, "DATASETS": ["damped_shm"]},
    "09_scaling_out_on_ray": {"SEEDS": 1, "EPOCHS": 1, "ROWS": ["lstm", "ridge"]},
}


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def texts(notebook: NotebookNode) -> list[str]:
    """All that can be read in it: sources, printed text, tables; not pixels."""
    found = [cell.source for cell in notebook.cells]
    for output in outputs(notebook):
        found += [output.get("text", ""), *output.get("traceback", [])]
        found += [str(content) for kind, content in output.get("data", {}).items() if not kind.startswith("image/")]
    return found


def no_error(notebook: NotebookNode) -> None:
    assert not [output for output in outputs(notebook) if output.output_type == "error"], "an error is among the outputs"


def no_warning(notebook: NotebookNode) -> None:
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"], "something is on standard error"
    assert not any("Warning:" in text or "\x1b[" in text for text in texts(notebook)), "a warning, or colours of a terminal"


def no_machine(notebook: NotebookNode) -> None:
    for text in texts(notebook):
        assert not MACHINE_PATH.search(text), f"a path of a machine: {text[:200]}"


def no_credential(notebook: NotebookNode) -> None:
    for text in texts(notebook):
        assert scrub(text) == text, "a secret of this machine, or a long string behind a word that announces one"
        assert not GIVEN.search(text), "a value is given to a token"
        assert not any(looks_like_token(word) for word in text.split()), "a word looks like a token"


def executed_in_order(notebook: NotebookNode) -> None:
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "not run from top to bottom"


def has_outputs(notebook: NotebookNode) -> None:
    assert len(outputs(notebook)) >= 3, "it was committed without its outputs"


def has_parameters(notebook: NotebookNode) -> None:
    tagged = [number for number, cell in enumerate(code_cells(notebook)) if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == [0], "the first code cell, and no other, is tagged parameters"


def is_small(notebook: NotebookNode) -> None:
    assert len(nbformat.writes(notebook).encode()) < LARGEST, "it is too large"


def is_bare(notebook: NotebookNode) -> None:
    """Nothing in it changes from run to run but the outputs."""
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info == {"name": "python"}
    assert [cell.id for cell in notebook.cells] == [f"cell-{number:02d}" for number in range(1, len(notebook.cells) + 1)]
    assert not any(set(cell.metadata) - {"tags"} for cell in notebook.cells), "times of execution, or an editor's metadata"


def has_no_logic(notebook: NotebookNode) -> None:
    assert not any(re.search(r"^\s*(class|def) ", cell.source, re.MULTILINE) for cell in code_cells(notebook))


RULES: list[Callable[[NotebookNode], None]] = [
    no_error,
    no_warning,
    no_machine,
    no_credential,
    executed_in_order,
    has_outputs,
    has_parameters,
    is_small,
    is_bare,
    has_no_logic,
]


def test_each_has_its_sizes_and_its_line() -> None:
    names = [path.stem for path in NOTEBOOKS]
    assert names == sorted(SMOKE)
    table = (ROOT / "notebooks/README.md").read_text()
    assert re.findall(r"^\| \[(\w+)\]\(\1\.ipynb\)", table, re.MULTILINE) == names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_is_committed(path: Path, rule: Callable[[NotebookNode], None]) -> None:
    rule(nbformat.read(path, as_version=4))


def good() -> NotebookNode:
    """The smallest notebook that keeps every rule."""
    cells = [nbformat.v4.new_code_cell(source, execution_count=n) for n, source in enumerate(["N = 1", "N", "print(N)"], 1)]
    for number, cell in enumerate(cells, 1):
        cell.id = f"cell-{number:02d}"
        cell.outputs = [nbformat.v4.new_output("stream", text="1\n")]
    cells[0].metadata["tags"] = ["parameters"]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def printed(text: str) -> Callable[[NotebookNode], object]:
    return lambda notebook: notebook.cells[1].outputs.append(nbformat.v4.new_output("stream", text=text))


def written(text: str) -> Callable[[NotebookNode], object]:
    return lambda notebook: notebook.cells[1].update(source=text)


BREAKS: list[tuple[Callable[[NotebookNode], None], Callable[[NotebookNode], object]]] = [
    (no_error, lambda n: n.cells[1].outputs.append(nbformat.v4.new_output("error", ename="E", evalue="", traceback=[]))),
    (no_warning, lambda n: n.cells[1].outputs.append(nbformat.v4.new_output("stream", name="stderr", text="50%"))),
    (no_warning, printed("DeprecationWarning: use another one")),
    (no_warning, printed("\x1b[31mred")),
    *(
        (no_machine, printed(f"saved to {path}"))
        for path in ("/home/me/a.png", "/root/a", "/tmp/x/y", "/work/x", "/Users/me/a")
    ),
    (no_machine, written('open("C:\\\\data.csv")')),
    (no_machine, lambda n: n.cells[1].outputs.append(nbformat.v4.new_output("execute_result", {"text/html": "<b>/tmp/a</b>"}))),
    (no_credential, printed("Authorization: Bearer abcDEF123456-_xyzabc")),
    (no_credential, written('service(token="short")')),
    (no_credential, written("key = 'Ab3dEf6hIj9lMn2pQr5tUv8x'")),
    (no_credential, printed("it was canary-in-the-environment")),
    (executed_in_order, lambda n: n.cells[1].update(execution_count=7)),
    (executed_in_order, lambda n: n.cells[1].update(execution_count=None)),
    (has_outputs, lambda n: [cell.update(outputs=[]) for cell in n.cells]),
    (has_parameters, lambda n: n.cells[0].metadata.pop("tags")),
    (is_small, printed("x" * LARGEST)),
    (is_bare, lambda n: n.metadata.update(authors=["me"])),
    (is_bare, lambda n: n.cells[1].update(id="8f3a")),
    (is_bare, lambda n: n.cells[1].metadata.update(execution={"iopub.execute_input": "2026"})),
    (has_no_logic, written("def helper():\n    return 1")),
]


@pytest.mark.parametrize(("rule", "spoil"), BREAKS, ids=[f"{rule.__name__}-{n}" for n, (rule, _) in enumerate(BREAKS)])
def test_a_bad_notebook_is_noticed(rule, spoil, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLES[0], "canary-in-the-environment")
    notebook = good()
    for one in RULES:
        one(notebook)
    spoil(notebook)
    with pytest.raises(AssertionError):
        rule(notebook)


def test_every_rule_is_broken_once() -> None:
    assert {rule for rule, _ in BREAKS} == set(RULES)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No saved account, no token, and a proxy that is not there: a call of IBM's cloud would fail."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("path", slow_but([ROOT / "notebooks/02_search_space.ipynb"], NOTEBOOKS), ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    place = next(n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    known = set(re.findall(r"^(\w+) =", notebook.cells[place].source, re.MULTILINE))
    assert set(SMOKE[path.stem]) <= known, "a size that the notebook does not have"
    sizes = "\n".join(f"{name} = {value!r}" for name, value in SMOKE[path.stem].items())
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(sizes))
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("examples", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    no_warning(notebook)
    no_machine(notebook)
