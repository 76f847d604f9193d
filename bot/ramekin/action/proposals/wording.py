"""What people read of proposals: the pull request, the commit, and the step's summary."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ramekin import markdown
from ramekin.action.proposals.backoff import next_try
from ramekin.action.proposals.cooldown import Candidate
from ramekin.action.proposals.deciding import Texts
from ramekin.action.proposals.state import Failure, State
from ramekin.drift import changed_files
from ramekin.errors import RamekinError
from ramekin.lock.file import lock_path
from ramekin.lock.model import PinnedSource
from ramekin.plan.rendering import prose
from ramekin.templating import template_environment

if TYPE_CHECKING:
    from ramekin.client import HubClient

_MOST_FILES: Final = 5
"""Changed files that are named of one source."""
_LONGEST_TITLE: Final = 120
_LARGEST_BODY: Final = 40_000
"""Characters of a pull request's text without its mark; GitHub takes 65,536 in all."""


@dataclass(frozen=True)
class Row:
    """One source in the table of old and new.

    Attributes:
        place: `base`, the expert's name, or a benchmark with the use of the file.
        pinned: How it will be pinned; how it was for one that goes.
        old: Commit that is pinned now, if any is.
        new: Commit that will be, if any will.
        old_day: Day of the old commit; empty where it is not known.
        new_day: Of the new one.
        files: Files that are read and have changed.
    """

    place: str
    pinned: PinnedSource
    old: str | None
    new: str | None
    old_day: str = ""
    new_day: str = ""
    files: tuple[str, ...] = ()

    @property
    def shelf(self) -> str:
        """What stands before its name in addresses on the Hub."""
        return "/datasets" if self.pinned.repo_type == "dataset" else ""

    @property
    def compared(self) -> str | None:
        """Where the Hub shows the difference, below its address."""
        if self.pinned.kind != "hub" or self.old is None or self.new is None:
            return None
        return f"{self.shelf}/{self.pinned.source}/compare/{self.old}..{self.new}"


@dataclass
class Days:
    """The days of commits on the Hub, each asked for once. They are told and decide nothing: authors choose them."""

    client: "HubClient"
    _known: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, pinned: PinnedSource) -> str:
        """The day of a pinned commit; empty where there is none to be had."""
        if pinned.kind != "hub":
            return ""
        key = (pinned.source, pinned.commit)
        if key not in self._known:
            try:
                day = self.client.committed(*key, dataset=pinned.repo_type == "dataset")
            except RamekinError:
                day = None
            self._known[key] = day or ""
        return self._known[key]


@dataclass(frozen=True)
class Writer:
    """Writes the texts about one manifest.

    Attributes:
        manifest: Its path, relative to the repository.
        endpoint: The Hub's address.
        days: Knows the days of commits.
        cooldown: Hours that a source has to be seen unchanged.
    """

    manifest: Path
    endpoint: str
    days: Days
    cooldown: int

    def texts(self, candidate: Candidate) -> Texts:
        """All texts about a lock that is due."""
        title = self.title(candidate)
        return Texts(
            title,
            body=self.body,
            message=_rendered("message.txt", title=title, rows=tuple(_rows(candidate, None))),
            note=self.note,
        )

    @property
    def note(self) -> str:
        """The message of a commit that only remembers."""
        return _rendered("note.txt", manifest=_quiet(self.manifest))

    def title(self, candidate: Candidate) -> str:
        """The title of the pull request."""
        places = [place_of(role) for role in candidate.new]
        what = "Pin the sources of" if candidate.current is None else "Update the sources of"
        title = f"{what} {_quiet(self.manifest)}" + (f": {', '.join(places)}" if candidate.current and places else "")
        return markdown.plain(title, _LONGEST_TITLE)

    def body(self, candidate: Candidate, state: State) -> str:
        """The text of the pull request, which begins with what has to be remembered."""
        text = _rendered(
            "pull.md",
            manifest=self.manifest.as_posix(),
            lock=lock_path(self.manifest).as_posix(),
            first=candidate.current is None,
            rows=tuple(_rows(candidate, self.days)),
            waiting=tuple((place_of(c.drift.role), c.drift.now, moment(c.ready)) for c in candidate.cooling),
            failures=tuple(failures_told(state.failures)),
            withdrawn=state.withdrawn,
            cooldown=self.cooldown,
            endpoint=self.endpoint,
        )
        return state.to_mark() + text[:_LARGEST_BODY]


def failures_told(failures: Mapping[str, Failure]) -> Iterator[Mapping[str, Any]]:
    """What has failed, newest first."""
    for failure in sorted(failures.values(), key=lambda failure: failure.last, reverse=True):
        yield {
            "why": failure.why,
            "count": failure.count,
            "last": moment(failure.last),
            "again": moment(next_try(failure)),
            "run": failure.run,
        }


def moment(time: datetime) -> str:
    """A time for people, to the minute."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _rows(candidate: Candidate, days: Days | None) -> Iterator[Row]:
    day = days.of if days else (lambda _: "")
    for drift in candidate.drifts:
        files = changed_files(drift.pinned, drift.now)
        # Of one that is now another repository nothing can be compared.
        same = drift.pinned.source == drift.now.source
        old = drift.pinned.commit if same else None
        yield Row(
            place_of(drift.role),
            drift.now,
            old,
            drift.now.commit,
            day(drift.pinned) if same else "",
            day(drift.now),
            files,
        )
    for role, pinned in candidate.added.items():
        yield Row(place_of(role), pinned, None, pinned.commit, "", day(pinned))
    for role, pinned in candidate.dropped.items():
        yield Row(place_of(role), pinned, pinned.commit, None, day(pinned))


def place_of(role: str) -> str:
    """`base`, the expert's name, or a benchmark with the use of the file."""
    return role.removeprefix("expert:").removeprefix("data:").replace(":", " ")


def _quiet(manifest: Path) -> str:
    """A path for a place where there is no Markdown, without what GitHub would make a mention or a reference of."""
    return markdown.plain(manifest.as_posix(), 80).replace("@", "").replace("#", "")


def _rendered(name: str, **values: Any) -> str:
    template = template_environment(markup=False).get_template(f"action/{name}.jinja")
    return template.render(prose=prose, files=partial(_files), **values).strip() + "\n"


def _files(names: tuple[str, ...]) -> str:
    """The first of a number of files, as Markdown."""
    shown = ", ".join(markdown.code(name, 80) for name in names[:_MOST_FILES])
    return shown + (f" and {len(names) - _MOST_FILES} more" if len(names) > _MOST_FILES else "")
