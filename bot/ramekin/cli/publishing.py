"""`ramekin publish` and `ramekin card`."""

from pathlib import Path

import click

from ramekin.cli.options import adopt_option, command_options, pr_option, private_option
from ramekin.workbench import Workbench

_directory = click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")


@click.command()
@_directory
@pr_option
@adopt_option
@private_option
@command_options
def publish(bench: Workbench, directory: Path, *, pr: bool, adopt: bool, allow_private_sources: bool) -> None:
    """Publish the merge in DIR, in one commit."""
    from ramekin.plan.objections import Permissions
    from ramekin.publish.directory import publish_directory

    allowed = Permissions(adopt=adopt, private_sources=allow_private_sources)
    published = publish_directory(bench.writer, directory, allowed, pull_request=pr)
    done = "published" if published.fresh else "nothing to do: the Hub holds this merge already"
    data = {"changed": published.fresh, "repo": published.repo, "commit": published.commit, "url": published.url}
    bench.terminal.result(f"{done}\n  {published.url}", data)


@click.command()
@_directory
@command_options
def card(bench: Workbench, directory: Path) -> None:
    """Write the card and plots of the merge in DIR again, from its report."""
    from ramekin.card.writing import write_card

    path = write_card(directory, bench.environment.endpoint)
    bench.terminal.result(f"wrote {path}", {"card": str(path)})
