"""`ramekin verify`."""

import click

from ramekin.cli.options import command_options
from ramekin.workbench import Workbench


@click.command()
@click.argument("subject", metavar="REPO[@REV]|DIR")
@click.option("--remerge", is_flag=True, help="Derive the weights again from the lock, and compare bits.")
@command_options
def verify(bench: Workbench, subject: str, *, remerge: bool) -> None:
    """Check every file of a published or local merge against its report's digests."""
    from ramekin.verify import show_verdict, verify_merge

    verdict = verify_merge(bench, subject, remerge=remerge)
    bench.terminal.result(show_verdict(verdict), verdict.to_data())
    verdict.check()
