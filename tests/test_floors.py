"""Imports only go down, as `[tool.importlinter]` in pyproject.toml has it: rooms, inner rooms, and no circle of files."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import api, configuration
from importlinter.application.use_cases import lint_imports

import qlstm_qiskit

PACKAGE = Path(qlstm_qiskit.__file__).parent
CONFIG = str(PACKAGE.parent / "pyproject.toml")
FILES = sorted(PACKAGE.rglob("*.py"))

_LAYERS: list[dict[str, Any]] = [
    contract for contract in api.read_configuration(CONFIG)["contracts_options"] if contract["type"] == "layers"
]
#: The rooms from the ground up, and the inner rooms of a room.
FLOORS = tuple(reversed(_LAYERS[0]["layers"]))
INNER = {contract["containers"][0].split(".")[1]: tuple(reversed(contract["layers"])) for contract in _LAYERS[1:]}


@cache
def graph() -> grimp.ImportGraph:
    """All imports of this package by its own files, those for types alone too."""
    return grimp.build_graph("qlstm_qiskit", cache_dir=None)


def edges(room: str = "") -> set[tuple[str, str]]:
    """Which room imports which other one; of the inner rooms of a room, if one is given."""
    found = set()
    for file in graph().modules:
        for module in graph().find_modules_directly_imported_by(file):
            (own, own_inner), (other, its_inner) = ((*name.split(".")[1:3], "", "")[:2] for name in (file, module))
            pair = (own_inner, its_inner) if room else (own, other)
            if (not room or own == other == room) and all(pair) and pair[0] != pair[1] and own != "__main__":
                found.add(pair)
    return found


def test_imports_only_go_down(capsys: pytest.CaptureFixture[str]) -> None:
    """Those for types alone and those inside functions, too."""
    configuration.configure()  # its command would disable the loggers that there are
    kept = lint_imports(config_filename=CONFIG, cache_dir=None)
    assert kept, capsys.readouterr().out.split("Broken contracts")[-1]


def test_no_file_imports_from_a_package_that_it_lies_in() -> None:
    """It would reach whatever the package gives out, unseen by the rules above; the number of the version lies at the top."""
    for file in graph().modules:
        for package in graph().find_modules_directly_imported_by(file):
            if file.startswith(f"{package}."):
                for found in graph().get_import_details(importer=file, imported=package):
                    line = found["line_contents"]
                    assert line.endswith("qlstm_qiskit import __version__"), f"{file}: {line}"


def test_a_public_class_has_a_name_of_its_own() -> None:
    """Private ones may share a name: nobody meets two of them at once."""
    homes: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_no_file_and_no_function_is_long() -> None:
    """300 lines and 60, docstrings included."""
    assert {str(path): n for path in FILES if (n := len(path.read_text().splitlines())) > 300} == {}
    long = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
                lines = (node.end_lineno or 0) - first + 1
                if lines > 60:
                    long[f"{path.relative_to(PACKAGE)}:{node.name}"] = lines
    assert long == {}


def test_the_picture_in_the_architecture_is_this_order() -> None:
    text = (PACKAGE.parent / "ARCHITECTURE.md").read_text()
    assert tuple(reversed(re.findall(r"^  (\w+)  +\w", text.split("```text")[1], flags=re.MULTILINE))) == FLOORS


def test_the_floor_plan_is_drawn_from_this_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PACKAGE.parent / "docs")
    drawn = importlib.import_module("rooms").picture()
    pairs = {tuple(pair.split()) for pair in re.findall(r'data-import="([^"]+)"', drawn)}
    assert pairs == edges().union(*map(edges, INNER))
    assert drawn == (PACKAGE.parent / "docs" / "_static" / "rooms.svg").read_text(), "run `python docs/rooms.py`"


def test_only_nn_asks_for_the_class_of_a_layer() -> None:
    """The other rooms ask a model for its `circuits`."""
    files = [path for path in FILES if "nn" not in path.parts]
    assert [path for path in files if re.search(r"isinstance\([^)]*\b(QLSTM|QGRU|Recurrent)\b", path.read_text())] == []
