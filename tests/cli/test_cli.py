"""The command line as a user meets it."""

import getpass
import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from qlstm_qiskit.data import PAPER_SERIES
from qlstm_qiskit.training import MODELS
from qlstm_qiskit.training.options import CLASSICAL
from tests.speed import slow_but

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = ["--model", "config1", "--hidden-size", "2", "--depth", "1", "--epochs", "2"]
QLSTM = [sys.executable, "-c", "from qlstm_qiskit.cli import main; main()"]


TRAININGS = list(product([model for model in MODELS if model != "derived"], PAPER_SERIES))
QUICK = [("lstm", "narma5")]


@pytest.mark.parametrize(("model", "dataset"), slow_but(QUICK, TRAININGS))
def test_every_model_trains_on_every_dataset(qlstm, dataset: str, model: str) -> None:
    depth = [] if model in CLASSICAL else ["--depth", 1]
    code, out, err = qlstm(
        "train", "--dataset", dataset, "--model", model, "--hidden-size", 1, *depth, "--epochs", 2, "--out", "run", "--json"
    )
    assert (code, err) == (0, "")
    metrics = json.loads(out)
    assert (metrics["dataset"], metrics["model"], metrics["epochs"]) == (dataset, model, 2)
    assert 0 <= metrics["test_mse"] < 2
    figures = {"forecast.png", "loss.png"}
    if model.startswith("config"):
        figures |= {"circuits.png"}
    elif model not in CLASSICAL:
        figures |= {"structural_weights.png", "weights.png", "contributions.png"}
    assert {path.name for path in Path("run").glob("*.png")} == figures
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in metrics["figures"])


def test_train_prints_the_result_beside_persistence(qlstm) -> None:
    code, out, err = qlstm("train", "--dataset", "bessel", *SMALL)
    assert (code, err) == (0, "")
    assert "config1 on bessel: 2 epochs" in out
    assert "persistence" in out
    assert "Run folder: runs/bessel-config1-seed0" in out
    assert Path("runs/bessel-config1-seed0/metrics.json").is_file()


def test_evaluate_gives_the_trained_numbers_again(qlstm) -> None:
    _, out, _ = qlstm("train", "--dataset", "narma5", *SMALL, "--out", "run", "--json")
    trained = json.loads(out)
    code, out, err = qlstm("evaluate", "run", "--json")
    assert (code, err) == (0, "")
    evaluated = json.loads(out)
    assert (evaluated["test"], evaluated["persistence"]) == (trained["test"], trained["persistence"])
    code, out, _ = qlstm("evaluate", "run", "--backend", "statevector")
    assert code == 0
    assert "config1 on narma5, backend statevector, 2 epochs, 98 test windows" in out


