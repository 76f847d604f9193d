"""The merging methods: one file per family, one line in `METHODS` per method.

A method's class holds its parameters, their defaults, its formula and its coefficients, and knows nothing of files or
hubs. It is light: reading a manifest or listing the methods needs no torch and no numpy. The loops over elements are
in `ramekin.merge.kernels`.
"""

from typing import Annotated, Final

from pydantic import Field

from ramekin.methods.base import Method
from ramekin.methods.ram import Ram, RamPlus, RamPlusSmooth

METHODS: Final[tuple[type[Method], ...]] = (Ram, RamPlus, RamPlusSmooth)

AnyMethod = Annotated[Ram | RamPlus | RamPlusSmooth, Field(discriminator="name")]

__all__ = ["METHODS", "AnyMethod", "Method", "Ram", "RamPlus", "RamPlusSmooth", "method_names"]


def method_names() -> tuple[str, ...]:
    """Names of all methods, in the order of the registry."""
    return tuple(method.title() for method in METHODS)
