"""What a public host runs: workflows that can be read, that try the Pythons we name, and that call what is there."""

import builtins
import re
from pathlib import Path

import pytest
import yaml

from qlstm_qiskit.errors import installing

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = (ROOT / "pyproject.toml").read_text()


def steps(path: Path) -> list[str]:
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_what_is_there(path: Path) -> None:
    commands = steps(path)
    assert commands
    for command in commands:
        for part in re.findall(r"(?<![\w/])(?:\.ci|tests)/\w+", command):
            assert (ROOT / part).exists(), command
        for extra in re.findall(r"\.\[(\w+)\]", command):
            assert re.search(rf"^{extra} = ", PROJECT, flags=re.MULTILINE), command


def test_the_pythons_that_are_tried_are_those_that_are_promised() -> None:
    promised = re.findall(r"Python :: (3\.\d+)", PROJECT)
    versions = yaml.safe_load((ROOT / ".github" / "workflows" / "versions.yml").read_text())
    assert versions["jobs"]["latest"]["strategy"]["matrix"]["python"] == promised
    assert f'requires-python = ">={promised[0]}"' in PROJECT


def test_the_image_installs_extras_that_exist() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    (extras,) = re.findall(r"\.whl\)\[([\w,]+)\]", dockerfile)
    for extra in extras.split(","):
        assert re.search(rf"^{extra} = ", PROJECT, flags=re.MULTILINE), extra
    for source in re.findall(r"^COPY (?!--from)(\S+) ", dockerfile, flags=re.MULTILINE):
        assert (ROOT / source).exists()


def test_messages_say_how_to_install_an_extra_in_one_wording() -> None:
    """From a checkout too, as long as the package is on no index; `errors.installing` words it, and extras exist."""
    package = ROOT / "qlstm_qiskit"
    sources = {str(path.relative_to(package)): path.read_text() for path in package.rglob("*.py")}
    wording = [name for name, text in sources.items() if "pip install 'qlstm-qiskit" in text or "pip install -e" in text]
    assert wording == ["errors.py"]
    named = {extra for text in sources.values() for extra in re.findall(r"installing\(['\"](\w+)['\"]\)", text)}
    assert named == {"controls", "explain", "logging", "ray", "report", "sktime"}
    for extra in named:
        assert re.search(rf"^{extra} = ", PROJECT, flags=re.MULTILINE), extra
        assert f"pip install -e '.[{extra}]'" in installing(extra)
        assert f"pip install 'qlstm-qiskit[{extra}]'" in installing(extra)


def test_warnings_that_tests_do_not_show_are_those_of_other_packages(pytestconfig: pytest.Config) -> None:
    """Each is named by its text, its kind and the module that it comes from, which is none of ours."""
    for line in pytestconfig.getini("filterwarnings"):
        action, text, kind, module = line.split(":")
        assert (action, bool(text)) == ("ignore", True)
        assert issubclass(getattr(builtins, kind), Warning)
        assert not module.startswith(("qlstm_qiskit", "tests")), line
        assert re.match(r"\w+\\\.\w+", module), line
