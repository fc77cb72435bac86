"""Ranks of a study against counting by hand and against Demsar's tables."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, rankdata

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.studies import ranks as module
from qlstm_qiskit.experiments.studies.effects import effect
from qlstm_qiskit.experiments.studies.ranks import Ranking, Ranks, critical_difference, ranks
from qlstm_qiskit.experiments.studies.records import load_study_folder
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.statistics import compare, corrected
from qlstm_qiskit.experiments.studies.study import Study, load_study
from qlstm_qiskit.experiments.studies.table import table
from qlstm_qiskit.report.pages.study import study_page
from qlstm_qiskit.report.ranks import draw_ranks, rank_tables, ranks_figure
from qlstm_qiskit.report.table import draw_table, markdown

ROWS = ["a", "b", "c", "d"]


def errors(n: int, seed: int = 0) -> dict[tuple[str, str], float]:
    rng = np.random.default_rng(seed)
    return {(row, f"t{task}"): float(np.exp(rng.normal(place, 1))) for task in range(n) for place, row in enumerate(ROWS)}


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (10, 3.164)])
def test_the_critical_difference_is_demsars(k: int, q: float) -> None:
    """q at 0.05 is table 5 (a) of Demsar 2006."""
    for n in (14, 27):
        assert critical_difference(k, n) == pytest.approx(q * (k * (k + 1) / (6 * n)) ** 0.5, rel=3e-4)


def test_demsars_example() -> None:
    """Section 3.2.2: four algorithms on 14 data sets; and equation (11) of Friedman's statistic, for ranks without ties."""
    assert round(critical_difference(4, 14), 2) == 1.25
    found = ranks(Ranking(), ROWS, errors(14), {})
    squares = sum(mean**2 for mean in found.mean.values())
    assert found.statistic == pytest.approx(12 * 14 / (4 * 5) * (squares - 4 * 5**2 / 4))


def test_ranks_by_hand() -> None:
    test = errors(12)
    test["a", "t3"] = test["b", "t3"]  # tied: both have the mean of their places
    test["d", "t5"] = np.inf
    found = ranks(Ranking(), ROWS, test, {})
    values = np.array([[test[row, f"t{task}"] for row in ROWS] for task in range(12)])
    placed = np.array([rankdata(line) for line in values])
    np.testing.assert_allclose([found.mean[row] for row in ROWS], placed.mean(axis=0), rtol=1e-15)
    assert placed[3, 0] == placed[3, 1] == placed[3, :2].mean()
    counted = [[np.sum(line < one) + (np.sum(line == one) + 1) / 2 for one in line] for line in values]
    np.testing.assert_array_equal(placed, counted)
    chi = friedmanchisquare(*values.T)
    assert (found.statistic, found.p) == (chi.statistic, chi.pvalue)
    for (first, second), p in found.nemenyi.items():
        apart = abs(found.mean[first] - found.mean[second]) > found.critical_difference
        assert apart == (p < 0.05), "the p values and the critical difference are one test"
    pairs = list(combinations(ROWS, 2))
    raw = {pair: compare(*([test[row, f"t{n}"] for n in range(12)] for row in pair)).p for pair in pairs}
    holm, before = {}, 0.0
    for place, pair in enumerate(sorted(pairs, key=raw.__getitem__)):
        before = max(before, min(1.0, (6 - place) * raw[pair]))
        holm[pair] = before
    assert {pair: one.p_holm for pair, one in found.pairs.items()} == pytest.approx(holm)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("error", [1.0, np.inf])
def test_errors_that_are_all_the_same_are_no_difference(error: float) -> None:
    found = ranks(Ranking(), ROWS, {(row, f"t{n}"): error for row in ROWS for n in range(4)}, {})
    assert (found.statistic, found.p) == (0, 1)
    assert set(found.mean.values()) == {2.5}
    assert json.dumps(found.to_json(), allow_nan=False)


def test_validation_errors_choose_and_test_errors_do_not() -> None:
    test, valid = errors(9), errors(9, seed=1)
    for task in range(9):
        valid["a", f"t{task}"], valid["b", f"t{task}"] = (2.0, 1.0) if task else (1.0, 2.0)
    ranking = Ranking(rivals={"a": "c", "b": "d"})
    found = ranks(ranking, ROWS, test, valid)
    assert (found.choice.row, found.choice.rival) == ("b", "d")
    assert found.choice.by_validation == pytest.approx({"a": 17 / 9, "b": 10 / 9})
    assert found.mean["a"] < found.mean["b"], "though the test part says otherwise"
    assert found.choice.ratio == found.mean["b"] / found.mean["d"]
    alone = compare(*([test[row, f"t{n}"] for n in range(9)] for row in "bd"))
    assert found.choice.comparison == alone
    better = {key: value / 1e6 if key[0] == "a" else value for key, value in test.items()}
    assert ranks(ranking, ROWS, better, valid).choice.row == "b"
    assert ranks(ranking, ROWS, test, {key: one for key, one in valid.items() if key != ("a", "t2")}).choice is None


