"""What is said of measured series: errors, several steps, differences, intervals, classes."""

import numpy as np
import pytest

from benchmarks.kept import kept
from tests.evidence.pages import README, ROOT, B, U, W, evidence, said


@pytest.mark.slow
def test_of_real_series() -> None:
    it = evidence("real")
    median = it.median
    assert it.series == ["sunspots", "nile", "elnino", "co2"]
    said(
        "`diffqas` is worse than it on all four series; stopped early, "
        "it is worse on three, with no significant difference on the Nile"
    )
    said("ridge regression is better than the 36 candidates on all four measured ones", README)
    assert it.tests("diffqas", "ridge") == [W] * 4
    assert it.tests("diffqas-early", "ridge") == [W, U, W, W]
    said("that of one handcrafted circuit (`config1`) on sunspots and that of the LSTM, stopped early, on El Niño")
    below = {(row, name) for row, name in median if median[row, name] < median["ridge", name]}
    assert below == {("config1", "sunspots"), ("lstm-early", "elnino")}
    assert not it.tests("config1", "ridge") + it.tests("lstm-early", "ridge")
    said("trained to the end, their medians are 2 and 4 times that of persistence on the Nile")
    factors = [median[row, "nile"] / median["persistence", "nile"] for row in ("diffqas", "lstm")]
    assert np.round(factors).tolist() == [2, 4]
    said("makes the LSTM better on both and `diffqas` on the Nile, and is undecided elsewhere")
    assert it.tests("lstm-early", "lstm") == [B, B, U, U]
    assert it.tests("diffqas-early", "diffqas") == [U, B, U, U]
    said("except for the LSTM on the Nile, where it is better")
    assert it.tests("diffqas-early", "diffqas-paper") == [U] * 4
    assert it.tests("lstm-early", "lstm-paper") == [U, B, U, U]
    said("there is no significant difference on sunspots, the Nile and El Niño, and the LSTM is better on CO2")
    for pair in (("diffqas", "lstm"), ("diffqas-early", "lstm-early")):
        assert it.tests(*pair) == [U, U, U, W]
    said("The LSTM with as many parameters is worse than `diffqas` on the Nile and El Niño and better on CO2")
    assert it.tests("diffqas", "lstm-20") == [U, B, B, W]
    said("only ridge regression has a lower median than repeating the last value, and circuits have the highest")
    ranked = sorted(it.table.study.rows, key=lambda row: median[row, "co2"])
    circuits = [row for row in ranked if it.table.cells[row, "co2"].n_circuits]
    assert ranked[:2] == ["ridge", "persistence"]
    assert ranked[-len(circuits) :] == circuits
    gains = [median[row, name] / median[f"{row}-early", name] for row in ("diffqas", "lstm") for name in ("sunspots", "nile")]
    said(
        "are 2 to 6 times those of the same models stopped early",
        " ".join((ROOT / "docs/how-to/recipes.md").read_text().split()),
    )
    assert np.round([min(gains), max(gains)]).tolist() == [2, 6]


@pytest.mark.slow
def test_of_twelve_steps() -> None:
    it = evidence("real")
    said("on sunspots, except for `config1`, and on CO2; on El Niño all but `lstm-20` do better")
    rolled = {key: cell.rolled_mase.median for key, cell in it.table.cells.items() if cell.rolled_mase is not None}
    better = {name: {row for row in it.trained if rolled[row, name] < rolled["seasonal-naive", name]} for name in it.series}
    assert better["sunspots"] == {"config1"}
    assert better["co2"] == set()
    assert set(it.trained) - better["elnino"] == {"lstm-20"}


def test_of_trends() -> None:
    ours, before = evidence("trends"), evidence("real")
    median = ours.median
    circuits = ("config1", "config1-early", "diffqas-early")
    said("every circuit beats persistence and the seasonal naive forecast, by a factor of 7 and more")
    for row in circuits:
        worst = max(ours.table.cells[row, "co2"].values)
        assert worst < median["persistence", "co2"]
        assert median["persistence", "co2"] / median[row, "co2"] > 7
    said("have the median 0.00036 where they had 0.70, and no significant difference from ridge regression (0.00033)")
    shown = median["diffqas-early", "co2"], before.median["diffqas-early", "co2"], median["ridge", "co2"]
    assert [f"{value:.2g}" for value in shown] == ["0.00036", "0.7", "0.00033"]
    found = {
        (test.first, test.second, test.dataset): test.comparison.verdict
        for tests in ours.table.families.values()
        for test in tests
    }
    assert (found["diffqas-early", "ridge", "co2"], found["diffqas-early", "lstm-early", "co2"]) == (U, U)
    said("One handcrafted circuit is worse than both")
    assert (found["config1-early", "ridge", "co2"], found["config1-early", "lstm-early", "co2"]) == (W, W)
    said("On El Niño circuits, stopped early, are better than ridge regression on the same differences")
    for row in ("config1-early", "diffqas-early"):
        assert (found[row, "ridge", "elnino"], found[row, "lstm-early", "elnino"]) == (B, U)
        assert (found[row, "ridge", "sunspots"], found[row, "ridge", "nile"]) == (U, W)
        assert (found[row, "lstm-early", "sunspots"], found[row, "persistence", "nile"]) == (U, U)
    assert median["ridge", "elnino"] >= before.median["ridge", "elnino"]
    said("it is better on all three")
    assert [found["config1", "lstm", name] for name in ("sunspots", "nile", "elnino")] == [B, B, B]
    assert [found["lstm-early", "lstm", name] for name in ("sunspots", "nile", "elnino")] == [B, B, B]


def test_of_intervals() -> None:
    _, cells = kept(ROOT / "results" / "intervals")
    cases = [
        (cell["series"], step + 1, value, cell["n_test"])
        for cell in cells
        for step, value in enumerate(cell["adaptive"]["coverage"])
    ]
    said("hold 84 to 94 %, in 70 of 72 cases 85 to 95 %")
    values = [value for *_, value, _ in cases]
    assert (f"{min(values):.0%}", f"{max(values):.0%}") == ("84%", "94%")
    outside = [case for case in cases if not 0.85 <= case[2] <= 0.95]
    assert (len(outside), len(cases)) == (2, 72)
    said("the two others are three steps ahead on the Nile, 27 of 32 test windows")
    assert {(name, step, round(value * n), n) for name, step, value, n in outside} == {("nile", 3, 27, 32)}
    said("intervals are 53 wide where the fixed ones are 21")
    (one,) = [cell for cell in cells if (cell["series"], cell["horizon"], cell["backend"]) == ("co2", 1, "statevector")]
    assert [f"{one[name]['width'][0]:.0f}" for name in ("adaptive", "split")] == ["53", "21"]


def test_of_classes() -> None:
    _, runs = kept(ROOT / "results" / "classes")

    def middle(series: str, model: str) -> float:
        return float(np.median([run["accuracy"] for run in runs if (run["series"], run["model"]) == (series, model)]))

    said("worse than an LSTM of the same size and training on both series, in the median")
    for series, chance in (("ItalyPowerDemand", 0.5), ("BasicMotions", 0.25)):
        for model in ("config1", "diffqas"):
            assert 1.8 * chance < middle(series, model) < middle(series, "lstm")
    said("a logistic regression on the 24 values is as good as anything")
    assert abs(middle("ItalyPowerDemand", "logistic regression") - middle("ItalyPowerDemand", "ROCKET")) < 0.01
    said("On BasicMotions ROCKET is far ahead")
    assert middle("BasicMotions", "ROCKET") > middle("BasicMotions", "lstm") + 0.1
