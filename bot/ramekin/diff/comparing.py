"""What differs between two merges, as far as both know it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ramekin.diff.sides import Side, Source
from ramekin.records import ExpertOverlap, FileRecord, ReportedOverlap
from ramekin.report import Report
from ramekin.scores import MERGE

if TYPE_CHECKING:
    from ramekin.diff.weights import WeightDifference

NOBODY: Final = "nobody"


@dataclass(frozen=True)
class Row:
    """One thing on both sides.

    Attributes:
        subject: What it is, such as an expert or a task.
        name: Which of its values; empty where there is but one.
        a: Its value on the first side; None where that has none.
        b: Its value on the second.
        form: How a number is written, as `format` has it; empty for anything else.
        better: 1 where more is better, -1 where less is, 0 where neither.
    """

    subject: str
    name: str
    a: Any
    b: Any
    form: str = ""
    better: int = 0

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return bool(self.a != self.b)

    @property
    def change(self) -> float | None:
        """Second minus first, where both are numbers."""
        if any(isinstance(each, bool) or not isinstance(each, int | float) for each in (self.a, self.b)):
            return None
        change: float = self.b - self.a
        return change

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        named = {"subject": self.subject} | ({"name": self.name} if self.name else {})
        return named | {"a": self.a, "b": self.b, "differs": self.differs}


@dataclass(frozen=True)
class SourceRow:
    """One source on both sides.

    Attributes:
        role: `base`, an expert's name, or `data:BENCHMARK:USE`.
        url: Where the Hub shows what has changed in between; None where it cannot.
    """

    role: str
    a: Source | None
    b: Source | None
    url: str | None

    @property
    def differs(self) -> bool:
        """Whether it is another source, another commit or under another licence."""
        return self.a is None or self.b is None or self.a.to_data() != self.b.to_data()

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        a, b = (each.to_data() if each else None for each in (self.a, self.b))
        return {"role": self.role, "a": a, "b": b, "differs": self.differs, "url": self.url}


@dataclass(frozen=True)
class Difference:
    """Two merges side by side. What only one of them knows of, such as a lock of statistics, is left out.

    Attributes:
        a: The first.
        b: The second.
        sources: All of both, in the order of the second.
        tables: Values by what they are: `method`, `output`, `statistics`, `patterns`, `scores`, `choice`,
            `transplants`.
        files: Files of both, with size and digest.
        layers: By layer, the elements that any expert changed; empty where the reports have not counted them.
        weights: The weights themselves, compared; None where that was not done.
        why_not: Why it was not.
    """

    a: Side
    b: Side
    sources: tuple[SourceRow, ...]
    tables: Mapping[str, tuple[Row, ...]]
    files: tuple[Row, ...]
    layers: tuple[Row, ...]
    weights: "WeightDifference | None" = None
    why_not: str = ""

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        tables = (self.files, self.layers, *self.tables.values())
        by_weights = self.weights is not None and self.weights.differs
        moved = any(row.differs for row in self.sources)
        return self.a.key != self.b.key or by_weights or moved or any(row.differs for rows in tables for row in rows)

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "a": self.a.to_data(),
            "b": self.b.to_data(),
            "differs": self.differs,
            "same_key": self.a.key == self.b.key,
            "sources": [row.to_data() for row in self.sources],
            **{name: [row.to_data() for row in rows] for name, rows in self.tables.items()},
            "files": [row.to_data() for row in self.files],
            "layers": [row.to_data() for row in self.layers],
            "weights": self.weights.to_data() if self.weights else None,
        }


def compare(a: Side, b: Side, endpoint: str) -> Difference:
    """Hold two merges side by side, but for their weights.

    Args:
        a: The first.
        b: The second.
        endpoint: The Hub that links lead to.
    """
    tables: dict[str, tuple[Row, ...]] = {}
    files: tuple[Row, ...] = ()
    layers: tuple[Row, ...] = ()
    if a.report and b.report:
        tables["method"] = tuple(_method(a.report, b.report))
        tables["output"] = tuple(_output(a, b))
        tables["statistics"] = tuple(_statistics(a.report.overlap, b.report.overlap))
        tables["patterns"] = tuple(_patterns(a.report.overlap, b.report.overlap))
        tables["scores"] = tuple(_scores(a.report, b.report))
        tables["choice"] = tuple(_choice(a.report, b.report))
        tables["transplants"] = tuple(_transplants(a.report, b.report))
        files = tuple(_files(a.report.output.files, b.report.output.files))
        layers = tuple(_layers(a.report.overlap, b.report.overlap))
    return Difference(a, b, tuple(_sources(a, b, endpoint)), tables, files, layers)


def _sources(a: Side, b: Side, endpoint: str) -> Iterator[SourceRow]:
    # A report alone knows nothing of recorded runs: that is no difference.
    knows_data = all(side.kind != "report" for side in (a, b))
    for role in _both(b.sources, a.sources):
        if knows_data or not role.startswith("data:"):
            old, new = a.sources.get(role), b.sources.get(role)
            yield SourceRow(role, old, new, _compare_url(old, new, endpoint))


def _compare_url(old: Source | None, new: Source | None, endpoint: str) -> str | None:
    """The Hub's own comparison of two commits of one repository."""
    if not (old and new and old.on_hub and new.on_hub and endpoint.startswith("https://")):
        return None
    if old.source != new.source or old.commit == new.commit:
        return None
    kind = "datasets/" if new.dataset else ""
    return f"{endpoint}/{kind}{new.source}/compare/{old.commit}..{new.commit}"


