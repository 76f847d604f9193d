"""`ramekin lock` and `ramekin check`."""

from pathlib import Path

import click

from ramekin.cli.options import command_options, manifest_argument
from ramekin.workbench import Workbench


@click.command()
@manifest_argument
@click.option("--upgrade", is_flag=True, help="Pin every source anew, at what its revision is now.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 3 if the lock is absent or does not fit.")
@command_options
def lock(bench: Workbench, manifest: Path, *, upgrade: bool, check: bool) -> None:
    """Pin every source of MANIFEST to a commit, and every file that a merge reads to its digest."""
    from ramekin.lock.file import lock_path
    from ramekin.lock.making import LockPolicy, settle_lock
    from ramekin.manifest.reading import read_manifest

    if check and upgrade:
        raise click.UsageError("--check and --upgrade exclude each other")
    loaded = read_manifest(manifest)
    settled = settle_lock(loaded, bench.sources(loaded.directory), LockPolicy(locked=check, upgrade=upgrade))
    settled.write()
    made = settled.lock
    lines = [f"{role:<20} {pinned.source}@{pinned.commit[:12]}" for role, pinned in (made.sources | made.data).items()]
    lines += [f"{lock_path(manifest)}: {made.key}"]
    bench.terminal.result("\n".join(lines), made.to_data())


@click.command()
@click.argument("manifests", nargs=-1, type=click.Path(path_type=Path), metavar="[MANIFEST]...")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if a source has moved in a way that matters.")
@command_options
def check(bench: Workbench, manifests: tuple[Path, ...], *, exit_code: bool) -> int:
    """Tell whether any source of the MANIFESTs has moved since it was locked, and whether it matters."""
    from ramekin.drift import look_for_drift, show_drift

    drifts = [look_for_drift(bench, manifest) for manifest in manifests or (Path("merge.yaml"),)]
    bench.terminal.result("\n".join(map(show_drift, drifts)), {"manifests": [drift.to_data() for drift in drifts]})
    return int(exit_code and any(drift.matters for drift in drifts))
