"""`ramekin webhook`."""

import re
from pathlib import Path

import click

from ramekin.cli.options import command_options
from ramekin.errors import UsageError
from ramekin.text import printable
from ramekin.workbench import Workbench


@click.command()
@click.argument("manifests", nargs=-1, type=click.Path(path_type=Path), metavar="[MANIFEST]...")
@click.option("--url", metavar="ADDRESS", help="Where the webhook sends to; no other is looked at.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if a source is not watched, or a webhook has a flaw.")
@click.option("--serve", "address", metavar="HOST:PORT", help="Receive deliveries here, and start the workflow.")
@click.option("--repository", metavar="OWNER/NAME", help="Whose workflow to start; GITHUB_REPOSITORY if left out.")
@command_options
def webhook(
    bench: Workbench,
    manifests: tuple[Path, ...],
    *,
    url: str | None,
    exit_code: bool,
    address: str | None,
    repository: str | None,
) -> int:
    """Tell how to have the Hub report new weights of the MANIFESTs' sources, and check the webhooks that there are."""
    from ramekin.webhook.watched import what_to_watch

    _check(url, address, repository, exit_code=exit_code)
    watch = what_to_watch(manifests or (Path("merge.yaml"),))
    if address:
        from ramekin.webhook.serving import serve

        serve(bench, watch, address, repository)
        return 0
    from huggingface_hub import get_token

    from ramekin.webhook.checking import look_at_webhooks
    from ramekin.webhook.showing import EVENT, show_coverage, show_setup

    coverage = look_at_webhooks(bench, watch, url) if bench.environment.token or get_token() else None
    text = f"{show_setup(watch, bench.environment.endpoint, url)}\n\n{show_coverage(coverage)}"
    sources = [{"type": source.kind, "name": source.name, "refs": sorted(refs)} for source, refs in watch.refs.items()]
    checked = coverage.to_data() if coverage else None
    bench.terminal.result(text, {"watch": sources, "event": EVENT, "url": url, "checked": checked})
    return int(exit_code and not (coverage and coverage.complete))


def _check(url: str | None, address: str | None, repository: str | None, *, exit_code: bool) -> None:
    """Make sure that options mean something, and together.

    Raises:
        UsageError: They do not.
    """
    if url is not None and not re.fullmatch(r"https?://[^\s/]+\S*", url):
        raise UsageError(f"`{printable(url)}` is no address", "write such as `--url https://hooks.my-org.example/`")
    if repository is not None and address is None:
        raise UsageError("--repository is about the receiver, and none is asked for", "add --serve HOST:PORT")
    if address is not None and (url is not None or exit_code):
        given = "--url" if url is not None else "--exit-code"
        raise UsageError(f"{given} checks webhooks, and --serve receives them", "leave out one of the two")
