"""Report pages, read as HTML: what they say is what the folder holds, and what it holds stays text."""

import csv
import io
import itertools
import json
import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from qlstm_qiskit.cli import main
from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, derive_run, load_run, start_from, train_run
from qlstm_qiskit.experiments.scaling.measure import load_scaling, measure_scaling
from qlstm_qiskit.experiments.studies.records import load_study_folder
from qlstm_qiskit.experiments.studies.table import table
from qlstm_qiskit.nn.update import LSTM_GATES as GATES
from qlstm_qiskit.report.circuits import circuit_svg
from qlstm_qiskit.report.pages import figures, write
from qlstm_qiskit.report.pages.commands import again
from qlstm_qiskit.report.pages.write import write_report
from qlstm_qiskit.search import make_strategy
from qlstm_qiskit.space import SearchSpace
from tests.experiments.scaled import TINY, made_up
from tests.report.pages import END, RAW, SCRIPT, Parsed, hostile_run, hostile_study, parsed
from tests.speed import slow_but

#: Figures of what lags and features add.
ATTRIBUTED = ("attribution", "attribution-last")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def search(folder: Path) -> Run:
    options = {"hidden_size": 1, "depth": 1, "epochs": 3, "valid_fraction": 0.2, "batch_size": 40}
    strategy = make_strategy("shrinking", {"convex": True, "keep": 2})
    return train_run(RunSpec(data=DataSpec(dataset="elnino"), search=strategy, **options), folder / "search")


@pytest.fixture(scope="module")
def tuned(folder: Path, search: Run) -> Run:
    spec = derive_run(search.path, folder / "derived").spec
    changes = {"epochs": 2, "valid_fraction": 0.0, "lr": None, "start": start_from(folder / "derived")}
    return train_run(spec.model_copy(update=changes), folder / "tuned")


@pytest.fixture(scope="module")
def tuned_page(folder: Path, tuned: Run) -> Parsed:
    write_report(tuned.path, folder / "tuned.html", backend="fake-manila")
    return parsed(folder / "tuned.html")


@pytest.fixture(scope="module")
def study(folder: Path) -> Path:
    return hostile_study(folder / "study")


def columns(page: Parsed, name: str) -> dict[str, list[str]]:
    header, *rows = csv.reader(io.StringIO(page.downloads[name]))
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def headings(page: Parsed) -> list[int]:
    return [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]


def test_a_run(tuned: Run, tuned_page: Parsed) -> None:
    titles = ["Forecast", "Errors", "Training", "Structural weights", "Circuits", "Attribution", "Shots", "Cost"]
    assert tuned_page.text("h2") == [*titles, "Configuration", "Versions", "Make it again"]
    assert tuned_page.text("h3") == ["Plan for fake-manila", "Transpiled for fake-manila"]
    assert set(tuned_page.figures) >= {"forecast", "loss"}
    words = tuned_page.text()
    for expected in (
        f"{tuned.metrics['test']['mse']:.3g}",
        "seasonal naive",
        "MASE",
        "fine-tuned",
        "trained on it",
        "QPU time",
    ):
        assert expected in words
    assert sum(tag == "svg" for tag, _ in tuned_page.elements) == len({c.name for c in candidates_of(tuned)})
    assert json.loads(tuned_page.downloads["metrics.json"]) == tuned.metrics
    config = RunSpec.model_validate_json(tuned_page.downloads["config.json"])
    hidden = {"data", "start", "genotype"}
    assert config.model_dump(exclude=hidden) == tuned.spec.model_dump(exclude=hidden)
    assert config.start.sha256 == tuned.spec.start.sha256


def test_a_page_does_not_say_where_things_lie(tuned: Run, folder: Path) -> None:
    page = (folder / "tuned.html").read_text()
    assert tuned.spec.data.csv is None or Path(tuned.spec.data.csv).is_absolute()
    assert Path(tuned.spec.start.run).is_absolute()
    assert Path(tuned.spec.start.run).name in page
    assert str(folder) not in page


