"""Errors of this package as causes of checks."""

from __future__ import annotations

import re

from qlstm_qiskit.errors import QLSTMError
from qlstm_qiskit.hardware.certify.foreign import said

#: What the words of an error about a result say of the check that it belongs to; the first that is found counts.
_CONCERNS = (
    ("does not fit", "parameters kept by transpilation"),
    ("seed", "equal seeds"),
    (r"(?i)refused \(.*(shots|circuits)", "limits of circuits and shots"),
    ("marked as failed|has the status", "status"),
    ("results of .* circuits", "number of results"),
    ("neither counts nor memory|has a memory|contradict", "memory"),
    ("shots, and|number of shots", "shots as asked"),
    ("registers|classical bits", "register names"),
    ("has the outcome", "order of qubits and bits"),
)
#: Characters of a cause; what Qiskit says of a circuit that does not fit has hundreds.
_LONG = 240


def concerned(error: Exception) -> str:
    """The check that an error in the first job belongs to; that of the kind of answer, of which there is none, by default."""
    text = in_words(error)
    return next((name for words, name in _CONCERNS if re.search(words, text)), "kind of answer")


def in_words(error: Exception) -> str:
    """The error in a line, without what the record of jobs says of where it is."""
    if not isinstance(error, QLSTMError):
        return said(error)
    text = re.split(r"\. (?:Nothing is lost|It was not recorded)", " ".join(str(error).split()))[0]
    text = re.sub(r"^job \d+(?: \(.*?\))? on .*?: (?:there is no usable result: )?", "", text)
    return text if len(text) <= _LONG else f"{text[:_LONG]} ..."
