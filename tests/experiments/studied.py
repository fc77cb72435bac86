"""A small study of every kind of row."""

from __future__ import annotations

import json
from pathlib import Path

from qlstm_qiskit.experiments.studies.study import Study

SMALL = Study.model_validate(
    {
        "name": "small",
        "title": "A small study",
        "seeds": 2,
        "seeds_of": {"narma5": 1},
        "datasets": {"damped_shm": {"window": 2}, "narma5": {}},
        "common": {"hidden_size": 1, "epochs": 2, "batch_size": 40},
        "rows": {
            "circuit": {"run": {"model": "config1", "depth": 1}},
            "lstm": {"run": {"model": "lstm"}, "note": "control"},
            "derived": {
                "search": {"model": "diffqas", "depth": 1, "valid_fraction": 0.2, "search": {"name": "softmax"}},
                "run": {"epochs": 3, "lr": 0.005},
            },
            "ridge": {"control": {"control": "ridge"}},
            "persistence": {"control": {"control": "persistence"}},
        },
        "families": {"all": [["circuit", "lstm"], ["derived", "ridge"]]},
        "published": {"circuit": {"damped_shm": 0.05}},
    }
)


def numbers(out: Path) -> list[dict[str, object]]:
    """The records without what differs from run to run: times, and where they were made."""
    lines = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("wall_seconds", "environment")} for line in lines]
