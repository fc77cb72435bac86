"""Imports only go down: a room may import itself and what lies below it, nothing above."""

import ast
import re
from pathlib import Path

import pytest

import qlstm_qiskit

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
PACKAGE = Path(qlstm_qiskit.__file__).parent


def rooms_imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    rooms = {name.split(".")[1] for name in names if name.startswith("qlstm_qiskit.")}
    rooms = {qlstm_qiskit._HOMES.get(name, name) for name in rooms}  # `from qlstm_qiskit import QLSTM` reaches nn
    return rooms & set(FLOORS)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in {"__init__", "__main__"}:
        return  # the public names, imported on first use; and the command line
    upward = {other for other in rooms_imported(path) if FLOORS.index(other) > FLOORS.index(room)}
    assert not upward, f"{room} imports {upward}, which lie above it"


def test_every_room_has_a_floor() -> None:
    rooms = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.is_dir() or p.suffix == ".py"}
    assert rooms - {"__init__", "__main__", "__pycache__", "py.typed"} == set(FLOORS)


def test_the_picture_in_the_architecture_is_this_order() -> None:
    text = (PACKAGE.parent / "ARCHITECTURE.md").read_text()
    picture = re.findall(r"^  (\w+)  +\w", text.split("```text")[1], flags=re.MULTILINE)
    assert tuple(reversed(picture)) == FLOORS
