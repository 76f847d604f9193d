"""Pull requests on GitHub."""

from typing import Final, Literal

from github.GithubObject import NotSet
from github.PullRequest import PullRequest

from ramekin.github.base import Base
from ramekin.github.calls import AbsentError, RefusedError
from ramekin.github.records import Pull

_MOST_FILES: Final = 3000
"""GitHub lists no more files of a pull request."""


class Pulls(Base):
    """Pull requests of one repository."""

    def pull(self, number: int) -> Pull | None:
        """A pull request, or None where there is none of this number.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        try:
            return self._calls.repeat(lambda: _pull(self._repo.get_pull(number)))
        except AbsentError:
            return None

    def pulls_from(self, branch: str, state: Literal["open", "closed", "all"] = "open") -> tuple[Pull, ...]:
        """Pull requests whose branch has exactly this name and is in this repository, not in a fork; newest first.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        owner = self.repository.partition("/")[0]
        found = self._calls.repeat(
            lambda: tuple(
                _pull(each)
                for each in self._repo.get_pulls(
                    state=state, head=f"{owner}:{branch}", sort="created", direction="desc"
                )
            )
        )
        # An owner's forks of other names, and a filter that GitHub has not understood, are let through by it.
        ours = (pull for pull in found if pull.branch == branch and self._is_this(pull.source))
        return tuple(sorted(ours, key=lambda pull: pull.number, reverse=True))

    def pulls_with(self, commit: str) -> tuple[Pull, ...]:
        """Pull requests that brought a commit into the repository, or want to.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        try:
            return self._calls.repeat(lambda: tuple(_pull(each) for each in self._repo.get_commit(commit).get_pulls()))
        except (AbsentError, RefusedError):  # no such commit
            return ()

    def files_of(self, number: int) -> tuple[str, ...] | None:
        """Paths that a pull request changes, those that files had before included; None if GitHub does not list all.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        files = self._calls.repeat(
            lambda: [(each.filename, each.previous_filename) for each in self._repo.get_pull(number).get_files()]
        )
        if len(files) >= _MOST_FILES:
            return None
        return tuple(dict.fromkeys(path for pair in files for path in pair if path))

    def open_pull(self, branch: str, base: str, title: str, body: str) -> Pull:
        """Open a pull request; the one that is there already where GitHub says so.

        Raises:
            ForbiddenError: The token may not, or jobs must not in this repository.
            GitHubError: GitHub cannot be asked, or sees nothing to merge.
        """

        def there() -> Pull | None:
            return next((pull for pull in self.pulls_from(branch) if pull.base == base), None)

        try:
            return self._calls.once(
                lambda: _pull(self._repo.create_pull(base=base, head=branch, title=title, body=body)), there
            )
        except RefusedError:
            pull = there()
            if pull is None:
                raise
            return pull

    def edit_pull(self, number: int, title: str | None = None, body: str | None = None) -> None:
        """Change a pull request's title or text.

        Raises:
            GitHubError: It cannot be done.
        """
        self._calls.repeat(
            lambda: self._repo.get_pull(number).edit(
                title=NotSet if title is None else title, body=NotSet if body is None else body
            )
        )

    def close_pull(self, number: int) -> None:
        """Close a pull request without merging it.

        Raises:
            GitHubError: It cannot be done.
        """
        self._calls.repeat(lambda: self._repo.get_pull(number).edit(state="closed"))

    def _is_this(self, source: str | None) -> bool:
        return source is not None and source.casefold() == self.repository.casefold()


def _pull(pull: PullRequest) -> Pull:
    # What a list does not hold costs another request: so not `merged`, which only the pull request itself has.
    merged = pull.merged_at is not None
    return Pull(
        number=int(pull.number),
        author=getattr(pull.user, "login", "ghost"),
        title=pull.title,
        body=pull.body or "",
        state=pull.state,
        merged=merged,
        head=pull.head.sha,
        branch=pull.head.ref,
        source=getattr(pull.head.repo, "full_name", None),
        base=pull.base.ref,
        url=pull.html_url,
        merge_commit=pull.merge_commit_sha if merged else None,
    )
