"""The methods, described for people and for programs."""

from typing import Any

from ramekin.methods import METHODS


def describe_methods() -> list[dict[str, Any]]:
    """Every method with its parameters, their defaults and meaning, its formula and its source."""
    return [
        {
            "name": method.title(),
            "summary": (method.__doc__ or "").split("\n")[0],
            "parameters": [
                {"name": name, "default": field.default, "description": field.description}
                for name, field in method.model_fields.items()
                if name != "name"
            ],
            "formula": method.formula,
            "reference": method.reference,
            "passes": method.passes,
        }
        for method in METHODS
    ]


def show_methods() -> str:
    """The same as text."""
    blocks = []
    for method in describe_methods():
        lines = [method["summary"].replace(":", f" (`name: {method['name']}`):", 1)]
        lines += [f"    {line}" for line in method["formula"].split("\n")]
        lines += [f"  {p['name']:<8} {p['default']!s:<8} {p['description']}" for p in method["parameters"]]
        lines.append(f"  {method['reference']}; reads its inputs {['', 'once', 'twice'][method['passes']]}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
