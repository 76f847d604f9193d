"""The coefficients of methods, as a search over them sees them.

Each method has those that it has: a weight for each expert, and all weights together; what share of changes is kept or
dropped; RAM's r, alpha and the factor on what is shared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ramekin.methods.averaging import Average, TaskArithmetic
from ramekin.methods.base import Method, weights_of
from ramekin.methods.dare import Dare, DareTies
from ramekin.methods.ram import Ram, RamFamily, RamPlus
from ramekin.methods.ties import Ties

_LEAST: Final = 0.02
"""A coefficient that is 0 cannot be multiplied: it begins here."""
_DIGITS: Final = 4


@dataclass(frozen=True)
class Coefficient:
    """One number of a method that may be moved.

    Attributes:
        name: What it is called.
        value: What it is; 1 for a factor on several.
        least: Its lower bound.
        most: Its upper bound.
        put: The method with another value in its place.
    """

    name: str
    value: float
    least: float
    most: float
    put: Callable[[float], Method]

    def moved(self, factor: float) -> Method | None:
        """The method with the coefficient multiplied; None where it is at its bound already."""
        wanted = max(self.value, _LEAST) * factor if factor > 1 else self.value * factor
        value = round(min(max(wanted, self.least), self.most), _DIGITS)
        return None if value == round(self.value, _DIGITS) else self.put(value)


def with_coefficients(method: Method, experts: Sequence[str]) -> Method:
    """The same method in a form that has as many coefficients as can be: the same weights, for the same bits.

    An average is task arithmetic with weights of 1/N but for its rounding, `ram` is `ram+` with r = 0.
    """
    match method:
        case Average():
            return TaskArithmetic(weight=dict.fromkeys(experts, round(1 / len(experts), _DIGITS)))
        case Ram():
            return RamPlus(epsilon=method.epsilon, shared=method.shared, r=0.0)
        case TaskArithmetic() | Ties() | Dare() | DareTies():
            weights = weights_of(method.weight, experts)
            by_name = {name: round(weight, _DIGITS) for name, weight in zip(experts, weights, strict=True)}
            return method.model_copy(update={"weight": by_name})
    return method


def coefficients_of(method: Method) -> tuple[Coefficient, ...]:
    """What can be moved of a method in the form that `with_coefficients` gives; nothing for some."""
    found: list[Coefficient] = []
    weight = getattr(method, "weight", None)
    if isinstance(weight, Mapping):
        if isinstance(method, TaskArithmetic | Dare):  # a mean of signs does not change when all weights do
            found.append(_together(method, weight))
        found += [_one(method, weight, name) for name in weight]
    for name, least, most in (("density", 0.01, 1.0), ("drop_rate", 0.0, 0.95), ("scale", 0.0, 10.0)):
        if name in type(method).model_fields:
            found.append(_plain(method, name, least, most))
    if isinstance(method, RamFamily):
        names = (("shared", 10.0), ("r", 10.0), ("alpha", 100.0))
        found += [_plain(method, name, 0.0, most) for name, most in names if name in type(method).model_fields]
    return tuple(found)


def _plain(method: Method, name: str, least: float, most: float) -> Coefficient:
    def put(value: float) -> Method:
        return method.model_copy(update={name: value})

    return Coefficient(name, float(getattr(method, name)), least, most, put)


def _one(method: Method, weights: Mapping[str, float], name: str) -> Coefficient:
    def put(value: float) -> Method:
        return method.model_copy(update={"weight": dict(weights) | {name: value}})

    return Coefficient(f"weight.{name}", weights[name], 0.0, 10.0, put)


def _together(method: Method, weights: Mapping[str, float]) -> Coefficient:
    def put(factor: float) -> Method:
        return method.model_copy(update={"weight": {name: round(w * factor, _DIGITS) for name, w in weights.items()}})

    return Coefficient("all weights", 1.0, 0.01, 100.0, put)
