"""The one place where a step begins and ends: which command an event asks for, and how its results are told."""

import os
import sys
from collections.abc import Callable, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Final

from ramekin.action.aside import aside
from ramekin.action.event import REFUSED, UNTRUSTED, Event, read_event
from ramekin.action.job import Job, Result
from ramekin.action.runner import Runner
from ramekin.action.settings import Command, Settings, hand_over
from ramekin.cli.guarding import guarded
from ramekin.environment import Environment, withdraw_tokens
from ramekin.errors import Problem, RamekinError, UsageError
from ramekin.terminal import Terminal, as_ours
from ramekin.text import printable
from ramekin.workbench import Workbench

_DEFAULTS: Final[dict[str, Command]] = {
    "pull_request": "plan",
    "push": "run",
    "workflow_dispatch": "run",
    "schedule": "update",
    "repository_dispatch": "update",
    "issues": "update",
    "issue_comment": "comment",
}
_MODULES: Final[dict[Command, tuple[str, str]]] = {
    "plan": ("planning", "plan_all"),
    "run": ("running", "run_all"),
    "update": ("updating", "update_all"),
    "comment": ("commands", "obey"),
}


def main() -> int:
    """Carry out one step; returns its exit code."""
    terminal = Terminal(color=False, out=sys.stdout, err=sys.stdout)
    return guarded(terminal, lambda: step(os.environ, terminal))


def step(env: MutableMapping[str, str], terminal: Terminal) -> int:
    """Read what is asked, do it, and tell what came of it; returns the exit code."""
    log = sys.stdout
    runner = Runner(
        log,
        Path(env.get("GITHUB_WORKSPACE") or "."),
        *(Path(env[name]) if env.get(name) else None for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")),
    )
    try:
        with aside(log, runner.cleaned):
            results = carry_out(begin(env, runner, terminal))
    except Exception as error:  # noqa: BLE001 - a step tells its outputs whatever happened
        terminal.traceback(error)
        results = (Result(Path(), error=as_ours(error)),)
    return tell(runner, terminal, results)


def begin(env: MutableMapping[str, str], runner: Runner, terminal: Terminal) -> Job:
    """Read inputs, event and environment, and take every token out of the latter.

    Raises:
        UsageError: They make no sense, or ask for what must not be.
    """
    try:
        settings = Settings.read(env)
    finally:
        hand_over(env)
    environment = Environment.read(env)
    withdraw_tokens(env)
    secrets = (*environment.secrets, *(secret.reveal() for secret in settings.secrets))
    for value in dict.fromkeys(secrets):
        runner.mask(value)
    terminal.hide(secrets)
    terminal.on_hide(runner.mask)
    environment.check()
    return Job(settings, read_event(settings.event_name, settings.event_path), runner, Workbench(environment, terminal))


def carry_out(job: Job) -> tuple[Result, ...]:
    """Do what the job is asked for.

    Raises:
        UsageError: The event must not do that, or nobody can tell what it asks for.
    """
    module, name = _MODULES[command_of(job.settings.inputs.command, job.event)]
    function: Callable[[Job], tuple[Result, ...]] = getattr(import_module(f"ramekin.action.{module}"), name)
    return function(job)


def command_of(asked: Command | None, event: Event) -> Command:
    """What an event asks for, unless the workflow says it.

    Raises:
        UsageError: The two do not go together.
    """
    if event.name in REFUSED:
        what = f"a workflow on `{event.name}` runs with rights that a pull request must not have"
        raise UsageError(what, "use `on: pull_request`, as in the workflows of `ramekin init`")
    command = asked or _DEFAULTS.get(event.name)
    if command is None:
        what = f"nothing is done by default on `{printable(event.name)}`"
        raise UsageError(what, "set the input `command` to plan, run or update")
    if event.name in UNTRUSTED and command != "plan":
        what = f"`{command}` is not done on `{event.name}`, whose manifest anybody may have written"
        raise UsageError(what, "run on push to the default branch, as in the workflows of `ramekin init`")
    if (event.name == "issue_comment") != (command == "comment"):
        what = f"`{command}` is not done on `{printable(event.name)}`"
        raise UsageError(what, "leave out the input `command`: on `issue_comment` the comment says what to do")
    return command


def tell(runner: Runner, terminal: Terminal, results: tuple[Result, ...]) -> int:
    """Annotations, summary and outputs; returns the exit code, the first failure's."""
    code = 0
    for result in results:
        if result.summary:
            runner.summarize(result.summary)
        for warning in result.warnings:
            runner.annotate("warning", _placed(Problem(warning, ""), result))
        if result.error:
            for problem in result.error.problems:
                runner.annotate("error", _placed(problem, result))
            shown = terminal.failure(result.error)
            code = code or shown
    runner.outputs(outputs(results))
    return code


def outputs(results: tuple[Result, ...]) -> dict[str, str]:
    """The Action's outputs; of several manifests each is a list with a line for each of them, `changed` is for all."""
    failed: RamekinError | None = next((result.error for result in results if result.error), None)
    lists = {
        name: "\n".join(str(getattr(result, name) or "") for result in results).rstrip("\n")
        for name in ("key", "repo", "commit", "url", "report")
    }
    changed = any(result.changed for result in results)
    return {"changed": str(changed).lower(), **lists, "failure-reason": failed.reason if failed else ""}


def _placed(problem: Problem, result: Result) -> Problem:
    """A problem that has no place of its own is the manifest's."""
    return (
        problem if problem.path or result.manifest == Path() else Problem(problem.what, problem.hint, result.manifest)
    )
