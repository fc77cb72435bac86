"""Imports only go down, as `[tool.importlinter]` in pyproject.toml has it: rooms, inner rooms, and no circle of files."""

import re
from pathlib import Path

import grimp
import pytest
from importlinter import api, cli

import qlstm_qiskit

PACKAGE = Path(qlstm_qiskit.__file__).parent
CONFIG = str(PACKAGE.parent / "pyproject.toml")


def test_imports_only_go_down(capsys: pytest.CaptureFixture[str]) -> None:
    """Those for types alone and those inside functions, too."""
    code = cli.lint_imports(config_filename=CONFIG, no_cache=True)
    assert code == cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out.split("Broken contracts")[-1]


def test_no_file_imports_from_a_package_that_it_lies_in() -> None:
    """It would reach whatever the package gives out, unseen by the rules above; the number of the version lies at the top."""
    graph = grimp.build_graph("qlstm_qiskit", cache_dir=None)
    for file in graph.modules:
        for package in graph.find_modules_directly_imported_by(file):
            if file.startswith(f"{package}."):
                for found in graph.get_import_details(importer=file, imported=package):
                    line = found["line_contents"]
                    assert line.endswith("qlstm_qiskit import __version__"), f"{file}: {line}"


def test_the_picture_in_the_architecture_is_this_order() -> None:
    (rooms, *_) = api.read_configuration(CONFIG)["contracts_options"]
    text = (PACKAGE.parent / "ARCHITECTURE.md").read_text()
    assert re.findall(r"^  (\w+)  +\w", text.split("```text")[1], flags=re.MULTILINE) == rooms["layers"]


def test_only_nn_asks_for_the_class_of_a_layer() -> None:
    """The other rooms ask a model for its `circuits`."""
    files = [path for path in PACKAGE.rglob("*.py") if "nn" not in path.parts]
    assert [path for path in files if re.search(r"isinstance\([^)]*\b(QLSTM|QGRU|Recurrent)\b", path.read_text())] == []