def candidates_of(run: Run) -> list:
    return [candidate for cell in run.forecaster.recurrent.layers() for candidate in cell.bank.candidates]


def test_the_forecast_is_that_of_the_model_in_original_units(tuned: Run, tuned_page: Parsed) -> None:
    """Against the errors in metrics.json, which are computed elsewhere."""
    drawn = columns(tuned_page, "forecast.csv")
    data, test = tuned.dataset, np.array(drawn["part"]) == "test"
    rows = np.array(drawn["row"], dtype=int)
    truth, prediction, persistence = (np.array(drawn[key], dtype=float) for key in ("truth", "prediction", "persistence"))
    assert test.sum() == len(data.x_test)
    assert truth == pytest.approx(data.values[rows], abs=1e-12 * np.abs(data.values).max())
    for values, name in ((prediction, "test"), (persistence, "persistence")):
        found = np.sqrt(np.mean((values - truth)[test] ** 2))
        assert found == pytest.approx(tuned.metrics[name]["rmse_original"], rel=1e-9)


def test_losses_and_weights_are_those_of_the_history(folder: Path, search: Run) -> None:
    written = write_report(search.path, folder / "search.html")
    found = parsed(folder / "search.html")
    assert written.figures == ("forecast", "loss", *(f"weights-1-{gate}" for gate in GATES), *ATTRIBUTED, "shots")
    assert set(written.figures) == set(found.figures)
    losses = columns(found, "loss.csv")
    for key in ("train_mse", "valid_mse", "test_mse"):
        assert list(map(float, losses[key])) == [entry[key] for entry in search.history]
    weights = columns(found, "weights-1-cell.csv")
    last = search.architecture[-1]["layers"][0]
    for name, value in zip(last["candidates"], last["coefficients"][2], strict=True):
        assert (float(weights[name][-1]) if weights[name][-1] else 0.0) == value


def test_every_figure_has_labels_and_data(folder: Path, tuned_page: Parsed, study: Path) -> None:
    write_report(study, folder / "labels.html")
    for found in (tuned_page, parsed(folder / "labels.html")):
        for name, figure in found.figures.items():
            assert all(figure["layout"][axis]["title"]["text"] for axis in ("xaxis", "yaxis"))
            assert f"{name}.csv" in found.downloads


def test_semantics(tuned_page: Parsed) -> None:
    levels = headings(tuned_page)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(now - before <= 1 for before, now in itertools.pairwise(levels))
    tags = [tag for tag, _ in tuned_page.elements]
    assert {"main", "header", "section", "figure", "figcaption", "table", "footer"} <= set(tags)
    identifiers = [own["id"] for _, own in tuned_page.elements if "id" in own]
    assert len(identifiers) == len(set(identifiers))
    assert all(own["scope"] in ("row", "col") for tag, own in tuned_page.elements if tag == "th")


