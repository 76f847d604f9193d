"""`ramekin stats`, `ramekin merge` and `ramekin run`."""

from pathlib import Path

import click

from ramekin.cli.allowing import permissions
from ramekin.cli.options import (
    adopt_option,
    command_options,
    device_option,
    keyless_option,
    locked_option,
    low_disk_option,
    manifest_argument,
    namespaces_option,
    out_option,
    pr_option,
    private_option,
    sign_option,
)
from ramekin.cli.placing import place_of, placing_options, run_there
from ramekin.workbench import Workbench


@click.command()
@manifest_argument
@locked_option
@device_option
@command_options
def stats(bench: Workbench, manifest: Path, *, locked: bool, device: str) -> None:
    """Print how the changes of MANIFEST's experts overlap; nothing is merged."""
    from ramekin.lock.making import LockPolicy
    from ramekin.overlap import count_overlap, show_overlap

    overlap = count_overlap(bench, manifest, LockPolicy(locked=locked, write=not bench.environment.ci), device)
    bench.terminal.result(show_overlap(overlap), overlap.model_dump(mode="json", by_alias=True))


@click.command()
@manifest_argument
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory to write to.")
@locked_option
@low_disk_option
@device_option
@click.option("--no-evaluate", is_flag=True, help="Do not measure what the manifest names below `evaluate`.")
@command_options
def merge(
    bench: Workbench, manifest: Path, out: Path, *, locked: bool, low_disk: bool, device: str, no_evaluate: bool
) -> None:
    """Merge MANIFEST into a directory, with card and report. The Hub is only read."""
    from ramekin.evaluation.gate import unmet
    from ramekin.lock.making import LockPolicy
    from ramekin.merge.stage import merge_prepared
    from ramekin.plan.measuring import check_dispensable
    from ramekin.preparing import Request, prepare, unmeasured, with_template

    policy = LockPolicy(locked=locked, write=not bench.environment.ci)
    request = Request(manifest, policy, out=out, low_disk=low_disk, device=device)
    prepared = with_template(prepare(bench, request, ask_target=False))
    if no_evaluate:
        check_dispensable(prepared.loaded.manifest)
        prepared = unmeasured(prepared)
    report = merge_prepared(bench, prepared, out, device=device)
    for problem in unmet(prepared.loaded.manifest, report, out):
        bench.terminal.note(f"warning: the gate would stop it: {problem.what}")
    size = sum(record.size for record in report.output.files.values())
    text = (
        f"merged {len(report.experts)} experts with {report.method.name} into {out} ({size / 1e6:.1f} MB)\n{report.key}"
    )
    bench.terminal.result(text, report.to_data())


@click.command()
@manifest_argument
@out_option
@locked_option
@pr_option
@adopt_option
@private_option
@namespaces_option
@low_disk_option
@device_option
@sign_option
@keyless_option
@click.option("--force", is_flag=True, help="Merge and publish even if the Hub holds this merge already.")
@click.option("--dry-run", is_flag=True, help="Stop after the plan.")
@placing_options
@command_options
def run(
    bench: Workbench,
    manifest: Path,
    *,
    dry_run: bool,
    locked: bool,
    allowed_namespaces: str | None,
    **options: object,
) -> None:
    """The main job: plan MANIFEST, merge, write the card, publish."""
    from ramekin.attestation.signing import signer_for
    from ramekin.cli.outcome import show_outcome
    from ramekin.lock.making import LockPolicy
    from ramekin.pipeline import Outcome
    from ramekin.preparing import Request, prepare

    place = place_of(bench, options)
    adopt, private = bool(options["adopt"]), bool(options["allow_private_sources"])
    allowed = permissions(bench, adopt=adopt, allow_private_sources=private, allowed_namespaces=allowed_namespaces)
    out, key = options["out"], options["sign_with"]
    request = Request(
        manifest,
        LockPolicy(locked=locked, write=not bench.environment.ci),
        allowed,
        out=out if isinstance(out, Path) else None,
        pull_request=bool(options["pr"]),
        force=bool(options["force"]),
        low_disk=bool(options["low_disk"]),
        device=str(options["device"]),
        signer=signer_for(bench, key if isinstance(key, Path) else None, keyless=bool(options["sign_keyless"])),
    )
    if dry_run:
        prepared = prepare(bench, request, publishes=True)
        show_outcome(bench.terminal, Outcome(prepared.plan))
        prepared.check()
        return
    show_outcome(bench.terminal, run_there(bench, request, place))
