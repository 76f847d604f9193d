"""`ramekin roles`, `ramekin compare` and `ramekin sweep-k`."""

from pathlib import Path

import click

from ramekin.cli.options import command_options, device_option, locked_option, manifest_argument
from ramekin.workbench import Workbench

_SWEEP = "0.01,0.02,0.05,0.1,0.15,0.2,0.3,0.5"


@click.command()
@manifest_argument
@locked_option
@click.option(
    "--samples", type=click.IntRange(0, 3), default=3, show_default=True, help="Trajectories to show of each."
)
@command_options
def roles(bench: Workbench, manifest: Path, *, locked: bool, samples: int) -> None:
    """Show what the role parsers find in the recorded runs of MANIFEST's benchmarks."""
    from ramekin.lock.making import LockPolicy
    from ramekin.watching import find_roles

    read, found = find_roles(bench, manifest, LockPolicy(locked=locked, write=False))
    from ramekin.arm.showing import roles_data, show_roles

    bench.terminal.result(show_roles(read, found, samples), roles_data(read, found))
    if found.error:
        raise found.error


@click.command()
@manifest_argument
@locked_option
@device_option
@click.option("--plots", type=click.Path(path_type=Path, file_okay=False), help="Directory to write plots to.")
@command_options
def compare(bench: Workbench, manifest: Path, *, locked: bool, device: str, plots: Path | None) -> None:
    """Show every candidate of MANIFEST's pool side by side; nothing is published."""
    from ramekin.lock.making import LockPolicy
    from ramekin.preparing import Request, prepare
    from ramekin.watching import compare as compare_candidates

    request = Request(manifest, LockPolicy(locked=locked, write=not bench.environment.ci), device=device)
    comparison = compare_candidates(bench, prepare(bench, request, ask_target=False, watched=True), device)
    from ramekin.arm.showing import show_comparison

    lines = [show_comparison(comparison)]
    if plots:
        from ramekin.atomic import write_atomically
        from ramekin.card.plots import render_comparison_plots

        for name, text in render_comparison_plots(comparison).items():
            write_atomically(plots / name, text.encode())
            lines.append(str(plots / name))
    bench.terminal.result("\n".join(lines), comparison.model_dump(mode="json", by_alias=True))


@click.command("sweep-k")
@manifest_argument
@locked_option
@device_option
@click.option("--k", "values", default=_SWEEP, show_default=True, help="Values of top_k, separated by commas.")
@command_options
def sweep_k(bench: Workbench, manifest: Path, *, locked: bool, device: str, values: str) -> None:
    """Show what several top_k would come to for MANIFEST, from watching the models once."""
    from ramekin.lock.making import LockPolicy
    from ramekin.preparing import Request, prepare
    from ramekin.watching import sweep_k as sweep

    chosen = _values(values)
    request = Request(manifest, LockPolicy(locked=locked, write=not bench.environment.ci), device=device)
    found = sweep(bench, prepare(bench, request, ask_target=False, watched=True), chosen, device)
    from ramekin.arm.showing import show_sweep

    bench.terminal.result(show_sweep(found), {"sweep": [each.to_data() for each in found]})


def _values(text: str) -> tuple[float, ...]:
    try:
        values = tuple(sorted({float(each) for each in text.split(",")}))
    except ValueError as error:
        raise click.UsageError(f"--k is a list of numbers such as 0.05,0.1, not {text[:60]!r}") from error
    if not all(0 < value <= 1 for value in values):
        raise click.UsageError("--k is a list of numbers above 0, at most 1")
    return values
