"""What was found and measured, as text for a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ramekin.arm.reading import Inspected
from ramekin.arm.reporting import shortened
from ramekin.arm.roles.finding import Role, Traced
from ramekin.arm.telling import told_halves, told_measure
from ramekin.choice import ENOUGH, ReportedComparison
from ramekin.manifest.model import Manifest
from ramekin.methods.base import show_value
from ramekin.terminal import marked
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.watching import SweptK

_NAME: Final = 36
_BENCHMARK: Final = 16
_BAR: Final = 20
_UNMARKED: Final = 600


def show_roles(manifest: Manifest, found: Inspected, samples: int) -> str:
    """What the parsers found, with samples in which the role is marked."""
    lines: list[str] = []
    for name, benchmark in manifest.benchmarks.items():
        lines += ["", f"{name}: role `{printable(str(benchmark.role))}`, donor {benchmark.expert}"]
        lines += [f"  {printable(benchmark.calibration, 90)}"]
        material = found.materials.get(name)
        if material is None:
            lines.append("  cannot be read")
            continue
        role = material.role
        lines += [f"  {label:<14}{text}" for label, text in _counts(role)]
        if material.dev:
            origin = "set aside from these" if material.held_out else printable(benchmark.dev or "", 60)
            said = f"{len(material.dev.trajectories)} trajectories, {material.dev.role_tokens:,} tokens of the role"
            lines.append(f"  {'development':<14}{said} ({origin})")
        lines += [f"  warning: {warning}" for warning in role.warnings]
        shown = [(traced, "") for traced in role.samples] or [
            (traced, ": what the assistant says, in which there is no role") for traced in role.unmarked
        ]
        for traced, remark in shown[:samples]:
            lines += ["", f"  {printable(traced.name, 80)}{remark}"]
            lines += [f"  | {line}" for line in marked(_pieces(traced)).split("\n")]
    return "\n".join(lines[1:])


def _pieces(traced: Traced) -> tuple[tuple[str, bool], ...]:
    """What is shown of a trajectory: its role and what stands around it, or else how it begins."""
    if traced.spans:
        return shortened(traced)
    return ((traced.text if len(traced.text) <= _UNMARKED else f"{traced.text[:_UNMARKED]} […]", False),)


def _counts(role: Role) -> Iterator[tuple[str, str]]:
    number = len(role.trajectories)
    left_out = [
        (role.without, "without the role"),
        (role.twice, "there twice"),
        (len(role.dropped), "not to be used"),
    ]
    rest = "".join(f", {count} {why}" for count, why in left_out if count)
    yield "trajectories", f"{number}{rest}"
    share = role.role_tokens / role.tokens if role.tokens else 0
    each = role.role_tokens / number if number else 0
    yield "tokens", f"{role.tokens:,}, of which {role.role_tokens:,} in the role ({share:.1%}; {each:.1f} a trajectory)"
    cut = f", {role.cut} spans cut by the limit on tokens" if role.cut else ""
    turns = f" and {role.violating_turns} of {role.turns} turns ({role.turn_violation_rate:.1%})" if role.turns else ""
    episodes = f"{role.violating} of {number + role.without} trajectories ({role.violation_rate:.1%})"
    yield "violations", f"{role.violations} in {episodes}{turns}{cut}"
    for name, reason in [*role.dropped.items()][:3]:
        yield "not used", f"{printable(name, 40)}: {printable(reason, 120)}"


def roles_data(manifest: Manifest, found: Inspected) -> dict[str, Any]:
    """The same for `--json`; what is wrong with any of them stands beside it, as `error`."""
    return {
        "benchmarks": {
            name: {
                "expert": material.donor,
                "role": str(manifest.benchmarks[name].role),
                "calibration": _role_data(material.role),
                "dev": _role_data(material.dev) | {"held_out": material.held_out} if material.dev else None,
                "samples": [
                    {"trajectory": traced.name, "pieces": [[text, inside] for text, inside in _pieces(traced)]}
                    for traced in material.role.samples or material.role.unmarked
                ],
            }
            for name, material in found.materials.items()
        },
    } | ({"error": found.error.to_data()} if found.error else {})


def _role_data(role: Role) -> dict[str, Any]:
    return {
        "trajectories": len(role.trajectories),
        "without": role.without,
        "twice": role.twice,
        "dropped": role.dropped,
        "cut": role.cut,
        "tokens": role.tokens,
        "role_tokens": role.role_tokens,
        "turns": role.turns,
        "violations": role.violations,
        "violating": role.violating,
        "violating_turns": role.violating_turns,
        "violation_rate": role.violation_rate,
        "turn_violation_rate": role.turn_violation_rate,
        "warnings": role.warnings,
    }


def show_comparison(comparison: ReportedComparison) -> str:
    """One table of all candidates with all that was measured of them, and below it each measure by benchmark."""
    benchmarks = [*comparison.calibration]
    lines = [*_summary(comparison)]
    for kind, (_, title, form) in _MEASURES.items():
        rows = [(name, getattr(each, kind)) for name, each in comparison.candidates.items()]
        if len(benchmarks) > 1 and all(values.keys() == comparison.calibration.keys() for _, values in rows):
            lines += ["", title, *_table(rows, benchmarks, form, comparison, experts=kind != "aos", kind=kind)]
    margin = f", {comparison.margin:.4g} ahead" if comparison.margin is not None else ""
    chosen = f"chosen by {comparison.decided_by}: {comparison.selected}{margin}"
    warnings = (f"warning: {warning}" for warning in comparison.warnings)
    told = (*told_measure(comparison.watched), *_told_dev(comparison), *told_halves(comparison))
    return "\n".join([*lines, "", chosen, *told, *warnings])


_MEASURES: Final[Mapping[str, tuple[str, str, str]]] = {
    "aos": ("AOS", "AOS by benchmark (more is better)", ".3f"),
    "likelihood": ("nats a token", "negative log-likelihood of the role by benchmark (less is better)", ".4f"),
    "scores": ("score", "scores by benchmark (more is better)", ".3f"),
}
"""By what they are called in the report: head of a column, title of a table, and how numbers are written."""


def _summary(comparison: ReportedComparison) -> Iterator[str]:
    """The means of all candidates, the chosen one marked, with bars for what decided; the better, the longer."""
    number, candidates = len(comparison.calibration), comparison.candidates
    found = {
        kind: {name: _mean(getattr(each, kind), number) for name, each in candidates.items()} for kind in _MEASURES
    }
    there = [kind for kind, values in found.items() if any(value is not None for value in values.values())]
    bars = _bars(found.get(comparison.decided_by, {}), less_is_better=comparison.decided_by == "likelihood")
    heads = "".join(f"{_MEASURES[kind][0]:>14}" for kind in there)
    yield f"  {f'mean of {number}, top_k {comparison.top_k:g}':<{_NAME}}{heads}{'weights changed':>18}"
    for name, each in candidates.items():
        cells = "".join(_cell(found[kind][name], _MEASURES[kind][2]) for kind in there)
        changed = "" if each.changed is None else f"{each.changed:,}"
        mark = "*" if name == comparison.selected else " "
        yield f"{mark} {printable(name, _NAME):<{_NAME}}{cells}{changed:>18}  {bars.get(name, '')}".rstrip()
    own = {
        kind: _mean({b: getattr(m, kind)[b] for b, m in comparison.experts.items() if b in getattr(m, kind)}, number)
        for kind in there
        if kind != "aos"
    }
    if any(value is not None for value in own.values()):
        cells = "".join(_cell(own.get(kind), _MEASURES[kind][2]) for kind in there)
        yield f"  {'each expert on its own':<{_NAME}}{cells}".rstrip()


def _mean(values: Mapping[str, float], number: int) -> float | None:
    """Mean over all benchmarks; None where some lack: means over different ones cannot be compared."""
    return sum(values.values()) / number if len(values) == number else None


def _cell(value: float | None, form: str) -> str:
    return f"{'' if value is None else format(value, form):>14}"


def _bars(values: Mapping[str, float | None], *, less_is_better: bool) -> dict[str, str]:
    """The best is as long as there is room, others as their part of it."""
    known = {name: value for name, value in values.items() if value is not None and value > 0}
    best = (min if less_is_better else max)(known.values(), default=1.0)
    return {
        name: "█" * round(_BAR * (best / value if less_is_better else value / best)) for name, value in known.items()
    }


def _told_dev(comparison: ReportedComparison) -> Iterator[str]:
    """On what runs likelihood and answers were measured, where the manifest names none for it."""
    aside = [name for name, runs in comparison.calibration.items() if runs.held_out]
    watched = [name for name, runs in comparison.calibration.items() if runs.dev_watched]
    if aside:
        yield f"likelihood on runs that were set aside: {', '.join(aside)} (no `dev`)"
    if watched:
        why = "no `dev`, and nothing is decided by it"
        yield f"likelihood on a part of the runs that neurons were watched in: {', '.join(watched)} ({why})"


def _table(
    rows: Sequence[tuple[str, Mapping[str, float]]],
    benchmarks: Sequence[str],
    form: str,
    comparison: ReportedComparison,
    *,
    experts: bool,
    kind: str,
) -> Iterator[str]:
    heads = [printable(name, _BENCHMARK - 2) for name in benchmarks]
    widths = [max(len(head), 8) + 2 for head in heads]
    yield f"  {'':<{_NAME}}" + "".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
    for name, values in rows:
        cells = "".join(f"{values[b]:>{width}{form}}" for b, width in zip(benchmarks, widths, strict=True))
        mark = "*" if name == comparison.selected else " "
        yield f"{mark} {printable(name, _NAME):<{_NAME}}{cells}"
    own = {b: getattr(comparison.experts[b], kind).get(b) for b in benchmarks} if experts else {}
    if own and all(value is not None for value in own.values()):
        cells = "".join(f"{own[b]:>{width}{form}}" for b, width in zip(benchmarks, widths, strict=True))
        yield f"  {'each expert on its own':<{_NAME}}{cells}"


def show_sweep(found: "Iterable[SweptK]") -> str:
    """A line for each `top_k`."""
    swept = [*found]
    width = max([len("backbone"), *(min(len(each.selected), _NAME) for each in swept)])
    head = f"{'top_k':>6}  {'overlap':>8}  {'own':>7}  {'halves':>6}  {'AOS':>6}  {'backbone':<{width}}  "
    lines = [f"{head}{'neurons transplanted':<40}"]
    for each in swept:
        sets = ", ".join(f"{name} {share:.2%}" for name, share in each.transplanted.items()) or "none"
        collisions = f"; {each.collisions} wanted by several" if each.collisions else ""
        shares = f"{each.overlap:>8.1%}  {each.overlap_own:>7.1%}  {_least(each.split_half):>6}"
        backbone = f"{each.mean_aos[each.selected]:>6.3f}  {printable(each.selected, width):<{width}}"
        lines.append(f"{show_value(each.top_k):>6}  {shares}  {backbone}  {sets}{collisions}")
    lines += [
        "",
        "overlap: neurons in at least two experts' sets, of those in any; own: of a set, those that others have too;",
        "halves: how far two halves of the recorded runs agree on an expert's set, for the benchmark where they do so",
        f"least; from {ENOUGH:g} on more runs would change little",
        "AOS: the backbone's mean; transplanted: of all neurons, for each weak benchmark",
        *told_measure(swept[0].watched),
    ]
    return "\n".join(lines)


def _least(found: Mapping[str, float]) -> str:
    return f"{min(found.values()):.3f}" if found else ""
