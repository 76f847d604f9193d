"""The Hub as ramekin uses it: the calls it makes through `huggingface_hub`, with errors of our own.

The client retries some calls and not others. Reading is retried here, uniformly; a commit is not, because it may have
landed although its answer was lost: `ramekin.publish` looks at the branch before it tries again.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    get_session,
    get_token,
    hf_hub_url,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]
from huggingface_hub.utils.logging import set_verbosity_error

from ramekin import __version__
from ramekin.environment import Environment, Secret
from ramekin.errors import DamagedError, PublishError, SourceError
from ramekin.refusals import BUSY, HUB_ERRORS, TransportError, asked_to_wait, reading, refuse, refuse_write, writing
from ramekin.text import printable
from ramekin.threads import at_once

_TRIES: Final = 5
_TIMEOUT: Final = 60.0
"""Seconds without a byte after which a connection counts as dead."""
_LONGEST_WAIT: Final = 310.0
"""Seconds that the Hub may ask us to wait at most: its windows for counting requests have five minutes."""

T = TypeVar("T")


@dataclass(frozen=True)
class RepoState:
    """A repository at a revision: its canonical id, commit, and who may see it."""

    repo: str
    commit: str
    private: bool
    gated: bool


@dataclass(frozen=True)
class RepoEntry:
    """One file of a commit: size in bytes and sha256 (large files) or git blob id (files kept in git)."""

    path: str
    size: int
    sha256: str | None
    blob: str | None


@dataclass(frozen=True)
class Change:
    """What one commit does.

    Attributes:
        add: Files to write, by path in the repository.
        delete: Paths that go.
        sha256: What the files must hold, as far as it is known; checked while they are read for the upload.
    """

    add: Mapping[str, Path]
    delete: tuple[str, ...]
    message: str
    description: str
    sha256: Mapping[str, str]


class HubClient:
    """The Hub at one endpoint, with one token."""

    def __init__(self, environment: Environment, *, token: Secret | None = None) -> None:
        self._environment = environment
        self._token = token or environment.token
        self._wait = environment.retry_wait
        if not environment.client_talks:
            # Its warnings name addresses that let whoever knows them upload, and repeat what our errors say.
            set_verbosity_error()  # type: ignore[no-untyped-call]
        self._api = HfApi(
            endpoint=environment.endpoint,
            token=self._token.reveal() if self._token else None,
            library_name="ramekin",
            library_version=__version__,
        )

    @property
    def endpoint(self) -> str:
        """The Hub's address."""
        return self._environment.endpoint

    def secrets(self) -> tuple[str, ...]:
        """Token values that no output may show."""
        known = (self._token.reveal() if self._token else None, get_token())
        return tuple(dict.fromkeys(value for value in known if value))

    # Reading

    def state(self, repo: str, revision: str | None = None) -> RepoState | None:
        """The repository at a revision, or None where it does not exist or may not be seen.

        Raises:
            SourceError: The revision does not exist, or the Hub cannot be asked.
        """
        with reading(repo, revision):
            try:
                # Not the whole record: it carries the card, and a hostile card breaks the client that parses it.
                info = self._patiently(
                    lambda: self._api.model_info(repo, revision=revision, expand=["sha", "private", "gated"])
                )
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                return None
        if not info.sha:
            raise DamagedError(f"{repo}: the Hub names no commit for it", "try again later")
        return RepoState(info.id, info.sha, bool(info.private), bool(info.gated))

    def entries(self, repo: str, commit: str) -> tuple[RepoEntry, ...]:
        """All files of a commit."""
        with reading(repo, commit):
            # Of all that is read here, the client repeats this itself.
            items = list(self._api.list_repo_tree(repo, revision=commit, recursive=True))
        return tuple(
            RepoEntry(f.path, f.size, f.lfs.sha256 if f.lfs else None, None if f.lfs else f.blob_id)
            for f in items
            if isinstance(f, RepoFile)
        )

    def read(self, repo: str, commit: str, file: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of a file, fewer at its end; one range request."""
        if stop <= start:
            return b""

        def request() -> bytes:
            with self._stream(repo, commit, file, {"Range": f"bytes={start}-{stop - 1}"}) as response:
                if response.status_code == 416:
                    return b""
                hf_raise_for_status(response)
                skip = 0 if response.status_code == 206 else start
                return _take(response.iter_bytes(1 << 16), skip, stop - start)

        with reading(f"{repo}/{file}", commit):
            return self._patiently(request)

    def read_if_present(self, repo: str, commit: str, file: str, limit: int) -> bytes | None:
        """The first `limit` bytes of a file, or None where the commit has no such file."""
        try:
            return self.read(repo, commit, file, 0, limit)
        except SourceError as error:
            if isinstance(error.__cause__, RemoteEntryNotFoundError):
                return None
            raise

    @contextmanager
    def download(self, repo: str, commit: str, file: str, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Stream a file from byte `start`; yields the offset the server really starts at, and the pieces.

        Raises:
            NoAnswer: The connection broke, or the Hub is busy; the rest may come the next time.
            SourceError: The file cannot be had.
        """
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            with self._stream(repo, commit, file, headers) as response:
                hf_raise_for_status(response)
                # As it comes: what would be waited for to fill a piece is lost when the connection breaks.
                yield (start if response.status_code == 206 else 0), response.iter_bytes()
        except HfHubHTTPError as error:
            if error.response.status_code in BUSY:
                raise NoAnswer(error) from error
            refuse(f"{repo}/{file}", commit, error)
        except OfflineModeIsEnabled as error:
            refuse(f"{repo}/{file}", commit, error)
        except (TransportError, ConnectionError, TimeoutError) as error:
            raise NoAnswer(error) from error

    @contextmanager
    def _stream(self, repo: str, commit: str, file: str, extra: dict[str, str]) -> Iterator[Any]:
        if self._environment.offline:
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
        url = hf_hub_url(repo, file, revision=commit, endpoint=self.endpoint)
        headers = build_hf_headers(token=self._token.reveal() if self._token else None, library_name="ramekin")
        headers |= {"Accept-Encoding": "identity"} | extra
        with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT) as response:
            yield response

    def patience(self, attempt: int, asked: float | None = None) -> float:
        """Seconds to wait before trying again: what the Hub has asked for, else twice as long each time."""
        return self._wait * 2**attempt if asked is None else min(asked, _LONGEST_WAIT)

    def pause(self, attempt: int, asked: float | None = None) -> None:
        """Wait that long."""
        time.sleep(self.patience(attempt, asked))

    def _patiently(self, call: Callable[[], T]) -> T:
        """Repeat a reading call while the Hub is busy or the network fails, waiting twice as long each time."""
        for attempt in range(_TRIES):
            try:
                return call()
            except HfHubHTTPError as error:
                if attempt == _TRIES - 1 or error.response.status_code not in BUSY:
                    raise
                self.pause(attempt, asked_to_wait(error))
            except (TransportError, ConnectionError, TimeoutError) as error:
                if attempt == _TRIES - 1 or isinstance(error, OfflineModeIsEnabled):
                    raise
                self.pause(attempt)
        raise AssertionError

    # Writing

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
                self._patiently(lambda: self._api.auth_check(repo, write=True))
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
            return self._patiently(lambda: self._api.whoami(cache=True))

    def create_repo(self, repo: str, *, private: bool) -> None:
        """Create a repository; one that exists is left as it is.

        Raises:
            PublishError: It may not be created.
        """
        with writing(repo, "create the repository"):
            self._patiently(lambda: self._api.create_repo(repo, private=private, exist_ok=True))

    def commit(self, repo: str, change: "Change", *, parent: str, pull_request: bool) -> tuple[str, str]:
        """Make one commit against `parent`; returns its id and where to look at it.

        Raises:
            StaleParentError: The branch has moved on from `parent`.
            NoAnswer: None came, or the Hub is busy; the commit may have landed or not.
            PublishError: The Hub refused.
        """
        operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
            _addition(name, path, change.sha256.get(name)) for name, path in change.add.items()
        ]
        operations += [CommitOperationDelete(name) for name in change.delete]
        try:
            # In a thread of ours, since the client's wait for whole files when they are interrupted.
            (info,) = at_once(
                lambda operations: self._api.create_commit(
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

    def open_pull_requests(self, repo: str, title: str) -> tuple[str, ...]:
        """Addresses of the repository's open pull requests with exactly this title."""
        with reading(repo):
            found = self._patiently(
                lambda: list(
                    self._api.get_repo_discussions(repo, discussion_type="pull_request", discussion_status="open")
                )
            )
        return tuple(str(d.url) for d in found if d.title == title)

    def tags(self, repo: str) -> dict[str, str]:
        """All tags with the commits they point to."""
        with reading(repo):
            refs = self._patiently(lambda: self._api.list_repo_refs(repo))
        return {tag.name: tag.target_commit for tag in refs.tags}

    def tag(self, repo: str, tag: str, commit: str) -> None:
        """Put a tag on a commit; one that exists stays where it is.

        Raises:
            PublishError: It may not be made.
        """
        with writing(repo, f"put the tag {tag} on {commit[:7]}", "run the same command again; all else is published"):
            self._patiently(lambda: self._api.create_tag(repo, tag=tag, revision=commit, exist_ok=True))


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
        raise NoAnswer(error) from error
    refuse_write(repo, "commit", error)


def _addition(name: str, path: Path, sha256: str | None) -> CommitOperationAdd:
    operation = CommitOperationAdd(name, str(path))
    if sha256 and operation.upload_info.sha256.hex() != sha256:
        raise DamagedError(f"{path}: is not as the report has it", "merge again into an empty directory")
    return operation


class StaleParentError(PublishError):
    """The branch is no longer where the plan saw it."""


class NoAnswer(Exception):  # noqa: N818 - not yet an error: whoever called decides whether to try again
    """The connection broke, or the Hub is busy.

    Attributes:
        wait: Seconds that the Hub has asked to wait, if it has.
    """

    def __init__(self, error: Exception) -> None:
        what = f"the Hub answered {error.response.status_code}" if isinstance(error, HfHubHTTPError) else str(error)
        super().__init__(what)
        self.wait = asked_to_wait(error)


def _take(pieces: Iterator[bytes], skip: int, count: int) -> bytes:
    """`count` bytes after the first `skip`, without reading on."""
    taken = bytearray()
    for piece in pieces:
        taken += piece[skip:] if skip else piece
        skip = max(0, skip - len(piece))
        if len(taken) >= count:
            break
    return bytes(taken[:count])
