"""`ramekin methods` and `ramekin schema`."""

import json

import click

from ramekin.cli.options import command_options
from ramekin.workbench import Workbench


@click.command()
@command_options
def methods(bench: Workbench) -> None:
    """List the merging methods with their parameters and formulas."""
    from ramekin.methods.listing import describe_methods, show_methods

    bench.terminal.result(show_methods(), {"methods": describe_methods()})


@click.command()
@command_options
def schema(bench: Workbench) -> None:
    """Print the JSON Schema of the manifest."""
    from ramekin.manifest.schema import manifest_schema

    text = json.dumps(manifest_schema(), indent=2)
    bench.terminal.result(text, manifest_schema())
