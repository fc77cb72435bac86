"""`qlstm train --replicas`, and the commands that read what it makes, as a user meets them."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.cli import main
from qlstm_qiskit.experiments import load_run
from qlstm_qiskit.report.pages.commands import again

TRAIN = ["train", "--csv", "wave.csv", "--target", "value", "--model", "config1", "--hidden-size", "2", "--depth", "1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensembles")
    pd.DataFrame({"value": np.sin(np.arange(60) / 3) * 40 + 100}).to_csv(folder / "wave.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(SystemExit) as caught:
            main([*TRAIN, "--epochs", "2", "--replicas", "3", "--seed", "4", "--out", "run"])
    assert not caught.value.code
    return folder


@pytest.fixture
def here(qlstm, made: Path, tmp_path: Path) -> Path:
    """A copy of the folder, in which commands run."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_training_says_what_the_members_have_come_to(qlstm, here: Path) -> None:
    code, out, err = qlstm(*TRAIN, "--epochs", 1, "--replicas", 2, "--seed", 7)
    assert (code, [line for line in err.splitlines() if "error" in line]) == (0, [])
    assert "3 models" not in out
    assert "config1 on wave: 2 models, 1 epochs in" in out
    assert "seeds 7 to 8" in out
    assert "The 2 members, whose mean is the model" in out
    assert "Mean standard deviation of the members' predictions, in original units" in out
    assert "Figures: forecast.png, loss.png" in out
    assert (here / "runs" / "wave-config1-seeds7-8" / "members" / "1" / "model.safetensors").exists()


def test_evaluate(qlstm, here: Path) -> None:
    code, out, _ = qlstm("evaluate", "run", "--json")
    facts, metrics = json.loads(out), load_run("run").metrics
    assert code == 0
    assert facts["test"] == metrics["test"]
    assert facts["members"] == metrics["members"]
    assert (facts["replicas"], facts["spread"]) == (3, metrics["spread"])
    code, out, _ = qlstm("evaluate", "run", "--backend", "aer-shots", "--windows", 2, "--steps", 2)
    assert code == 0
    assert "The 3 members, whose mean is the model" in out
    assert "means over the members" in out


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_predict(qlstm, here: Path, ending: str) -> None:
    code, _, _ = qlstm("predict", "run", "--csv", "wave.csv", "--last", 4, "--out", f"there.{ending}")
    assert code == 0
    read = {"csv": pd.read_csv, "json": pd.read_json}[ending]
    table = read(f"there.{ending}")
    mean, spread = load_run("run").predict_with_spread(pd.read_csv("wave.csv"))
    np.testing.assert_allclose(table["prediction"], mean[-5:-1, 0])
    np.testing.assert_allclose(table["spread"], spread[-5:-1, 0])


def test_a_forecast_has_the_spread(qlstm, here: Path) -> None:
    code, out, _ = qlstm("predict", "run", "--csv", "wave.csv", "--horizon", 3, "--out", "there.csv")
    assert code == 0
    assert "spread" in out
    assert list(pd.read_csv("there.csv")) == ["step", "prediction", "spread", "persistence"]


def test_a_plan_says_that_it_is_of_several(qlstm, here: Path) -> None:
    whole, one = (
        json.loads(qlstm("backends", "plan", run, "--backend", "fake-fez", "--windows", 3, "--json")[1])
        for run in ("run", "run/members/1")
    )
    assert whole["circuits"] == 3 * one["circuits"]
    assert whole["replicas"] == 3
    assert "replicas" not in one
    out = qlstm("backends", "plan", "run", "--backend", "fake-fez", "--windows", 3)[1]
    assert "An ensemble of 3 models: 3 times the cost of one, such as run/members/0" in out


