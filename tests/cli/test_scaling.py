"""`qlstm scaling`, as a user meets it; nothing is measured here."""

import json
from pathlib import Path

import pytest

from qlstm_qiskit.experiments.scaling import measure as scaling
from tests.experiments.scaled import made_up


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list:
    calls = []

    def note(plan, point, environment, jobs):
        calls.append((plan, point, jobs))
        return made_up(plan, point, environment)

    monkeypatch.setattr(scaling, "measure_point", note)
    return calls


def test_tables_and_files(qlstm, measured: list) -> None:
    options = ("--axes", "depth, window", "--epochs", 1, "--seeds", 2, "--repeats", 5, "--jobs", 2, "--dataset", "bessel")
    code, out, err = qlstm("scaling", *options, "--out", "new/folder")
    assert (code, err) == (0, "")
    assert len(measured) == 8
    plan, _, jobs = measured[0]
    assert (plan.epochs, plan.seeds, plan.repeats, plan.dataset, jobs) == (1, 2, 5, "bessel", 2)
    lines = out.splitlines()
    assert [line.strip() for line in lines if line.startswith("Along")] == ["Along depth", "Along window"]
    rows = [line.split() for line in lines if line.startswith("  ")]
    assert ["1", "432", "864.00", "54.0", "5.8e-05", "5.8e-05", "144", "4320"] in rows
    files = {"scaling.jsonl", "scaling.md", "scaling.png", "scaling.svg"}
    assert {path.name for path in Path("new/folder").iterdir()} == files
    assert "Written: new/folder/scaling.jsonl, new/folder/scaling.md" in out


@pytest.mark.slow
def test_json_and_a_folder_that_goes_on(qlstm, measured: list) -> None:
    code, out, err = qlstm("scaling", "--axes", "depth", "--out", "there", "--json")
    assert (code, err) == (0, "")
    first = json.loads(out)
    assert [point["point"]["depth"] for point in first["points"]] == [1, 2, 3, 5, 8]
    assert first["plan"]["axes"] == {"depth": [1, 2, 3, 5, 8]}
    assert all(Path(path).is_file() for path in first["files"])
    measured.clear()
    code, out, _ = qlstm("scaling", "--out", "there")
    assert code == 0
    assert len(measured) == 17 - 5
    assert [line.strip() for line in out.splitlines() if line.startswith("Along")] == [
        "Along depth", "Along candidates", "Along hidden", "Along window",
    ]  # fmt: skip


def test_ctrl_c_keeps_what_was_measured(qlstm, measured: list, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scaling.measure_point

    def stop(plan, point, environment, jobs):
        if len(measured) == 2:
            raise KeyboardInterrupt
        return whole(plan, point, environment, jobs)

    monkeypatch.setattr(scaling, "measure_point", stop)
    code, _, err = qlstm("scaling", "--out", "there")
    assert code == 130
    assert err == "interrupted; the points that were measured are in there; go on with the same command\n"
    assert len(Path("there/scaling.jsonl").read_text().splitlines()) == 1 + 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--axes", "depht"), "unknown axis 'depht'. Did you mean 'depth'?"),
        (("--epochs", 0), "epochs is 0"),
        (("--jobs", 0), "jobs is 0"),
        (("--dataset", "besel"), "Did you mean 'bessel'?"),
        (("--out", "/proc/no"), "cannot make the folder"),
    ],
)
def test_mistakes_are_answered_in_one_line(qlstm, measured: list, options: tuple, message: str) -> None:
    code, _, err = qlstm("scaling", "--out", "there", *options)
    assert code == 2
    assert err.count("\n") == 1
    assert message in err
    assert not measured


@pytest.mark.slow
def test_another_plan_is_refused(qlstm) -> None:
    assert qlstm("scaling", "--axes", "depth", "--out", "there")[0] == 0
    code, _, err = qlstm("scaling", "--axes", "depth", "--seeds", 5, "--out", "there")
    assert code == 2
    assert err.startswith("error: there/scaling.jsonl holds another plan: it differs in seeds (3 there, 5 here).")
