"""The overlap statistics alone: what `ramekin stats` prints."""

from ramekin.merge.stage import equip, fetch
from ramekin.methods.ram import RamFamily
from ramekin.preparing import Prepared
from ramekin.report import ReportedOverlap, report_overlap
from ramekin.room import enough_to_load
from ramekin.workbench import Workbench


def count_overlap(bench: Workbench, prepared: Prepared, device: str = "auto") -> ReportedOverlap:
    """Fetch the sources and count, in one pass, which experts changed which elements.

    Raises:
        ResourceError: There is not enough memory, or the disk is full.
        RamekinError: As fetching and counting do.
    """
    layout = prepared.made.mergeable()
    resources, team = equip(bench, layout, device)
    with enough_to_load():
        from ramekin.merge.engine import Means, probe
        from ramekin.merge.files import AtHand
        from ramekin.merge.statistics import by_module

    method = prepared.loaded.manifest.method
    files = fetch(bench, prepared).files
    counted = probe(layout, AtHand(files), method.threshold, Means(resources, bench.terminal, team))
    lambdas = method.lambdas(counted.overlap) if isinstance(method, RamFamily) else None
    modules = by_module(counted.by_tensor, layout.experts)
    return report_overlap(counted.overlap, layout.experts, lambdas, modules)


def show_overlap(overlap: ReportedOverlap) -> str:
    """The statistics as a table of at most 100 columns; a column for lambda where the method has one."""
    total = overlap.elements or 1
    lines = [f"{overlap.elements:,} elements; who changed how many:", ""]
    width = max(6, *(len(name) for name in overlap.experts))
    head = f"{'expert':<{width}} {'changed':>15} {'density':>9} {'unique':>15} {'shared':>15} {'rho':>8}"
    rescaled = any(expert.factor is not None for expert in overlap.experts.values())
    lines.append(f"{head} {'lambda':>8}" if rescaled else head)
    for name, expert in overlap.experts.items():
        rho = "inf" if expert.rho is None else f"{expert.rho:.3f}"
        lines.append(
            f"{name:<{width}} {expert.changed:>15,} {expert.density:>9.2%} {expert.unique:>15,} {expert.shared:>15,} "
            f"{rho:>8}" + (f" {expert.factor:>8.4f}" if expert.factor is not None else "")
        )
    lines += ["", "patterns, in the order of the experts:"]
    for pattern, count in sorted(overlap.patterns.items(), key=lambda item: -item[1]):
        lines.append(f"{pattern:<{width}} {count:>15,} {count / total:>9.2%}")
    return "\n".join(lines)
