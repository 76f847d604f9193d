"""The Hub as it is written to. A commit is not repeated blindly: it may have landed although its answer was lost."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

from ramekin.client import HubClient, no_answer
from ramekin.environment import Environment
from ramekin.errors import DamagedError, PublishError
from ramekin.publish.change import Change, StaleParentError
from ramekin.publish.large_files import holds, upload_ahead, uploaded_addition
from ramekin.records import FileRecord
from ramekin.refusals import BUSY, HUB_ERRORS, Access, TransportError, reading, refuse_write, writing
from ramekin.text import printable
from ramekin.threads import at_once
from ramekin.trust.bearers import Holder, Publisher

Operation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete

_LARGE: Final = 8 << 20
"""Bytes from which on a file is uploaded by itself; a commit with all that is smaller takes no hour."""
_TRUSTED_AUTHOR: Final = "[OIDC]"
"""As whom the Hub shows what a job has done by trusted publishing."""


class HubWriter(HubClient):
    """The Hub, for writing.

    Args:
        environment: Says where it is.
        bearer: Knows which token to send.
    """

    def __init__(self, environment: Environment, bearer: Holder | Publisher) -> None:
        super().__init__(environment, bearer)
        self._writing_bearer = bearer

    def aim(self, repo: str) -> None:
        """Find out before anything else whether there is a token to write to this repository with.

        Raises:
            PublishError: By trusted publishing there is none.
        """
        self._writing_bearer.aim(repo)

    def writing(self, repo: str, action: str, hint: str | None = None) -> AbstractContextManager[None]:
        """Turn what a call raises into `PublishError`, with a hint that fits the token."""
        return writing(repo, action, hint, self.access)

    def check_write(self, repo: str, *, exists: bool, private: bool, create: bool = True) -> None:
        """Find out before the work whether the token may write there.

        A repository that does not exist is created now if only that can tell.

        Args:
            repo: The repository.
            exists: Whether it is there.
            private: Whether it is created so that nobody else sees it.
            create: Whether it may be created; it is not while nobody knows whether anything will be published.

        Raises:
            PublishError: It may not.
        """
        with self.writing(repo, "write there"):
            if exists:
                self.patiently(lambda: self.api.auth_check(repo, write=True))
                return
        self._check_creatable(repo)
        user = self.check_known(repo)
        role = user.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise PublishError(
                f"{printable(repo)}: could not write there: the token may only read",
                "set HF_TOKEN to a token that may write there",
            )
        own = {user.get("name"), *(organization.get("name") for organization in user.get("orgs", ()))}
        if create and (role != "write" or repo.partition("/")[0] not in own):
            self.create_repo(repo, private=private)

    def check_known(self, repo: str) -> dict[str, Any]:
        """Find out before the work whether the Hub knows the token: anybody it knows may open a pull request.

        Raises:
            PublishError: There is none, or the Hub does not know it.
        """
        with self.writing(repo, "write there"):
            if self._bearer.exchanges:  # a token for a repository is no user's
                self.patiently(lambda: self.api.auth_check(repo, write=True))
                return {"name": _TRUSTED_AUTHOR}
            return self.patiently(lambda: self.api.whoami(cache=True))

    def check_elsewhere(self, repo: str, setting: str) -> None:
        """Find out before the work whether the token writes to anything but the repository.

        Args:
            repo: The repository.
            setting: What asks for it, as the manifest calls it.

        Raises:
            PublishError: By trusted publishing it does not.
        """
        if self._bearer.exchanges:
            raise PublishError(
                f"{printable(repo)}: {setting} writes elsewhere, and trusted publishing writes to {repo} alone",
                f"leave out {setting} and do that by hand, or set HF_TOKEN and unset HF_OIDC_RESOURCE",
            )

    def _check_creatable(self, repo: str) -> None:
        if self._bearer.exchanges:
            raise PublishError(
                f"{printable(repo)}: does not exist, and trusted publishing cannot create it",
                f"create it once by hand, `hf repos create {repo} --private`; then trust this job in its settings",
            )

    def name(self, repo: str) -> str:
        """Name of the token's user, whom the Hub shows as the author of what is done with it.

        Raises:
            PublishError: There is no token, or it is nobody's.
        """
        name = self.check_known(repo).get("name")
        if not isinstance(name, str) or not name:
            raise PublishError(
                f"{printable(repo)}: the Hub does not say whose token this is",
                "set HF_TOKEN to a token of a user, or publish without --pr",
            )
        return name

    def create_repo(self, repo: str, *, private: bool) -> None:
        """Create a repository; one that exists is left as it is.

        Raises:
            PublishError: It may not be created.
        """
        self._check_creatable(repo)
        with self.writing(repo, "create the repository"):
            self.patiently(lambda: self.api.create_repo(repo, private=private, exist_ok=True))

    def commit(self, repo: str, change: Change, *, parent: str, revision: str | None = None) -> tuple[str, str]:
        """Make one commit against `parent`; returns its id and where to look at it.

        Args:
            repo: The repository.
            change: What the commit does.
            parent: Where the branch has to be.
            revision: The branch; the default one if left out.

        Raises:
            StaleParentError: The branch has moved on from `parent`.
            NoAnswer: None came, or the Hub is busy; the commit may have landed or not.
            PublishError: The Hub refused.
        """
        operations: list[Operation] = [
            _addition(name, path, change.sha256.get(name)) for name, path in change.add.items()
        ]
        operations += [uploaded_addition(name, record) for name, record in change.uploaded.items()]
        operations += [CommitOperationDelete(name) for name in change.delete]

        def commit(operations: Sequence[Operation]) -> CommitInfo:
            self._upload_first(repo, operations, revision)
            return self.api.create_commit(
                repo,
                operations,
                commit_message=change.message,
                commit_description=change.description,
                parent_commit=parent,
                revision=revision,
            )

        try:
            # In a thread of ours, since the client's wait for whole files when they are interrupted.
            (info,) = at_once(commit, [operations], 1)
        except (*HUB_ERRORS, RuntimeError) as error:
            # The client wraps what happens to an upload into a RuntimeError.
            cause = error.__cause__ if isinstance(error, RuntimeError) else error
            _not_committed(repo, parent, cause if isinstance(cause, Exception) else error, self.access)
        return info.oid, str(info.commit_url)

    def _upload_first(self, repo: str, operations: Sequence[Operation], revision: str | None) -> None:
        """With a token that ends, upload large files one by one: the client sends one token from first to last."""
        if not self._bearer.exchanges:
            return
        for operation in operations:
            if isinstance(operation, CommitOperationAdd) and operation.upload_info.size >= _LARGE:
                self._bearer.token(fresh=True)
                self.api.preupload_lfs_files(repo, [operation], revision=revision, free_memory=False)
        self._bearer.token(fresh=True)

    def upload(self, repo: str, name: str, path: Path, record: FileRecord, *, pull_request: bool) -> bool:
        """Upload a file ahead of its commit; returns whether the Hub has taken it.

        Raises:
            PublishError: The Hub refused, or cannot be reached.
        """

        def upload(_: object) -> bool:
            self._bearer.token(fresh=True)
            try:
                return upload_ahead(self.api, repo, name, path, record, pull_request=pull_request)
            except RuntimeError as error:  # the client wraps what happens to an upload
                raise error.__cause__ or error from None

        with self.writing(repo, f"upload {name}", "run the same command again, it goes on where it stopped"):
            # In a thread of ours, as for a commit.
            return self.patiently(lambda: at_once(upload, [None], 1)[0])

    def holds(self, repo: str, record: FileRecord) -> bool:
        """Whether a repository's storage has a large file, be it in a commit or not.

        Raises:
            PublishError: The Hub cannot be asked.
        """
        with self.writing(repo, "ask what was uploaded before"):
            return self.patiently(lambda: holds(self.api, repo, record))

    def dataset_tags(self, dataset: str) -> frozenset[str]:
        """Tags of a dataset; none where it does not exist or may not be seen.

        Raises:
            SourceError: The Hub cannot be asked.
        """
        with reading(dataset, None, self.access):
            try:
                info = self.patiently(lambda: self.api.dataset_info(dataset, expand=["tags"]))
            except RepositoryNotFoundError:
                return frozenset()
        return frozenset(info.tags or ())

    def branches(self, repo: str) -> frozenset[str]:
        """Names of all branches.

        Raises:
            PublishError: The Hub cannot be asked.
        """
        with self.writing(repo, "look at its branches"):
            refs = self.patiently(lambda: self.api.list_repo_refs(repo))
        return frozenset(branch.name for branch in refs.branches)

    def tag(self, repo: str, tag: str, commit: str) -> None:
        """Put a tag on a commit; one that exists stays where it is.

        Raises:
            PublishError: It may not be made.
        """
        with self.writing(
            repo, f"put the tag {tag} on {commit[:7]}", "run the same command again; all else is published"
        ):
            self.patiently(lambda: self.api.create_tag(repo, tag=tag, revision=commit, exist_ok=True))

    @contextmanager
    def once(self, repo: str, action: str, hint: str | None = None) -> Iterator[None]:
        """Around a call that must not be made twice.

        Raises:
            NoAnswer: None came, or the Hub is busy; it may have done what was asked, or not.
            PublishError: The Hub refused.
        """
        try:
            yield
        except HUB_ERRORS as error:
            if _is_lost(error):
                raise no_answer(error) from error
            refuse_write(repo, action, error, hint, self.access)


def _not_committed(repo: str, parent: str, error: Exception, access: Access) -> NoReturn:
    """Turn what committing has raised into an error of our own."""
    if isinstance(error, HfHubHTTPError) and error.response.status_code == 412:
        raise StaleParentError(
            f"{repo}: the branch has moved on since the plan was made (it was at {parent[:7]})",
            "nothing was published; run the same command again to plan against the new state",
        ) from error
    if _is_lost(error):
        raise no_answer(error) from error
    refuse_write(repo, "commit", error, access=access)


def _is_lost(error: Exception) -> bool:
    """Whether nobody knows what has become of a call."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in BUSY
    lost = isinstance(error, (TransportError, ConnectionError, TimeoutError))
    return lost and not isinstance(error, OfflineModeIsEnabled)


def _addition(name: str, path: Path, sha256: str | None) -> CommitOperationAdd:
    operation = CommitOperationAdd(name, str(path))
    if sha256 and operation.upload_info.sha256.hex() != sha256:
        raise DamagedError(f"{path}: is not as the report has it", "merge again into an empty directory")
    return operation
