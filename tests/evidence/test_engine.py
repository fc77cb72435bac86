"""What is said of audits, devices, searches and measurements."""

import numpy as np
import pytest

from benchmarks.stages import costs, stages
from qlstm_qiskit.experiments.scaling.measure import load_scaling
from qlstm_qiskit.experiments.studies.audited import load_audit
from qlstm_qiskit.experiments.studies.records import load_study_folder
from qlstm_qiskit.report.scaling import scaling_report
from tests.evidence.pages import README, ROOT, SCALING, B, U, W, measured, said
from tests.test_results import found


def test_of_scaling() -> None:
    folder = ROOT / "results" / "scaling"
    plan, records = load_scaling(folder)
    assert len(records) == 17
    assert all(record.environment["commit"] and record.environment["changed"] is False for record in records)
    ratios = [record.qlstm.step_ms / record.lstm.step_ms for record in records]
    memory = [record.qlstm.memory_mib for record in records]
    said(f"a training step takes {min(ratios):.1f} to {max(ratios):.1f} times as long as that of `torch.nn.LSTM`", SCALING)
    said(f"model and step {min(memory):.0f} to {max(memory):.0f} MiB", SCALING)
    said("up to depth 8, 36 candidates, hidden size 6 and window 16", SCALING)
    highest = [max(getattr(record.point, axis) for record in records) for axis in ("depth", "candidates", "hidden", "window")]
    assert highest == [8, 36, 6, 16]
    lower = sum(np.median(record.lstm.test_mse) < np.median(record.qlstm.test_mse) for record in records)
    said(f"the LSTM has the lower error at {lower} of {len(records)} points", SCALING)
    assert (folder / "scaling.md").read_text() == scaling_report(plan, records)


def test_of_audits() -> None:
    tests = {
        path.parent.name: {test.row: test for test in load_audit(path.parent).tests}
        for path in (ROOT / "results" / "audit").glob("*/audit.json")
    }
    said("Four models, audited")
    assert len(tests) == 4
    models = {
        "bessel-config1": ("`config1` on Bessel", "paper"),
        "narma5-config2-hybrid": ("`config2` between linear layers on NARMA-5", "paper"),
        "damped_shm-diffqas": ("`diffqas` on damped SHM", "paper"),
        "damped_shm-config1-hybrid-tuned": ("`config1` between linear layers on damped SHM", "tuned"),
    }
    for name, (model, recipe) in models.items():
        assert (load_audit(ROOT / "results" / "audit" / name).optimizer == "lbfgs") == (recipe == "tuned")
        assert all(test.n == 48 for test in tests[name].values())
        cells = []
        for row in ("products", "tanh", "frozen"):
            test = tests[name][row]
            word = {"circuits": "circuits", "classical": "map", "undecided": U}[test.verdict]
            cells.append(word if word == U else f"{word}, {max(test.factor, 1 / test.factor):.1f}")
        said(f"| {model} | {recipe} | {' | '.join(cells)} |")
    said("in each of the four one of the maps is better, or shows no difference")
    assert all({test.verdict for test in own.values()} != {"circuits"} for own in tests.values())
    said("four audits", README)
    said("a layer of tanh has lower errors than the circuits by factors of 7 and 9")
    assert [round(1 / (tests[name]["tanh"].factor or 0)) for name in ("bessel-config1", "damped_shm-diffqas")] == [7, 9]
    for name in models:
        parameters = [row.parameters for row in load_audit(ROOT / "results" / "audit" / name).rows]
        assert max(parameters[1:]) < 1.1 * parameters[0]
    said("no difference shows, whatever stands there; a factor of 1.4 would have been found in 4 of 5 cases")
    assert max(test.detectable or 99 for test in tests["narma5-config2-hybrid"].values()) < 1.4
    said("show no difference from the products; a factor of 2.4 would have been found in 4 of 5 cases")
    tuned = load_audit(ROOT / "results" / "audit" / "damped_shm-config1-hybrid-tuned")
    assert 2.3 < (tests["damped_shm-config1-hybrid-tuned"]["products"].detectable or 0) < 2.4
    said("The random features are worse than the circuits in three of four")
    assert sum(own["frozen"].verdict == "circuits" for own in tests.values()) == 3
    assert tuned.retrained is not None
    said(f"has an error of {tuned.retrained.there:.1e}, and its seed, trained again side by side, {tuned.retrained.here:.1e}")