def test_only_series_that_all_rows_have_are_ranked() -> None:
    test = errors(6)
    del test["b", "t1"]
    found = ranks(Ranking(rows=("a", "b", "c")), ROWS, test, {})
    assert (found.rows, found.tasks) == (("a", "b", "c"), ("t0", "t2", "t3", "t4", "t5"))
    assert found.left_out == ("t1",)
    assert "Left out, as not all of the models have been run there: t1." in rank_tables(found)[0][1]
    assert "Left out" not in rank_tables(ranks(Ranking(), ROWS, errors(6), {}))[0][1]
    assert ranks(Ranking(rows=("a", "b")), ROWS, test, {}) is None
    assert ranks(Ranking(), ROWS, errors(1), {}) is None


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"ranks of a study need the package scikit-posthocs: .*controls"):
        ranks(Ranking(), ROWS, errors(4), {})


def study(**more: object) -> Study:
    return Study.model_validate(
        {
            "name": "ranked",
            "seeds": 3,
            "datasets": {f"t{n}": {"dataset": "bessel", "window": n + 1} for n in range(7)},
            "rows": {
                "a": {"run": {"model": "config1", "depth": 1, "valid_fraction": 0.2}},
                "b": {"run": {"model": "lstm", "valid_fraction": 0.2}},
                "c": {"control": {"control": "ridge"}},
            },
            "ranks": {"rivals": {"a": "b"}},
            **more,
        }
    )


def records() -> list[dict]:
    rng = np.random.default_rng(4)
    return [
        {"id": f"{row}{n}{seed}", "row": row, "dataset": f"t{n}", "seed": seed, "n_circuits": 4 * (row == "a")}
        | {"test_mse": float(rng.exponential() * (1 + "abc".index(row))), "valid_mse": float(rng.exponential())}
        for row in "abc"
        for n in range(7)
        for seed in range(3)
    ]


def test_the_table_of_a_study_ranks_medians(tmp_path: Path) -> None:
    found = table(study(), records())
    medians = np.array([[found.cells[row, f"t{n}"].summary.median for row in "abc"] for n in range(7)])
    assert list(found.ranks.mean.values()) == pytest.approx(np.mean([rankdata(line) for line in medians], axis=0).tolist())
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))["ranks"]
    assert (content["tasks"], content["mean"], content["choice"]["row"]) == (7, found.ranks.mean, "a")
    text = markdown(found)
    assert "## Mean ranks" in text
    assert f"| `a` | {found.ranks.mean['a']:.2f} | 1.00 |" in text
    assert "validation errors choose a (mean rank 1.00 among them)" in text
    draw_table(found, tmp_path)
    assert [path.name for path in draw_ranks(found, tmp_path)] == ["ranks.png", "ranks.svg"]
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("ranks.png", "ranks.svg"))
    first = (tmp_path / "ranks.svg").read_bytes()
    draw_ranks(found, tmp_path)
    assert (tmp_path / "ranks.svg").read_bytes() == first
    plain = table(study(ranks=None), records())
    assert plain.ranks is None
    assert "ranks" not in plain.to_json()
    assert "No mean ranks yet" not in markdown(plain) + text
    assert draw_ranks(plain, tmp_path / "none") == []


def test_the_lines_of_a_row_that_is_always_last_are_drawn_whole() -> None:
    for axes in ranks_figure(table(study(), records())).axes:
        assert not any(artist.get_clip_on() for artist in (*axes.lines, *axes.collections))
        assert len(axes.collections) == 3


def test_tests_of_pairs_stand_where_they_are_said_to() -> None:
    found: Ranks = table(study(), records()).ranks
    _, (_, _, header, rows) = rank_tables(found)
    order = sorted("abc", key=found.mean.__getitem__)
    assert header == ["model", *order]
    for place, other in combinations(range(3), 2):
        pair = tuple(sorted((order[place], order[other])))
        assert rows[place][1 + other] == f"{found.pairs[pair].p_holm:.2g}"
        assert rows[other][1 + place] == f"{found.nemenyi[pair]:.2g}"


@pytest.mark.parametrize(("rows", "tasks", "said"), [("abc", 1, True), ("ab", 7, True), ("abc", 2, False)])
def test_ranks_that_are_not_there_yet_are_said(rows: str, tasks: int, said: bool) -> None:
    some = [one for one in records() if one["row"] in rows and int(one["dataset"][1:]) < tasks]
    text = markdown(table(study(), some))
    sentence = "No mean ranks yet: at least 3 models must all have been run on at least 2 series."
    assert (sentence in text, "## Mean ranks" in text) == (said, not said)


