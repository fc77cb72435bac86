"""Errors of this package as causes of checks."""

from __future__ import annotations

import re

from qlstm_qiskit.errors import QLSTMError
from qlstm_qiskit.hardware.certify.foreign import said

#: What the words of an error about a result say of the check that it belongs to; the first that is found counts.
_CONCERNS = (
    ("seed", "equal seeds"),
    ("does not fit", "parameters kept by transpilation"),
    ("the device failed|neither a job nor a result|without a list of results", "kind of answer"),
    ("marked as failed|has the status", "status"),
    ("results of .* circuits", "number of results"),
    ("neither counts nor memory|has a memory|contradict", "memory"),
    ("shots, and|number of shots", "shots as asked"),
    ("registers|classical bits", "register names"),
)
#: Characters of a cause; what Qiskit says of a circuit that does not fit has hundreds.
_LONG = 240


def concerned(error: Exception) -> str:
    """The check that an error in reading the first job belongs to; that of the order of bits where it is none of them."""
    found = (name for words, name in _CONCERNS if re.search(words, str(error)))
    return next(found, "order of qubits and bits")


def in_words(error: Exception) -> str:
    """The error in a line, without what the record of jobs says of where it is."""
    if not isinstance(error, QLSTMError):
        return said(error)
    text = re.split(r"\. (?:Nothing is lost|It was not recorded)", " ".join(str(error).split()))[0]
    text = re.sub(r"^job \d+(?: \(.*?\))? on .*?: (?:there is no usable result: )?", "", text)
    return text if len(text) <= _LONG else f"{text[:_LONG]} ..."
