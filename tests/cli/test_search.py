"""`qlstm train --strategy`, `derive` and `train --from` as a user meets them."""

import json
import re
from pathlib import Path

import pytest

from qlstm_qiskit.experiments import DataSpec, RunSpec, train_run
from tests.nn.test_constants import BLIND, LIVE, ZERO, genotype

SMALL = ["--hidden-size", "1", "--depth", "1", "--epochs", "2"]


@pytest.mark.slow
def test_from_a_search_to_a_fine_tuned_model(qlstm) -> None:
    code, _, err = qlstm(
        "train", "--dataset", "bessel", *SMALL, "--strategy", "softmax", "--strategy-option", "device.backend=fake-manila",
        "--strategy-option", "device.strength=0.01", "--valid-fraction", 0.2, "--out", "search",
    )  # fmt: skip
    assert (code, err) == (0, "")
    strategy = json.loads(Path("search/config.json").read_text())["search"]
    assert strategy["device"] == {"backend": "fake-manila", "measure": "two-qubit-gates", "strength": 0.01}
    code, out, err = qlstm("derive", "search", "--strategy", "contribution", "--top-k", 1, "--out", "derived")
    assert (code, err) == (0, "")
    assert "Kept of search by contribution" in out
    assert "validation MSE" in out
    assert "Next: qlstm train --from derived" in out
    assert {path.name for path in Path("derived").glob("*.png")} >= {"circuits.png", "forecast.png"}
    code, out, err = qlstm("train", "--from", "derived", "--epochs", 3, "--seed", 1, "--valid-fraction", 0, "--out", "tuned")
    assert (code, err) == (0, "")
    assert "derived on bessel: 3 epochs" in out
    assert "fine-tuned" in out
    config = json.loads(Path("tuned/config.json").read_text())
    assert (config["epochs"], config["seed"], config["valid_fraction"], config["model"]) == (3, 1, 0.0, "derived")
    code, out, err = qlstm("train", "--from", "derived", "--from-scratch", "--epochs", 1, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["run"] == "runs/derived-tuned"
    assert json.loads(Path("runs/derived-tuned/config.json").read_text())["start"] is None
    code, out, _ = qlstm("derive", "search", "--out", "again", "--no-refit", "--json")
    assert code == 0
    assert json.loads(out)["genotype"]["depth"] == 1
    assert qlstm("evaluate", "tuned", "--backend", "aer-exact")[0] == 0


def half_constant(out: str) -> None:
    """The run of a model whose forget and output gates nothing can change."""
    found = genotype(input=[LIVE, BLIND], forget=[ZERO], output=[BLIND, ZERO])
    data = DataSpec(dataset="bessel")
    train_run(RunSpec(data=data, model="derived", hidden_size=2, depth=1, genotype=found, epochs=1), Path(out))


def test_a_gate_that_nothing_can_change_is_said_to_be_one(qlstm) -> None:
    """Where circuits are chosen, and where they would cost jobs."""
    half_constant("search")
    code, out, err = qlstm("derive", "search", "--strategy", "weight", "--top-k", 2, "--no-refit", "--out", "derived")
    assert (code, err) == (0, "")
    lines = {tuple(line.split()[1:3]): line.split()[-1] for line in out.splitlines() if line.startswith("  1 ")}
    assert {lines.pop((gate, LIVE)) for gate in ("input", "cell")} & {"zero", "blind"} == set()
    assert lines == {
        ("input", BLIND): "blind",
        ("forget", ZERO): "zero",
        ("output", BLIND): "blind",
        ("output", ZERO): "zero",
    }
    assert "changes these gates: forget (zero), output (blind)." in out
    assert "qlstm space" in out
    plan = ("backends", "plan", "derived", "--backend", "ibm-local", "--windows", 2)
    code, out, err = qlstm(*plan)
    assert (code, err) == (0, "")
    assert "changes these gates: forget (zero), output (blind)." in out
    assert json.loads(qlstm(*plan, "--json")[1])["constant_gates"] == {"forget": "zero", "output": "blind"}


@pytest.mark.slow
def test_its_page_says_so_and_its_pictures_do(qlstm) -> None:
    half_constant("run")
    assert qlstm("report", "run", "--out", "page.html")[0] == 0
    page = Path("page.html").read_text()
    assert "changes these gates: forget (zero), output (blind)." in page
    for name, proven in ((BLIND, "   blind: does not depend on x"), (ZERO, "   zero: always 0"), (LIVE, "")):
        titles = re.findall(rf"{re.escape(name)}   weight in: \w+ [-.\d]+, \w+ [-.\d]+([^<\"]*)", page)
        assert set(titles) == {proven}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--dataset", "bessel", "--strategy", "softmx"], "Did you mean 'softmax'"),
        (["train", "--dataset", "bessel", "--strategy-option", "keep=1"], "--strategy-option goes with --strategy"),
        (["train", "--dataset", "bessel", "--strategy", "shrinking", "--strategy-option", "keep"], "give KEY=VALUE"),
        (["train", "--dataset", "bessel", "--strategy", "shrinking", "--strategy-option", "keep=none"], "keep"),
        (["train", "--dataset", "bessel", "--strategy", "softmax", "--strategy-option", "device={"], "give KEY=VALUE"),
        (
            [
                "train",
                "--dataset",
                "bessel",
                "--strategy",
                "l1",
                "--strategy-option",
                "device=1",
                "--strategy-option",
                "device.a=x",
            ],
            "give KEY=VALUE",
        ),
        (["train", "--dataset", "bessel", "--strategy", "bilevel"], "give valid_fraction"),
        (["train", "--dataset", "bessel", "--from-scratch"], "goes with --from"),
        (["train", "--dataset", "bessel", "--model", "derived"], "qlstm derive"),
        (["train", "--from", "nowhere"], "there is no run folder"),
        (
            ["train", "--from", "nowhere", "--hidden-size", "3", "--dataset", "bessel"],
            "--dataset, --hidden-size cannot be given",
        ),
        (["derive", "nowhere", "--out", "x"], "there is no run folder"),
        (["derive", "nowhere"], "--out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes(qlstm, arguments: list[str], message: str) -> None:
    code, _, err = qlstm(*arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