def test_of_training_for_a_device() -> None:
    table = found(ROOT / "results" / "device")
    names = ["Bessel", "damped SHM", "NARMA-5", "NARMA-10", "delayed QC"]
    series = ["bessel", "damped_shm", "narma5", "narma10", "delayed_quantum_control"]
    rows = ("hybrid", "config1", "hybrid-exact", "persistence", "lstm")
    ours, plain, exact, last, lstm = ([table.cells.get((row, name)) for name in series] for row in rows)
    said("twelve seeds side by side (four on delayed QC, the longest series)")
    assert [len(cell.values) for cell in ours] == [len(cell.values) for cell in exact] == [12] * 4 + [4]
    assert {len(cell.values) for cell in (*plain[:4], *last, *lstm)} == {12}
    assert plain[4] is None
    for name, *cells in zip(names, ours, plain, exact, last, lstm, strict=True):
        said(f"| {name} | " + " | ".join("" if cell is None else f"{cell.summary.median:.2g}" for cell in cells).strip() + " |")
    said("have errors 120 to 2,900 times as high, on the four series with twelve seeds significantly; four seeds cannot decide")
    ratios = [two.summary.median / one.summary.median for one, two in zip(ours, exact, strict=True)]
    assert [f"{value:.2g}" for value in (min(ratios), max(ratios))] == ["1.2e+02", "2.9e+03"]
    said("errors are 120 times and more below those of models trained exactly", README)
    tests = {(test.second, test.dataset): test.comparison for own in table.families.values() for test in own}
    assert [tests["hybrid-exact", name].verdict for name in series] == [B] * 4 + ["too few"]
    said("is beaten on Bessel and damped SHM by every seed; it is better on NARMA-5 and NARMA-10")
    assert [max(a.values) < b.summary.median for a, b in zip(ours, last, strict=True)] == [True, True, False, False, False]
    assert [tests["persistence", name].verdict for name in series] == [B, B, W, W, "too few"]
    said("These four are significant too (p of at most 0.01 by Holm's method)")
    assert f"{max(tests['persistence', name].p_holm for name in series[:4]):.2f}" == "0.01"
    said("Without linear layers (`config1`) errors are 2 to 23 times as high, for every seed of either")
    more = [two.summary.median / one.summary.median for one, two in zip(ours[:4], plain[:4], strict=True)]
    assert [f"{value:.0f}" for value in (min(more), max(more))] == ["2", "23"]
    assert all(max(one.values) < min(two.values) for one, two in zip(ours[:4], plain[:4], strict=True))
    said("a little more than a quarter of these on Bessel and damped SHM, 0.37 of them on delayed QC, 0.60 on NARMA-5 and 0.75")
    more = [cell.evaluated["aer-noise-fez, 4096 shots"].median / cell.summary.median for cell in ours]
    assert [round(share, 2) for share in more] == [0.27, 0.28, 0.60, 0.75, 0.37]
    for cells, words in (
        (ours, "error is 0.95 to 1.05 times the predicted"),
        (exact, "those trained exactly 0.89 to 1.06 times"),
    ):
        said(words)
        shares = [value for cell in cells for value in cell.measured.values()]
        assert f"{min(shares):.2f} to {max(shares):.2f}" in words
    said("circuits from a search without noise (`derived`, one seed on Bessel: 1.1e-04)")
    (value,) = table.cells["derived", "bessel"].values
    assert f"{value:.1e}" == "1.1e-04"
    made = sum(len(cell.values) for cell in table.cells.values())
    said(f"{made} of its 720 runs are made")
    assert made + table.missing == 720


@pytest.mark.slow
def test_of_speed() -> None:
    ratio = {row[0]: float(row[3]) for row in measured("## Targets") if row[0] in {"S b10", "L b10"}}
    said(
        f"takes {ratio['S b10']:.1f} times as long as `torch.nn.LSTM` on 4 qubits, depth 1, and {ratio['L b10']:.0f} times",
        SCALING,
    )
    qnn, devices = (" ".join((ROOT / "docs" / "how-to" / name).read_text().split()) for name in ("qnn.md", "devices.md"))
    rows = measured("## Primitives")
    times = {tuple(row[:2]): float(row[3]) for row in rows if row[0].startswith("forward")}
    for way, text in (
        ("OnePubEstimatorQNN, bound at run time", "it is {:.1f} times as fast forward and {:.0f} times forward and backward"),
        ('candidate.to_torch("aer-exact")', '`candidate.to_torch("aer-exact")` is {:.1f} and {:.0f} times as fast'),
    ):
        said(text.format(times["forward", way], times["forward + backward", way]), qnn)
    sent = {row[0]: row for row in rows if len(row) == 4}
    stock, ours = (
        sent["stock EstimatorQNN for each candidate and gate"],
        sent["QLSTM, as in training: none by data and first state"],
    )
    said(f"sends {stock[1]} jobs and {stock[3]} circuits for that last step. Here it is {ours[3]} before packing", devices)
    (requested,) = [row[-1] for row in measured("## Dead candidates") if row[:2] == ["S", "no"]]
    said(f"{requested} are requested", devices)


def test_the_stages_of_searches_are_made_of_their_records() -> None:
    assert (
        "\n".join(stages(*load_study_folder(ROOT / "results" / "search"))) in (ROOT / "benchmarks" / "RESULTS.md").read_text()
    )


@pytest.mark.slow
def test_the_costs_of_searches_are_made_of_their_circuits() -> None:
    study, records = load_study_folder(ROOT / "results" / "search")
    rows = ["full", "random"]
    made = costs(study.part(rows=rows), [record for record in records if record["row"] in rows])
    wanted = {tuple(row[:2]): row for row in measured("## Search, derive, fine-tune") if len(row) == 6}
    assert [line.strip("| ").split(" | ") for line in made[-2:]] == [
        ["full", "", *wanted["full", ""][2:]],
        ["random", *wanted["random", "perturbation"][1:]],
    ]


def test_of_searches() -> None:
    rows = [row for row in measured("## Search, derive, fine-tune") if len(row) == 6]
    cost = {tuple(row[:2]): row[2:] for row in rows}
    full, derived = cost["full", ""], cost["shrinking, convex", "perturbation"]
    said(f"{derived[0]} circuits per step instead of {full[0]}, 40 to 64 two-qubit gates per step on a Heron device")
    said(f"instead of {float(full[1]):,.0f}")
    said(f"{float(derived[2]):.0f} s of QPU time per prediction instead of {float(full[2]):.0f} s")
    said(f"({float(derived[3]):.0f} s and {float(full[3]) / 60:.1f} min without packing)")
    rows = [row for row in measured("**Fine-tuned, one circuit a gate: median test MSE**") if len(row) == 8]
    tuned = {tuple(row[:2]): row[2:] for row in rows[2:]}
    said("choosing by weight fails on three of five series")
    assert tuned["weighted-sum", "weight"][-1] == "2 of 5"
    said("shrinking with convex weights has the lowest medians on three series")
    lowest = [min((float(own[place]), name) for name, own in tuned.items())[1][0] for place in range(5)]
    assert lowest.count("shrinking, convex") == 3
