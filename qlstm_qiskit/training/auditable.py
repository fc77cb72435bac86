"""Which runs have circuits that classical maps can stand for; nothing heavy is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qlstm_qiskit.training.options import CLASSICAL, OF_MODEL

#: What stands in place of circuits in an audit unless others are asked for: all but those with more parameters.
AUDITED = ("products", "tanh", "frozen")


def reason_not_audited(config: Mapping[str, Any]) -> str | None:
    """Why a run cannot be audited, in a sentence, and what to do; None where it can.

    Args:
        config: The content of its config.json.
    """
    data, backend = (own if isinstance(own := config.get(name), Mapping) else {} for name in ("data", "backend_options"))
    model, bank = config.get("model"), config.get("bank", OF_MODEL["bank"].default)
    replicas, shots = config.get("replicas", 1), {name for name in ("shots", "noise") if backend.get(name) is not None}
    reasons = {
        f"it is an ensemble of {replicas} models; give a member, such as members/0 in its folder.": replicas != 1,
        f"its model is {model}, which has no circuits that could be replaced; give the run of a model with circuits.": (
            model in CLASSICAL
        ),
        "it predicts classes, and audits compare errors of forecasts; give the run of a forecast.": (
            data.get("task", "regression") != "regression"
        ),
        f"its circuits are replaced by {bank} already; give the run of the model with circuits.": (
            bank != OF_MODEL["bank"].default
        ),
        "it is a search over circuits; derive a model (`qlstm derive`), and audit that.": config.get("search") is not None,
        f"it was trained on {config.get('backend')}, whose shots or noise classical maps have none of; train it on "
        "statevector, and audit that.": backend.get("kind", "statevector") != "statevector" or bool(shots),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
