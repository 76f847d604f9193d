"""What a step of a workflow was given: the Action's inputs and GitHub's variables, read once."""

import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args

from ramekin.concealing import conceal
from ramekin.errors import Problem, UsageError
from ramekin.github.access import API_URL, REPOSITORY, Access
from ramekin.secret import Secret, can_be_sent
from ramekin.text import printable

Command = Literal["plan", "run", "update", "comment"]
Policy = Literal["pull-request", "merge"]
T = TypeVar("T", bound=str)

_COMMANDS: Final[tuple[Command, ...]] = get_args(Command)
_POLICIES: Final[tuple[Policy, ...]] = get_args(Policy)
INPUT: Final = "RAMEKIN_INPUT_"
"""Inputs come as variables of this beginning: `hf-token` is `RAMEKIN_INPUT_HF_TOKEN`."""
_SECRET_INPUTS: Final = ("RAMEKIN_INPUT_HF_TOKEN", "RAMEKIN_INPUT_GITHUB_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")
_DURATION: Final = re.compile(r"(\d{1,4})\s*([hd]?)")
_TRUTH: Final = {"": False, "true": True, "false": False}


@dataclass(frozen=True)
class Inputs:
    """The Action's inputs, checked.

    Attributes:
        command: What to do; None to follow the event.
        manifest: Path or glob, relative to the workspace.
        policy: What `update` does about drift: propose it, or merge at once.
        cooldown: Hours that a commit has to be known before it is proposed.
        dashboard: Keep an issue that lists all manifests.
        on: Where to run: nothing for here, or `hf-jobs:FLAVOR`.
        pr: Publish as a pull request on the Hub.
        adopt: Write to a repository that ramekin did not make.
        allow_private_sources: Allow a public repository to show weights of private sources.
        allowed_namespaces: Namespaces that may be written to, separated by commas; None for all.
    """

    command: Command | None = None
    manifest: str = "merge.yaml"
    policy: Policy = "pull-request"
    cooldown: int = 24
    dashboard: bool = False
    on: str | None = None
    pr: bool = False
    adopt: bool = False
    allow_private_sources: bool = False
    allowed_namespaces: str | None = None


@dataclass(frozen=True)
class Settings:
    """One step's surroundings.

    Attributes:
        inputs: The Action's inputs.
        github_token: For GitHub's interface; None where none was given.
        event_name: Such as `pull_request`.
        event_path: The event's payload.
        repository: `owner/name`.
        sha: Commit that the workflow runs for.
        ref: Such as `refs/heads/main`.
        workspace: Where the repository is checked out.
        temporary: Directory that lasts as long as the job.
        api_url: Address of GitHub's REST interface.
        server_url: GitHub's address for people.
        run_id: Number of the workflow's run.
        output: File that outputs are written to; None outside of a runner.
        summary: File that the step's summary is written to; likewise.
        secrets: Every token that was given, also those that are not used.
    """

    inputs: Inputs
    github_token: Secret | None
    event_name: str
    event_path: Path | None
    repository: str
    sha: str
    ref: str
    workspace: Path
    temporary: Path
    api_url: str
    server_url: str
    run_id: str
    output: Path | None = None
    summary: Path | None = None
    secrets: tuple[Secret, ...] = field(default=(), repr=False)

    @property
    def access(self) -> Access:
        """The step's repository, as its token may see it."""
        return Access(self.repository, self.github_token, self.api_url)

    @property
    def run_url(self) -> str:
        """Page of the workflow's run."""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}"

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Settings":
        """Read and check the variables.

        Raises:
            UsageError: Inputs that mean nothing; all of them at once.
        """
        problems: list[Problem] = []
        inputs = _inputs(env, problems)
        tokens = [_token(env, name, problems) for name in _SECRET_INPUTS]
        repository = env.get("GITHUB_REPOSITORY", "")
        if not REPOSITORY.fullmatch(repository):
            problems.append(Problem("GITHUB_REPOSITORY names no repository", "start this as a step of GitHub Actions"))
        if problems:
            raise UsageError(problems=problems)
        server = (env.get("GITHUB_SERVER_URL") or "https://github.com").rstrip("/")
        return cls(
            inputs=inputs,
            github_token=next((token for token in tokens[1:] if token), None),
            event_name=env.get("GITHUB_EVENT_NAME", ""),
            event_path=_path(env, "GITHUB_EVENT_PATH"),
            repository=repository,
            sha=env.get("GITHUB_SHA", ""),
            ref=env.get("GITHUB_REF", ""),
            workspace=_path(env, "GITHUB_WORKSPACE") or Path.cwd(),
            temporary=_path(env, "RUNNER_TEMP") or Path("/tmp"),  # noqa: S108 - what runners use themselves
            api_url=(env.get("GITHUB_API_URL") or API_URL).rstrip("/"),
            server_url=server,
            run_id=env.get("GITHUB_RUN_ID", ""),
            output=_path(env, "GITHUB_OUTPUT"),
            summary=_path(env, "GITHUB_STEP_SUMMARY"),
            secrets=tuple(token for token in tokens if token),
        )


