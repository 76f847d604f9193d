"""The dashboard: one issue that lists all manifests of a workflow, with boxes to tick for what is to be tried again.

It is ours, found by its mark. Whoever may edit it may tick a box, which names a manifest, and nothing else in it is
believed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from ramekin.action.marking import mark, marks
from ramekin.github.records import is_same_text
from ramekin.plan.rendering import prose
from ramekin.templating import template_environment

if TYPE_CHECKING:
    from ramekin.github.client import GitHub
    from ramekin.github.records import Issue

TITLE: Final = "Merges: dashboard"
KIND: Final = "dashboard"
"""Of the issue's mark."""
_RETRY: Final = "retry"
"""Of the mark behind a box."""
_BOX: Final = re.compile(r"^[ \t]*[-*+] \[[xX]\] (<!-- ramekin:retry \{[^\r\n<>]*\} -->)", re.MULTILINE)
_LARGEST: Final = 60_000


@dataclass(frozen=True)
class Dashboard:
    """The issue as it is now.

    Attributes:
        number: Its number; None where there is none yet.
        body: What it says.
        pattern: The manifests that it is of, as the workflow names them: two workflows do not share one.
    """

    number: int | None
    body: str
    pattern: str

    @classmethod
    def find(cls, github: "GitHub", pattern: str) -> Self:
        """Look for it; of several the oldest counts.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        found = [issue for issue in github.issues() if _is_of(issue, pattern)]
        first = min(found, key=lambda issue: issue.number, default=None)
        return cls(first.number, first.body, pattern) if first else cls(None, "", pattern)

    @property
    def ticked(self) -> frozenset[str]:
        """Manifests that somebody wants to be tried again."""
        named = (found.get("manifest") for box in _BOX.findall(self.body) for found in marks(_RETRY, box))
        return frozenset(name for name in named if isinstance(name, str))

    def show(self, github: "GitHub", rows: Iterable[Mapping[str, Any]], endpoint: str) -> bool:
        """Write it anew if it would say anything else; returns whether it was written.

        A box that was ticked since it was looked at stays ticked: the next run is to find it.

        Raises:
            GitHubError: GitHub refuses, or cannot be asked.
        """
        listed = list(rows)
        text = self._text(listed, endpoint, frozenset())
        if is_same_text(text, self.body):
            return False
        now = Dashboard.find(github, self.pattern)
        text = self._text(listed, endpoint, now.ticked - self.ticked)
        if now.number is None:
            github.open_issue(TITLE, text)
        elif not is_same_text(text, now.body):
            github.edit_issue(now.number, text)
        return True

    def _text(self, rows: list[Mapping[str, Any]], endpoint: str, ticked: frozenset[str]) -> str:
        template = template_environment(markup=False).get_template("action/dashboard.md.jinja")
        text = template.render(
            rows=rows,
            boxes=[
                (row["manifest"], _mark(row["manifest"]), row["manifest"] in ticked) for row in rows if row["retry"]
            ],
            pattern=self.pattern,
            endpoint=endpoint,
            prose=prose,
        )
        return mark(KIND, {"manifest": self.pattern}) + text[:_LARGEST]


def _is_of(issue: "Issue", pattern: str) -> bool:
    return any(found.get("manifest") == pattern for found in marks(KIND, issue.body))


def _mark(manifest: str) -> str:
    return mark(_RETRY, {"manifest": manifest}).strip()
