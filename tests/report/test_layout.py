from pathlib import Path

import numpy as np
import pytest
from qiskit.providers.fake_provider import GenericBackendV2

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.hardware.device.layout import ErrorMap
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.transpile_report import TranspileReport
from qlstm_qiskit.report.layout import coordinates, draw_layout, layout_figure


def report(name: str, *qubits: int, success: float = 0.9) -> TranspileReport:
    return TranspileReport(name, "device", (3, 3), (5, 9), (3, 3), 0, success, qubits)


@pytest.mark.parametrize("device", ["fez", "torino", "sherbrooke", "manila", "brooklyn", "guadalupe", "yorktown", "rochester"])
def test_neighbours_are_near_and_no_two_qubits_are_on_top_of_each_other(device: str) -> None:
    """Also where the device gives no coordinates, as the last four here."""
    backend = find_device(device)
    points = coordinates(backend)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    linked = ErrorMap(backend.target).linked
    assert apart[linked].max() < 1.9
    assert apart[~np.eye(len(points), dtype=bool)].min() > 0.5


def test_a_device_in_two_pieces_or_of_one_qubit_has_coordinates() -> None:
    pieces = coordinates(GenericBackendV2(6, coupling_map=[[0, 1], [1, 2], [3, 4], [4, 5]], seed=1))
    assert np.isfinite(pieces).all()
    assert coordinates(find_device("armonk")).shape == (1, 2)


def test_circuits_on_the_same_qubits_share_a_colour_and_overlapping_ones_a_second_map() -> None:
    reports = [
        report("a", 0, 1, 2, success=0.91),
        report("b", 2, 1, 0, success=0.95),
        report("c", 0, 2, 1, success=0.93),
        report("d", 5, 6),
        report("e", 2, 3, -1),
    ]
    figure = layout_figure(find_device("torino"), reports)
    legends = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes]
    assert legends == [["a, b and 1 more: success 0.910 to 0.950", "d: success 0.900"], ["e: success 0.900"]]
    assert figure.get_suptitle() == "Layouts on fake_torino, 133 qubits"


def test_layouts_beyond_the_third_map_are_counted() -> None:
    figure = layout_figure(find_device("manila"), [report(f"c{qubit}", 2, qubit) for qubit in (0, 1, 3, 4)])
    assert len(figure.axes) == 3
    assert "(1 further layouts not shown)" in figure.get_suptitle()


def test_the_picture_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "map.png"
    draw_layout(path, find_device("manila"), [report("a", 0, 1)])
    assert path.read_bytes().startswith(b"\x89PNG")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the folder"):
        draw_layout(tmp_path / "file" / "map.png", find_device("manila"), [report("a", 0, 1)])
