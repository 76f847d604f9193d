"""What a method that chooses among candidates may be told: pools, signals, and how neurons are watched."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from ramekin.methods.averaging import Average, TaskArithmetic
from ramekin.methods.base import Method, Value, show_value
from ramekin.methods.dare import Dare, DareTies
from ramekin.methods.model_stock import ModelStock
from ramekin.methods.ram import Ram, RamPlus, RamPlusSmooth, RamUnique
from ramekin.methods.ties import Ties
from ramekin.text import printable

Signal = Literal["aos", "likelihood", "scores"]
"""By what candidates are chosen: overlap of neurons, likelihood of the role's tokens on development data, scores."""

Collision = Literal["last", "first", "skip"]
Precision = Literal["base", "bfloat16", "float16", "float32"]
"""Element type that models are run in; `base`: that of the base's weights."""

MOST_CANDIDATES: Final = 64
Operator = Annotated[
    Ram | RamPlus | RamPlusSmooth | RamUnique | Average | TaskArithmetic | Ties | Dare | DareTies | ModelStock,
    Field(discriminator="name"),
]
"""A method that merges weights by itself."""


def _entry(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else _listed(value)


def _not_empty(value: tuple[Any, ...]) -> tuple[Any, ...]:
    # The validator's own check counts only the entries that are right, and so complains twice.
    if not value:
        raise PydanticCustomError("manifest", "is empty", {"hint": "write at least one entry, or leave it out"})
    return value


def _once_each(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if twice := next((each for each in value if value.count(each) > 1), None):
        raise PydanticCustomError("manifest", "has `{each}` twice", {"each": printable(twice, 64), "hint": "keep one"})
    return value


def _form_of_repair(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "word"


Pool = Annotated[
    tuple[Annotated[Operator, BeforeValidator(_entry)], ...],
    Field(max_length=MOST_CANDIDATES, json_schema_extra={"minItems": 1}),
    BeforeValidator(_listed),
    AfterValidator(_not_empty),
]
Signals = Annotated[
    tuple[Signal, ...],
    Field(max_length=3, json_schema_extra={"minItems": 1}),
    BeforeValidator(_one_or_many),
    AfterValidator(_not_empty),
    AfterValidator(_once_each),
]
_Names = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_not_empty), AfterValidator(_once_each)]
Repair = Annotated[
    Annotated[Literal["auto", "all", "none"], Tag("word")] | Annotated[_Names, Tag("list")],
    Discriminator(_form_of_repair),
]
REPAIR_FORMS: Final = frozenset({"word", "list"})
"""Parts of the location of an error in `repair` that are no keys."""

PAPERS_POOL: Final[tuple[type[Method], ...]] = (Average, TaskArithmetic, Ties, Dare, DareTies, ModelStock)
"""The candidates of the paper, as far as it names them."""

WIDE_POOL: Final[tuple[type[Method], ...]] = (*PAPERS_POOL, Ram, RamPlus, RamPlusSmooth)
"""The same with RAM's family."""


def names_of(pool: Sequence[type[Method]]) -> Any:
    """A pool as a manifest writes it: so the default is listed, too."""
    return tuple(entry.title() for entry in pool)


def label_of(method: Method) -> str:
    """What a candidate is called: its name, with the parameters that were written, such as `ties (density 0.5)`."""
    written = {key: value for key, value in _written(method).items() if key != "name"}
    if not written:
        return method.title()
    return f"{method.title()} ({', '.join(f'{key} {show_value(value)}' for key, value in written.items())})"


def _written(method: Method) -> Mapping[str, Value]:
    """Parameters that are not the default's, in the order of their definition."""
    fields = method.fields()
    return {
        name: value
        for name, value in method.parameters().items()
        if fields[name].is_required() or value != fields[name].get_default()
    }
