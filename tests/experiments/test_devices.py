"""Runs on devices, end to end: what is submitted, what survives, what is refused; against the mocked service."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import traceback
import types
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_ibm_runtime.json import RuntimeDecoder

from qlstm_qiskit.cli import main
from qlstm_qiskit.errors import BudgetError, JobError, LedgerError, OptionError, RunError
from qlstm_qiskit.experiments import load_run, plan_run, predict_table, resume_run, roll_out, train_run
from qlstm_qiskit.experiments.runs.recording import Recorder
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.hardware.config.parts import GuardSpec
from qlstm_qiskit.hardware.device.transpile import Transpiler
from qlstm_qiskit.hardware.jobs import fetch
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from tests.experiments.device_work import BATCHES, CANARY, IBM, WINDOW, connect, one_step_in, spec, write_series
from tests.hardware.mock_service import Fault, Server
from tests.speed import slow_but, tries

STEP = WINDOW + 1  # jobs
GATES = 4


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(fetch, "LOOKS", (0.0,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server(tmp_path / "service")
    connect(server, monkeypatch)
    return server


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_series(tmp_path)


@pytest.fixture
def qlstm(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run one command where the series and a backends.yaml are; return exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    Path("backends.yaml").write_text("ibm: {token_env: MY_TOKEN, device: ibm_small, shots: 64, pack: off}")

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        return int(caught.value.code or 0), streams.out, streams.err

    return run


TRAIN = ["train", "--csv", "wave.csv", "--target", "value", "--model", "config1", "--hidden-size", 1, "--depth", 1]
TRAIN += ["--epochs", 1, "--batch-size", 5, "--out", "run"]


def submitted(server: Server) -> list[dict[str, int]]:
    """PUBs and circuits of each job, as the service received them."""
    found = []
    for entry in server.log():
        pubs = json.loads(server.job(entry["job"])["body"], cls=RuntimeDecoder)["params"]["pubs"]
        found.append({"pubs": len(pubs), "circuits": sum(len(values) for _, values, *_ in pubs)})
    return found


def assert_nothing_twice(server: Server, jobs: int) -> None:
    log = server.log()
    assert len(log) == jobs
    assert len({entry["content"] for entry in log}) == jobs
    assert len({entry["tags"][-1] for entry in log}) == jobs


@pytest.mark.parametrize(("optimizer", "jobs"), slow_but([("spsa", 2 * WINDOW)], [("rmsprop", STEP), ("spsa", 2 * WINDOW)]))
def test_a_training_submits_its_steps_and_nothing_else(server: Server, csv: Path, optimizer: str, jobs: int) -> None:
    run = train_run(spec(csv, optimizer=optimizer), csv.parent / "run")
    assert_nothing_twice(server, jobs * BATCHES)
    assert server.requests.count("submit") == jobs * BATCHES
    assert {item["pubs"] for item in submitted(server)} == {1}  # one candidate: one PUB, all gates and samples in it
    plan = plan_run(run.path, IBM, "train").work
    assert (plan.jobs, plan.circuits) == (jobs * BATCHES, sum(item["circuits"] for item in submitted(server)))
    forward = [item["circuits"] for item in submitted(server)[:WINDOW]]
    assert forward == [5 * GATES] * WINDOW
    assert run.metrics["backend"] == "ibm"
    assert run.metrics["evaluated_on"] == "statevector"
    assert run.metrics["interrupted"] is False
    np.testing.assert_allclose(run.history[-1]["test_mse"], run.metrics["test_mse"], rtol=1e-12)
    assert {path.name for path in run.path.iterdir()} == {
        "config.json",
        "metrics.json",
        "history.jsonl",
        "model.safetensors",
        "jobs.sqlite",
        "jobs.sqlite.lock",
    }
    with pytest.raises(RunError, match="finished run"):
        resume_run(run.path)


class TestStops:
    """A training that stops in the middle is gone on with, and ends as if nothing had happened."""

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, tmp_path_factory: pytest.TempPathFactory) -> bytes:
        """The model of a training of two epochs that was left alone."""
        folder = tmp_path_factory.mktemp("whole")
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            connect(Server(folder / "service"), patch)
            run = train_run(spec(write_series(folder), epochs=2), folder / "run")
        return (run.path / "model.safetensors").read_bytes()

    def assert_whole(self, server: Server, run: Path, whole: bytes) -> None:
        assert (run / "model.safetensors").read_bytes() == whole
        assert_nothing_twice(server, 2 * STEP * BATCHES)
        metrics = json.loads((run / "metrics.json").read_text())
        assert (metrics["epochs"], metrics["interrupted"]) == (2, False)
        with Ledger(run / "jobs.sqlite") as ledger:
            assert Counter(entry.status for entry in ledger.entries()) == {"done": 2 * STEP * BATCHES}

    @pytest.mark.parametrize("jobs", slow_but([], [0, 7, 13]))
    def test_by_the_service(self, server: Server, csv: Path, whole: bytes, jobs: int, qlstm) -> None:
        server.faults["submit"].extend([*[None] * jobs, Fault(503)] + [Fault(503)] * 5)
        code, _, err = qlstm(*TRAIN[:-4], "--epochs", 2, "--batch-size", 5, "--out", "run", "--backend", "ibm")
        assert code == 2
        assert "Continue with: qlstm resume" in err
        server.faults.clear()
        assert load_config(csv.parent / "run")["epochs"] == 2
        Path("backends.yaml").unlink()  # the run knows its backend
        code, out, err = qlstm("jobs", "resume", "run", "--log", "tensorboard")
        assert code == 0, err
        assert "Training went on to its end, epoch 2" in out
        assert list(Path("run/tensorboard").iterdir()), "logged as it was asked for"
        self.assert_whole(server, csv.parent / "run", whole)
        assert qlstm("jobs", "resume", "run")[0] == 0
        self.assert_whole(server, csv.parent / "run", whole)
        assert "--log has nothing to log" in qlstm("jobs", "resume", "run", "--log", "tensorboard")[2]

    @pytest.mark.slow
    @pytest.mark.parametrize("batches", [1, 3])
    def test_by_ctrl_c(
        self, server: Server, csv: Path, whole: bytes, batches: int, monkeypatch: pytest.MonkeyPatch, qlstm
    ) -> None:
        seen = []

        def on_batch_end(self, net, batch=None, training=None, **kwargs) -> None:
            seen.append(1)
            if len(seen) == batches:
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(Recorder, "on_batch_end", on_batch_end, raising=False)
        code, out, err = qlstm(*TRAIN[:-4], "--epochs", 2, "--batch-size", 5, "--out", "run", "--backend", "ibm")
        assert code == 130
        assert "o on with: qlstm resume run" in out + err
        assert len(server.log()) == batches * STEP
        assert (csv.parent / "run" / "metrics.json").exists() == (batches > BATCHES)
        assert qlstm("jobs", "resume", "run")[0] == 0
        self.assert_whole(server, csv.parent / "run", whole)


def load_config(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "config.json").read_text()))


def test_what_was_refused_at_the_start(server: Server, csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded job is kept, whether or not it was submitted; without one, nothing is left behind."""
    server.faults["device"].extend([None] * 40)
    broken = IBM.model_copy(update={"mode": "batch"})
    server.faults["session"].extend([Fault(400)] * 9)
    with pytest.raises(JobError, match="cannot open a batch"):
        train_run(spec(csv, broken), csv.parent / "deep" / "run")
    with Ledger(csv.parent / "deep" / "run" / "jobs.sqlite", create=False) as ledger:
        assert [entry.status for entry in ledger.entries()] == ["prepared"]
    server.faults.clear()
    resume_run(csv.parent / "deep" / "run")
    assert_nothing_twice(server, STEP * BATCHES)
    assert server.requests.count("session") > 2  # it was closed
    monkeypatch.setattr("qlstm_qiskit.hardware.loading._device", _no_login)
    with pytest.raises(JobError, match="cannot log in"):
        train_run(spec(csv), csv.parent / "other" / "run")
    assert not (csv.parent / "other").exists()


