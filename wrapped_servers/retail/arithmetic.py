"""What `calculate` computes: sums of numbers, never Python."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable

ALLOWED = frozenset("0123456789+-*/(). ")

MAX_EXPRESSION_CHARS = 2000
"""The parser recurses once a bracket: beyond this a hostile expression could exhaust the stack."""

BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: left // right,
}
"""Powers are left out: two short ones stacked would compute for ever."""

UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: lambda value: value,
    ast.USub: lambda value: -value,
}


class InvalidExpression(ValueError):  # noqa: N818  named for what it says of the text
    """The text is no sum; the message says why."""


def evaluate(expression: str) -> float:
    """The value of a sum of numbers with + - * / and brackets.

    Raises:
        InvalidExpression: other characters, no sum, or no finite value.
    """
    if not ALLOWED.issuperset(expression):
        raise InvalidExpression("invalid characters in expression")
    if len(expression) > MAX_EXPRESSION_CHARS:
        raise InvalidExpression("expression too long")
    try:
        value = float(_value(ast.parse(expression.strip(), mode="eval").body))
    except (SyntaxError, RecursionError, MemoryError):
        raise InvalidExpression("invalid syntax") from None
    except ZeroDivisionError:
        raise InvalidExpression("division by zero") from None
    except OverflowError:
        raise InvalidExpression("number too large") from None
    if not math.isfinite(value):
        raise InvalidExpression("number too large")
    return value


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.BinOp) and (binary := BINARY.get(type(node.op))):
        return binary(_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and (unary := UNARY.get(type(node.op))):
        return unary(_value(node.operand))
    raise InvalidExpression("invalid syntax")
