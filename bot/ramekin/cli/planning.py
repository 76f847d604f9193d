"""`ramekin plan`."""

from pathlib import Path
from typing import Any, Literal

import click

from ramekin.cli.allowing import permissions
from ramekin.cli.options import (
    adopt_option,
    command_options,
    locked_option,
    low_disk_option,
    manifest_argument,
    namespaces_option,
    private_option,
)
from ramekin.workbench import Workbench


@click.command()
@manifest_argument
@click.option("--format", "form", type=click.Choice(["text", "md", "json"]), default="text", show_default=True)
@locked_option
@adopt_option
@private_option
@namespaces_option
@low_disk_option
@command_options
def plan(
    bench: Workbench,
    manifest: Path,
    form: Literal["text", "md", "json"],
    *,
    locked: bool,
    low_disk: bool,
    **allowing: Any,
) -> None:
    """Tell from headers alone what a run of MANIFEST would do, and what it would cost."""
    from ramekin.lock.making import LockPolicy
    from ramekin.plan.rendering import render_plan
    from ramekin.preparing import Request, prepare

    request = Request(
        manifest,
        LockPolicy(locked=locked, write=not bench.environment.ci),
        permissions(bench, **allowing),
        low_disk=low_disk,
    )
    prepared = prepare(bench, request)
    if form == "json":
        bench.terminal.json_output = True
    bench.terminal.result(
        render_plan(prepared.plan, form, endpoint=bench.environment.endpoint),
        prepared.plan.model_dump(mode="json", by_alias=True),
    )
    prepared.check()
