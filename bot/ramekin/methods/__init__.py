"""The merging methods: one file per family, one line in `METHODS` per method.

A method's class holds its parameters, their defaults, its formula and its coefficients, and knows nothing of files or
hubs. It is light: reading a manifest or listing the methods needs no torch and no numpy. What works on chunks is in
`ramekin.merge.operators`, the loops over elements are in `ramekin.merge.loops`.
"""

from typing import Annotated, Final

from pydantic import Field

from ramekin.methods.averaging import Average, TaskArithmetic
from ramekin.methods.base import Method
from ramekin.methods.choosing import Arm, BestOf, Choosing, Tuned
from ramekin.methods.dare import Dare, DareTies
from ramekin.methods.model_stock import ModelStock
from ramekin.methods.ram import Ram, RamPlus, RamPlusSmooth, RamUnique
from ramekin.methods.ties import Ties

METHODS: Final[tuple[type[Method], ...]] = (
    Ram,
    RamPlus,
    RamPlusSmooth,
    RamUnique,
    Average,
    TaskArithmetic,
    Ties,
    Dare,
    DareTies,
    ModelStock,
    Arm,
    BestOf,
    Tuned,
)

AnyMethod = Annotated[
    Ram
    | RamPlus
    | RamPlusSmooth
    | RamUnique
    | Average
    | TaskArithmetic
    | Ties
    | Dare
    | DareTies
    | ModelStock
    | Arm
    | BestOf
    | Tuned,
    Field(discriminator="name"),
]

__all__ = [
    "METHODS",
    "AnyMethod",
    "Arm",
    "Average",
    "BestOf",
    "Choosing",
    "Dare",
    "DareTies",
    "Method",
    "ModelStock",
    "Ram",
    "RamPlus",
    "RamPlusSmooth",
    "RamUnique",
    "TaskArithmetic",
    "Ties",
    "Tuned",
    "method_names",
]


def method_names() -> tuple[str, ...]:
    """Names of all methods, in the order of the registry."""
    return tuple(method.title() for method in METHODS)
