"""The Hub as it is written to. A commit is not repeated blindly: it may have landed although its answer was lost."""

from pathlib import Path
from typing import Any, NoReturn

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from ramekin.client import HubClient, no_answer
from ramekin.errors import DamagedError, PublishError
from ramekin.publish.change import Change, StaleParentError
from ramekin.publish.large_files import holds, upload_ahead, uploaded_addition
from ramekin.refusals import BUSY, HUB_ERRORS, TransportError, refuse_write, writing
from ramekin.report import FileRecord
from ramekin.text import printable
from ramekin.threads import at_once


class HubWriter(HubClient):
    """The Hub, for writing."""

    def check_write(self, repo: str, *, exists: bool, private: bool) -> None:
        """Find out before the work whether the token may write there.

        A repository that does not exist is created now if only that can tell.

        Args:
            repo: The repository.
            exists: Whether it is there.
            private: Whether it is created so that nobody else sees it.

        Raises:
            PublishError: It may not.
        """
        with writing(repo, "write there"):
            if exists:
                self.patiently(lambda: self.api.auth_check(repo, write=True))
                return
        user = self.check_known(repo)
        role = user.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise PublishError(
                f"{printable(repo)}: could not write there: the token may only read",
                "set HF_TOKEN to a token that may write there",
            )
        own = {user.get("name"), *(organization.get("name") for organization in user.get("orgs", ()))}
        if role != "write" or repo.partition("/")[0] not in own:
            self.create_repo(repo, private=private)

    def check_known(self, repo: str) -> dict[str, Any]:
        """Find out before the work whether the Hub knows the token: anybody it knows may open a pull request.

        Raises:
            PublishError: There is none, or the Hub does not know it.
        """
        with writing(repo, "write there"):
            return self.patiently(lambda: self.api.whoami(cache=True))

    def create_repo(self, repo: str, *, private: bool) -> None:
        """Create a repository; one that exists is left as it is.

        Raises:
            PublishError: It may not be created.
        """
        with writing(repo, "create the repository"):
            self.patiently(lambda: self.api.create_repo(repo, private=private, exist_ok=True))

    def commit(self, repo: str, change: Change, *, parent: str, pull_request: bool) -> tuple[str, str]:
        """Make one commit against `parent`; returns its id and where to look at it.

        Raises:
            StaleParentError: The branch has moved on from `parent`.
            NoAnswer: None came, or the Hub is busy; the commit may have landed or not.
            PublishError: The Hub refused.
        """
        operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
            _addition(name, path, change.sha256.get(name)) for name, path in change.add.items()
        ]
        operations += [uploaded_addition(name, record) for name, record in change.uploaded.items()]
        operations += [CommitOperationDelete(name) for name in change.delete]
        try:
            # In a thread of ours, since the client's wait for whole files when they are interrupted.
            (info,) = at_once(
                lambda operations: self.api.create_commit(
                    repo,
                    operations,
                    commit_message=change.message,
                    commit_description=change.description,
                    parent_commit=parent,
                    create_pr=pull_request,
                ),
                [operations],
                1,
            )
        except (*HUB_ERRORS, RuntimeError) as error:
            # The client wraps what happens to an upload into a RuntimeError.
            cause = error.__cause__ if isinstance(error, RuntimeError) else error
            _not_committed(repo, parent, cause if isinstance(cause, Exception) else error)
        return info.oid, str(info.pr_url or info.commit_url)

    def upload(self, repo: str, name: str, path: Path, record: FileRecord, *, pull_request: bool) -> bool:
        """Upload a file ahead of its commit; returns whether the Hub has taken it.

        Raises:
            PublishError: The Hub refused, or cannot be reached.
        """

        def upload(_: object) -> bool:
            try:
                return upload_ahead(self.api, repo, name, path, record, pull_request=pull_request)
            except RuntimeError as error:  # the client wraps what happens to an upload
                raise error.__cause__ or error from None

        with writing(repo, f"upload {name}", "run the same command again, it goes on where it stopped"):
            # In a thread of ours, as for a commit.
            return self.patiently(lambda: at_once(upload, [None], 1)[0])

    def holds(self, repo: str, record: FileRecord) -> bool:
        """Whether a repository's storage has a large file, be it in a commit or not.

        Raises:
            PublishError: The Hub cannot be asked.
        """
        with writing(repo, "ask what was uploaded before"):
            return self.patiently(lambda: holds(self.api, repo, record))

    def tag(self, repo: str, tag: str, commit: str) -> None:
        """Put a tag on a commit; one that exists stays where it is.

        Raises:
            PublishError: It may not be made.
        """
        with writing(repo, f"put the tag {tag} on {commit[:7]}", "run the same command again; all else is published"):
            self.patiently(lambda: self.api.create_tag(repo, tag=tag, revision=commit, exist_ok=True))


def _not_committed(repo: str, parent: str, error: Exception) -> NoReturn:
    """Turn what committing has raised into an error of our own."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if status == 412:
        raise StaleParentError(
            f"{repo}: the branch has moved on since the plan was made (it was at {parent[:7]})",
            "nothing was published; run the same command again to plan against the new state",
        ) from error
    lost = status is None and isinstance(error, (TransportError, ConnectionError, TimeoutError))
    if status in BUSY or (lost and not isinstance(error, OfflineModeIsEnabled)):
        raise no_answer(error) from error
    refuse_write(repo, "commit", error)


def _addition(name: str, path: Path, sha256: str | None) -> CommitOperationAdd:
    operation = CommitOperationAdd(name, str(path))
    if sha256 and operation.upload_info.sha256.hex() != sha256:
        raise DamagedError(f"{path}: is not as the report has it", "merge again into an empty directory")
    return operation
