"""`ramekin diff`."""

import click

from ramekin.cli.options import command_options
from ramekin.workbench import Workbench

_SIDE = "LOCK|REPORT|DIR|REPO[@REV]"


@click.command()
@click.argument("a", metavar=_SIDE)
@click.argument("b", metavar=_SIDE)
@click.option("--weights", is_flag=True, help="Download published weights to compare them; of directories they are.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs.")
@command_options
def diff(bench: Workbench, a: str, b: str, *, weights: bool, exit_code: bool) -> int:
    """Show two merges side by side: sources, parameters, statistics, scores, files, and weights by layer."""
    from ramekin.diff.differing import find_difference
    from ramekin.diff.text import difference_text

    difference = find_difference(bench, a, b, weights=weights)
    bench.terminal.result(difference_text(difference), difference.to_data())
    return int(exit_code and difference.differs)