def test_pairs_of_families_are_tested_over_all_series() -> None:
    families = {"own": [("a", "b"), ("a", "c"), ("c", "b")]}
    found = table(study(families=families), records())
    own = found.ranks.families["own"]
    medians = {row: [found.cells[row, f"t{n}"].summary.median for n in range(7)] for row in "abc"}
    alone = [compare(medians[first], medians[second]) for first, second in families["own"]]
    assert [(pair.first, pair.second) for pair in own] == families["own"]
    assert [pair.comparison for pair in own] == corrected(alone)
    assert own[0].comparison.p_holm != own[0].comparison.p
    assert own[0].effect == effect(medians["a"], medians["b"], 3)
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))["ranks"]["families"]["own"]
    assert content[1]["ratio"] == pytest.approx(np.median(np.divide(medians["a"], medians["c"])))
    text = markdown(found)
    assert "## Over all series: own" in text
    assert f"| a | c | 7 | {alone[1].ratio:.2g} | {own[1].comparison.p_holm:.2g} |" in text
    assert "Over all series" not in markdown(table(study(), records()))


def test_pairs_of_families_are_compared_on_what_both_have() -> None:
    test = errors(6)
    del test["b", "t1"]
    found = ranks(Ranking(), ROWS, test, {}, {"own": [("a", "b"), ("a", "c")], "none": [("a", "z")]})
    assert {name: [pair.comparison.n for pair in own] for name, own in found.families.items()} == {"own": [5, 6]}


def test_a_part_of_a_study_ranks_what_is_left() -> None:
    assert study().part(rows=["a", "c"]).ranks == Ranking()
    with pytest.raises(ValueError, match="unknown row 'z'"):
        study(ranks={"rivals": {"a": "z"}})
    with pytest.raises(ValueError, match=r"ranks.rivals has 'b', which ranks.rows leaves out"):
        study(ranks={"rows": ["a", "c"], "rivals": {"a": "b"}})


def test_rows_are_chosen_by_what_they_have(tmp_path: Path) -> None:
    rows = study().rows
    rows["a"] = rows["a"].model_copy(update={"run": {"model": "config1", "depth": 1}})
    refused, folder = study(rows=rows), tmp_path / "out"
    for part in (refused, refused.part(rows=["c"])):
        with pytest.raises(OptionError, match=r"ranks.rivals by validation errors, and the row 'a' has none; give it a valid_"):
            run_study(part, folder, whole=refused)
    assert not folder.exists(), "a folder would be for the study that was refused"
    assert table(refused, records()).ranks is not None, "what was run before is read"


def test_both_protocols_have_the_same_rows_and_tasks() -> None:
    published, honest = load_study("chaos"), load_study("chaos-leak-free")
    assert published.rows == honest.rows
    assert (published.common, published.ranks, published.families) == (honest.common, honest.ranks, honest.families)
    assert len(published.datasets) == 27
    assert {name: own | {"scaling": "training-part"} for name, own in published.datasets.items()} == honest.datasets
    for name, own in published.datasets.items():
        series, lead, lag = name.rsplit("-", 2)
        assert (own["dataset"], own.get("lead", 1), own["window"]) == (series, int(lead[1:]), int(lag[3:]))
    tasks = published.tasks()
    assert len({task.id for task in tasks}) == len(tasks) == 27 * len(published.rows) * 10


def test_pairs_are_not_told_apart_where_friedman_does_not() -> None:
    alike = {(row, f"t{n}"): float((n + place) % 4) for n in range(4) for place, row in enumerate(ROWS)}
    said = rank_tables(ranks(Ranking(), ROWS, alike, {}))[0][1]
    assert said.endswith("As Friedman's p is not below 0.05, no pair is to be told apart.")
    apart = {(row, f"t{n}"): float(place) for n in range(9) for place, row in enumerate(ROWS)}
    assert "no pair is to be told apart" not in rank_tables(ranks(Ranking(), ROWS, apart, {}))[0][1]


def test_a_folder_and_its_page_have_the_diagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    controls = {name: {"control": {"control": name}} for name in ("ridge", "esn", "persistence")}
    small = Study.model_validate(
        {
            "name": "small",
            "seeds": 1,
            "datasets": {f"henon-k{k}": {"dataset": "henon", "lead": k} for k in (1, 2, 4)},
            "rows": controls,
            "ranks": {},
            "families": {"own": [("esn", "ridge")]},
        }
    )
    with monkeypatch.context() as patched:
        patched.setattr(module, "find_spec", lambda name: None)
        with pytest.raises(OptionError, match="scikit-posthocs"):
            run_study(small, tmp_path / "out")
    assert not (tmp_path / "out").exists(), "it is said before anything is run"
    run_study(small, tmp_path / "out")
    assert table(*load_study_folder(tmp_path / "out")).ranks.rows == tuple(controls)
    page = study_page(tmp_path / "out")
    titles = [section.title for section in page.sections]
    assert {"Critical differences", "Mean ranks", "Mean ranks: tests of pairs", "Over all series: own"} <= set(titles)
    (drawing,) = page.sections[titles.index("Critical differences")].parts
    assert drawing.svg.startswith("<svg")
