"""Imports only go down: between rooms, between the inner rooms of a room, and in no circle between files."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import qlstm_qiskit
import qlstm_qiskit.hardware

#: The rooms from the ground up, as in ARCHITECTURE.md.
FLOORS = (
    "errors",
    "storage",
    "circuits",
    "data",
    "exact",
    "hardware",
    "space",
    "nn",
    "search",
    "training",
    "experiments",
    "report",
    "cli",
)
#: The inner rooms of a room from the ground up; files that lie beside them come last.
INNER = {
    "experiments": ("runs", "export", "scaling", "studies"),
    "hardware": ("contract", "config", "device", "executors", "jobs", "interpreter", "loading", "check"),
}
PACKAGE = Path(qlstm_qiskit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

#: Where names live that packages give out on first use: importing one reaches its home.
LAZY = {"qlstm_qiskit": qlstm_qiskit._HOMES, "qlstm_qiskit.hardware": qlstm_qiskit.hardware._HOMES}


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


@cache
def imported(path: Path) -> frozenset[str]:
    """Modules of this package that a file imports anywhere, for its types alone too."""
    return frozenset(_imported(ast.parse(path.read_text()), path))


def _imported(tree: ast.AST, path: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            if node.module in MODULES:
                for alias in node.names:
                    home = LAZY.get(node.module, {}).get(alias.name)
                    inner = f"{node.module}.{home or alias.name}"
                    yield inner if inner in MODULES else node.module


def place(module: str) -> tuple[str, str]:
    """The room of a module and its inner room, if it has any."""
    parts = module.split(".")[1:]
    return (parts[0] if parts else ""), (parts[1] if parts and parts[0] in INNER and len(parts) > 1 else "")


def edges(room: str = "") -> set[tuple[str, str]]:
    """Which room imports which other one; of the inner rooms of a room, if one is given."""
    found = set()
    for name, path in MODULES.items():
        for module in imported(path):
            (own, own_inner), (other, its_inner) = place(name), place(module)
            pair = (own_inner, its_inner) if room else (own, other)
            if (not room or own == other == room) and all(pair) and pair[0] != pair[1] and own != "__main__":
                found.add(pair)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    room, inner = place(module_of(path))
    if room in {"", "__main__"}:
        return  # the public names, imported on first use; and the command line
    for module in imported(path):
        other, its_inner = place(module)
        if not other:
            continue
        assert FLOORS.index(other) <= FLOORS.index(room), f"{room} imports {module}, which lies above it"
        if other == room and inner and its_inner:
            floors = INNER[room]
            assert floors.index(its_inner) <= floors.index(inner), f"{room}/{inner} imports {module}, which lies above it"


def test_every_room_has_a_floor() -> None:
    rooms = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.is_dir() or p.suffix == ".py"}
    assert rooms - {"__init__", "__main__", "__pycache__", "py.typed"} == set(FLOORS)
    for room, floors in INNER.items():
        inner = {p.name.removesuffix(".py") for p in (PACKAGE / room).iterdir() if p.is_dir() or p.suffix == ".py"}
        assert inner - {"__init__", "__pycache__"} == set(floors)


def circles() -> list[list[str]]:
    """Files that import one another, for their types alone too, directly or through others: Tarjan's components."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in imported(MODULES[module]):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            place_on_stack = stack.index(module)
            component = stack[place_on_stack:]
            del stack[place_on_stack:]
            if len(component) > 1:
                found.append(sorted(component))

    for module in MODULES:
        if module not in index:
            visit(module)
    return found


def test_no_files_import_one_another() -> None:
    """But for what reads the options of an estimator, which are attributes of it and no object of their own."""
    options = [f"qlstm_qiskit.training.{name}" for name in ("fitting", "inputs", "optimizers", "options", "regressor")]
    assert circles() == [options]


def test_a_public_class_has_a_name_of_its_own() -> None:
    """Private ones may share a name: nobody meets two of them at once."""
    homes: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def test_the_picture_in_the_architecture_is_this_order() -> None:
    text = (PACKAGE.parent / "ARCHITECTURE.md").read_text()
    picture = re.findall(r"^  (\w+)  +\w", text.split("```text")[1], flags=re.MULTILINE)
    assert tuple(reversed(picture)) == FLOORS


def test_the_floor_plan_is_drawn_from_this_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PACKAGE.parent / "docs")
    drawn = importlib.import_module("rooms").picture()
    pairs = {tuple(pair.split()) for pair in re.findall(r'data-import="([^"]+)"', drawn)}
    assert pairs == edges().union(*map(edges, INNER))
    assert drawn == (PACKAGE.parent / "docs" / "_static" / "rooms.svg").read_text(), "run `python docs/rooms.py`"


def test_only_nn_asks_whether_a_layer_is_a_qlstm() -> None:
    """The other rooms ask a model for its `circuits`."""
    asking = [path for path in FILES if "nn" not in path.parts and re.search(r"isinstance\([^)]*\bQLSTM\b", path.read_text())]
    assert asking == []
