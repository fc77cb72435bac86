"""`qlstm audit` as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.speed import slow_but

TRAIN = ["train", "--csv", "wave.csv", "--target", "value", "--hidden-size", 1, "--epochs", 2]
OF = {
    "circuits": ["--model", "config1", "--depth", 1],
    "replaced": ["--model", "config1", "--depth", 1, "--bank", "tanh"],
    "lstm": ["--model", "lstm"],
    "search": ["--model", "diffqas", "--depth", 1, "--strategy", "softmax"],
    "shots": ["--model", "config1", "--depth", 1, "--backend", "exact-shots"],
    "ensemble": ["--model", "config1", "--depth", 1, "--replicas", 2],
}


@pytest.fixture
def trained(qlstm):
    """Train a kind of model into a folder of its name."""
    pd.DataFrame({"value": np.sin(np.arange(50) / 3)}).to_csv("wave.csv", index=False)

    def train(kind: str) -> None:
        code, _, err = qlstm(*TRAIN, *OF[kind], "--out", kind)
        assert code == 0, err

    return train


def test_an_audit_beside_its_run(qlstm, trained) -> None:
    trained("circuits")
    command = ["audit", "circuits", "--seeds", 1, "--jobs", 1, "--banks", "tanh,products-all"]
    code, out, err = qlstm(*command)
    assert (code, err) == (0, "")
    assert "1 seed cannot decide; give at least 7 (--seeds)." in out
    for text in ("config1 on wave, 1 seed", "too few seeds", "Written to circuits-audit: audit.json, audit.md, audit.html"):
        assert text in out
    folder = Path("circuits-audit")
    written = {path.name for path in folder.iterdir()}
    assert written == {"audit.html", "audit.json", "audit.md", "environments.json", "records.jsonl", "runs", "study.json"}
    assert (folder / "audit.html").stat().st_size < 2e6
    code, out, _ = qlstm(*command, "--json")
    content = json.loads(out)
    assert content == json.loads((folder / "audit.json").read_text()) | {"out": "circuits-audit", "files": content["files"]}
    assert [row["row"] for row in content["rows"]] == ["circuits", "tanh", "products-all"]
    markdown = (folder / "audit.md").read_text()
    assert "| `tanh` | a perceptron with one hidden layer of tanh |" in markdown
    assert "# Is it the circuit? config1 on wave" in markdown
    code, out, _ = qlstm("report", folder, "--out", "page.html")
    assert (code, "a page on the audit circuits-audit" in out) == (0, True)
    assert Path("page.html").read_bytes() == (folder / "audit.html").read_bytes()


def test_an_audit_of_the_folder_that_one_stands_in(qlstm, trained, monkeypatch: pytest.MonkeyPatch) -> None:
    trained("circuits")
    monkeypatch.chdir("circuits")
    code, _, err = qlstm("audit", ".", "--seeds", 1, "--jobs", 1, "--banks", "tanh")
    assert (code, err) == (0, "")
    assert Path("../circuits-audit/audit.json").exists()


@pytest.mark.parametrize(
    ("kind", "message"),
    slow_but(
        [
            ("lstm", "its model is lstm, which has no circuits"),
            ("shots", "trained on exact-shots, whose shots or noise"),
            ("ensemble", "it is an ensemble of 2 models"),
        ],
        [
            ("ensemble", "it is an ensemble of 2 models"),
            ("lstm", "its model is lstm, which has no circuits"),
            ("shots", "trained on exact-shots, whose shots or noise"),
            ("replaced", "its circuits are replaced by tanh already"),
            ("search", "it is a search over circuits; derive a model"),
        ],
    ),
)
def test_runs_that_cannot_be_audited(qlstm, trained, kind: str, message: str) -> None:
    trained(kind)
    code, out, err = qlstm("audit", kind)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {kind} cannot be audited: ")
    assert message in err
    assert err.count("\n") == 1
    assert not Path(f"{kind}-audit").exists()


REFUSED = {
    "export": (["export", "replaced", "--format", "qpy", "--out", "x"], "this model has no circuits"),
    "another backend": (
        ["evaluate", "replaced", "--backend", "aer-exact"],
        "bank='tanh' has no circuits for backend aer-exact to run",
    ),
    "transpile": (["transpile", "replaced", "--device", "fez"], "tanh in place of circuits, which has no circuits"),
    "derive": (["derive", "replaced", "--out", "x"], "tanh in place of circuits, which has no circuits"),
    "shots": (
        [*TRAIN, *OF["replaced"], "--backend", "exact-shots", "--out", "x"],
        "has no circuits for backend exact-shots to run",
    ),
    "a control": (
        [*TRAIN, *OF["lstm"], "--bank", "tanh", "--out", "x"],
        "the model 'lstm' has no circuits; leave out bank=tanh",
    ),
    "a search": ([*TRAIN, *OF["search"], "--bank", "tanh", "--out", "x"], "chooses among candidates"),
}


@pytest.mark.parametrize("kind", slow_but(["export", "another backend", "a control"], REFUSED))
def test_what_only_circuits_have_is_one_line(qlstm, trained, kind: str) -> None:
    arguments, message = REFUSED[kind]
    trained("replaced")
    code, _, err = qlstm(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not Path("x").exists()


def test_a_replaced_model_is_a_run_like_any_other(qlstm, trained) -> None:
    trained("replaced")
    assert json.loads(Path("replaced/metrics.json").read_text())["bank"] == "tanh"
    code, out, _ = qlstm("evaluate", "replaced", "--json")
    assert code == 0
    assert json.loads(out)["test"] == json.loads(Path("replaced/metrics.json").read_text())["test"]
    code, _, err = qlstm("predict", "replaced", "--csv", "wave.csv", "--out", "p.csv")
    assert (code, err) == (0, "")
    code, _, err = qlstm("report", "replaced", "--out", "replaced.html")
    assert (code, err) == (0, "")
    assert "--bank tanh" in Path("replaced.html").read_text().replace("</span>", "").replace("<span>", "")
    code, _, err = qlstm(*TRAIN, *OF["circuits"], "--resume", "--out", "replaced")
    assert code == 2
    assert 'bank ("tanh" there, "circuits" here)' in err


def test_a_damaged_config_is_one_line(qlstm) -> None:
    Path("run").mkdir()
    for content in ("{", "[]", '{"data": 3, "backend_options": [1]}'):
        Path("run/config.json").write_text(content)
        code, out, err = qlstm("audit", "run")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "damaged" in err
        assert not Path("run-audit").exists()