def _no_login(*arguments: Any) -> None:
    raise JobError("cannot log in")


KILLS = tries(30)


@pytest.mark.slow
def test_a_step_killed_at_thirty_random_moments(tmp_path: Path) -> None:
    """Children of a process that has imported everything and run nothing; each is killed, and another one goes on."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "tests.experiments.device_work"])

    def start(folder: Path) -> Any:
        process = context.Process(target=one_step_in, args=(folder,))
        process.start()
        return process

    folder = tmp_path / "whole"
    folder.mkdir()
    process = start(folder)
    process.join()
    assert process.exitcode == 0
    model = (folder / "run" / "model.safetensors").read_bytes()
    generator = random.Random(20250814)
    reached: list[int] = []
    for trial in range(2 * KILLS):
        folder = tmp_path / str(trial)
        folder.mkdir()
        server = Server(folder / "service")
        jobs = generator.randrange(STEP)
        process = start(folder)
        while len(server.log()) < jobs or not (folder / "run" / "config.json").exists():
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.05))
        process.kill()
        process.join()
        if process.exitcode == 0:
            continue  # it was faster
        assert process.exitcode == -signal.SIGKILL
        reached.append(len(server.log()))
        process = start(folder)
        process.join()
        if process.exitcode != 0:  # killed while the last results were written
            assert (folder / "run" / "metrics.json").exists()
        assert (folder / "run" / "model.safetensors").read_bytes() == model
        assert_nothing_twice(server, STEP)
        if len(reached) == KILLS:
            break
    assert len(reached) == KILLS
    assert len(set(reached)) >= min(5, KILLS // 5)  # early and late


def test_the_guard_refuses_before_anything_is_made(server: Server, csv: Path) -> None:
    for guard in (GuardSpec(max_circuits=50), GuardSpec(max_qpu_seconds=2.0)):
        with pytest.raises(BudgetError, match="Nothing was submitted"):
            train_run(spec(csv, IBM.model_copy(update={"guard": guard})), csv.parent / "run")
    assert "submit" not in server.requests
    assert not (csv.parent / "run").exists()
    confirmed = IBM.model_copy(update={"guard": GuardSpec(max_circuits=50, confirm=True)})
    train_run(spec(csv, confirmed), csv.parent / "run")
    assert_nothing_twice(server, STEP * BATCHES)


def test_the_guard_refuses_an_evaluation(server: Server, csv: Path) -> None:
    run = train_run(spec(csv).on("statevector"), csv.parent / "run")
    guarded = load_run(run.path, backend=IBM.model_copy(update={"guard": GuardSpec(max_circuits=2 * 5 * GATES)}))
    with pytest.raises(BudgetError, match="Nothing of this call was submitted"):
        guarded.predict(run.dataset.x_test)
    assert len(server.log()) == 2
    confirmed = load_run(run.path, backend=IBM)
    confirmed.predict(run.dataset.x_test)  # what was submitted counts
    assert_nothing_twice(server, WINDOW)


@pytest.mark.slow
def test_commands_refuse_before_anything_is_submitted(server: Server, csv: Path, qlstm) -> None:
    assert qlstm(*TRAIN)[0] == 0
    Path("backends.yaml").write_text(
        "ibm: {token_env: MY_TOKEN, device: ibm_small, shots: 64, pack: off, guard: {max_circuits: 50}}"
    )
    commands: tuple[tuple[list[object], int], ...] = (  # each of their calls is within the limit
        (["evaluate", "run", "--backend", "ibm"], WINDOW),
        (["evaluate", "run", "--steps", 2, "--backend", "ibm"], 2 * WINDOW),  # the test part itself is in the record
        (["predict", "run", "--csv", "wave.csv", "--out", "rows.csv", "--backend", "ibm"], WINDOW),
        (["predict", "run", "--csv", "wave.csv", "--horizon", 4, "--out", "next.csv", "--backend", "ibm"], 4 * WINDOW),
        ([*TRAIN[:-1], "on-device", "--backend", "ibm"], STEP * BATCHES),
    )
    for command, _ in commands:
        code, _, error = qlstm(*command)
        assert (code, error.count("\n")) == (2, 1)
        assert "guard.max_circuits is 50. Nothing was submitted" in error
        assert "--confirm" in error
    assert "submit" not in server.requests
    submitted = 0
    for command, jobs in commands:
        assert qlstm(*command, "--confirm")[0] == 0
        submitted += jobs
        assert len(server.log()) == submitted


def test_a_dry_run_submits_nothing(server: Server, csv: Path) -> None:
    dry = IBM.model_copy(update={"guard": GuardSpec(max_circuits=1, dry_run=True)})
    run = train_run(spec(csv, dry), csv.parent / "run")
    evaluated = load_run(run.path)
    evaluated.predict(run.dataset.x_test)
    assert "submit" not in server.requests
    assert not (run.path / "jobs.sqlite").exists()
    assert 0 < evaluated.difference.outputs < 0.1


def test_a_dry_run_says_so(server: Server, csv: Path, qlstm) -> None:
    Path("backends.yaml").write_text("ibm: {token_env: MY_TOKEN, device: ibm_small, pack: off, guard: {dry_run: true}}")
    words = "dry run: noiseless simulation, nothing was submitted"
    assert words in qlstm(*TRAIN, "--backend", "ibm")[1]
    assert json.loads(Path("run/metrics.json").read_text())["dry_run"] is True
    assert words in qlstm("evaluate", "run")[1]
    assert json.loads(qlstm("evaluate", "run", "--json")[1])["dry_run"] is True
    assert "dry_run" not in json.loads(qlstm("evaluate", "run", "--backend", "statevector", "--json")[1])
    assert "submit" not in server.requests


def test_an_unfinished_training_names_the_command_that_goes_on(server: Server, csv: Path, qlstm) -> None:
    server.faults["results"].extend([None, *[Fault(500)] * 6])
    assert qlstm(*TRAIN, "--backend", "ibm")[0] == 2
    code, _, error = qlstm(*TRAIN, "--backend", "ibm")
    assert code == 2
    assert "unfinished training; go on with: qlstm resume run" in error


class TestTheCommands:
    @pytest.mark.slow
    def test_evaluate_and_predict(self, server: Server, csv: Path, qlstm) -> None:
        assert qlstm(*TRAIN, "--json")[0] == 0
        reports = []
        for again in range(2):
            code, out, err = qlstm("evaluate", "run", "--backend", "ibm", "--json")
            assert code == 0, err
            reports.append(json.loads(out))
            assert_nothing_twice(server, WINDOW)
            assert again == 0 or reports[0] == reports[1]
        difference = reports[0]["difference_to_exact"]
        assert difference["n_windows"] == 5
        assert 0 < difference["outputs"] < 1 / 64
        assert 0 < difference["predictions"] < 1 / 64
        tables = []
        for k in range(2):
            code, out, err = qlstm("predict", "run", "--backend", "ibm", "--csv", "wave.csv", "--out", f"{k}.csv", "--json")
            assert code == 0, err
            assert json.loads(out)["difference_to_exact"]["n_windows"] == 14
            assert_nothing_twice(server, 2 * WINDOW)
            tables.append(pd.read_csv(f"{k}.csv")["prediction"])
        pd.testing.assert_series_equal(*tables)
        assert qlstm("predict", "run", "--backend", "ibm", "--csv", "wave.csv", "--out", "r.csv", "--horizon", 2)[0] == 0
        assert_nothing_twice(server, 4 * WINDOW)
        code, out, _ = qlstm("evaluate", "run", "--backend", "ibm")
        assert "Difference of ibm to the exact interpreter over 5 windows" in out
        assert "Jobs submitted: 0; all of it was answered from the record" in out
        assert_nothing_twice(server, 4 * WINDOW)
        statuses = json.loads(qlstm("jobs", "list", "run", "--json")[1])["jobs"]
        assert {job["status"] for job in statuses} == {"done"}

    @pytest.mark.slow
    def test_other_shots_are_other_work(self, server: Server, csv: Path, qlstm) -> None:
        assert qlstm(*TRAIN)[0] == 0
        assert qlstm("evaluate", "run", "--backend", "ibm")[0] == 0
        Path("backends.yaml").write_text("ibm: {token_env: MY_TOKEN, device: ibm_small, shots: 32}")
        assert qlstm("evaluate", "run", "--backend", "ibm")[0] == 0
        assert_nothing_twice(server, 2 * WINDOW)

    @pytest.mark.slow
    def test_an_evaluation_that_stops_is_gone_on_with(self, server: Server, csv: Path, qlstm) -> None:
        assert qlstm(*TRAIN)[0] == 0
        model = Path("run/model.safetensors").read_bytes()
        server.faults["results"].extend([None, *[Fault(500)] * 6])
        code, _, err = qlstm("evaluate", "run", "--backend", "ibm")
        assert code == 2
        assert "Continue with: qlstm resume" in err
        code, out, err = qlstm("jobs", "resume", "run")
        assert code == 0, err
        assert "1 results fetched" in out
        assert "Training" not in out
        assert qlstm("evaluate", "run", "--backend", "ibm")[0] == 0
        assert_nothing_twice(server, WINDOW)
        assert Path("run/model.safetensors").read_bytes() == model

    def test_train_on_a_device(self, server: Server, csv: Path, qlstm) -> None:
        code, out, err = qlstm(*TRAIN, "--backend", "ibm", "--json")
        assert code == 0, err
        facts = json.loads(out)
        assert (facts["backend"], facts["evaluated_on"]) == ("ibm", "statevector")
        assert facts["figures"]
        assert_nothing_twice(server, STEP * BATCHES)
        assert load_config(Path("run"))["backend_options"]["token_env"] == "MY_TOKEN"

    @pytest.mark.parametrize(
        ("task", "pack"), slow_but([("predict", 2)], [("predict", "off"), ("predict", 2), ("train", "off"), ("train", 2)])
    )
    def test_a_plan_is_what_is_submitted(self, server: Server, csv: Path, qlstm, task: str, pack: str | int) -> None:
        backend = IBM.model_copy(update={"pack": pack, "guard": GuardSpec(max_executions=700)})  # jobs are cut
        run = train_run(spec(csv, backend if task == "train" else BackendSpec(name="x", kind="statevector")), Path("run"))
        if task == "predict":
            assert not server.log()
            load_run(run.path, backend=backend).predict(run.dataset.x_test)
        plan = plan_run(run.path, backend, task)
        real = submitted(server)
        circuits = sum(item["circuits"] for item in real)
        assert (plan.work.jobs, plan.work.pubs) == (len(real), sum(item["pubs"] for item in real))
        # equal parameter sets are submitted once, and values of 64 shots, such as a hidden feature of 0, may be equal by chance
        assert 0.97 * plan.work.circuits <= circuits <= plan.work.circuits
        assert plan.work.executions == 64 * plan.work.circuits
        if pack == 2:
            assert plan.unpacked is not None
            assert plan.work.circuits <= 0.55 * plan.unpacked.circuits
        Path("backends.yaml").write_text(
            f"ibm: {{token_env: MY_TOKEN, device: ibm_small, shots: 64, pack: {pack}, guard: {{max_executions: 700}}}}"
        )
        facts = json.loads(qlstm("backends", "plan", "run", "--backend", "ibm", "--task", task, "--json")[1])
        assert facts["circuits"] == plan.work.circuits
        assert len(server.log()) == len(real)

    def test_a_plan_of_a_forecast_is_what_is_submitted(self, server: Server, csv: Path) -> None:
        run = train_run(spec(csv).on("statevector"), csv.parent / "run")
        roll_out(load_run(run.path, backend=IBM), csv, 3)
        assert plan_run(run.path, IBM, horizon=3).work.jobs == len(server.log()) == 3 * WINDOW
        with pytest.raises(OptionError, match="without windows"):
            plan_run(run.path, IBM, horizon=3, windows=2)

    def test_the_saving_of_a_large_device(self, csv: Path, qlstm) -> None:
        assert qlstm(*TRAIN)[0] == 0
        Path("backends.yaml").write_text("ibm: {pack: auto}")
        code, out, err = qlstm("backends", "plan", "run", "--backend", "ibm", "--device", "fez", "--json")
        assert code == 0, err
        facts = json.loads(out)
        assert facts["circuits"] <= facts["unpacked"]["circuits"] / 15
        assert facts["jobs"] == WINDOW

    @pytest.mark.parametrize(
        ("backend", "optimizer"),
        [
            pytest.param("aer-noise-torino", "spsa", marks=pytest.mark.slow),
            pytest.param("aer-noise-torino", "rmsprop", marks=pytest.mark.slow),
            pytest.param("fake-manila", "rmsprop", marks=pytest.mark.slow),
        ],
    )
    def test_train_on_a_simulated_device(
        self, csv: Path, qlstm, backend: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: Counter[str] = Counter()
        plain = Transpiler._make

        def counting(self: Transpiler, key: str, *arguments: Any) -> Any:
            made[key] += 1
            return plain(self, key, *arguments)

        monkeypatch.setattr(Transpiler, "_make", counting)
        monkeypatch.setenv("QLSTM_CACHE", str(csv.parent / "cache"))
        code, text, err = qlstm(*TRAIN, "--backend", backend, "--optimizer", optimizer, "--json")
        assert code == 0, err
        facts = json.loads(text)
        assert facts["backend"] == facts["evaluated_on"] == backend
        assert not Path("run/jobs.sqlite").exists()
        assert sum(made.values()) == len(made) == 1  # one candidate
        assert qlstm("evaluate", "run", "--backend", "statevector", "--json")[0] == 0


@pytest.mark.slow
def test_the_token_is_nowhere(server: Server, csv: Path, caplog: pytest.LogCaptureFixture, qlstm) -> None:
    texts = []
    with caplog.at_level(logging.DEBUG):
        server.faults["submit"].extend([None] * 7 + [Fault(401, text=f"Bearer {CANARY} is not good")])
        with pytest.raises(JobError) as caught:
            train_run(spec(csv), csv.parent / "run")
        texts.append("".join(traceback.format_exception(caught.value)))
        assert qlstm("jobs", "resume", "run")[0] == 0
        texts += qlstm("evaluate", "run", "--json")[1:]
        texts += qlstm("jobs", "list", "run", "--json")[1:]
    assert any(CANARY in headers["Authorization"] for headers in server.headers)
    assert CANARY not in caplog.text
    assert not any(CANARY in text for text in texts)
    files = [path for path in (csv.parent / "run").rglob("*") if path.is_file()]
    assert len(files) >= 7
    assert not any(CANARY.encode() in path.read_bytes() for path in files)


def test_a_changed_run_is_not_answered_from_the_record(server: Server, csv: Path) -> None:
    server.faults["submit"].extend([None] * 7 + [Fault(400)])
    run = csv.parent / "run"
    with pytest.raises(JobError):
        train_run(spec(csv), run)
    config = load_config(run)
    (run / "config.json").write_text(json.dumps(config | {"lr": 0.5}))
    with pytest.raises(LedgerError, match="made for other circuits, values or options"):
        resume_run(run)
    assert (run / "config.json").exists()
    (run / "config.json").write_text(json.dumps(config))
    resume_run(run)
    assert_nothing_twice(server, STEP * BATCHES)


@pytest.mark.slow
def test_two_readers_in_one_process(server: Server, csv: Path) -> None:
    run = train_run(spec(csv).on("statevector"), csv.parent / "run")
    first, second = (load_run(run.path, backend=IBM) for _ in range(2))
    np.testing.assert_array_equal(first.predict(run.dataset.x_test), second.predict(run.dataset.x_test))
    assert_nothing_twice(server, WINDOW)
    fresh = first.predict(run.dataset.x_test)  # asked again in one process: new shots, recorded beside the others
    assert len(server.log()) == 2 * WINDOW
    assert np.shape(fresh) == (5, 1)
    predict_table(load_run(run.path, backend=IBM), csv)
    assert len(server.log()) == 3 * WINDOW


def test_a_closed_run_gives_up_the_right_to_submit(server: Server, csv: Path) -> None:
    run = train_run(spec(csv).on("statevector"), csv.parent / "run")
    opened = load_run(run.path, backend=IBM)
    other = "from pathlib import Path; from qlstm_qiskit.hardware.jobs.lock import lock_of; lock_of(Path('run/jobs.sqlite'))"

    def elsewhere() -> str:
        return subprocess.run([sys.executable, "-c", other], check=False, cwd=csv.parent, capture_output=True, text=True).stderr

    assert "submits jobs for" in elsewhere()
    opened.close()
    assert elsewhere() == ""


class _Refusing(GenericBackendV2):
    """A provider's device that repeats its key in what it says."""

    def run(self, *arguments: Any, **options: Any) -> None:
        raise RuntimeError(f"401: {os.environ['IONQ_API_KEY']} is not accepted")