def test_a_page_has_the_members(qlstm, here: Path) -> None:
    from qlstm_qiskit.report.pages.run import run_page

    page = run_page(here / "run")
    (errors,) = (section for section in page.sections if section.title == "Errors")
    (members,) = (part for part in errors.parts if getattr(part, "header", [])[:1] == ["member"])
    assert [row[:3] for row in members.rows] == [["0", "4", "2"], ["1", "5", "2"], ["2", "6", "2"]]
    names = [trace["name"] for trace in next(plot for plot in page.plots if plot.name == "forecast").figure["data"]]
    assert "mean ± spread of 3 models" in names
    lines = [trace["name"] for trace in next(plot for plot in page.plots if plot.name == "loss").figure["data"]]
    assert "test, member 2" in lines
    assert qlstm("report", "run", "--out", "page.html", "--backend", "fake-manila")[0] == 0


def test_it_is_made_again_by_its_command(qlstm, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load_run("run")
    command = shlex.split(again(run.spec, run.path))
    assert command[command.index("--replicas") + 1] == "3"
    assert qlstm(*command[1:])[0] == 0
    for place in range(3):
        first, second = (Path(own, "members", str(place), "model.safetensors").read_bytes() for own in ("run", "again"))
        assert first == second


def test_an_unfinished_one_goes_on(qlstm, here: Path) -> None:
    (here / "run" / "metrics.json").unlink()
    (here / "run" / "members" / "1" / "metrics.json").unlink()
    code, _, err = qlstm(*TRAIN, "--epochs", 2, "--replicas", 3, "--seed", 4, "--out", "run")
    assert (code, err) == (2, "error: run holds an unfinished training; go on with: qlstm resume run\n")
    code, out, err = qlstm("resume", "run")
    assert (code, "The 3 members" in out) == (0, True)
    assert qlstm("resume", "run")[2].startswith("run was finished before; this is its result")


REFUSED = {
    "derive run --out there": "run is an ensemble of 3 models, and `qlstm derive` derives from one; give a member, such as "
    "run/members/0.",
    "train --from run --out there": "run is an ensemble of 3 models, and a training starts from one; give a member, such as "
    "run/members/0.",
    "train --from run/members/0 --replicas 2 --out there": "--replicas are models with random starts of their own, and --from "
    "has one start for all; give --from-scratch, or leave out one of the two.",
    "jobs show run 1": "run is an ensemble, and each of its members has a record of its own; give a member, such as "
    "run/members/0.",
    "jobs cancel run": "run is an ensemble, and each of its members has a record of its own; give a member, such as "
    "run/members/0.",
    "jobs resume run": "run trains, or trained, on this machine, where there are no jobs; train into another folder.",
    "train --dataset nile --replicas 0": "replicas is 0; it must be an integer of at least 1.",
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_needs_one_model_says_so_in_a_line(qlstm, here: Path, command: str) -> None:
    code, out, err = qlstm(*command.split())
    assert (code, out) == (2, "")
    assert err == f"error: {REFUSED[command]}\n"
    assert not (here / "there").exists()


def test_a_member_is_a_run(qlstm, here: Path) -> None:
    for command in ("evaluate run/members/1", "jobs list run/members/1", "report run/members/1 --out page.html"):
        assert qlstm(*command.split())[0] == 0


def test_jobs_are_kept_with_the_members(qlstm, here: Path) -> None:
    """What was asked of a member is not asked again."""
    code, out, _ = qlstm("evaluate", "run", "--backend", "ibm-local", "--windows", 1)
    assert code == 0
    count = int(out.split("Jobs submitted: ")[1].split()[0].rstrip(";"))
    assert count >= 3
    rows = json.loads(qlstm("jobs", "list", "run", "--json")[1])["jobs"]
    assert len(rows) == count
    assert {row["member"] for row in rows} == {0, 1, 2}
    assert "member" in qlstm("jobs", "list", "run")[1]
    assert "Jobs submitted: 0" in qlstm("evaluate", "run", "--backend", "ibm-local", "--windows", 1)[1]
    assert "Jobs submitted: 0" in qlstm("evaluate", "run/members/2", "--backend", "ibm-local", "--windows", 1)[1]
    code, out, _ = qlstm("jobs", "resume", "run")
    assert (code, "0 results fetched" in out) == (0, True)
    again = json.loads(qlstm("jobs", "resume", "run", "--json")[1])
    assert again["jobs"] == rows
    assert again["fetched"] == []
