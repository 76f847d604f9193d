"""The methods at work: one module per family, each beside its definition in `ramekin.methods`."""

from collections.abc import Sequence

from ramekin.merge.loops.choosing import Loops
from ramekin.merge.operators.averaging import Averaging, Stock, Summing
from ramekin.merge.operators.base import Operator, TensorWork
from ramekin.merge.operators.ram import Patterned
from ramekin.merge.operators.ties import Dropping, Trimming
from ramekin.methods import (
    Average,
    Dare,
    DareTies,
    Method,
    ModelStock,
    RamUnique,
    TaskArithmetic,
    Ties,
)
from ramekin.methods.ram import Overlap, RamFamily

__all__ = ["Operator", "TensorWork", "operator_for"]


def operator_for(  # noqa: PLR0911 - one for each family
    method: Method, experts: Sequence[str], overlap: Overlap | None, loops: Loops, *, counting: bool = False
) -> Operator:
    """What carries out a method.

    Args:
        method: The method with its parameters.
        experts: The experts' names in manifest order.
        overlap: The overlap of the whole model; needed where the method's factors depend on it.
        loops: The loops for the device.
        counting: Whether a method that knows the overlap anyhow counts it.
    """
    match method:
        case RamFamily():
            lambdas = method.lambdas(overlap or Overlap((0,) * (1 << len(experts))))
            return Patterned(method.coefficients(lambdas), method.epsilon, loops, counts=counting)
        case RamUnique():
            return Patterned(method.coefficients(experts), method.epsilon, loops, counts=counting)
        case Average():
            return Averaging(len(experts), loops)
        case TaskArithmetic():
            return Summing.of(method, experts, loops)
        case Ties():
            return Trimming.of(method, experts, loops)
        case Dare() | DareTies():
            return Dropping(method, tuple(experts), loops)
        case ModelStock():
            return Stock(method, len(experts), loops)
    raise NotImplementedError(method.title())
