"""Angles of gates as plain data.

A Qiskit `ParameterExpression` becomes an `Angle`: a linear form in the input and weight parameters wherever that is exact,
else a small expression tree of nested tuples. Plain data can be compared, hashed and copied, and so candidates of one
structure can be found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qiskit.circuit import Parameter, ParameterExpression

from qlstm_qiskit.errors import CircuitError

#: ``("x", column)``, ``("w", column)``, a number, or ``(function name, argument, ...)``.
Tree = Any

#: Functions that an expression tree may call (as sympy names them); the interpreter holds their torch counterparts.
FUNCTIONS = frozenset(
    {"Add", "Mul", "Pow", "sin", "cos", "tan", "asin", "acos", "atan", "exp", "log", "Abs", "sign", "conjugate"}
)


@dataclass(frozen=True)
class Angle:
    """An angle in radians: ``offset + inputs . v + weights . theta``, or, where `tree` is given, that expression alone.

    Attributes:
        offset: A constant, in radians.
        inputs, weights: Pairs (column, coefficient), sorted by column.
        tree: An expression that is not linear; the other fields are empty then.
    """

    offset: float = 0.0
    inputs: tuple[tuple[int, float], ...] = ()
    weights: tuple[tuple[int, float], ...] = ()
    tree: Tree = None

    @property
    def input_columns(self) -> frozenset[int]:
        """The inputs that it reads."""
        return frozenset(column for column, _ in self.inputs) | _columns(self.tree, "x")

    @property
    def weight_columns(self) -> frozenset[int]:
        """The weights that it reads."""
        return frozenset(column for column, _ in self.weights) | _columns(self.tree, "w")

    @property
    def depends_on_inputs(self) -> bool:
        return bool(self.input_columns)

    @property
    def depends_on_weights(self) -> bool:
        return bool(self.weight_columns)

    def scaled(self, factor: float) -> Angle:
        """The angle times a constant."""
        if self.tree is not None:
            return Angle(tree=self.tree if factor == 1 else ("Mul", float(factor), self.tree))
        return Angle(
            factor * self.offset,
            tuple((column, factor * value) for column, value in self.inputs),
            tuple((column, factor * value) for column, value in self.weights),
        )


def _columns(tree: Tree, kind: str) -> frozenset[int]:
    if not isinstance(tree, tuple):
        return frozenset()
    if tree[0] in ("x", "w"):
        return frozenset(tree[1:] if tree[0] == kind else ())
    return frozenset().union(*(_columns(part, kind) for part in tree[1:]))


def to_angle(value: float | ParameterExpression, columns: Mapping[Parameter, tuple[str, int]]) -> Angle:
    """Translate one gate parameter.

    Args:
        value: A number or a Qiskit parameter expression, in radians.
        columns: For each parameter ``("x", column)`` if it is an input, ``("w", column)`` if it is a weight.

    Raises:
        CircuitError: The expression is complex, or uses a function that the interpreter does not know.
    """
    if not isinstance(value, ParameterExpression):
        return Angle(offset=_real(value, value))
    parameters = sorted(value.parameters, key=lambda p: columns[p])
    coefficients = [_constant_gradient(value, parameter) for parameter in parameters]
    if any(coefficient is None for coefficient in coefficients):
        try:
            expression = value.sympify()
        except (AttributeError, TypeError, ValueError):
            expression = None
        if not hasattr(expression, "is_Symbol"):
            raise CircuitError(f"Qiskit cannot translate the angle {value} to sympy; rewrite it.")
        return Angle(tree=_to_tree(expression, {str(p): columns[p] for p in parameters}, value))
    offset = _real(value.bind(dict.fromkeys(parameters, 0.0)), value)
    linear: dict[str, list[tuple[int, float]]] = {"x": [], "w": []}
    for parameter, coefficient in zip(parameters, coefficients, strict=True):
        kind, column = columns[parameter]
        if coefficient:
            linear[kind].append((column, _real(coefficient, value)))
    return Angle(offset, tuple(linear["x"]), tuple(linear["w"]))


def _constant_gradient(expression: ParameterExpression, parameter: Parameter) -> complex | None:
    """The derivative if it is one number everywhere, else None."""
    try:
        gradient = expression.gradient(parameter)
    except (RuntimeError, ValueError):  # Qiskit cannot differentiate it (sign, conjugate); torch can
        return None
    if isinstance(gradient, ParameterExpression):
        if gradient.parameters:
            return None
        gradient = gradient.numeric()
    return complex(gradient)


def _real(value: Any, expression: object) -> float:
    number = complex(value.numeric() if isinstance(value, ParameterExpression) else value)
    if number.imag or not math.isfinite(number.real):
        raise CircuitError(f"the angle {expression} is not a finite real number; bind it to real values.")
    return number.real


def _to_tree(node: Any, symbols: Mapping[str, tuple[str, int]], source: ParameterExpression) -> Tree:
    if node.is_Symbol:
        return symbols[str(node)]
    if node.is_number:
        return _real(complex(node), source)
    name = type(node).__name__
    if name not in FUNCTIONS:
        raise CircuitError(
            f"the angle {source} uses the function {name}, which the interpreter does not know; "
            f"use sums, products, powers, sin, cos, tan, their inverses, exp, log, abs or sign."
        )
    return (name, *(_to_tree(argument, symbols, source) for argument in node.args))