@pytest.mark.slow
def test_sunspots_from_csv_to_an_eleven_year_forecast(qlstm) -> None:
    sunspots = EXAMPLES / "sunspots.csv"
    code, out, err = qlstm(
        "train", "--csv", sunspots, "--target", "sunspots", "--model", "diffqas", "--hidden-size", 2, "--depth", 1,
        "--window", 6, "--epochs", 2, "--out", "run",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "diffqas on sunspots" in out
    assert "RMSE and MAE in original units" in out
    code, out, err = qlstm("predict", "run", "--csv", sunspots, "--horizon", 11, "--out", "next.csv")
    assert (code, err) == (0, "")
    assert "sunspots, the 11 rows after" in out
    assert "persistence" in out
    table = pd.read_csv("next.csv")
    assert list(table.columns) == ["step", "year", "prediction", "persistence"]
    assert table["year"].tolist() == list(range(2009, 2020))
    assert table["prediction"].between(-50, 400).all()
    assert (table["persistence"] == 2.9).all()
    code, out, _ = qlstm("predict", "run", "--csv", sunspots, "--out", "all.csv", "--json")
    assert code == 0
    result = json.loads(out)
    assert result["rows"] == len(pd.read_csv("all.csv")) == len(result["table"]) == 309
    assert set(result["rmse"]) == {"prediction", "persistence"}
    assert pd.read_csv("all.csv")["year"].tolist() == list(range(1700, 2009))


def test_two_features_and_a_horizon(qlstm) -> None:
    frame = pd.DataFrame({"day": range(40), "load": [i % 7 for i in range(40)], "heat": [(i * 3) % 11 for i in range(40)]})
    frame.to_csv("two.csv", index=False)
    code, _, err = qlstm(
        "train", "--csv", "two.csv", "--target", "load", "--features", "load, heat", "--horizon", 2, *SMALL, "--out", "run"
    )
    assert (code, err) == (0, "")
    assert json.loads(Path("run/config.json").read_text())["data"]["features"] == ["load", "heat"]
    code, out, _ = qlstm("predict", "run", "--csv", "two.csv", "--horizon", 2, "--out", "p.csv", "--json")
    assert code == 0
    assert [row["step"] for row in json.loads(out)["table"]] == [1, 2]


def test_a_real_series_beside_the_seasonal_naive_forecast_and_rolled_out(qlstm) -> None:
    code, out, err = qlstm("train", "--dataset", "elnino", "--train-fraction", 0.5, *SMALL, "--out", "run", "--json")
    assert (code, err) == (0, "")
    trained = json.loads(out)
    code, out, _ = qlstm("evaluate", "run", "--steps", 3, "--json")
    assert code == 0
    evaluated = json.loads(out)
    for name in ("test", "persistence", "seasonal_naive"):
        assert evaluated[name] == trained[name]
    rolled = evaluated["rolled_out"]
    assert rolled["windows"] == (732 - 4) // 2 - 2
    assert set(rolled) == {"windows", "model", "persistence", "seasonal_naive"}
    assert [len(rolled["model"][figure]) for figure in ("rmse", "mase")] == [3, 3]
    assert rolled["persistence"]["rmse"][0] < rolled["persistence"]["rmse"][2]
    _, out, _ = qlstm("evaluate", "run", "--steps", 3)
    assert out.count("seasonal naive") == 3
    assert "Predictions fed back, 362 test windows: MASE" in out
    for steps, message in ((0, "steps is 0"), (365, "steps is 365; the test part of elnino has 364 rows")):
        code, out, err = qlstm("evaluate", "run", "--steps", steps)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err


@pytest.mark.slow
def test_the_season_of_a_csv_file(qlstm) -> None:
    sunspots = ["--csv", EXAMPLES / "sunspots.csv", "--target", "sunspots"]
    found = []
    for name, data in (("csv", [*sunspots, "--season", 11]), ("named", ["--dataset", "sunspots"]), ("none", sunspots)):
        code, out, _ = qlstm("train", *data, *SMALL, "--out", name, "--json")
        assert code == 0
        found.append({key: json.loads(out).get(key) for key in ("test", "persistence", "seasonal_naive")})
    assert found[0] == found[1]
    assert found[2]["seasonal_naive"] is None
    assert found[2]["test"]["mae_original"] == found[0]["test"]["mae_original"]
    assert found[2]["test"]["mase"] > found[0]["test"]["mase"]  # years differ less from the last one than from the last cycle


@pytest.mark.slow
def test_hybrid_and_stacked_models(qlstm) -> None:
    code, _, err = qlstm("train", "--dataset", "bessel", *SMALL, "--n-qubits", 2, "--num-layers", 2, "--out", "run")
    assert (code, err) == (0, "")
    assert qlstm("evaluate", "run")[0] == 0


def test_space_show(qlstm) -> None:
    code, out, _ = qlstm("space", "show", "--n-qubits", 4, "--depth", 2)
    assert code == 0
    assert "36 candidates on 4 qubits, depth 2" in out
    assert "H-RZ|cyclic-RX" in out
    _, out, _ = qlstm("space", "show", "--n-qubits", 4, "--json")
    listing = json.loads(out)
    assert len(listing["candidates"]) == 36
    assert listing["candidates"][3] == {
        "candidate": "H-RY|cyclic-RY",
        "inputs": 4,
        "weights": 4,
        "circuit_depth": 7,
        "two_qubit_gates": 4,
    }
    _, out, _ = qlstm("space", "show", "--n-qubits", 2, "--draw", "RX|linear-RZ")
    assert "Rx(x[0])" in out
    assert "Rz(w[1])" in out
    _, out, _ = qlstm("space", "show", "--n-qubits", 3, "--fourier", "H-RZ|linear-RX")
    assert "<Z2> =" in out
    assert "sin(v" in out
    _, out, _ = qlstm("space", "show", "--n-qubits", 3, "--fourier", "H-RX|linear-RX", "--json")
    assert json.loads(out)["outputs"] == {"<Z0>": [], "<Z1>": [], "<Z2>": []}  # identically zero


def test_about(qlstm) -> None:
    code, out, _ = qlstm("about")
    assert code == 0
    assert "qiskit: 2." in out
    assert "processor: " in out
    facts = json.loads(qlstm("about", "--json")[1])
    assert facts["torch"] == version("torch")
    assert facts["ray"] == version("ray")
    assert getpass.getuser() not in facts.values()
    assert str(Path.home()) not in out


MISTAKES = [
    (["train"], "exactly one of"),
    (["train", "--dataset", "bessel", "--csv", "x.csv"], "exactly one of"),
    (["train", "--dataset", "besel"], "Did you mean 'bessel'"),
    (["train", "--dataset", "bessel", "--model", "diffqs"], "Did you mean 'diffqas'"),
    (["train", "--dataset", "bessel", "--backend", "statevectr"], "Did you mean 'statevector'"),
    (["train", "--dataset", "bessel", "--mixing", "softmix"], "Did you mean 'softmax'"),
    (["train", "--dataset", "bessel", "--target", "a"], "--target goes with --csv"),
    (["train", "--dataset", "bessel", "--train-fraction", "0.5"], "train_fraction is 0.5; it is 0.67 for the paper's series"),
    (["train", "--dataset", "elnino", "--season", "6"], "--season goes with --csv"),
    (["train", "--csv", "good.csv", "--target", "value", "--season", "22"], "season of 22 needs 23"),
    (["train", "--csv", "good.csv", "--target", "value", "--season", "0"], "season is 0"),
    (["train", "--dataset", "bessel", "--window", "0"], "window is 0"),
    (["train", "--dataset", "bessel", "--window", "500"], "a smaller window"),
    (["train", "--dataset", "bessel", "--batch-size", "-1"], "batch_size is -1"),
    (["train", "--dataset", "bessel", "--hidden-size", "0"], "hidden_size is 0"),
    (["train", "--dataset", "bessel", "--hidden-size", "-3"], "hidden_size is -3"),
    pytest.param(["train", "--dataset", "bessel", "--hidden-size", "30"], "qubits fit", marks=pytest.mark.slow),
    (["train", "--dataset", "bessel", "--depth", "0"], "depth is 0"),
    (["train", "--dataset", "bessel", "--epochs", "0"], "max_epochs is 0"),
    (["train", "--dataset", "bessel", "--epochs", "ten"], "Invalid value for '--epochs'"),
    (["train", "--dataset", "bessel", "--lr", "0"], "lr is 0"),
    (["train", "--dataset", "bessel", "--lr", "1e300", "--model", "config1"], "lower the learning rate"),
    (["train", "--dataset", "bessel", "--model", "lstm", "--depth", "2"], "leave out depth=2"),
    (["train", "--dataset", "bessel", "--epoch", "3"], "--epochs"),
    (["train", "--dataset", "bessel", "--seed", "-1"], "seed is -1"),
    (["train", "--dataset", "bessel", "--lr", "nan"], "lr is nan"),
    (["train", "--dataset", "bessel", "--model", "lstm", "--mixing", "softmax"], "leave out mixing=softmax"),
    (["train", "--dataset", "bessel", "--model", "config1", "--mixing", "softmax"], "single candidate"),
    (["train", "--dataset", "bessel", "--model", "lstm", "--lr", "1e300", "--epochs", "1"], "training diverged in epoch 1"),
    (["predict", "held", "--csv", "good.csv", "--out", "good.csv/p.csv"], "damaged"),
    (["train", "--csv", "missing.csv", "--target", "a"], "missing.csv"),
    (["train", "--csv", "good.csv"], "--target"),
    (["train", "--csv", "good.csv", "--target", "valeu"], "Did you mean 'value'"),
    (["train", "--csv", "good.csv", "--target", "value", "--features", "value,tmie"], "Did you mean 'time'"),
    (["train", "--csv", "text.csv", "--target", "value"], "line 4, column 'value': 'n/a' is not a finite number"),
    (["train", "--csv", "nan.csv", "--target", "value"], "line 3, column 'value': 'nan' is not a finite number"),
    (["train", "--csv", "inf.csv", "--target", "value"], "line 5, column 'value': 'inf' is not a finite number"),
    (["train", "--csv", "hole.csv", "--target", "value"], "line 6, column 'value': a value is missing"),
    (["train", "--csv", "short.csv", "--target", "value"], "has 3 rows"),
    (["train", "--dataset", "bessel", "--out", "held"], "unfinished training"),
    (["train", "--dataset", "bessel", "--out", "good.csv/run"], "cannot make the folder"),
    (["evaluate", "nowhere"], "there is no run folder"),
    (["evaluate", "held"], "damaged"),
    (["predict", "nowhere", "--csv", "good.csv", "--out", "p.csv"], "there is no run folder"),
    (["predict", "held", "--csv", "good.csv", "--out", "good.csv"], "exists already"),
    (["predict", "held"], "--csv"),
    (["space", "show", "--draw", "RX|linear-RW"], "Did you mean"),
    (["space", "show", "--n-qubits", "0"], "n_qubits is 0"),
    (["trian"], "train"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), MISTAKES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_mistake_is_one_clear_line_and_leaves_nothing(qlstm, arguments: list[str], message: str) -> None:
    Path("good.csv").write_text("time,value\n" + "".join(f"{i},{i % 5}\n" for i in range(30)))
    for name, row, value in (("text", 3, "n/a"), ("nan", 2, "nan"), ("inf", 4, "inf"), ("hole", 5, "")):
        rows = [f"{i},{value if i == row else i}\n" for i in range(1, 31)]
        Path(f"{name}.csv").write_text("time,value\n" + "".join(rows))
    Path("short.csv").write_text("time,value\n1,1\n2,2\n3,3\n")
    Path("held").mkdir()
    Path("held/config.json").write_text("{")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    code, out, err = qlstm(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_no_arguments_show_the_help(qlstm) -> None:
    for arguments in ((), ("space",)):
        code, out, err = qlstm(*arguments)
        assert (code, err) == (2, "")
        assert "Usage" in out
    assert qlstm("--version") == (0, "0.1.0\n", "")


def test_help_needs_neither_torch_nor_qiskit() -> None:
    heavy = ("torch", "qiskit", "pandas", "sklearn", "matplotlib", "numpy", "scipy")
    for arguments in (["--help"], ["train", "--help"], ["space", "--help"]):
        script = (
            "import sys\nfrom qlstm_qiskit.cli import main\n"
            f"try: main({arguments!r})\nexcept SystemExit as e: assert not e.code\n"
            f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
        )
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert result.stderr.strip() == "[]"
        assert "Usage" in result.stdout


def test_every_command_has_an_example(qlstm) -> None:
    for command in (["train"], ["evaluate"], ["predict"], ["space", "show"], ["space", "analyze"], ["about"]):
        code, out, err = qlstm(*command, "--help")
        assert (code, err) == (0, "")
        assert "Example: qlstm " + " ".join(command) in out


def start_training(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [*QLSTM, "train", "--dataset", "delayed_quantum_control", "--epochs", "500", "--out", "run", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_ctrl_c_leaves_the_last_finished_epoch_usable(tmp_path: Path, qlstm) -> None:
    process = start_training(tmp_path, "--model", "config1", "--hidden-size", "1", "--depth", "1")
    wait_for(tmp_path / "run" / "model.safetensors", process)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, "")
    assert "Interrupted: this is the model after" in out
    code, out, _ = qlstm("evaluate", "run", "--json")
    assert code == 0
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["interrupted"]
    assert json.loads(out)["test"] == metrics["test"]


@pytest.mark.slow
def test_ctrl_c_before_the_first_epoch_leaves_nothing(tmp_path: Path) -> None:
    process = start_training(tmp_path, "--model", "diffqas", "--hidden-size", "5")
    wait_for(tmp_path / "run" / "config.json", process)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert err == "interrupted; no epoch was finished and nothing was kept\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_resume_goes_on_and_says_what_it_cannot_do(qlstm) -> None:
    command = ["train", "--dataset", "bessel", "--model", "lstm", "--hidden-size", 2, "--epochs", 3, "--out", "run"]
    code, out, _ = qlstm(*command, "--resume")  # begins where there is nothing
    assert code == 0
    assert "3 epochs" in out
    code, again, err = qlstm("train", "--resume", "--out", "run", "--json")
    assert (code, err) == (0, "run was finished before; this is its result\n")
    assert json.loads(again)["test_mse"] == json.loads(Path("run/metrics.json").read_text())["test_mse"]
    assert qlstm("resume", "run", "--json") == (0, again, err)
    for option in ("--retry", "--backends=b.yaml"):
        assert qlstm("resume", "run", option)[2].endswith("is for jobs, and the training of run has none; leave it out.\n")
    Path("run/metrics.json").unlink()
    code, out, err = qlstm(*command)
    assert (code, err) == (2, "error: run holds an unfinished training; go on with: qlstm resume run\n")
    assert qlstm(*command, "--resume")[0] == 0
    for more, message in (
        (["--seed", 1], "run holds another run: it differs in seed (0 there, 1 here)"),
        (["--lr", 0.5], "lr (0.01 there, 0.5 here)"),
    ):
        code, out, err = qlstm(*command, "--resume", *more)
        assert (code, out) == (2, "")
        assert message in err
    assert "give --out" in qlstm("train", "--resume")[2]
    assert "there is no run folder none" in qlstm("train", "--resume", "--out", "none")[2]
