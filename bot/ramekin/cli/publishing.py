"""`ramekin publish` and `ramekin card`."""

from pathlib import Path
from typing import Any

import click

from ramekin.cli.allowing import permissions
from ramekin.cli.options import (
    adopt_option,
    command_options,
    keyless_option,
    namespaces_option,
    pr_option,
    private_option,
    sign_option,
)
from ramekin.workbench import Workbench

_directory = click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")


@click.command()
@_directory
@pr_option
@adopt_option
@private_option
@namespaces_option
@sign_option
@keyless_option
@command_options
def publish(
    bench: Workbench, directory: Path, *, pr: bool, sign_with: Path | None, sign_keyless: bool, **allowing: Any
) -> None:
    """Publish the merge in DIR, in one commit."""
    from ramekin.attestation.signing import sign_directory, signer_for
    from ramekin.cli.outcome import show_published
    from ramekin.publish.directory import publish_directory
    from ramekin.report import read_report

    allowed = permissions(bench, **allowing)
    if signer := signer_for(bench, sign_with, keyless=sign_keyless):
        sign_directory(directory, signer)
    writer = bench.publishing_to(read_report(directory).output.repo)
    published = publish_directory(writer, directory, allowed, pull_request=pr)
    done = show_published(published, "the Hub holds this merge already")
    data = {"changed": published.fresh, "repo": published.repo, "commit": published.commit, "url": published.url}
    lines = [f"{done}\n  {published.url}", *(f"  note: {note}" for note in published.notes)]
    bench.terminal.result("\n".join(lines), data | {"notes": [*published.notes]})


@click.command()
@_directory
@command_options
def card(bench: Workbench, directory: Path) -> None:
    """Write the card and plots of the merge in DIR again, from its report."""
    from ramekin.card.writing import write_card

    path = write_card(directory, bench.environment.endpoint)
    bench.terminal.result(f"wrote {path}", {"card": str(path)})
