"""`ramekin init` and `ramekin demo`."""

from pathlib import Path

import click

from ramekin.cli.options import command_options
from ramekin.workbench import Workbench


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--comments", is_flag=True, help="Add the workflow that obeys comments on pull requests.")
@click.option("--dashboard", is_flag=True, help="Have an issue kept that lists all manifests with their state.")
@click.option("--trusted-publishing", is_flag=True, help="Publish without a stored token.")
@command_options
def init(bench: Workbench, directory: Path, **choices: bool) -> None:
    """Write a starter manifest and the workflows into DIRECTORY; nothing that is there is overwritten."""
    from ramekin.starter import Choices, write_starter

    written = write_starter(directory, Choices(**choices))
    secret = "" if choices["trusted_publishing"] else " with the secret HF_TOKEN"
    lines = [
        *(f"wrote {path}" for path in written),
        "next: edit merge.yaml, then `ramekin plan`",
        f"on GitHub: make the environment `huggingface`{secret}, and allow Actions to create pull requests",
    ]
    bench.terminal.result("\n".join(lines), {"written": [str(path) for path in written]})


@click.command()
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"), show_default=True
)
@click.option("--serve", is_flag=True, help="Keep the embedded Hub running at the end, to look at the page.")
@command_options
def demo(bench: Workbench, directory: Path, *, serve: bool) -> None:
    """Train nothing, download nothing: make a tiny family of models, merge and publish it on an embedded Hub."""
    from ramekin.demo import run_demo

    run_demo(directory, bench.terminal, serve=serve)