def hand_over(env: MutableMapping[str, str]) -> None:
    """Give the Hub's token its own name, and take what is secret out of the variables: no child process gets it."""
    token = env.get("RAMEKIN_INPUT_HF_TOKEN", "").strip()
    if token:
        env["HF_TOKEN"] = token
    namespaces = env.get("RAMEKIN_INPUT_ALLOWED_NAMESPACES", "").strip()
    if namespaces:
        env["RAMEKIN_ALLOWED_NAMESPACES"] = namespaces
    for name in _SECRET_INPUTS:
        env.pop(name, None)
    if env is os.environ:
        conceal(_SECRET_INPUTS)


def _inputs(env: Mapping[str, str], problems: list[Problem]) -> Inputs:
    given = {name: env.get(f"{INPUT}{name.upper()}", "").strip() for name in Inputs.__dataclass_fields__}
    for name, value in given.items():
        if value.startswith("-") or not value.isprintable():
            what = f"the input `{name.replace('_', '-')}` is `{printable(value)}`"
            problems.append(Problem(what, "write a value on one line that does not begin with `-`"))
            given[name] = ""
    return Inputs(
        command=_choice(given, "command", _COMMANDS, problems),
        manifest=_manifest(given["manifest"], problems),
        policy=_choice(given, "policy", _POLICIES, problems) or "pull-request",
        cooldown=_hours(given["cooldown"], problems),
        dashboard=_truth(given, "dashboard", problems),
        on=given["on"] or None,
        pr=_truth(given, "pr", problems),
        adopt=_truth(given, "adopt", problems),
        allow_private_sources=_truth(given, "allow_private_sources", problems),
        allowed_namespaces=given["allowed_namespaces"] or None,
    )


def _choice(given: Mapping[str, str], name: str, values: tuple[T, ...], problems: list[Problem]) -> T | None:
    value = given[name]
    found = next((each for each in values if each == value), None)
    if value and found is None:
        problems.append(Problem(f"the input `{name}` is `{printable(value)}`", f"write one of {', '.join(values)}"))
    return found


def _manifest(value: str, problems: list[Problem]) -> str:
    path = Path(value)
    if path.is_absolute() or ".." in path.parts:
        what = f"the input `manifest` is `{printable(value)}`, which leaves the workspace"
        problems.append(Problem(what, "write a path, or a glob such as `merges/*.yaml`, relative to the workspace"))
    return value or "merge.yaml"


def _hours(value: str, problems: list[Problem]) -> int:
    if not value:
        return 24
    found = _DURATION.fullmatch(value)
    if not found:
        problems.append(
            Problem(f"the input `cooldown` is `{printable(value)}`", "write hours or days, as `24h` or `2d`")
        )
        return 24
    return int(found[1]) * (24 if found[2] == "d" else 1)


def _truth(given: Mapping[str, str], name: str, problems: list[Problem]) -> bool:
    value = given[name].lower()
    if value not in _TRUTH:
        what = f"the input `{name.replace('_', '-')}` is `{printable(value)}`"
        problems.append(Problem(what, "write `true` or `false`"))
    return _TRUTH.get(value, False)


def _token(env: Mapping[str, str], name: str, problems: list[Problem]) -> Secret | None:
    value = env.get(name, "").strip()
    if value and not can_be_sent(value):
        problems.append(Problem("a token has characters that no token has", "store it again in the settings"))
    return Secret(value) if value else None


def _path(env: Mapping[str, str], name: str) -> Path | None:
    return Path(env[name]) if env.get(name) else None