def test_nothing_comes_from_elsewhere(tuned_page: Parsed) -> None:
    for tag, own in tuned_page.elements:
        for key in ("src", "href", "xlink:href", "action", "poster", "srcset"):
            address = own.get(key)
            assert address is None or address.startswith(("data:", "#")), f"{tag} {key}={address}"
    policy = next(own["content"] for tag, own in tuned_page.elements if own.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'; script-src 'sha256-")
    styles = "".join(text for tag, text in tuned_page.texts if tag == "style")
    assert "@import" not in styles
    assert "url(" not in styles
    assert "prefers-color-scheme: dark" in styles


@pytest.mark.parametrize("kind", slow_but(["run"], ["run", "study"]))
def test_names_stay_text(kind: str, folder: Path, study: Path) -> None:
    path = hostile_run(folder / "hostile").path if kind == "run" else study
    write_report(path, folder / f"{kind}.html")
    html = (folder / f"{kind}.html").read_text()
    assert SCRIPT not in html
    assert "<img" not in html
    assert "<!--<" not in html
    found = parsed(folder / f"{kind}.html")
    assert [own for tag, own in found.elements if tag == "script"] == [{"type": "text/plain", "id": "content"}, {}]
    assert not [tag for tag, _ in found.elements if tag == "img"]
    assert any(RAW in text for text in found.text())
    drawn = json.dumps(found.figures)  # plotly reads markup in its texts
    assert "<script" not in drawn
    assert "&lt;script&gt;" in drawn
    assert any(name in text for name in (SCRIPT, END) for text in found.text("th", "td", "figcaption"))


def test_a_study(folder: Path, study: Path) -> None:
    written = write_report(study, folder / "study.html")
    assert (written.kind, written.figures) == ("study", ("errors-1", "errors-2"))
    found, content = parsed(folder / "study.html"), table(*load_study_folder(study))
    assert json.loads(found.downloads["table.json"]) == content.to_json()
    assert found.text("h2")[:2] == ["Medians", "Errors of all seeds"]
    assert {"Beside the published numbers", "MASE, one step ahead", "MASE, 2 steps ahead", f"Tests: {RAW}", "Made with"} <= set(
        found.text("h2")
    )
    assert "too few seeds" in found.text("td")
    drawn = columns(found, "errors-1.csv")
    assert drawn["seed"] == ["0", "1"] * 3
    assert tuple(map(float, drawn["test_mse"][:2])) == content.cells[SCRIPT, "damped_shm"].values
    seeds, middle, published = found.figures["errors-1"]["data"]
    assert seeds["text"][1].endswith(f"seed 1: {content.cells[SCRIPT, 'damped_shm'].values[1]:.3g}")
    assert middle["x"][0] == content.cells[SCRIPT, "damped_shm"].summary.median
    assert published["x"] == [0.0001]


def test_a_scaling_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qlstm_qiskit.experiments.scaling.measure.measure_point", made_up)
    records = measure_scaling(TINY, folder / "scaling")
    plan, again = load_scaling(folder / "scaling")
    assert (plan.base, tuple(again)) == (TINY.base, records)
    written = write_report(folder / "scaling", folder / "scaling.html")
    assert (written.kind, written.figures) == ("scaling", ("hidden-step", "hidden-memory", "hidden-error"))
    found = columns(parsed(folder / "scaling.html"), "hidden-step.csv")
    assert list(map(float, found["qlstm_median"])) == [record.qlstm.step_ms for record in records]


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no folder"):
        write_report(tmp_path / "nowhere", tmp_path / "page.html")
    with pytest.raises(RunError, match="holds no run"):
        write_report(tmp_path, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_options(folder: Path, study: Path, tuned: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, out, options, message in (
        (tuned.path, "page.txt", {}, "ends in .html"),
        (study, "page.html", {"backend": "fake-fez"}, "goes with a run folder"),
        (tuned.path, "page.html", {"backend": "ibm"}, "may leave this machine"),
        (tuned.path, "page.html", {"backend": "fake-fes"}, "Did you mean 'fake-fez'"),
    ):
        with pytest.raises(OptionError, match=message):
            write_report(path, folder / out, **options)
    monkeypatch.setattr(write, "find_spec", lambda name: None if name == "plotly" else name)
    with pytest.raises(OptionError, match=re.escape("pip install 'qlstm-qiskit[report]'")):
        write_report(study, folder / "page.html")
    assert not (folder / "page.html").exists()


def test_a_run_that_is_not_finished_or_damaged(folder: Path, tmp_path: Path, tuned: Run) -> None:
    for name in ("config.json", "model.safetensors", "history.jsonl"):
        (tmp_path / name).write_bytes((tuned.path / name).read_bytes())
    with pytest.raises(RunError, match="not finished"):
        write_report(tmp_path, tmp_path / "page.html")
    (tmp_path / "metrics.json").write_text(json.dumps(tuned.metrics | {"test": {"mse": "<b>"}}))
    with pytest.raises(RunError, match=r"metrics\.json is damaged or of another version: test\.mse"):
        write_report(tmp_path, tmp_path / "page.html")


@pytest.mark.parametrize("name", ["search", "tuned", "csv"])
def test_the_command_makes_the_same_run(
    name: str, folder: Path, search: Run, tuned: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = {"search": search, "tuned": tuned}.get(name)
    if run is None:
        file = tmp_path / "two columns.csv"
        file.write_text("a b,c\n" + "\n".join(f"{row % 5},{row}" for row in range(30)))
        data = DataSpec(csv=str(file), target="a b", features=("a b", "c"), window=3, season=5)
        run = train_run(RunSpec(data=data, model="lstm", hidden_size=2, epochs=1, optimizer="adam", lr=0.02), tmp_path / "run")
    given = []
    monkeypatch.setattr("qlstm_qiskit.cli.train._train", lambda spec, *_, **__: given.append(spec))
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(again(run.spec, run.path))[1:])
    assert not caught.value.code
    spec = given[0].model_copy(update={"data": given[0].data.pinned()})
    assert name != "csv" or spec.lr == 0.02
    changes = {"depth": run.spec.depth, "backend_options": run.spec.backend_options, "lr": run.spec.lr}
    assert spec.model_copy(update=changes) == run.spec


def test_what_no_command_makes(folder: Path, tuned: Run) -> None:
    derived = load_run(folder / "derived")
    assert again(derived.spec, derived.path) == shlex.join(
        ["qlstm", "derive", str(folder / "search"), "--strategy", "perturbation", "--top-k", "1", "--out", "again"]
    )
    assert "RunSpec.model_validate_json" in again(tuned.spec.model_copy(update={"start": None}), tuned.path)


def test_circuits_share_a_page() -> None:
    candidate = SearchSpace.handcrafted(1).candidates(n_qubits=3, depth=1)[0]
    found = [circuit_svg(candidate, name) for name in ("a", "b")]
    assert found[0] == circuit_svg(candidate, "a")
    for name, svg in zip("ab", found, strict=True):
        elements = list(ElementTree.fromstring(svg).iter())
        identifiers = {element.get("id") for element in elements} - {None}
        assert all(identifier.startswith(f"{name}-") for identifier in identifiers)
        used = {value[1:] for element in elements for key, value in element.attrib.items() if key.endswith("href")}
        assert used
        assert used <= identifiers


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([4e-3, 3e-2], {"0.002", "0.005", "0.01", "0.02", "0.05"}),
        ([2e-6, 1e-4], {"3e-06", "1e-05", "3e-05", "0.0001"}),
        ([3e-12, 1e-3], {"10⁻¹²", "10⁻¹⁰", "10⁻⁸", "10⁻⁶", "10⁻⁴"}),
        ([0.391, 0.392], {"0.2", "0.5"}),
        ([None, 0.0, float("inf")], {"0.5", "1", "2"}),
    ],
)
def test_ticks_of_a_logarithmic_axis(values: list, labels: set[str]) -> None:
    axis = figures.log_axis("error", values)
    assert labels <= set(axis["ticktext"])
    assert len(axis["ticktext"]) == len(axis["tickvals"])
    drawn = [value for value in values if value and np.isfinite(value)] or [1.0]
    within = [text for tick, text in zip(axis["tickvals"], axis["ticktext"], strict=True) if min(drawn) <= tick <= max(drawn)]
    assert len(within) > 1 or axis["range"][0] < np.log10(min(drawn)) <= np.log10(max(drawn)) < axis["range"][1]
    assert sum(bool(text) for text in within) <= 6


@pytest.mark.slow
def test_the_command(folder: Path, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["report", *map(str, arguments)])
        streams = capsys.readouterr()
        return int(caught.value.code or 0), streams.out, streams.err

    out = folder / "command.html"
    code, text, err = run(study, "--out", out, "--json")
    assert (code, err) == (0, "")
    facts = json.loads(text)
    assert (facts["kind"], facts["out"], facts["bytes"]) == ("study", str(out), out.stat().st_size)
    assert facts["figures"] == ["errors-1", "errors-2"]
    assert run(study, "--out", out)[1].startswith(f"Written: {out} (")
    code, _, err = run(folder, "--out", out)
    assert code == 2
    assert err.count("\n") == 1
    assert "holds no run" in err
