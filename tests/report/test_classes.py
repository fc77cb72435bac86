"""The confusion matrix of a classifier, as figure and on its page."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score, recall_score

from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, train_run
from qlstm_qiskit.report import draw_run
from qlstm_qiskit.report.classes import MOST_COUNTED, MOST_NAMED, Confusion, confusion_figure
from qlstm_qiskit.report.pages.classes import classes_section, confusion_plot
from qlstm_qiskit.report.pages.run import run_page

NAMES = np.array(["walking upstairs, $x_1$, with a heavy bag", "walking upstairs, without a <b>bag</b>", "sitting"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder, state = tmp_path_factory.mktemp("classes"), (np.arange(60) // 2) % 3
    pd.DataFrame({"x": state + np.sin(np.arange(60)), "$y": NAMES[state]}).to_csv(folder / "s.csv", index=False)
    data = DataSpec(csv=str(folder / "s.csv"), target="$y", features=("x",), window=2, task="classification")
    return train_run(RunSpec(data=data, model="lstm", hidden_size=2, epochs=2, lr=0.05), folder / "run")


def test_counts_and_shares_are_those_of_the_test_part(run: Run) -> None:
    data, found = run.dataset, Confusion.of(run)
    truth, predicted = data.classes[data.y_test.argmax(axis=1)], run.predict(data.x_test)
    crossed = pd.crosstab(truth, predicted).reindex(index=data.classes, columns=data.classes, fill_value=0)
    np.testing.assert_array_equal(found.counts, crossed.to_numpy())
    recall = recall_score(truth, predicted, labels=data.classes, average=None)
    np.testing.assert_allclose(np.diag(found.shares), recall, rtol=1e-12)
    precision = precision_score(truth, predicted, labels=data.classes, average=None, zero_division=0)
    for row, own, right, seen in zip(found.rows(), recall, precision, found.counts.sum(axis=0), strict=True):
        assert row[2:] == [f"{own:.1%}", f"{right:.1%}" if seen else ""]


def test_the_figure_has_all_counts_and_names(run: Run) -> None:
    axes, found = confusion_figure(run).axes[0], Confusion.of(run)
    assert [text.get_text() for text in axes.texts] == [str(count) for count in found.counts.ravel()]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [name.replace("$", r"\$") for name in found.short(28)]
    assert f"{found.counts.trace() / found.counts.sum():.1%} of {found.counts.sum()} test windows" in axes.get_title()
    assert [path.name for path in draw_run(run)] == ["confusion.png", "loss.png"]
    assert (run.path / "confusion.png").read_bytes()[1:4] == b"PNG"


def test_the_page_shows_it(run: Run) -> None:
    found = Confusion.of(run)
    plot = confusion_plot(found)
    cells = plot.figure["data"][0]
    np.testing.assert_allclose(np.array(cells["z"]), found.shares)
    assert [[int(text) for text in row] for row in cells["text"]] == found.counts.tolist()
    assert cells["customdata"][0][1] == ["sitting", "walking upstairs, $x_1$, with a heavy bag"]
    assert "&lt;b&gt;" in cells["customdata"][2][2][0]
    assert plot.download.text.splitlines()[0].startswith("true,predicted sitting,")
    assert classes_section(run).title == "Classes"
    page = run_page(run.path)
    assert [section.title for section in page.sections][:3] == ["Classes", "Errors", "Training"]
    assert "of the test windows are classified correctly" in page.lead[0]


def test_long_names_are_cut_where_they_differ() -> None:
    names = [
        "rowing machine, high resistance",
        "rowing machine, low resistance",
        "walking upstairs with a bag",
        "walking down with a bag",
    ]
    short = Confusion([*names, "sitting"], np.eye(5, dtype=int)).short(16)
    assert len(set(short)) == 5
    assert {len(name) for name in short} == {16, 7}
    alike = Confusion(["a" * 30 + "b" + "a" * 30, "a" * 30 + "c" + "a" * 30], np.eye(2, dtype=int)).short(16)
    assert alike == ["aaaaaaaa…aaaaaaa"] * 2


@pytest.mark.parametrize("count", [MOST_COUNTED + 1, MOST_NAMED + 1])
def test_of_many_classes_the_colours_are_left(count: int, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    many = Confusion([f"class {number}" for number in range(count)], np.eye(count, dtype=int))
    monkeypatch.setattr(Confusion, "of", classmethod(lambda kind, run: many))
    axes = confusion_figure(run).axes[0]
    assert not axes.texts
    named = [tick.get_text() for tick in axes.get_yticklabels() if tick.get_text().startswith("class")]
    assert len(named) == (count if count <= MOST_NAMED else 0)
    figure = confusion_plot(many).figure
    assert "texttemplate" not in figure["data"][0]
    assert ("ticktext" in figure["layout"]["xaxis"]) == (count <= MOST_NAMED)


def test_a_class_without_test_windows_has_no_recall() -> None:
    found = Confusion(["a", "b"], np.array([[3, 1], [0, 0]]))
    assert found.rows() == [["a", "4", "75.0%", "100.0%"], ["b", "0", "", "0.0%"]]
    assert found.shares.tolist() == [[0.75, 0.25], [0.0, 0.0]]


def test_a_page_of_a_folder_that_was_moved_is_made(run: Run, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in run.path.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    assert run_page(moved).title == run_page(run.path).title
