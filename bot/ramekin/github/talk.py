"""Comments, issues and who may say what, on GitHub; and workflows that are started."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

from github.Issue import Issue as IssueOfGitHub
from github.IssueComment import IssueComment

from ramekin.github.base import Base
from ramekin.github.calls import AbsentError
from ramekin.github.records import Comment, Issue, is_same_text
from ramekin.github.refusals import GitHubError

_LOGIN: Final = re.compile(r"[A-Za-z0-9][\w-]{0,99}(\[bot\])?", re.ASCII)
_ROLES: Final = frozenset({"admin", "maintain", "write", "triage", "read", "none"})


class Talk(Base):
    """Comments and issues of one repository."""

    def comments(self, number: int) -> tuple[Comment, ...]:
        """All comments on an issue or pull request, oldest first.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        found = self._calls.repeat(lambda: [_comment(each) for each in self._repo.get_issue(number).get_comments()])
        return tuple(sorted(found, key=lambda comment: comment.id))

    def comment(self, id: int) -> Comment | None:  # noqa: A002 - what GitHub calls it
        """A comment as it is now, or None where it was deleted.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        try:
            # A comment's address has no issue in it: any number will do.
            return self._calls.repeat(lambda: _comment(self._repo.get_issue(1).get_comment(id)))
        except AbsentError:
            return None

    def write_comment(self, number: int, body: str) -> Comment:
        """Comment on an issue or pull request.

        Raises:
            ForbiddenError: The token may not.
            GitHubError: It cannot be done.
        """

        def there() -> Comment | None:
            # One that says the very same serves as well.
            ours = (each for each in self.comments(number) if each.author == self.login)
            return next((each for each in reversed(tuple(ours)) if is_same_text(each.body, body)), None)

        return self._calls.once(lambda: _comment(self._repo.get_issue(number).create_comment(body)), there)

    def edit_comment(self, id: int, body: str) -> None:  # noqa: A002
        """Change a comment.

        Raises:
            GitHubError: It cannot be done.
        """
        self._calls.repeat(lambda: self._repo.get_issue(1).get_comment(id).edit(body))

    def delete_comment(self, id: int) -> None:  # noqa: A002
        """Delete a comment; one that is gone already is fine.

        Raises:
            GitHubError: It cannot be done.
        """
        with suppress(AbsentError):
            self._calls.repeat(lambda: self._repo.get_issue(1).get_comment(id).delete())

    def react(self, comment_id: int, content: str) -> None:
        """Put a small picture under a comment: `eyes`, `rocket`, `-1`, `confused`. Nothing fails for want of it."""
        with suppress(GitHubError):
            self._calls.repeat(lambda: self._repo.get_issue(1).get_comment(comment_id).create_reaction(content))

    def permission(self, login: str) -> str:
        """What somebody may do here: `admin`, `maintain`, `write`, `triage`, `read` or `none`.

        Of a role that an organization has made up, what it is built on.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        if not _LOGIN.fullmatch(login):
            return "none"
        try:
            return self._calls.repeat(lambda: self._permission(login))
        except AbsentError:
            return "none"

    def _permission(self, login: str) -> str:
        answer = self._send("GET", f"/collaborators/{quote(login, safe='')}/permission")
        given = (answer.get("role_name"), answer.get("permission"))
        return next((str(name) for name in given if name in _ROLES), "none")

    def issues(self) -> tuple[Issue, ...]:
        """Open issues that we wrote ourselves, oldest first; pull requests are none.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        found = self._calls.repeat(
            lambda: [_issue(each) for each in self._repo.get_issues(state="open", creator=self.login)]  # type: ignore[arg-type]  # a login is accepted too
        )
        ours = (issue for issue in found if issue is not None and issue.author == self.login)
        return tuple(sorted(ours, key=lambda issue: issue.number))

    def open_issue(self, title: str, body: str) -> Issue:
        """Open an issue.

        Raises:
            GitHubError: It cannot be done, as where issues are switched off.
        """

        def made() -> Issue:
            return _known(_issue(self._repo.create_issue(title, body)))

        def there() -> Issue | None:
            alike = (each for each in self.issues() if each.title == title and is_same_text(each.body, body))
            return next(alike, None)

        return self._calls.once(made, there)

    def edit_issue(self, number: int, body: str) -> None:
        """Change an issue's text.

        Raises:
            GitHubError: It cannot be done.
        """
        self._calls.repeat(lambda: self._repo.get_issue(number).edit(body=body))

    def rerun(self, run: int) -> None:
        """Start what has failed in a workflow's run again.

        Raises:
            ForbiddenError: The token may not, the run goes on already, or it is too old.
            GitHubError: It cannot be done, or nobody knows whether it was.
        """
        self._calls.once(lambda: self._done("POST", f"/actions/runs/{run}/rerun-failed-jobs", {}))

    def dispatch_event(self, type: str, payload: Mapping[str, Any]) -> None:  # noqa: A002 - what GitHub calls it
        """Start the workflows that listen to `repository_dispatch` of this type.

        Raises:
            GitHubError: It cannot be done, or nobody knows whether it was.
        """
        self._calls.once(
            lambda: self._done("POST", "/dispatches", {"event_type": type, "client_payload": dict(payload)})
        )

    def _done(self, verb: str, path: str, data: Mapping[str, Any]) -> bool:
        self._send(verb, path, data)
        return True


def _comment(comment: IssueComment) -> Comment:
    return Comment(
        id=int(comment.id),  # what an answer lacks is None for PyGithub, and no error
        author=getattr(comment.user, "login", "ghost"),
        body=comment.body or "",
        created=comment.created_at,
        updated=comment.updated_at,
        url=comment.html_url,
    )


def _issue(issue: IssueOfGitHub) -> Issue | None:
    """The issue; None for a pull request, which its page's address tells. Asking for what it lacks costs a request."""
    if issue.html_url.split("/")[-2] != "issues":
        return None
    author = getattr(issue.user, "login", "ghost")
    return Issue(int(issue.number), author, issue.title, issue.body or "", issue.state, issue.html_url)


def _known(issue: Issue | None) -> Issue:
    if issue is None:
        raise ValueError
    return issue