def test_the_key_of_a_provider_appears_nowhere(csv: Path, tmp_path: Path, qlstm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IONQ_API_KEY", "canary-of-a-provider-1a2b")
    lab = types.ModuleType("lab_with_a_key")
    lab.device = _Refusing(3, seed=1)  # type: ignore[attr-defined]
    lab.broken = lab.device.run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lab_with_a_key", lab)
    entries = [f"{name}: {{kind: provider, provider: 'lab_with_a_key:{name}', shots: 16}}" for name in ("device", "broken")]
    Path("backends.yaml").write_text("\n".join(entries))
    assert qlstm(*TRAIN)[0] == 0
    said = []
    for arguments in (
        ["evaluate", "run", "--backend", "device", "--json"],
        ["evaluate", "run", "--backend", "broken"],
        ["jobs", "list", "run", "--json"],
        ["jobs", "show", "run", 1],
    ):
        said += qlstm(*arguments)[1:]
    assert sum("401: *** is not accepted" in text for text in said) == 4
    assert not any("canary" in text for text in said)
    assert b"canary" not in (tmp_path / "run/jobs.sqlite").read_bytes()
    with pytest.raises(OptionError, match=r"401: \*\*\*") as caught:
        load_run(Path("run"), backend=BackendSpec(name="b", kind="provider", provider="lab_with_a_key:broken", shots=16))
    assert caught.value.__cause__ is None
