"""The overlap statistics alone: what `ramekin stats` prints."""

from pathlib import Path

from ramekin.fetch import fetch_sources
from ramekin.lock.making import LockPolicy, settle_lock
from ramekin.manifest.reading import read_manifest
from ramekin.merge.equipping import equip
from ramekin.methods.ram import RamFamily
from ramekin.plan.fitting import fitted
from ramekin.records import ReportedOverlap, report_overlap
from ramekin.room import enough_to_load
from ramekin.workbench import Workbench


def count_overlap(bench: Workbench, path: Path, policy: LockPolicy, device: str = "auto") -> ReportedOverlap:
    """Fetch the sources and count, in one pass, which experts changed which elements.

    Nothing is planned, since nothing is merged: the checkpoints have to fit together, and nothing else is asked.

    Raises:
        ResourceError: There is not enough memory, or the disk is full.
        IncompatibleError: The checkpoints do not fit together.
        RamekinError: As reading the manifest, pinning, fetching and counting do.
    """
    loaded = read_manifest(path)
    manifest, sources = loaded.manifest, bench.sources(loaded.directory)
    settled = settle_lock(loaded, sources, policy)
    layout = fitted(manifest, settled.lock, sources)
    settled.write()
    resources, team = equip(bench, layout, device)
    with enough_to_load():
        from ramekin.merge.engine import Means, probe
        from ramekin.merge.files import AtHand
        from ramekin.merge.statistics import by_module

    files = fetch_sources(settled.lock, manifest, sources, bench.store, lambda: bench.client).files
    counted = probe(layout, AtHand(files), manifest.method.threshold, Means(resources, bench.terminal, team))
    lambdas = manifest.method.lambdas(counted.overlap) if isinstance(manifest.method, RamFamily) else None
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
