"""Options that several commands share, each declared once."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ramekin.workbench import Workbench

F = TypeVar("F", bound=Callable[..., Any])

manifest_argument = click.argument("manifest", type=click.Path(path_type=Path), default=Path("merge.yaml"))
locked_option = click.option("--locked", is_flag=True, help="Refuse to work without a lock that fits the manifest.")
out_option = click.option("--out", type=click.Path(path_type=Path), help="Directory to write to.")
pr_option = click.option("--pr", is_flag=True, help="Open a pull request on the Hub instead of committing.")
adopt_option = click.option("--adopt", is_flag=True, help="Write to a repository that ramekin did not make.")
private_option = click.option(
    "--allow-private-sources", is_flag=True, help="Allow a public repository to show weights of private sources."
)
namespaces_option = click.option(
    "--allowed-namespaces",
    metavar="NAMES",
    help="Write to these namespaces alone, separated by commas; RAMEKIN_ALLOWED_NAMESPACES if left out.",
)
low_disk_option = click.option(
    "--low-disk", is_flag=True, help="Fetch, merge, upload and delete as it goes, though there is room for everything."
)
sign_option = click.option(
    "--sign-with", metavar="KEY", type=click.Path(path_type=Path), help="Sign with this private key, and publish that."
)
keyless_option = click.option(
    "--sign-keyless", is_flag=True, help="Sign by the identity of this CI job, through Sigstore, and publish that."
)
device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)


def command_options(command: F) -> F:
    """Give a command `--json`, `-v` and `-q`, and a `Workbench` as its first argument."""

    @click.option("--json", "json_output", is_flag=True, help="Print one JSON object, and nothing else, on stdout.")
    @click.option("-v", "--verbose", is_flag=True, help="Tell more; errors come with a traceback.")
    @click.option("-q", "--quiet", is_flag=True, help="Tell nothing but errors.")
    @functools.wraps(command)
    def wrapped(*args: Any, json_output: bool, verbose: bool, quiet: bool, **kwargs: Any) -> Any:
        environment, terminal, team = click.get_current_context().obj
        terminal.json_output = json_output
        terminal.verbosity = 1 if verbose else -1 if quiet else 0
        environment.check()
        return command(Workbench(environment, terminal, team), *args, **kwargs)

    return wrapped  # type: ignore[return-value]
