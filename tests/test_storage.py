"""JSON that any reader takes."""

import json
import math

import numpy as np
import pytest

from qlstm_qiskit.storage import strict_json


@pytest.mark.parametrize("indent", [None, 2])
def test_numbers_that_json_does_not_know_are_null(indent: int | None) -> None:
    content = {"a": math.nan, "b": [1.5, math.inf, {"c": (-math.inf, "NaN", None, True)}], "d": np.float64("nan")}
    text = strict_json(content, indent)
    known = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert known == {"a": None, "b": [1.5, None, {"c": [None, "NaN", None, True]}], "d": None}


@pytest.mark.parametrize("indent", [None, 1, 2])
def test_other_content_is_written_as_json_has_it(indent: int | None) -> None:
    content = {"x": [0.1, 1e300, -0.0, 5e-324], "text": "ü", "none": None, "nested": {"y": [1, [2]]}}
    assert strict_json(content, indent) == json.dumps(content, indent=indent)