def _method(a: Report, b: Report) -> Iterator[Row]:
    old, new = ({"name": each.method.name} | each.method.parameters() for each in (a, b))
    for name in _both(new, old):
        yield Row(name, "", _plain(old.get(name)), _plain(new.get(name)))


def _output(a: Side, b: Side) -> Iterator[Row]:
    """Where it went, and in which form; a report alone only knows where."""
    assert a.report  # noqa: S101 - only called with both
    assert b.report  # noqa: S101
    yield Row("repo", "", a.report.output.repo, b.report.output.repo)
    if a.manifest and b.manifest:
        old, new = (side.manifest.output.model_dump(mode="json") for side in (a, b) if side.manifest)
        for name in _both(new, old):
            if name != "repo":
                yield Row(name, "", old.get(name), new.get(name))


def _statistics(a: ReportedOverlap, b: ReportedOverlap) -> Iterator[Row]:
    yield Row("elements", "", a.elements, b.elements, ",d")
    for name in _both(b.experts, a.experts):
        old, new = a.experts.get(name), b.experts.get(name)
        for value, form in (("changed", ",d"), ("density", ".3%"), ("rho", ".4f"), ("factor", ".4f")):
            before, after = _statistic(old, value), _statistic(new, value)
            if (before, after) != (None, None):
                yield Row(name, "lambda" if value == "factor" else value, before, after, form)


def _statistic(expert: ExpertOverlap | None, value: str) -> float | str | None:
    """One value of an expert; its rho is infinite where the report has none."""
    found: float | None = getattr(expert, value, None)
    return "inf" if expert and value == "rho" and found is None else found


def _patterns(a: ReportedOverlap, b: ReportedOverlap) -> Iterator[Row]:
    """Shares of all elements by who changed them, whatever order the experts have; the most first."""
    old, new = _by_names(a), _by_names(b)
    wanted = sorted(_both(new, old), key=lambda names: -max(old.get(names, 0), new.get(names, 0)))
    for names in wanted:
        yield Row(" + ".join(sorted(names)) or NOBODY, "", old.get(names), new.get(names), ".3%")


def _by_names(overlap: ReportedOverlap) -> dict[frozenset[str], float]:
    experts, total = [*overlap.experts], overlap.elements or 1
    return {
        frozenset(name for name, bit in zip(experts, pattern, strict=False) if bit == "1"): count / total
        for pattern, count in overlap.patterns.items()
    }


def _scores(a: Report, b: Report) -> Iterator[Row]:
    """What was measured of the two merges, task by task."""
    if not (a.evaluation and b.evaluation):
        return
    old, new = a.evaluation.values(MERGE), b.evaluation.values(MERGE)
    about = a.evaluation.tasks | b.evaluation.tasks
    for task in _both(new, old):
        known = about.get(task)
        better = 0 if known is None else 1 if known.higher_is_better else -1
        yield Row(task, known.metric if known else "", old.get(task), new.get(task), ".4f", better)


_SIGNALS: Final = (("aos", "AOS", ".4f", 1), ("likelihood", "nats a token", ".4f", -1), ("scores", "score", ".4f", 1))


def _choice(a: Report, b: Report) -> Iterator[Row]:
    """Which candidate was chosen, and what was measured of it, benchmark by benchmark."""
    if not (a.comparison and b.comparison):
        return
    yield Row("selected", "", a.comparison.selected, b.comparison.selected)
    yield Row("decided by", "", a.comparison.decided_by, b.comparison.decided_by)
    old, new = (each.candidates.get(each.selected) for each in (a.comparison, b.comparison))
    for kind, shown, form, better in _SIGNALS:
        first, second = getattr(old, kind, {}), getattr(new, kind, {})
        for benchmark in _both(second, first):
            yield Row(benchmark, shown, first.get(benchmark), second.get(benchmark), form, better)


def _transplants(a: Report, b: Report) -> Iterator[Row]:
    old, new = (each.activation.transplanted if each.activation else {} for each in (a, b))
    for benchmark in _both(new, old):
        first, second = old.get(benchmark), new.get(benchmark)
        yield Row(benchmark, "from", getattr(first, "expert", None), getattr(second, "expert", None))
        for value, form in (("neurons", ",d"), ("applied", ",d"), ("fraction", ".3%")):
            yield Row(benchmark, value, getattr(first, value, None), getattr(second, value, None), form)


def _files(a: Mapping[str, FileRecord], b: Mapping[str, FileRecord]) -> Iterator[Row]:
    for name in sorted(a.keys() | b.keys()):
        old, new = (each[name].model_dump() if name in each else None for each in (a, b))
        yield Row(name, "", old, new)


def _layers(a: ReportedOverlap, b: ReportedOverlap) -> Iterator[Row]:
    old, new = _changed_by_layer(a), _changed_by_layer(b)
    if old and new:
        for layer in sorted(old.keys() | new.keys(), key=lambda each: -1 if each is None else each):
            yield Row("in no layer" if layer is None else str(layer), "", old.get(layer), new.get(layer), ",d")


def _changed_by_layer(overlap: ReportedOverlap) -> dict[int | None, int]:
    counts: dict[int | None, int] = {}
    for module in overlap.modules.values():
        for layer, changed in zip(module.layers, module.anyone, strict=False):
            counts[layer] = counts.get(layer, 0) + changed
    return counts


def _both(first: Iterable[Any], second: Iterable[Any]) -> Sequence[Any]:
    """All of both, each once: in the order of the first, then what only the second has."""
    return [*dict.fromkeys([*first, *second])]


def _plain(value: Any) -> Any:
    """A parameter as JSON has it."""
    return [*value] if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
