"""The methods, described for people and for programs."""

from typing import Any, Final

from pydantic.fields import FieldInfo

from ramekin.methods import METHODS, Choosing
from ramekin.methods.base import Method, show_value

_TIMES: Final = ("", "once", "twice")
_WIDEST: Final = 24
"""Defaults that are longer stand out of their column."""


def describe_methods() -> list[dict[str, Any]]:
    """Every method with its parameters, their defaults and meaning, its formula and its source."""
    return [
        {
            "name": method.title(),
            "summary": (method.__doc__ or "").split("\n")[0],
            "parameters": [_parameter(name, info) for name, info in method.fields().items()],
            "formula": method.formula,
            "reference": method.reference,
            "passes": method.passes,
            "looks": method.looks,
            "reads": reads_in_words(method),
            "overlap": method.overlap,
            "least_experts": method.least_experts,
        }
        for method in METHODS
    ]


def _parameter(name: str, info: FieldInfo) -> dict[str, Any]:
    required = info.is_required()
    default = None if required else [*info.default] if isinstance(info.default, tuple) else info.default
    return {"name": name, "required": required, "default": default, "description": info.description}


def reads_in_words(method: type[Method]) -> str:
    """How often it reads its inputs."""
    if issubclass(method, Choosing):
        return method.reading
    if method.looks > 1:
        return f"reads each tensor {_TIMES[method.looks]}"
    return f"reads its inputs {_TIMES[method.passes]}"


def default_in_words(info: FieldInfo) -> str:
    """A parameter's default as people read it."""
    return "required" if info.is_required() else show_value(info.default)


def show_methods() -> str:
    """The same as text."""
    return "\n\n".join(_block(method) for method in METHODS)


def _block(method: type[Method]) -> str:
    summary = (method.__doc__ or "").split("\n")[0]
    head, _, deed = summary.partition(":")
    lines = [f"{head} (`name: {method.title()}`):{deed}"]
    lines += [f"    {line}" for line in method.formula.split("\n")]
    rows = [(name, default_in_words(info), info.description or "") for name, info in method.fields().items()]
    widths = [max((len(row[column]) for row in rows if len(row[column]) <= _WIDEST), default=0) for column in range(2)]
    lines += [f"  {name:<{widths[0]}}  {default:<{widths[1]}}  {meaning}" for name, default, meaning in rows]
    lines.append(f"  {method.reference}; {reads_in_words(method)}")
    return "\n".join(lines)
