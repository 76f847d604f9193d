"""What would change against what is published, in the method and its parameters."""

from typing import Any

import pytest

from ramekin.lock.model import Lock, PinnedSource
from ramekin.manifest.model import Manifest
from ramekin.methods.ram import Overlap
from ramekin.plan.difference import changes_between
from ramekin.records import report_overlap
from ramekin.report import Report, ReportedExpert, ReportedOutput, ReportedSource

KEY = "sha256:" + "ab" * 32


def planned(method: dict[str, Any]) -> Manifest:
    experts = {"a": "org/a", "b": "org/b"}
    data = {"version": 1, "base": "org/base", "experts": experts, "method": method, "output": {"repo": "org/out"}}
    return Manifest.model_validate(data)


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    """Those between a published merge of two experts and a planned one of the same."""
    base, *experts = (
        PinnedSource(source=f"org/{n}", kind="hub", commit="1" * 40, files={}) for n in ("base", "a", "b")
    )
    report = Report(
        schema_version=1,
        key=KEY,
        ramekin="0.1.0",
        method=planned(old).method,
        base=ReportedSource(source="org/base", commit="1" * 40),
        experts=tuple(ReportedExpert(name=name, source=f"org/{name}", commit="1" * 40) for name in "ab"),
        overlap=report_overlap(Overlap((1, 1, 1, 1)), ("a", "b"), None),
        texts=KEY,
        output=ReportedOutput(repo="org/out", files={}),
    )
    read_back = Report.model_validate_json(report.to_json())
    assert read_back == report
    lock = Lock(schema_version=1, key=KEY, semantics=1, base=base, experts=dict(zip("ab", experts, strict=True)))
    return [(change.subject, change.old, change.new) for change in changes_between(read_back, lock, planned(new))]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"name": "ties"}, {"name": "ties", "lambda": 1, "weight": 1}, []),
        ({"name": "ties"}, {"name": "ties", "lambda": 0.5}, [("method.lambda", "1.0", "0.5")]),
        (
            {"name": "task-arithmetic"},
            {"name": "dare"},
            [
                ("method.name", "task-arithmetic", "dare"),
                ("method.weight", "0.4", "1/N"),
                ("method.drop_rate", None, "0.5"),
                ("method.seed", None, "0"),
            ],
        ),
        (
            {"name": "dare", "weight": {"a": 1, "b": 2}},
            {"name": "dare", "weight": {"a": 1, "b": 3}},
            [("method.weight", "a 1.0, b 2.0", "a 1.0, b 3.0")],
        ),
        ({"name": "dare", "weight": {"a": 1, "b": 2}}, {"name": "dare", "weight": {"b": 2, "a": 1}}, []),
        (
            {"name": "dare"},
            {"name": "average"},
            [
                ("method.name", "dare", "average"),
                ("method.drop_rate", "0.5", None),
                ("method.seed", "0", None),
                ("method.weight", "1/N", None),
            ],
        ),
        (
            {"name": "model-stock"},
            {"name": "model-stock", "filter_wise": True},
            [("method.filter_wise", "false", "true")],
        ),
    ],
)
def test_changes_of_the_method(old: dict[str, Any], new: dict[str, Any], found: list[tuple[str, str, str]]) -> None:
    assert changes(old, new) == found
