"""One repository on GitHub: what every part of the client needs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from github import Github

from ramekin.github.calls import Calls


class Base:
    """One repository.

    Args:
        client: PyGithub's client; lazy, and without repetitions of its own.
        repository: `owner/name`.
        calls: Makes the calls.
    """

    def __init__(self, client: Github, repository: str, calls: Calls) -> None:
        self.repository = repository
        self._client = client
        self._calls = calls
        self._repo = client.get_repo(repository)

    @cached_property
    def login(self) -> str:
        """Who we are. REST tells it to people only, GraphQL to jobs and Apps too.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        return self._calls.repeat(lambda: str(self._graphql("query { viewer { login } }", {})["viewer"]["login"]))

    @cached_property
    def default_branch(self) -> str:
        """The repository's default branch.

        Raises:
            GitHubError: GitHub cannot be asked.
        """

        def ask() -> str:
            branch: str | None = self._repo.default_branch
            if not branch:
                raise ValueError  # what an answer lacks is None for PyGithub, and no error
            return branch

        return self._calls.repeat(ask)

    def now(self) -> datetime:
        """The time by GitHub's clock, to the second: those of runners differ, and one of them may be wrong.

        Raises:
            GitHubError: GitHub cannot be asked.
        """

        def ask() -> datetime:
            headers, _ = self._client.requester.requestJsonAndCheck("GET", f"/repos/{self.repository}")
            return parsedate_to_datetime(str(headers["date"])).astimezone(UTC)

        return self._calls.repeat(ask)

    def _graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        _, answer = self._client.requester.graphql_query(query, dict(variables))
        data: dict[str, Any] = answer["data"]
        return data

    def _send(self, verb: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
        """A request that PyGithub has no method for, or one that asks for more than is needed; returns its answer."""
        _, answer = self._client.requester.requestJsonAndCheck(
            verb, f"/repos/{self.repository}{path}", input=None if data is None else dict(data)
        )
        return answer
