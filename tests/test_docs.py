"""The documentation: what it tells people to type works, every public name is described, every command has an example."""

import ast
import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qlstm_qiskit import errors
from qlstm_qiskit.cli import main
from qlstm_qiskit.cli.app import command as all_commands
from qlstm_qiskit.experiments.studies.statistics import COVERAGE, LEAST, RESAMPLES
from qlstm_qiskit.experiments.studies.study import load_study
from qlstm_qiskit.hardware.executors.cost import CIRCUIT_US, JOB_SECONDS
from qlstm_qiskit.hardware.executors.packing import AUTO_SHARE
from qlstm_qiskit.training.spsa import _ALPHA, _GAMMA
from tests.speed import slow_but

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "generated" not in path.parts)
BLOCK = re.compile(r"^```(sh|python|yaml)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
WITH_CODE = [path for path in PAGES if BLOCK.search(path.read_text())]

#: The public packages below `qlstm_qiskit` itself.
ROOMS = ("circuits", "space", "search", "nn", "training", "hardware", "experiments", "data", "exact", "report")
#: What builds an error for the caller to raise, or raises it.
BUILDERS = {"unknown_option": "OptionError", "one_model_needed": "OptionError", "require_at_least": "OptionError"}


#: How commands begin that a page may name in a block of shell and that are not tried: they install.
INSTALLING = ("python3 -m venv ", "pip install ", "docker ", "make ")


#: Pages whose commands train little.
QUICK = [path for path in WITH_CODE if path.stem in ("mathematics", "qnn")]


@pytest.mark.parametrize("page", slow_but(QUICK, WITH_CODE), ids=lambda path: path.stem)
def test_what_a_page_tells_to_type_works(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = try_page(page, tmp_path, monkeypatch, capsys)
    if page.stem == "circuits":
        assert "Ry(x[0])" in printed
    if page.stem == "csv":
        assert len((tmp_path / "runs" / "cycle_ahead.csv").read_text().splitlines()) == 12


def try_page(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Blocks in order, in an empty folder beside the examples; training for one epoch. A block that names a file is one.

    Returns what the Python blocks print.
    """
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    (folder / "examples").symlink_to(ROOT / "examples")
    modules = set(sys.modules)
    names: dict[str, object] = {}
    printed = ""
    for kind, block in BLOCK.findall(page.read_text()):
        name = re.match(r"# ([\w.]+\.(?:py|yaml))\n", block)
        if name:
            (folder / name[1]).write_text(block)
        elif kind == "python":
            exec(block, names)
            printed += capsys.readouterr().out
        elif kind == "sh":
            for line in block.splitlines():
                if not line.startswith(INSTALLING):
                    assert line.startswith("qlstm "), f"{line}: only commands of qlstm are tried"
                    run(line, capsys)
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
    return printed


def run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command, with one epoch where it trains; where it makes a table, with one series and three rows."""
    arguments = shlex.split(command)[1:]
    if arguments[0] == "train" and "--resume" not in arguments:
        arguments += ["--epochs", "1"]
    if arguments[0] == "audit":
        arguments += ["--epochs", "1", "--seeds", "1", "--jobs", "1"]
    if arguments[0] == "table":
        study = arguments[arguments.index("--study") + 1] if "--study" in arguments else ""
        series = {"real": "nile"} | dict.fromkeys(("chaos", "chaos-leak-free"), "henon-k1-lag4")
        rows = "qlstm,lstm,esn" if study.startswith("chaos") else "config1,lstm,ridge"
        arguments += ["--epochs", "1", "--seeds", "1", "--jobs", "1", "--datasets", series.get(study, "narma5")]
        arguments += [] if "--rows" in arguments else ["--rows", rows]
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    streams = capsys.readouterr()
    assert not caught.value.code, f"{command}: {streams.err}"


def outputs() -> Iterator[tuple[str, str]]:
    """Files and folders that the README and the pages tell to make, in one folder, with the command; `--resume` makes none."""
    for page in (ROOT / "README.md", *PAGES):
        for kind, block in BLOCK.findall(page.read_text()):
            for line in block.splitlines() if kind == "sh" else ():
                words = shlex.split(line)
                if "--out" in words and "--resume" not in words:
                    yield words[words.index("--out") + 1], line
                else:
                    assert words[1:2] != ["train"] or "--resume" in words, f"{line}: name the folder, so that it is another one"


def test_no_page_makes_what_another_one_has_made() -> None:
    """Whoever types them one after another would be refused. A table goes on where the same command is given again."""
    made: dict[str, str] = {}
    for name, line in outputs():
        assert name not in made or (made[name] == line and line.startswith("qlstm table ")), f"{made[name]}\n{line}"
        made[name] = line
    assert {"runs/pendulum", "runs/fine-tuned", "exported/qpy"} <= set(made)


def kept() -> set[Path]:
    """Files of the repository and the folders that they lie in; nothing that a build has made."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    files = {ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    if listed.returncode:  # a copy without its history
        files = {path for path in ROOT.rglob("*") if "generated" not in path.relative_to(ROOT).parts}
    return files | {folder for file in files for folder in file.parents}


def test_links_lead_to_what_is_kept() -> None:
    """As pages are read in the repository: what `make docs` makes is not there."""
    there, dead = kept(), []
    pages = [*ROOT.glob("*.md"), *PAGES, *ROOT.glob("notebooks/*.md"), *ROOT.glob("results/*.md")]
    for page in pages:
        for target in re.findall(
            r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        ):
            name = target.partition("#")[0]
            if ":" not in target and name and Path(os.path.normpath(page.parent / name)) not in there:
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert dead == []


def test_extras_that_are_named_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    named = {
        extra
        for page in (ROOT / "README.md", *PAGES)
        for extras in re.findall(r"(?:qlstm-qiskit|\.)\[([\w,]+)\]", page.read_text())
        for extra in extras.split(",")
    }
    assert "report" in named
    install = (ROOT / "docs" / "install.md").read_text()
    named |= set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", install, flags=re.MULTILINE))))
    assert named == set(re.findall(r"^(\w+) = \[", project.split("[project.optional-dependencies]")[1].split("\n\n")[0], re.M))


def commands() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, words: list[str]) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield " ".join(words), command
        for name, own in getattr(command, "commands", {}).items():
            yield from walk(own, [*words, name])

    yield from walk(all_commands(), ["qlstm"])


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_has_an_example(name: str, command: Any) -> None:
    assert f"Example: {name}" in (command.help or "")


def test_help_is_in_sentences() -> None:
    """A command says what it does, an option what it is, in words that stand alone; paragraphs flow."""
    faults = []
    for name, command in commands():
        paragraphs = (command.help or "").split("\n\n")
        first = paragraphs[0].split()[0]
        said = {"": paragraphs[0]} | {str(own.name): getattr(own, "help", None) or "" for own in command.params}
        faults += [f"{name} {option}: {text}" for option, text in said.items() if not _is_a_sentence(text)]
        faults += [f"{name}: {text}" for text in paragraphs if "\n" in text]
        faults += [f"{name} begins with {first}"] if not first[0].isupper() or first.endswith("s") else []
    assert not faults, "\n".join(faults)


def _is_a_sentence(text: str) -> bool:
    return text.endswith(".") and len(text.split()) > 2 and not text.startswith(("Of ", "Which", "In "))


def described() -> dict[str, Any]:
    """Every public class and function by its name. Constants and aliases of types are described where they are defined."""
    found = {}
    for name in ("qlstm_qiskit", *(f"qlstm_qiskit.{room}" for room in ROOMS)):
        module = importlib.import_module(name)
        assert module.__doc__, f"{module.__name__} says what it is"
        for export in module.__all__:
            value = getattr(module, export)
            if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith("qlstm_qiskit"):
                found[f"{value.__module__}.{export}"] = value
    return found


PUBLIC = described()


def methods(value: Any) -> Iterator[tuple[str, Any, str]]:
    """A function, or the public methods that a class defines itself, with the text that describes each."""
    text = inspect.getdoc(value) or ""
    if not inspect.isclass(value):
        yield value.__name__, value, text
        return
    for name, own in vars(value).items():
        function = getattr(own, "__func__", getattr(own, "fget", own))
        if inspect.isfunction(function) and function.__code__.co_filename == inspect.getfile(value):  # not a dataclass's own
            if name in {"__init__", "__post_init__"}:
                yield name, function, text
            elif not name.startswith("_"):
                yield name, function, (inspect.getdoc(function) or "") + "\n" + text


def lacking(name: str) -> Iterator[str]:
    """What the description of a public name says nothing of."""
    value = PUBLIC[name]
    text = inspect.cleandoc(value.__doc__ or "")
    if not text:
        yield f"{name} is not described"
    if inspect.isclass(value) and getattr(value, "_is_protocol", False):
        return  # nobody makes one
    arguments = [key for key in inspect.signature(value).parameters if key not in {"self", "args", "kwargs"}]
    if arguments and not re.search(r"^(Args|Attributes):\n", text, flags=re.MULTILINE):
        yield f"{name} has arguments ({', '.join(arguments)}) and neither Args nor Attributes"
    for key in arguments:
        if not re.search(rf"^ +([\w, ]+, )?{key}(, [\w, ]+)?:", text, flags=re.MULTILINE):
            yield f"{name} does not describe {key}"


def test_what_is_public_is_described_with_its_arguments() -> None:
    assert len(PUBLIC) > 100
    faults = [fault for name in PUBLIC for fault in lacking(name)]
    assert not faults, "\n".join(faults)


def raised(function: Any) -> set[str]:
    """Errors of `qlstm_qiskit.errors` that a function raises in its own body, not in functions that it calls."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    found, stack = set(), list(ast.iter_child_nodes(tree))
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            continue
        stack += ast.iter_child_nodes(node)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            found.add(BUILDERS.get(node.exc.func.id, node.exc.func.id))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require_at_least":
            found.add(BUILDERS[node.func.id])
    return {name for name in found if issubclass(getattr(errors, name, type), errors.QLSTMError)}


def unnamed(name: str) -> Iterator[str]:
    """Errors that a public name raises and does not tell of."""
    for method, function, text in methods(PUBLIC[name]):
        named = " ".join(re.findall(r"^Raises:\n((?: .*\n?|\n)+)", text, flags=re.MULTILINE))
        for error in raised(function):
            if error not in named:
                yield f"{name}, {method}: {error} is not in its Raises section"


def test_errors_that_are_raised_are_named() -> None:
    faults = [fault for name in PUBLIC for fault in unnamed(name)]
    assert not faults, "\n".join(faults)


def test_what_the_results_page_says_is_what_the_table_says() -> None:
    """The statements of docs/results.md, which has its numbers from the files themselves."""
    found = json.loads((ROOT / "results" / "table2-tuned" / "table.json").read_text())
    tests = [test for family in found["families"].values() for test in family]

    def verdicts(first: str, second: str) -> list[str]:
        return [test["verdict"] for test in tests if (test["first"], test["second"]) == (first, second)]

    assert verdicts("diffqas", "lstm") == ["worse", "worse", "undecided", "undecided", "worse"]
    assert verdicts("derived", "lstm") == verdicts("best-of-random", "lstm") == ["worse"] * 5
    assert set(verdicts("diffqas", "lstm-20")) == {"worse", "undecided"}
    assert verdicts("hybrid-derived", "lstm") == ["undecided"] * 5
    assert verdicts("hybrid-best-of-random", "lstm") == ["undecided", "undecided", "better", "undecided", "undecided"]
    assert verdicts("hybrid-config1", "lstm") == ["undecided"] * 4 + ["worse"]
    for row in ("hybrid-derived", "hybrid-best-of-random"):
        assert [place for place, verdict in enumerate(verdicts(row, "hybrid-config1")) if verdict == "better"] == [2]
    median = {(cell["row"], cell["dataset"]): cell["summary"]["median"] for cell in found["cells"]}
    published = {cell["dataset"]: cell["published"] for cell in found["cells"] if cell["row"] == "diffqas"}
    for row in {row for row, _ in median} - {"ridge", "persistence", "esn"}:
        assert all(median[row, dataset] < published[dataset] for dataset in published)
    assert sum(median["lstm", dataset] < median["diffqas", dataset] for dataset in published) >= 3
    trained = {row for row, _ in median} - {"ridge", "persistence", "esn"}
    for dataset in ("bessel", "damped_shm", "delayed_quantum_control"):
        assert median["esn", dataset] < 0.5 * min(median[row, dataset] for row in trained)
    for dataset in ("bessel", "delayed_quantum_control"):
        assert median["ridge", dataset] < 0.5 * min(median[row, dataset] for row in trained)
    assert median["ridge", "narma10"] < min(median[row, "narma10"] for row in trained)
    page = (ROOT / "docs" / "results.md").read_text()
    counts = Counter(row.split()[0] for row in load_study("recipe").rows)
    assert (
        f"{counts['circuit']} settings of the circuit, {counts['search']} of the search and {counts['lstm']} of the LSTM"
        in page
    )
    assert median["persistence", "narma10"] < min(
        median[row, "narma10"] for row in {row for row, _ in median} - {"persistence"}
    )
    circuits = {cell["row"]: cell["n_circuits"] for cell in found["cells"]}
    assert (circuits["derived"], circuits["diffqas"]) == (4, 144)


def test_numbers_in_the_text_are_those_of_the_package() -> None:
    mathematics, cost = ((ROOT / "docs" / name).read_text() for name in ("mathematics.md", "how-to/cost.md"))
    assert rf"{CIRCUIT_US:g}\,\mu\text{{s}}) + {JOB_SECONDS:g}\,\text{{s}}" in mathematics
    assert f"+ {CIRCUIT_US:g} us) + {JOB_SECONDS:g} s per job" in cost
    assert f"down to ${AUTO_SHARE}$ of the best" in mathematics
    devices = " ".join((ROOT / "docs" / "how-to" / "devices.md").read_text().split())
    assert f"keep {AUTO_SHARE:.0%}".replace("%", " %") + " of the best one's estimated success" in devices
    assert f"us per shot and {JOB_SECONDS:g} s per job" in devices
    assert f"{COVERAGE:.0%}".replace("%", " %") in mathematics
    assert f"with {RESAMPLES} resamples" in mathematics
    assert LEAST == 6, "six values, six pairs"
    assert f"(k+1)^{{{_GAMMA}}}" in mathematics
    assert rf"\right)^{{{_ALPHA}}}" in mathematics


#: Sections of docs/extending.md whose files are there.
TRIED = ("A gate", "A cell", "A task", "A noise source", "An option", "A file format")


@pytest.mark.parametrize("section", TRIED)
def test_what_a_contributor_is_sent_to_is_there(section: str) -> None:
    """Files, names beside them, and the tests that guard an addition."""
    page = (ROOT / "docs" / "extending.md").read_text()
    text = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
    paths = set(re.findall(r"`((?:qlstm_qiskit|tests|docs)/[\w/.-]+)(?:::(\w+))?`", text))
    assert any(test for _, test in paths)
    sources = ""
    for path, test in paths:
        assert (ROOT / path).exists(), path
        if (ROOT / path).is_file():
            sources += (ROOT / path).read_text()
        assert not test or f"def {test}(" in (ROOT / path).read_text(), f"{path} has no {test}"
    for name in re.findall(r"`([A-Z]\w*|_\w+|\w+_\w+)`", text):
        assert re.search(rf"\b{name}\b", sources), f"{name} is in none of the files of the section"


def test_every_public_package_has_a_page() -> None:
    """Those of `ROOMS`, and none beside them but the command line, which has a page of its own."""
    package = ROOT / "qlstm_qiskit"
    assert {path.parent.name for path in package.glob("*/__init__.py")} - {"cli"} == set(ROOMS)
    source = (ROOT / "docs" / "pages.py").read_text()
    assert set(re.findall(r'"qlstm_qiskit\.(\w+)"', source)) == set(ROOMS)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_formulas_stand_alone(page: Path) -> None:
    """Displayed ones begin in the first column: inside a list MyST takes them for text."""
    assert not re.search(r"^[ \t]+\$\$", page.read_text(), flags=re.MULTILINE)
