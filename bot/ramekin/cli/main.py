"""The command line: which commands there are, and how one is run."""

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from ramekin import __version__
from ramekin.cli.guarding import guarded
from ramekin.environment import Environment, withdraw_tokens
from ramekin.terminal import Terminal

if TYPE_CHECKING:
    from ramekin.merge.team import Team

# What `--help` shows. The commands themselves, and what they need, are loaded when they are called.
_COMMANDS: Final = {
    "init": ("starting", "Write a starter manifest and the workflows."),
    "demo": ("starting", "Run the whole road offline, on an embedded Hub."),
    "lock": ("pinning", "Pin every source to a commit and every file to its digest."),
    "check": ("pinning", "Tell whether any source has moved, and whether it matters."),
    "plan": ("planning", "Tell from headers alone what a run would do, and what it would cost."),
    "stats": ("merging", "Print how the experts' changes overlap."),
    "roles": ("watching", "Show what the role parsers find in recorded runs."),
    "compare": ("watching", "Show every candidate of a pool side by side."),
    "sweep-k": ("watching", "Show what several top_k would come to."),
    "merge": ("merging", "Merge into a directory, with card and report; the Hub is only read."),
    "run": ("merging", "Plan, merge, write the card, publish: the main job."),
    "publish": ("publishing", "Publish what `merge` wrote."),
    "card": ("publishing", "Write the card of a merged directory again."),
    "verify": ("verifying", "Check a published or local merge: digests, weights, signature, loading."),
    "sign": ("verifying", "Sign a merged directory, for those who verify it."),
    "webhook": ("hooking", "Have the Hub tell of new weights at once."),
    "diff": ("comparing", "Show two locks, reports or merges side by side."),
    "methods": ("describing", "List the merging methods with their formulas."),
    "schema": ("describing", "Print the JSON Schema of the manifest."),
}


class _Lazy(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(f"ramekin.cli.{_COMMANDS[cmd_name][0]}"), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)  # noqa: S101
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, 1)
            suggestion = f", did you mean `{near[0]}`?" if near else ""
            raise click.UsageError(f"there is no command {args[0][:40]!r}{suggestion}", ctx) from error


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ramekin")
def cli() -> None:
    """Merge agents trained from one base model, and publish the result to the Hugging Face Hub."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    argv = sys.argv[1:] if arguments is None else arguments
    environment = Environment.read()
    withdraw_tokens()
    terminal = Terminal(json_output="--json" in argv, color=environment.color)
    terminal.hide(environment.secrets)

    def command(team: "Team | None" = None) -> Any:
        return cli.main(argv, prog_name="ramekin", standalone_mode=False, obj=(environment, terminal, team))

    if environment.processes.count > 1:
        from ramekin.cli.processes import in_several

        return in_several(argv, environment.processes, terminal, command)
    return guarded(terminal, command)
