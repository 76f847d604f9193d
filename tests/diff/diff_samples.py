"""Reports and locks for comparing."""

import json
from pathlib import Path
from typing import Any

EXPERTS = ("coder", "tool")


def source(name: str, digit: str = "1", licence: str | None = "apache-2.0") -> dict[str, Any]:
    return {"source": name, "commit": digit * 40, "license": licence}


def overlap(patterns: dict[str, int], experts: tuple[str, ...] = EXPERTS) -> dict[str, Any]:
    total = sum(patterns.values())
    by_expert = {}
    for place, name in enumerate(experts):
        own = {pattern: count for pattern, count in patterns.items() if pattern[place] == "1"}
        shared_with = [sum(c for p, c in own.items() if p.count("1") == k + 1) for k in range(len(experts))]
        unique, changed = shared_with[0], sum(own.values())
        by_expert[name] = {
            "changed": changed,
            "density": changed / total,
            "unique": unique,
            "shared": changed - unique,
            "rho": (changed - unique) / unique if unique else None,
            "lambda": 1.2,
            "shared_with": shared_with,
        }
    return {"elements": total, "patterns": patterns, "experts": by_expert}


def report(**changes: Any) -> dict[str, Any]:
    """A report, with other parts where given."""
    plain = {
        "schema": 1,
        "key": "sha256:" + "a" * 64,
        "ramekin": "0.1.0",
        "method": {"name": "ram+", "epsilon": 1e-5, "r": 0.1, "alpha": 2.0},
        "base": source("org/base", "0"),
        "experts": [{"name": "coder"} | source("org/coder"), {"name": "tool"} | source("org/tool", "2")],
        "overlap": overlap({"00": 600, "10": 200, "01": 150, "11": 50}),
        "texts": "sha256:" + "0" * 64,
        "output": {"repo": "org/agent", "files": {"model.safetensors": {"size": 10, "sha256": "1" * 64}}},
    }
    return plain | changes


def evaluation(**scores: float) -> dict[str, Any]:
    """Scores of the merge; those of tasks that begin with `ppl` are better if they are less."""
    tasks = {name: {"metric": "acc", "higher_is_better": not name.startswith("ppl")} for name in scores}
    models = {"merge": {name: {"value": value} for name, value in scores.items()}}
    return {"harness": "x 1", "date": "2026-01-01", "tasks": tasks, "models": models}


def comparison(selected: str, **likelihood: float) -> dict[str, Any]:
    candidate = {"method": {"name": "average"}, "likelihood": likelihood, "aos": dict.fromkeys(likelihood, 0.5)}
    return {
        "signals": ["likelihood"],
        "decided_by": "likelihood",
        "selected": selected,
        "margin": None,
        "top_k": 0.1,
        "dtype": "bfloat16",
        "candidates": {selected: candidate},
        "calibration": {},
    }


def lock(**changes: Any) -> dict[str, Any]:
    """The lock of the plain report."""

    def pin(name: str, digit: str) -> dict[str, Any]:
        files = {"m": {"size": 1, "sha256": "0" * 64}}
        return {"source": name, "kind": "hub", "commit": digit * 40, "card": {"license": "apache-2.0"}, "files": files}

    plain = {
        "schema": 1,
        "key": "sha256:" + "a" * 64,
        "semantics": 1,
        "base": pin("org/base", "0"),
        "experts": {"coder": pin("org/coder", "1"), "tool": pin("org/tool", "2")},
    }
    return plain | changes


def write(path: Path, data: Any) -> str:
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(path)
