"""What the four commands of the Action work with, and what each manifest came to."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.action.event import Event
from ramekin.action.runner import Runner
from ramekin.action.settings import Settings
from ramekin.errors import RamekinError
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.github.client import GitHub


@dataclass(frozen=True)
class Job:
    """One step of a workflow.

    Attributes:
        settings: What it was given.
        event: What started it.
        runner: The runner.
        bench: The Hub, digests, downloads.
    """

    settings: Settings
    event: Event
    runner: Runner
    bench: Workbench

    @cached_property
    def github(self) -> "GitHub":
        """GitHub's interface to this repository.

        Raises:
            UsageError: There is no token for it.
        """
        from ramekin.github.client import GitHub

        return GitHub.of(self.settings.access, self.bench.environment.retry_wait)


@dataclass(frozen=True)
class Result:
    """What one manifest came to.

    Attributes:
        manifest: Its path, relative to the workspace.
        summary: What is told of it in the step's summary, in Markdown.
        changed: Whether something was published, or proposed.
        key: Key of the merge.
        repo: Repository on the Hub that it goes to.
        commit: Commit there that holds it.
        url: Where to look at what was done: the plan's comment, the commit on the Hub, or the pull request.
        report: The report of the merge, in a file.
        error: Why it could not be done.
        warnings: What should be seen and stops nothing.
    """

    manifest: Path
    summary: str = ""
    changed: bool = False
    key: str = ""
    repo: str = ""
    commit: str = ""
    url: str = ""
    report: Path | None = None
    error: RamekinError | None = None
    warnings: tuple[str, ...] = field(default=())
