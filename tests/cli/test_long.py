"""What a command does not do for a long series."""

from types import SimpleNamespace

import numpy as np
import pytest

from qlstm_qiskit.cli import shots
from qlstm_qiskit.experiments.runs import shots as curves


def test_a_long_test_part_is_not_sampled_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def curve(*args: object, **kwargs: object) -> None:
        asked.append(args)
        raise shots.QLSTMError("enough seen")

    monkeypatch.setattr(curves, "expected_errors", curve)
    small = SimpleNamespace(bank=SimpleNamespace(candidates=[SimpleNamespace(n_qubits=3)]))
    for windows, lines in ((20_000, []), (20_001, ["qlstm shots runs/long"])):
        dataset = SimpleNamespace(x_test=np.zeros((windows, 1, 1)))
        run = SimpleNamespace(
            layers=[small],
            forecaster=SimpleNamespace(circuits=SimpleNamespace(layers=lambda: [small])),
            dataset=dataset,
            path="runs/long",
            spec=SimpleNamespace(backend_options=None),
        )
        found = shots.shots_line(run)
        assert [line.split(": ")[1] for line in found] == lines
        assert len(asked) == 1, "the shorter one alone"
